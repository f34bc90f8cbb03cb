"""`WS /v1/stream` against a real server: channels, keys and refusals."""

import json
import time
from typing import Any

import httpx
import pytest
from websockets.exceptions import InvalidStatus

from app.api.websocket import handshake, stream_session
from app.streams.topics import Channel
from tests.support.api import ADMIN_KEY, ApiServer, limit_order, market_order
from tests.support.stream import Watcher, check_chain, place, stream_url, watch, without

# Channels.


def test_orders_and_fills_tell_all_that_happens(client: httpx.Client, watcher: Watcher, account: str) -> None:
    resting = place(client, limit_order(account))
    answer = watcher.subscribe({"name": "orders", "account": account}, {"name": "fills", "account": account})
    assert answer["result"]["channels"] == [{"name": name, "key": account} for name in ("orders", "fills")]
    snapshot = watcher.snapshot("orders", account)
    assert snapshot["data"] == [without(client.get(f"/v1/orders/{resting['order_id']}").json(), "fills")]
    assert watcher.snapshot("fills", account)["data"] == []

    taken = place(client, market_order(account))
    client.delete(f"/v1/orders/{resting['order_id']}")
    watcher.update("orders", account, lambda order: order["status"] == "CANCELED")
    shown = [order for message in watcher.of("orders", account)[1:] for order in message["data"]]
    assert [(order["order_id"], order["status"]) for order in shown] == [
        (taken["order_id"], "PENDING_NEW"),
        (taken["order_id"], "FILLED"),
        (resting["order_id"], "PENDING_CANCEL"),
        (resting["order_id"], "CANCELED"),
    ]
    assert shown[1] == without(client.get(f"/v1/orders/{taken['order_id']}").json(), "fills")
    fill = watcher.update("fills", account)
    assert without(fill, "order_id", "client_order_id", "account", "symbol", "side") == taken["fills"][0]
    assert (fill["order_id"], fill["side"]) == (taken["order_id"], "BUY")
    check_chain(watcher.of("orders", account))
    check_chain(watcher.of("fills", account))

    with watch(client_url(client)) as late:
        late.subscribe({"name": "fills", "account": account})
        assert late.snapshot("fills", account)["data"] == [fill]


def client_url(client: httpx.Client) -> str:
    return str(client.base_url).rstrip("/")


def test_a_replace_that_the_venue_refuses_leaves_the_order_as_it_was(
    client: httpx.Client, watcher: Watcher, account: str
) -> None:
    order = place(client, limit_order(account, post_only=True))
    watcher.subscribe({"name": "orders", "account": account})
    path = f"/v1/orders/{order['order_id']}"
    refused = client.patch(path, json={"price": "50001.00"})  # it crosses: the venue refuses
    assert (refused.status_code, refused.json()["code"]) == (422, "POST_ONLY_WOULD_TAKE")
    assert client.patch(path, json={"price": "0.001"}).status_code == 422  # refused by a check: no message
    last = client.patch(path, json={"price": "48000.00"}).json()
    watcher.update("orders", account, lambda shown: shown["price"] == "48000.00")
    shown = [shown for message in watcher.of("orders", account)[1:] for shown in message["data"]]
    assert [(each["status"], each["price"], each["code"]) for each in shown] == [
        ("PENDING_REPLACE", "49000.00", None),
        ("NEW", "49000.00", None),
        ("PENDING_REPLACE", "49000.00", None),
        ("NEW", "48000.00", None),
    ]
    assert shown[-1] == last


def test_positions_and_accounts_are_as_over_http(
    client: httpx.Client, watcher: Watcher, account: str
) -> None:
    watcher.subscribe({"name": "positions", "account": account}, {"name": "accounts", "account": account})
    assert watcher.snapshot("positions", account)["data"] == []
    place(client, market_order(account))
    position = watcher.update("positions", account)
    assert [position] == client.get(f"/v1/accounts/{account}/positions").json()["items"]
    shown = watcher.update("accounts", account)
    assert shown == client.get(f"/v1/accounts/{account}").json()
    check_chain(watcher.of("positions", account))


