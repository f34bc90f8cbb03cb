"""No route, and no message, holds the event loop longer than 5 ms, whatever there is to be told.

On a processor slower than the reference (`tests.support.loop_probe`) it is as much longer.

The routes are those of the OpenAPI document: one that is not in the table fails the test.
"""

import gc
import json
import time
from collections.abc import Iterator

import pytest
from websockets.sync.client import connect as open_socket

from tests.support.api import ADMIN_KEY, ApiServer, limit_order
from tests.support.full_server import (
    REASON,
    SYMBOLS,
    Body,
    await_database,
    fill_state,
    open_accounts_and_symbols,
    trade,
    write_keys,
)
from tests.support.loop_probe import LoopProbe, ask, slowness

HELD_SECONDS_MAX = 0.005
TRIES = 5


@pytest.fixture(scope="session")
def full(tmp_path_factory: pytest.TempPathFactory, database_url_of_watchdog: str) -> Iterator[ApiServer]:
    """A server that has as much to tell as it may hold."""
    folder = tmp_path_factory.mktemp("full")
    write_keys(folder)
    unbounded = {"BOT4_KEY_REQUESTS_PER_SECOND": "0", "BOT4_KEY_LOOP_PERCENT": "0"}
    before = gc.get_threshold()
    with ApiServer(folder, BOT4_DATABASE_URL=database_url_of_watchdog, **unbounded) as server:
        server.show_market()
        with server.client() as client:
            open_accounts_and_symbols(client)
            trade(server, client)
            await_database(client)
        server.call(lambda: fill_state(server))
        gc.collect()
        gc.set_threshold(20_000, 20, 100)
        gc.freeze()  # as a server does once it is ready (`app.serving`): what the tests hold is not its own
        yield server
        gc.unfreeze()
        gc.set_threshold(*before)


@pytest.fixture(scope="session")
def probe(full: ApiServer) -> LoopProbe:
    return LoopProbe(full)


_ORDER = limit_order("big", quantity="0.00100")
_LIMITS = {"limits": {"MAX_OPEN_ORDERS": 1_000_000}, **REASON}
_OVERRIDE = {"limit": "ORDER_RATE", "value": 1_000_000, "expires_at": 1, **REASON}
_BATCH = {"orders": [limit_order("account-2", client_order_id=f"b{number:035}") for number in range(1_000)]}

