"""No gap between a check and what it allows: races over sockets, changes and stops under load."""

import asyncio
import json
from collections import Counter
from collections.abc import Callable
from contextlib import AsyncExitStack
from decimal import Decimal
from pathlib import Path
from typing import Any, cast

import httpx
import numpy as np
import pytest
from websockets.asyncio.client import ClientConnection, connect

from app.commands.administration import set_trading_state
from app.commands.orders import cancel_all, place_order
from app.documents.schemas import PlaceOrder
from app.engine.capacity import SLOT_BITS
from app.engine.codes import Code
from app.engine.types import EventKind, Limit, OrderStatus, TradingState
from app.runtime.journal_reader import JournalReader
from app.runtime.replay import replay
from tests.support.api import ADMIN_KEY, ApiServer, limit_order, market_order
from tests.support.process import AUTHORIZATION, ServerProcess

CONNECTIONS = 64
_BETA = "/v1/limits/accounts/beta"
_WIDE: dict[str, Any] = {
    "MAX_ORDER_NOTIONAL": "250000",
    "MAX_OPEN_ORDERS": 100_000,
    "ORDER_RATE": 1_000_000,
    "PRICE_COLLAR_BPS": 9_000,
}
_IN_THE_WAY = {"MAX_REPEATED_ORDERS": None, "MAX_ORDER_TO_TRADE_RATIO": None}  # of a load of like orders
_IN_FLIGHT = 16  # orders of one socket


Answer = tuple[int, dict[str, Any]]  # status, body


async def _over_http(url: str, bodies: list[dict[str, Any]]) -> list[Answer]:
    """Each body over a connection of its own, all at the same time."""
    headers = {"authorization": f"Bearer {ADMIN_KEY}"}
    limits = httpx.Limits(max_connections=len(bodies))
    async with httpx.AsyncClient(
        base_url=url, headers=headers, limits=limits, timeout=60, trust_env=False
    ) as client:
        responses = await asyncio.gather(*(client.post("/v1/orders", json=body) for body in bodies))
    return [(response.status_code, response.json()) for response in responses]


async def _over_sockets(url: str, bodies: list[dict[str, Any]]) -> list[Answer]:
    """As over HTTP; all sockets are open before the first order is sent."""
    headers = {"Authorization": f"Bearer {ADMIN_KEY}"}
    address = url.replace("http", "ws", 1) + "/v1/trade"
    async with AsyncExitStack() as stack:
        sockets = [
            await stack.enter_async_context(
                connect(address, additional_headers=headers, compression=None, proxy=None)
            )
            for _ in bodies
        ]

        async def ask(socket: ClientConnection, body: dict[str, Any]) -> Answer:
            await socket.send(json.dumps({"id": 1, "op": "order.place", "params": body}))
            answer = json.loads(await socket.recv())
            return answer["status"], answer.get("result") or answer["error"]

        return await asyncio.gather(*map(ask, sockets, bodies))


def _race(api: ApiServer, over: str, bodies: list[dict[str, Any]]) -> list[Answer]:
    return asyncio.run((_over_http if over == "http" else _over_sockets)(api.url, bodies))


def _bodies(account: str, order: Callable[..., dict[str, Any]], **changes: Any) -> list[dict[str, Any]]:
    return [order(account, client_order_id=f"race-{number}", **changes) for number in range(CONNECTIONS)]