def test_the_market_is_shown(api: ApiServer, client: httpx.Client, watcher: Watcher, account: str) -> None:
    symbol = "ETH-USDT"
    watcher.subscribe(
        {"name": "book", "symbol": symbol},
        {"name": "trades", "symbol": symbol},
        {"name": "marks"},
        {"name": "marks", "symbol": symbol},
        {"name": "candles", "symbol": symbol, "interval": "1m"},
    )
    book = watcher.snapshot("book", symbol)["data"][0]
    assert book == without(client.get(f"/v1/market/{symbol}/book").json(), "ts")
    assert len(watcher.snapshot("marks", "*")["data"]) == len(client.get("/v1/instruments").json()["items"])

    place(client, limit_order(account, symbol=symbol, price="40000.00"))
    watcher.update("book", symbol, lambda shown: ["40000.00", "0.0100"] in shown["bids"])
    index = api.server.reference.symbols[symbol]
    now = time.time_ns() // 1_000
    api.call(lambda: api.server.market.on_trade(index, 4_000_000, 5, now))
    trade = watcher.update("trades", symbol, lambda shown: shown["price"] == "40000.00")
    assert trade == client.get(f"/v1/market/{symbol}/trades?limit=1").json()["items"][0]
    api.call(lambda: api.server.market.on_mark(index, api.server.market.prices(index).mark))
    mark = watcher.update("marks", symbol, lambda shown: shown["last"] == "40000.00")
    watcher.update("marks", "*", lambda shown: shown == mark)
    candle = watcher.update("candles", f"{symbol}/1m", lambda shown: shown["close"] == "40000.00")
    assert candle["interval"] == "1m" and not candle["closed"]
    for key, channel in ((symbol, "book"), (symbol, "trades"), ("*", "marks"), (f"{symbol}/1m", "candles")):
        check_chain(watcher.of(channel, key))