# Method and path of each route: the worst that is asked of it. A list: the same with each of these targets.
REQUESTS: dict[tuple[str, str], tuple[str, Body | None]] = {
    ("POST", "/v1/orders"): ("/v1/orders", _ORDER),
    ("POST", "/v1/orders/batch"): ("/v1/orders/batch", _BATCH),
    ("PATCH", "/v1/orders/{order_id}"): ("/v1/orders/{taker}", {"quantity": "2"}),
    ("DELETE", "/v1/orders/{order_id}"): ("/v1/orders/{taker}", None),
    ("PATCH", "/v1/orders/by-client-id/{account}/{client_order_id}"): (
        "/v1/orders/by-client-id/account-1/taker",
        {"quantity": "2"},
    ),
    ("DELETE", "/v1/orders/by-client-id/{account}/{client_order_id}"): (
        "/v1/orders/by-client-id/account-1/taker",
        None,
    ),
    ("POST", "/v1/accounts/{account}/transfers"): (
        "/v1/accounts/account-1/transfers",
        {"amount": "1", **REASON},
    ),
    ("PATCH", "/v1/accounts/{account}"): ("/v1/accounts/account-1", {"leverage": 9, **REASON}),
    ("POST", "/v1/instruments/{symbol}/settle"): (
        "/v1/instruments/X1-USDT/settle",
        {"price": "1.00", **REASON},
    ),
    ("DELETE", "/v1/orders"): ("/v1/orders?account=account-3", None),
    ("GET", "/v1/orders"): ("/v1/orders?status=all&limit=500", None),
    ("GET", "/v1/orders/by-client-id/{account}/{client_order_id}"): (
        "/v1/orders/by-client-id/account-1/taker",
        None,
    ),
    ("GET", "/v1/orders/{order_id}"): ("/v1/orders/{taker}", None),
    ("GET", "/v1/accounts"): ("/v1/accounts", None),
    ("GET", "/v1/accounts/{account}"): ("/v1/accounts/big", None),
    ("GET", "/v1/accounts/{account}/positions"): ("/v1/accounts/big/positions", None),
    ("GET", "/v1/positions"): ("/v1/positions", None),
    ("POST", "/v1/accounts"): (
        "/v1/accounts",
        {"account": "new-{try}", "limits": {"ORDER_RATE": 1}, **REASON},
    ),
    ("POST", "/v1/accounts/{account}/positions/{symbol}/close"): (
        "/v1/accounts/account-1/positions/BTC-USDT/close",
        {"quantity": "0.00100"},
    ),
    ("GET", "/v1/history/orders/{order_id}/events"): ("/v1/history/orders/{taker}/events?limit=1000", None),
    ("GET", "/v1/market/{symbol}/candles"): ("/v1/market/ETH-USDT/candles?interval=1s", None),
    ("GET", "/v1/history/daily-pnl"): ("/v1/history/daily-pnl?account=big", None),
    ("GET", "/v1/instruments"): ("/v1/instruments", None),
    ("GET", "/v1/instruments/{symbol}"): ("/v1/instruments/BTC-USDT", None),
    ("POST", "/v1/instruments"): ("/v1/instruments", {"symbol": "x"}),
    ("PATCH", "/v1/instruments/{symbol}"): ("/v1/instruments/X1-USDT", {"max_quantity": "900"}),
    ("GET", "/v1/limits"): ("/v1/limits", None),
    ("GET", "/v1/limits/overrides"): ("/v1/limits/overrides", None),
    ("DELETE", "/v1/limits/overrides/{override_id}"): ("/v1/limits/overrides/9999999?reason=r", None),
    ("GET", "/v1/limit-changes"): ("/v1/limit-changes?status=all", None),
    ("POST", "/v1/limit-changes/{change_id}/approve"): ("/v1/limit-changes/9999999/approve", REASON),
    ("POST", "/v1/limit-changes/{change_id}/reject"): ("/v1/limit-changes/9999999/reject", REASON),
    ("GET", "/v1/limit-templates"): ("/v1/limit-templates", None),
    ("GET", "/v1/limit-templates/{name}"): ("/v1/limit-templates/none", None),
    ("PUT", "/v1/limit-templates/{name}"): ("/v1/limit-templates/t", _LIMITS),
    ("GET", "/v1/permissions"): ("/v1/permissions", None),
    ("GET", "/v1/permissions/accounts/{account}"): ("/v1/permissions/accounts/big", None),
    ("PUT", "/v1/permissions/accounts/{account}"): (
        "/v1/permissions/accounts/account-2",
        {"symbols": {f"X{number}-USDT": "ALLOWED" for number in range(SYMBOLS - 8)}, **REASON},
    ),
    ("GET", "/v1/permissions/accounts/{account}/symbols/{symbol}"): (
        "/v1/permissions/accounts/big/symbols/BTC-USDT",
        None,
    ),
    ("PUT", "/v1/permissions/accounts/{account}/symbols/{symbol}"): (
        "/v1/permissions/accounts/account-2/symbols/BTC-USDT",
        {"permission": "ALLOWED", **REASON},
    ),
    ("DELETE", "/v1/permissions/accounts/{account}/symbols/{symbol}"): (
        "/v1/permissions/accounts/account-2/symbols/BTC-USDT?reason=r",
        None,
    ),
    ("GET", "/v1/kill-switch"): ("/v1/kill-switch?state=all", None),
    ("POST", "/v1/kill-switch"): (
        "/v1/kill-switch",
        {"scope": "account:account-4", "action": "resume", "cancel_open_orders": True, **REASON},
    ),
    ("GET", "/v1/risk"): ("/v1/risk", None),
    ("GET", "/v1/risk/correlation"): ("/v1/risk/correlation", None),
    ("GET", "/v1/risk/parameters"): ("/v1/risk/parameters", None),
    ("PATCH", "/v1/risk/parameters"): ("/v1/risk/parameters", {"half_life": 600, **REASON}),
    ("POST", "/v1/risk/check"): ("/v1/risk/check", _ORDER),
    ("GET", "/v1/risk/breaches"): ("/v1/risk/breaches?details=20000", None),
    ("GET", "/v1/market/{symbol}/book"): ("/v1/market/ETH-USDT/book?depth=1000", None),
    ("GET", "/v1/market"): ("/v1/market", None),
    ("GET", "/v1/market/{symbol}/trades"): ("/v1/market/ETH-USDT/trades?limit=1000", None),
    ("GET", "/v1/keys"): ("/v1/keys", None),
    ("POST", "/v1/keys"): ("/v1/keys", {"name": "n" * 100, "role": "viewer"}),
    ("DELETE", "/v1/keys/{key_id}"): ("/v1/keys/3", None),
    ("GET", "/health/live"): ("/health/live", None),
    ("GET", "/health/ready"): ("/health/ready", None),
    ("GET", "/v1/system"): ("/v1/system", None),
    ("GET", "/metrics"): ("/metrics", None),
    ("GET", "/openapi.json"): ("/openapi.json", None),
    **{
        ("GET", f"/v1/history/{name}"): (f"/v1/history/{name}?limit=1000", None)
        for name in (
            "orders",
            "fills",
            "risk-events",
            "limit-changes",
            "audit",
            "equity",
            "closed-orders",
            "transfers",
        )
    },
    **{
        (method, f"/v1/limits{scope}{end}"): (f"/v1/limits{place}{end}", body)
        for scope, place in (
            ("/firm", "/firm"),
            ("/accounts/{account}", "/accounts/account-5"),
            ("/symbols/{symbol}", "/symbols/BTC-USDT"),
            ("/accounts/{account}/symbols/{symbol}", "/accounts/account-5/symbols/BTC-USDT"),
        )
        for method, end, body in (
            ("GET", "", None),
            ("PUT", "", _LIMITS),
            ("GET", "/history", None),
            ("GET", "/overrides", None),
            ("POST", "/overrides", _OVERRIDE),
        )
    },
}
AS_CSV = [
    "/v1/risk/breaches?details=20000",
    *(f"/v1/history/{name}" for name in ("orders", "fills", "limit-changes", "audit", "equity")),
]