_SELL = {"side": "SELL", "price": "51000"}
# Of an account's limits, or (with a symbol) of the account's in that symbol.
_RACES: list[tuple[str, str, dict[str, Any], Callable[..., dict[str, Any]], dict[str, Any], int]] = [
    ("http", "", {"MAX_OPEN_ORDERS": 1}, limit_order, {}, 1),
    ("sockets", "", {"MAX_OPEN_ORDERS": 7}, limit_order, {}, 7),
    ("sockets", "/symbols/BTC-USDT", {"MAX_OPEN_ORDERS": 3}, limit_order, {}, 3),
    ("http", "/symbols/BTC-USDT", {"MAX_POSITION": "0.059"}, limit_order, {}, 5),
    ("sockets", "/symbols/BTC-USDT", {"MAX_POSITION": "0.06"}, limit_order, _SELL, 6),
    ("http", "/symbols/BTC-USDT", {"MAX_POSITION": "0.03"}, market_order, {}, 3),
    ("sockets", "", {"MAX_GROSS_EXPOSURE": "2500"}, limit_order, {}, 5),
    ("http", "", {"MAX_GROSS_EXPOSURE": "2499.99"}, market_order, {}, 4),
    ("sockets", "", {"MAX_NET_EXPOSURE": "3000"}, limit_order, {}, 6),
    ("http", "", {"MAX_DAILY_NOTIONAL": "2450"}, limit_order, {}, 5),
    ("sockets", "", {"MAX_DAILY_NOTIONAL": "2449.99"}, limit_order, {}, 4),
    # Nothing is measured here, so all counts in full.
    ("sockets", "", {"MAX_PORTFOLIO_VAR": "1500"}, limit_order, {}, 3),
    ("http", "", {"MAX_CORRELATED_EXPOSURE": "1500"}, limit_order, {}, 3),
]


@pytest.mark.parametrize(("over", "place", "limits", "order", "changes", "passing"), _RACES)
def test_the_last_unit_of_a_limit_goes_to_one(
    api: ApiServer,
    account: str,
    over: str,
    place: str,
    limits: dict[str, Any],
    order: Callable[..., dict[str, Any]],
    changes: dict[str, Any],
    passing: int,
) -> None:
    path = f"/v1/limits/accounts/{account}{place}"
    with api.client() as client:
        client.put(path, json={"limits": limits, "reason": "a race"}).raise_for_status()
    answers = _race(api, over, _bodies(account, order, **changes))
    assert Counter(status for status, _ in answers) == {201: passing, 422: CONNECTIONS - passing}
    (code,) = limits
    assert {body["code"] for status, body in answers if status == 422} == {code}
    with api.client() as client:
        shown = client.get(path).json()["limits"][code]
    assert float(shown["used"]) <= float(shown["value"])


@pytest.mark.parametrize(
    ("over", "place", "code", "more", "passing"),
    [
        ("sockets", "symbols/ETH-USDT", "MAX_POSITION", "0.065", 6),
        ("http", "firm", "MAX_GROSS_EXPOSURE", "3500", 7),
        ("sockets", "firm", "MAX_DAILY_NOTIONAL", "3000", 6),
    ],
)
def test_the_last_unit_of_what_accounts_share(
    api: ApiServer, over: str, place: str, code: str, more: str, passing: int
) -> None:
    """Connections of four accounts race for what one limit of the firm or of a symbol leaves."""
    path = f"/v1/limits/{place}"
    number = len(api.server.reference.account_names)
    accounts = [api.open_account(f"shared-{number + each}") for each in range(4)]
    with api.client() as client:
        used = client.get(path).json()["limits"][code]["used"]
        body = {"limits": {code: str(Decimal(used) + Decimal(more))}, "reason": "a race"}
        client.put(path, json=body).raise_for_status()
        try:
            orders = [
                limit_order(accounts[number % 4], symbol="ETH-USDT", price="50000")
                for number in range(CONNECTIONS)
            ]
            answers = _race(api, over, orders)
            shown = client.get(path).json()["limits"][code]
        finally:
            body = {"limits": {code: None}, "reason": "the race is over"}
            client.put(path, json=body).raise_for_status()
    assert Counter(status for status, _ in answers) == {201: passing, 422: CONNECTIONS - passing}
    assert {body["code"] for status, body in answers if status == 422} == {code}
    assert Decimal(shown["used"]) <= Decimal(shown["value"])


@pytest.mark.parametrize("over", ["http", "sockets"])
def test_no_rate_is_exceeded(api: ApiServer, account: str, over: str) -> None:
    """In no stretch of time, by the engine's own clock, more than the bucket and what came into it."""
    rate = 9
    with api.client() as client:
        body = {"limits": {"ORDER_RATE": rate}, "reason": "a race"}
        client.put(f"/v1/limits/accounts/{account}", json=body).raise_for_status()
    answers = _race(api, over, _bodies(account, limit_order))
    taken = sorted(body["created_ts"] for status, body in answers if status == 201)
    assert len(taken) >= rate
    assert {body["code"] for status, body in answers if status != 201} <= {"ORDER_RATE"}
    for first in range(len(taken)):
        for last in range(first, len(taken)):
            assert last - first + 1 <= rate + rate * (taken[last] - taken[first]) / 1e6