def test_a_projection_that_is_behind_raises_an_alarm(
    watcher: Watcher, api: ApiServer, client: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """This server's database is not there: however long that may last before it alarms, it does then."""
    watcher.subscribe({"name": "system"})
    monkeypatch.setattr("app.runtime.projections.LAG_SECONDS_ALARM", 0.0)

    def last_change(shown: Any) -> Any:
        changes = [change for change in shown["alarm_changes"] if change["name"] == "database-lag"]
        return changes[-1] if changes else {"raised": False, "number": 0}

    shown = watcher.update("system", "*", lambda shown: last_change(shown)["raised"])
    raised = last_change(shown)
    assert raised in shown["alarms"]
    assert "commands and" in raised["text"] and "behind the journal" in raised["text"]
    assert raised in client.get("/v1/system").json()["alarms"]
    metrics = client.get("/metrics").text
    assert 'bot4_alarm{name="database-lag"} 1' in metrics
    assert 'bot4_projection_alarm{projection="database"} 1' in metrics
    assert "database is behind" in client.get("/health/ready").json()["degraded"]
    monkeypatch.setattr("app.runtime.projections.LAG_SECONDS_ALARM", 1e9)
    shown = watcher.update("system", "*", lambda shown: last_change(shown)["number"] > raised["number"])
    cleared = last_change(shown)
    assert not cleared["raised"] and cleared["ts"] >= raised["ts"]
    assert "database-lag" not in {alarm["name"] for alarm in client.get("/v1/system").json()["alarms"]}


def test_the_system_is_shown_each_second_and_heartbeats_come(watcher: Watcher, api: ApiServer) -> None:
    watcher.subscribe({"name": "system"})
    assert watcher.update("system", "*")["ready"] is True
    api.call(api.server.hub._beat)
    watcher.wait(lambda message: message == {"type": "heartbeat"})
    assert {"ts"} == set(watcher.ask("ping")["result"])


def test_batch_packs_a_tick_into_one_frame(api: ApiServer, client: httpx.Client, account: str) -> None:
    api.show_market()  # enough for all: an order that is filled in two parts has more messages
    with watch(api) as packed, watch(api) as single:
        for watcher in (packed, single):
            watcher.subscribe(
                {"name": "orders", "account": account},
                {"name": "fills", "account": account},
                batch=watcher is packed,
            )
            watcher.snapshot("fills", account)
        before = packed.frames, single.frames
        orders = [market_order(account) for _ in range(20)]
        assert client.post("/v1/orders/batch", json={"orders": orders}).status_code == 200
        for watcher in (packed, single):
            watcher.wait_until_quiet()
        assert packed.of("orders", account)[1:] == single.of("orders", account)[1:]
        assert packed.of("fills", account)[1:] == single.of("fills", account)[1:]
        assert single.frames - before[1] == 60
        assert packed.frames - before[0] <= 3


def test_unsubscribed_is_silent(client: httpx.Client, watcher: Watcher, account: str) -> None:
    watcher.subscribe({"name": "orders", "account": account})
    answer = watcher.ask("unsubscribe", channels=[{"name": "orders", "account": account}, {"name": "system"}])
    assert answer["result"]["channels"] == [{"name": "orders", "key": account}]
    place(client, market_order(account))
    watcher.wait_until_quiet()
    assert len(watcher.of("orders", account)) == 1


def test_nothing_is_done_where_nobody_watches(api: ApiServer, client: httpx.Client, account: str) -> None:
    with watch(api) as watcher:
        watcher.subscribe({"name": "orders", "account": account}, {"name": "book", "symbol": "BTC-USDT"})
        watcher.snapshot("orders", account)
    index = api.server.reference.accounts[account]
    deadline = time.monotonic() + 10
    while index in api.server.hub.logs[Channel.ORDERS]:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    place(client, market_order(account))
    assert not api.server.hub._arrived


# Coming back.


def test_a_resume_goes_on_exactly_where_it_broke_off(
    api: ApiServer, client: httpx.Client, account: str
) -> None:
    channels = [{"name": name, "account": account} for name in ("orders", "fills", "risk")]
    with watch(api) as first:
        first.subscribe(*channels)
        first.snapshot("risk", account)
        place(client, market_order(account))
        first.update("fills", account)
        first.wait_until_quiet()
    seqs = {name: first.of(name, account)[-1]["seq"] for name in ("orders", "fills", "risk")}
    for _ in range(3):
        place(client, market_order(account))
    client.put(f"/v1/limits/accounts/{account}", json={"limits": {"MAX_OPEN_ORDERS": 7}, "reason": "a test"})
    with watch(api) as again:
        again.subscribe(*(channel | {"from_seq": seqs[str(channel["name"])]} for channel in channels))
        again.wait(lambda message: message.get("type") == "resumed" and message["channel"] == "risk")
        place(client, market_order(account))
        again.update("orders", account, lambda order: order["order_id"] == newest(client, account))
        again.wait_until_quiet()
    for name, count in (("orders", 8), ("fills", 4), ("risk", 1)):
        messages = again.of(name, account)
        assert messages[0]["prev_seq"] == seqs[name]
        found = [each for each in messages if each["type"] == "update" and each["seq"] != each["prev_seq"]]
        assert len(found) == count
        check_chain([{"type": "resumed", "seq": seqs[name]}, *messages])
    messages = first.of("fills", account) + again.of("fills", account)
    fills = [fill["fill_id"] for message in messages for fill in message.get("data", ())]
    assert len(fills) == len(set(fills)) == 5


def newest(client: httpx.Client, account: str) -> str:
    items = client.get("/v1/orders", params={"account": account, "status": "all", "limit": 1}).json()["items"]
    found: str = items[0]["order_id"]
    return found


def test_a_resume_that_cannot_be_is_a_snapshot_that_says_so(watcher: Watcher, account: str) -> None:
    watcher.subscribe({"name": "orders", "account": account, "from_seq": 1 << 50})
    assert watcher.snapshot("orders", account)["resumed"] is False
    watcher.subscribe({"name": "accounts", "account": account}, from_seq=1)
    assert watcher.snapshot("accounts", account)["resumed"] is False
    before = len(watcher.seen)
    watcher.subscribe({"name": "orders", "account": account})
    assert "resumed" not in watcher.snapshot("orders", account, before)


# Who may see what.


def test_a_trader_sees_its_own_accounts_only(api: ApiServer, client: httpx.Client, account: str) -> None:
    other = api.open_account(f"{account}-other")
    _, key = api.make_key("trader", account)
    names = ("orders", "fills", "positions", "accounts", "risk")
    with watch(api, key) as watcher:
        for name in names:
            refused = watcher.subscribe({"name": name, "account": other})
            assert (refused["status"], refused["error"]["code"]) == (403, "FORBIDDEN")
            unknown = watcher.subscribe({"name": name, "account": "no-such-account"})
            assert (unknown["status"], unknown["error"]["code"]) == (403, "FORBIDDEN")
        answer = watcher.subscribe(*({"name": name} for name in names))
        assert answer["result"]["channels"] == [{"name": name, "key": account} for name in names]
        place(client, market_order(other))
        place(client, market_order(account))
        watcher.update("accounts", account)
        watcher.wait_until_quiet()
        assert {message["key"] for message in watcher.seen if "key" in message} == {account}
        assert f"{account}-other" not in json.dumps([m for m in watcher.seen if "channel" in m])


def test_a_viewer_reads_all_accounts(api: ApiServer, client: httpx.Client, account: str) -> None:
    _, key = api.make_key("viewer")
    with watch(api, key) as watcher:
        watcher.subscribe({"name": "orders"}, {"name": "positions"}, {"name": "accounts"}, {"name": "fills"})
        watcher.snapshot("fills", "*")
        order = place(client, market_order(account))
        watcher.update("orders", "*", lambda shown: shown["order_id"] == order["order_id"])
        watcher.update("positions", "*", lambda shown: shown["account"] == account)
        watcher.update("accounts", "*", lambda shown: shown["account"] == account)
        check_chain(watcher.of("orders", "*"))


def test_who_keeps_asking_for_what_is_not_allowed_is_put_out(api: ApiServer, account: str) -> None:
    _, key = api.make_key("trader", account)
    with watch(api, key) as watcher:
        for number in range(stream_session.FORBIDDEN_MAX):
            watcher.send(id=number, op="subscribe", channels=[{"name": "orders", "account": "alpha"}])
        assert watcher.close_code() == stream_session.CLOSE_FORBIDDEN


def test_a_revoked_key_ends_at_once(api: ApiServer, client: httpx.Client, account: str) -> None:
    number, key = api.make_key("viewer")
    with watch(api, key) as watcher:
        watcher.subscribe({"name": "orders", "account": account})
        assert client.delete(f"/v1/keys/{number}").status_code in (200, 204)
        assert watcher.close_code() == handshake.CLOSE_UNAUTHORIZED


def test_the_key_may_come_in_the_first_message(api: ApiServer, monkeypatch: pytest.MonkeyPatch) -> None:
    with watch(api, None) as watcher:
        answer = watcher.ask("auth", key=ADMIN_KEY)
        assert answer["result"] == {"role": "admin"}
        assert watcher.subscribe({"name": "marks"})["status"] == 200
    for first in ({"op": "auth", "key": "wrong"}, {"op": "ping"}, {"op": "subscribe", "channels": []}):
        with watch(api, None) as watcher:
            watcher.send(id=1, **first)
            assert watcher.wait(lambda message: "error" in message)["error"]["code"] == "UNAUTHORIZED"
            assert watcher.close_code() == handshake.CLOSE_UNAUTHORIZED
    monkeypatch.setattr(handshake, "AUTH_SECONDS_MAX", 0.1)
    with watch(api, None) as watcher:
        assert watcher.close_code() == handshake.CLOSE_UNAUTHORIZED


def test_refused_at_the_door(api: ApiServer) -> None:
    own = api.url
    for key, origin, status in (
        ("wrong", None, 401),
        (ADMIN_KEY, "https://evil.example.com", 403),
        (ADMIN_KEY, "null", 403),
        (ADMIN_KEY, f"{own}.evil.example.com", 403),
        (ADMIN_KEY, own.replace("127.0.0.1", "localhost"), 403),
    ):
        with pytest.raises(InvalidStatus) as refused, watch(api, key, origin):
            pass
        assert refused.value.response.status_code == status
    for origin in (own, None):
        with watch(api, ADMIN_KEY, origin) as watcher:
            assert watcher.ask("ping")["status"] == 200


def test_a_key_in_the_address_opens_nothing(api: ApiServer) -> None:
    from websockets.sync.client import connect

    with pytest.raises(InvalidStatus) as refused:
        connect(f"{stream_url(api.url)}?key={ADMIN_KEY}&token={ADMIN_KEY}", proxy=None)
    response = refused.value.response
    assert response.status_code == 400 and response.body is not None
    assert [error["path"] for error in json.loads(response.body)["errors"]] == ["key", "token"]
    assert ADMIN_KEY not in response.body.decode()