def test_every_route_is_watched(full: ApiServer) -> None:
    with full.client() as client:
        document = client.get("/openapi.json").json()
    found = {(method.upper(), path) for path, methods in document["paths"].items() for method in methods}
    assert {("GET", "/openapi.json"), *found} == set(REQUESTS)


def _is_short(held: float) -> bool:
    return held <= HELD_SECONDS_MAX or held <= HELD_SECONDS_MAX * slowness()


def _shown(held: list[float]) -> list[str]:
    return [*(f"{each * 1e3:.1f} ms" for each in held), f"processor {slowness():.1f} times as slow"]


def _watch(
    full: ApiServer, probe: LoopProbe, method: str, target: str, body: Body | None, accept: str
) -> None:
    with full.client() as client:
        taker = client.get("/v1/orders/by-client-id/account-1/taker").json()["order_id"]
    held: list[float] = []
    status = size = 0
    for number in range(TRIES):
        text = (
            b"" if body is None else json.dumps(body).replace("{try}", f"{number}-{time.time_ns()}").encode()
        )
        probe.start()
        status, size = ask(full, method, target.replace("{taker}", taker), text, accept)
        held.append(probe.stop())
        if _is_short(held[-1]):
            return
    raise AssertionError((method, target, status, size, _shown(held)))


@pytest.mark.parametrize(("method", "path"), REQUESTS)
def test_no_route_holds_the_loop(full: ApiServer, probe: LoopProbe, method: str, path: str) -> None:
    target, body = REQUESTS[method, path]
    _watch(full, probe, method, target, body, "application/json")


@pytest.mark.parametrize("target", AS_CSV)
def test_no_table_holds_the_loop(full: ApiServer, probe: LoopProbe, target: str) -> None:
    _watch(full, probe, "GET", target, None, "text/csv")