def test_the_kill_switch_stops_what_is_behind_it_in_the_same_tick(api: ApiServer, account: str) -> None:
    loop, reference = api.server.loop, api.server.reference
    index = reference.accounts[account]

    async def tick() -> list[Any]:
        def order(name: str) -> bytes:
            order = cast(PlaceOrder, limit_order(account, client_order_id=name))
            return place_order(reference, order, 0)

        (halt,) = set_trading_state(index, None, TradingState.HALTED, 0)
        waiting = [
            loop.submit(order("before")),
            loop.submit(halt),
            loop.submit(cancel_all(index, None, 0)),
            loop.submit(order("behind")),
        ]
        return list(await asyncio.gather(*waiting))

    before, halted, canceled, behind = asyncio.run_coroutine_threadsafe(tick(), api._loop).result(60)
    assert halted.event.kind == EventKind.TRADING_STATE_SET
    assert before.event.order_id >> SLOT_BITS < halted.event.seq < behind.event.seq
    assert before.event.ts == behind.event.ts, "one tick"
    assert behind.event.status == OrderStatus.REJECTED and behind.event.code == Code.TRADING_HALTED
    (gone,) = halted.orders  # a buy could increase the position: it ends with the halt
    assert canceled.orders == []
    assert gone.order_id == before.event.order_id and gone.status == OrderStatus.CANCELED


def _resting(name: str) -> dict[str, Any]:
    return limit_order("beta", client_order_id=name, price="59000.00", quantity="0.001")


async def _load(url: str, orders: int, lane: int, answers: dict[str, str]) -> None:
    """Orders that rest, one after the other; what became of each, by its client order id."""
    async with httpx.AsyncClient(base_url=url, headers=AUTHORIZATION, timeout=60, trust_env=False) as client:
        for number in range(orders):
            name = f"load-{lane}-{number}"
            response = (await client.post("/v1/orders", json=_resting(name))).json()
            answers[name] = response.get("code") or response["status"]


async def _load_socket(url: str, chunks: int, lane: int, answers: dict[str, str]) -> None:
    """As `_load`, with many orders in flight on one socket."""
    address = url.replace("http", "ws", 1) + "/v1/trade"
    async with connect(address, additional_headers=AUTHORIZATION, compression=None, proxy=None) as socket:
        for chunk in range(chunks):
            names = [f"load-socket-{lane}-{chunk}-{number}" for number in range(_IN_FLIGHT)]
            for name in names:
                await socket.send(json.dumps({"id": name, "op": "order.place", "params": _resting(name)}))
            for _ in names:
                answer = json.loads(await socket.recv())
                order = answer.get("result")
                answers[answer["id"]] = order["status"] if order else answer["error"]["code"]


async def _change_limits(url: str, answers: dict[str, str], total: int) -> None:
    """Between a wide and a narrow limit, until the load is over."""
    async with httpx.AsyncClient(base_url=url, headers=AUTHORIZATION, timeout=60, trust_env=False) as client:
        change = 0
        while len(answers) < total:
            limits = _WIDE | {"MAX_ORDER_NOTIONAL": "10"} if change % 2 == 0 else _WIDE
            body = {"limits": limits, "reason": f"change {change}"}
            (await client.put(_BETA, json=body)).raise_for_status()
            change += 1
            await asyncio.sleep(0.02)


def _refused_in(journal: Path) -> dict[str, str]:
    """By client order id, what the journal says of each refused order."""
    found = {}
    for _, events in JournalReader(journal).batches():
        rejected = events[events["kind"] == EventKind.ORDER_REJECTED]
        for event in rejected:
            found[event["client_order_id"].tobytes().rstrip(b"\0").decode()] = Code(int(event["code"])).name
    return found