_MANY = {f"m{number}": 1 for number in range(50_000)}
_WRONG: Body = {name: [] for name in limit_order("big", client_order_id="x", stop_price="1")}
# What is in a body of a megabyte, and was never a request.
JUNK: dict[str, Body] = {
    "members": {"orders": [_MANY]},
    "members at the top": _MANY,
    "members of each": {"orders": [{"account": "big", **{f"m{number}": 1 for number in range(15)}}] * 1_000},
    "values": {"orders": [_WRONG] * 1_000},
    "objects": {f"o{number}": dict.fromkeys(map(str, range(200)), 1) for number in range(80)},
    "objects of an order": {
        "orders": [limit_order("big") | {"account": {"x": [1] * 900, "y": [1] * 900}}] * 8
    },
    "lists of an order": {"orders": [limit_order("big") | {"account": [[[1] * 900] * 15]}]},
    "last": {"orders": [*[limit_order("big", quantity="0.00001")] * 999, {}]},
    "numbers": {"orders": [1] * 100_000},
    "lists": {"orders": [[]] * 100_000},
    "text": {"orders": [{**limit_order("big"), "account": "x" * 1_000_000}]},
    "blanks": {"orders": " " * 1_000_000},
}
# Of `/v1/trade`: what comes before, and the message that is watched.
TRADE_MESSAGES: dict[str, tuple[Body | None, Body]] = {
    "place": (None, {"op": "order.place", "params": _ORDER}),
    "batch": (None, {"op": "order.place_batch", "params": _BATCH}),
    **{name: (None, {"op": "order.place_batch", "params": body}) for name, body in JUNK.items()},
    "cancel_all": (
        {"op": "order.place_batch", "params": {"orders": [limit_order("account-6")] * 500}},
        {"op": "order.cancel_all", "params": {"account": "account-6"}},
    ),
    "unknown members": (None, {"op": "ping", **{f"m{number}": 1 for number in range(1_000)}}),
    "on disconnect": (
        None,
        {
            "op": "session.cancel_on_disconnect",
            "params": {"account": "big", "enabled": True, "grace_ms": 60_000},
        },
    ),
    "ping": (None, {"op": "ping"}),
}
STREAM_CHANNELS: list[Body] = [
    *({"name": name} for name in ("orders", "fills", "positions", "accounts", "risk", "marks", "system")),
    *({"name": name, "account": "big"} for name in ("orders", "fills", "positions", "accounts", "risk")),
    *({"name": name, "symbol": "ETH-USDT"} for name in ("book", "trades", "marks")),
    {"name": "candles", "symbol": "ETH-USDT", "interval": "1s"},
]


@pytest.mark.parametrize("name", JUNK)
@pytest.mark.parametrize("path", ["/v1/orders/batch", "/v1/risk/check", "/v1/accounts"])
def test_no_junk_holds_the_loop(full: ApiServer, probe: LoopProbe, path: str, name: str) -> None:
    _watch(full, probe, "POST", path, JUNK[name], "*/*")


def _watch_socket(full: ApiServer, probe: LoopProbe, path: str, before: Body | None, message: Body) -> None:
    """The answer, and what follows it at once, is read without being looked at."""
    held: list[float] = []
    for _ in range(TRIES):
        headers = {"authorization": f"Bearer {ADMIN_KEY}"}
        url = full.url.replace("http", "ws", 1) + path
        with open_socket(url, additional_headers=headers, max_size=None, compression=None) as connection:
            if before is not None:
                connection.send(json.dumps({"id": 1, **before}))
                connection.recv(30)
            text = json.dumps({"id": 2, **message})
            probe.start()
            connection.send(text)
            connection.recv(30)
            time.sleep(0.2)  # what follows, a snapshot in parts, is on its way
            held.append(probe.stop())
        if _is_short(held[-1]):
            return
    raise AssertionError((path, str(message)[:100], _shown(held)))


@pytest.mark.parametrize("name", TRADE_MESSAGES)
def test_no_trade_message_holds_the_loop(full: ApiServer, probe: LoopProbe, name: str) -> None:
    _watch_socket(full, probe, "/v1/trade", *TRADE_MESSAGES[name])


@pytest.mark.parametrize("channel", STREAM_CHANNELS, ids=str)
def test_no_channel_holds_the_loop(full: ApiServer, probe: LoopProbe, channel: Body) -> None:
    _watch_socket(full, probe, "/v1/stream", None, {"op": "subscribe", "channels": [channel]})