def _check_order_by_order(journal: Path, wide: int) -> int:
    """That each order was decided by the limits right before it, each of which changed as a whole."""
    events = np.concatenate([events.copy() for _, events in JournalReader(journal).batches()])
    of_load = np.char.startswith(np.frombuffer(events["client_order_id"].tobytes(), "S40"), b"load-")
    (account,) = set(events["account"][of_load].tolist())
    limits = (events["kind"] == EventKind.LIMIT_SET) & (events["account"] == account)
    set_together = Counter(events["seq"][limits].tolist())
    allowed, changes, decided = wide, 0, 0
    for event, limited, loaded in zip(events, limits, of_load, strict=True):
        if limited and event["code"] == Limit.MAX_ORDER_NOTIONAL:
            assert set_together[int(event["seq"])] == len(_WIDE) or decided == 0
            allowed, changes = int(event["limit"]), changes + (decided > 0)
        elif loaded and event["kind"] == EventKind.ORDER_REJECTED:
            assert event["limit"] == allowed < wide
            decided += 1
        elif loaded and event["kind"] == EventKind.ORDER_ACCEPTED:
            assert allowed == wide
            decided += 1
    assert changes > 2
    return decided


def test_a_change_in_the_middle_of_a_load_and_a_replay_of_it(tmp_path: Path) -> None:
    lanes, orders, sockets, chunks = 16, 30, 4, 20
    total = lanes * orders + sockets * chunks * _IN_FLIGHT
    answers: dict[str, str] = {}
    with ServerProcess(tmp_path / "data") as server:
        with httpx.Client(base_url=server.url, headers=AUTHORIZATION, timeout=60, trust_env=False) as client:
            body = {"limits": _WIDE | _IN_THE_WAY, "reason": "room for a load"}
            client.put(_BETA, json=body).raise_for_status()

        async def run() -> None:
            loads = [_load(server.url, orders, lane, answers) for lane in range(lanes)]
            loads += [_load_socket(server.url, chunks, lane, answers) for lane in range(sockets)]
            await asyncio.gather(*loads, _change_limits(server.url, answers, total))

        asyncio.run(run())
        halt = {"scope": "account:beta", "action": "halt", "cancel_open_orders": True, "reason": "enough"}
        now = 1 << 50
        later = {"limit": "ORDER_RATE", "value": 9, "reason": "soon", "expires_at": now}
        with httpx.Client(base_url=server.url, headers=AUTHORIZATION, timeout=60, trust_env=False) as client:
            now = client.get("/v1/system").json()["now_ts"]
            later["expires_at"] = now + 10**9
            override = client.post("/v1/limits/accounts/alpha/overrides", json=later)
            assert override.status_code == 201, override.text
            stopped = client.post("/v1/kill-switch", json=halt).json()
            before = client.get("/v1/limits").json()
        server.kill()  # -9
        outcome = Counter(answers.values())
        assert outcome.keys() == {"NEW", "MAX_ORDER_NOTIONAL"}, outcome
        assert stopped["canceled"] == outcome["NEW"] and stopped["failed"] == 0
        server.start()
        with httpx.Client(base_url=server.url, headers=AUTHORIZATION, timeout=60, trust_env=False) as client:
            refused = client.post("/v1/orders", json=limit_order("beta")).json()
            assert refused["code"] == "TRADING_HALTED"
            after = client.get("/v1/limits").json()
            assert [(i["scope"], i["version"]) for i in after["items"]] == [
                (i["scope"], i["version"]) for i in before["items"]
            ]
            shown = client.get("/v1/limits/accounts/alpha/overrides").json()["items"]
            assert shown == [override.json()]
            reasons = [c["reason"] for c in client.get("/v1/limits/accounts/beta/history").json()["items"]]
            assert "change 0" in reasons
            counts = client.get("/v1/risk/breaches").json()["counts"]
        of_beta = {row["code"]: row["count"] for row in counts if row["account"] == "beta"}
        assert of_beta["MAX_ORDER_NOTIONAL"] == outcome["MAX_ORDER_NOTIONAL"]
        assert server.stop() == 0
    refused_orders = {name: code for name, code in answers.items() if code != "NEW"}
    journaled = _refused_in(server.journal)
    assert {name: journaled[name] for name in journaled if name.startswith("load-")} == refused_orders
    # It refuses the same orders again, or says where it does not: every event is compared.
    assert replay(server.journal).events > len(answers)
    assert _check_order_by_order(server.journal, 250_000 * 10**8) == total
