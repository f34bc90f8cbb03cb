"""`WS /v1/trade` against a real server."""

import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from app.api.websocket import connection, handshake, trade_session
from tests.support.api import ADMIN_KEY, ApiServer, limit_order, market_order
from tests.support.silent_client import SilentClient

_SECONDS_MAX = 10


def open_socket(api: ApiServer, key: str | None = ADMIN_KEY) -> ClientConnection:
    headers = {} if key is None else {"Authorization": f"Bearer {key}"}
    url = api.url.replace("http", "ws", 1) + "/v1/trade"
    return connect(url, additional_headers=headers, compression=None, proxy=None, max_size=None)


def ask(socket: ClientConnection, op: str, params: Any = None, identity: Any = 1) -> dict[str, Any]:
    message = {"id": identity, "op": op} | ({} if params is None else {"params": params})
    socket.send(json.dumps(message))
    return answer(socket)


def answer(socket: ClientConnection) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(socket.recv(_SECONDS_MAX))
    return found


def close_code(socket: ClientConnection) -> int:
    """Read on until the connection is closed."""
    deadline = time.monotonic() + _SECONDS_MAX
    while time.monotonic() < deadline:
        try:
            socket.recv(_SECONDS_MAX)
        except ConnectionClosed:
            assert socket.close_code is not None
            return socket.close_code
    raise AssertionError("the connection was not closed")


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + _SECONDS_MAX
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.fixture
def socket(api: ApiServer) -> Iterator[ClientConnection]:
    with open_socket(api) as socket:
        yield socket


@pytest.fixture
def client(api: ApiServer) -> Iterator[httpx.Client]:
    with api.client() as client:
        yield client


def status_of(client: httpx.Client, order_id: str) -> str:
    status: str = client.get(f"/v1/orders/{order_id}").json()["status"]
    return status


def test_an_order_s_life(socket: ClientConnection, account: str) -> None:
    placed = ask(socket, "order.place", limit_order(account, client_order_id="ws"), "a")
    assert (placed["id"], placed["status"]) == ("a", 201)
    order = placed["result"]
    assert order["status"] == "NEW"
    replayed = ask(socket, "order.place", limit_order(account, client_order_id="ws"))
    assert (replayed["status"], replayed["result"]["order_id"]) == (200, order["order_id"])
    amended = ask(socket, "order.amend", {"order_id": order["order_id"], "quantity": "0.005"})
    assert (amended["status"], amended["result"]["quantity"]) == (200, "0.00500")
    canceled = ask(socket, "order.cancel", {"order_id": order["order_id"]})
    assert (canceled["status"], canceled["result"]["status"]) == (200, "CANCELED")
    again = ask(socket, "order.cancel", {"order_id": order["order_id"]})
    assert (again["status"], again["error"]["code"]) == (409, "ORDER_CLOSED")
    filled = ask(socket, "order.place", market_order(account))
    assert filled["result"]["status"] == "FILLED" and filled["result"]["fills"]
    refused = ask(socket, "order.place", limit_order(account, price="1.001"))
    assert (refused["status"], refused["error"]["code"]) == (422, "PRICE_TICK")


def test_batch_and_cancel_all(socket: ClientConnection, account: str) -> None:
    orders = [limit_order(account), limit_order(account, symbol="ETH-USDT"), limit_order("nobody")]
    batch = ask(socket, "order.place_batch", {"orders": orders})
    assert [result["status"] for result in batch["result"]["results"]] == [201, 201, 422]
    one = ask(socket, "order.cancel_all", {"account": account, "symbol": "ETH-USDT"})
    assert (one["status"], one["result"]["canceled"]) == (200, 1)
    rest = ask(socket, "order.cancel_all", {"account": account})
    assert rest["result"]["canceled"] == 1
    assert rest["result"]["items"][0]["order"]["status"] == "CANCELED"


def test_requests_are_pipelined_and_each_answered_once(socket: ClientConnection, account: str) -> None:
    count = 500
    for number in range(count):
        request = {"id": number, "op": "order.place", "params": limit_order(account)}
        socket.send(json.dumps(request))
    answers = [answer(socket) for _ in range(count)]
    assert [found["id"] for found in answers] == list(range(count))
    assert len({found["result"]["order_id"] for found in answers}) == count
    assert ask(socket, "ping", identity="end")["id"] == "end"


@pytest.mark.parametrize(
    ("text", "identity"),
    [
        ("", None),
        ("{", None),
        ("null", None),
        ("[1]", None),
        ('"x"', None),
        ("{}", None),
        ('{"id": 7}', 7),
        ('{"id": true, "op": "ping"}', None),
        ('{"id": 1.5, "op": "ping"}', None),
        ('{"id": {}, "op": "ping"}', None),
        ('{"op": "ping"}', None),
        ('{"id": 7, "op": "order.destroy"}', 7),
        ('{"id": 7, "op": "ping", "params": {"x": 1}}', 7),
        ('{"id": 7, "op": "ping", "more": 1}', 7),
        ('{"id": 7, "op": "auth", "key": "x"}', 7),
        ('{"id": 7, "op": "order.place"}', 7),
        ('{"id": 7, "op": "order.place", "params": []}', 7),
        ('{"id": 7, "op": "order.cancel", "params": {"order_id": 5}}', 7),
        ('{"id": 7, "op": "session.cancel_all_after", "params": {"timeout_ms": -1}}', 7),
        ('{"id": 7, "op": "session.cancel_on_disconnect", "params": {"enabled": 1}}', 7),
        ('{"id": 7, "op": "session.cancel_on_disconnect", "params": {"enabled": true}}', 7),
        ("[" * 50_000, None),
    ],
)
def test_malformed_messages(socket: ClientConnection, text: str, identity: int | None) -> None:
    socket.send(text)
    found = answer(socket)
    assert (found["id"], found["status"], found["error"]["code"]) == (identity, 400, "INVALID_REQUEST")
    assert ask(socket, "ping", identity=99)["id"] == 99


def test_an_error_names_the_field(socket: ClientConnection, account: str) -> None:
    found = ask(socket, "order.place", limit_order(account, quantity="1e5"))
    assert [error["path"] for error in found["error"]["errors"]] == ["params.quantity"]
    exact = json.dumps({"id": 1, "op": "order.place", "params": limit_order(account, price="@")})
    socket.send(exact.replace('"@"', "49000.10"))
    assert answer(socket)["result"]["price"] == "49000.10"


def test_unknown_orders(socket: ClientConnection) -> None:
    for op, params in (
        ("order.cancel", {"order_id": "1"}),
        ("order.amend", {"order_id": "x", "quantity": "1"}),
    ):
        found = ask(socket, op, params)
        assert (found["status"], found["error"]["code"]) == (404, "UNKNOWN_ORDER")


def test_binary_frames_end_the_connection(socket: ClientConnection, account: str) -> None:
    request = {"id": 1, "op": "order.place", "params": limit_order(account)}
    socket.send(json.dumps(request).encode())
    assert answer(socket)["error"]["code"] == "INVALID_REQUEST"
    assert close_code(socket) == 1003


def test_messages_that_are_too_large(api: ApiServer) -> None:
    """The announced length is enough; nothing of it is waited for."""
    with SilentClient(api) as client:
        client.send_bytes(b"\x81\xff" + (1 << 21).to_bytes(8, "big") + b"mask")
        assert client.read_close_code() == 1009


def test_the_first_message_may_carry_the_key(api: ApiServer, account: str) -> None:
    _, key = api.make_key("trader", account)
    with open_socket(api, None) as socket:
        socket.send(json.dumps({"op": "auth", "key": key, "id": "me"}))
        assert answer(socket) == {"id": "me", "status": 200, "result": {"role": "trader"}}
        assert ask(socket, "order.place", limit_order(account))["status"] == 201
        foreign = ask(socket, "order.place", limit_order("alpha"))
        assert (foreign["status"], foreign["error"]["code"]) == (403, "FORBIDDEN")
        everything = ask(socket, "order.cancel_all", {"scope": "firm"})
        assert everything["result"]["canceled"] == 1


@pytest.mark.parametrize(
    "first",
    [
        '{"op": "auth", "key": "wrong"}',
        '{"op": "auth"}',
        '{"id": 1, "op": "ping"}',
        '{"id": 1, "op": "order.place", "params": {}}',
        "{",
        b"{}",
    ],
)
def test_nothing_goes_before_the_key(api: ApiServer, first: str | bytes) -> None:
    with open_socket(api, None) as socket:
        socket.send(first)
        assert answer(socket)["error"]["code"] == "UNAUTHORIZED"
        assert close_code(socket) == 4001


def test_silence_instead_of_a_key(api: ApiServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(handshake, "AUTH_SECONDS_MAX", 0.05)
    with open_socket(api, None) as socket:
        assert close_code(socket) == 4001


def test_a_wrong_key_in_the_header(api: ApiServer) -> None:
    with pytest.raises(InvalidStatus) as refused:
        open_socket(api, "wrong")
    response = refused.value.response
    assert response.status_code == 401
    assert response.body is not None
    assert json.loads(response.body)["code"] == "UNAUTHORIZED"


def test_a_viewer_may_only_read(api: ApiServer, account: str) -> None:
    _, key = api.make_key("viewer")
    with open_socket(api, key) as socket:
        assert ask(socket, "ping")["status"] == 200
        for op, params in (
            ("order.place", limit_order(account)),
            ("order.place_batch", {"orders": [limit_order(account)]}),
            ("order.cancel_all", {}),
            ("session.cancel_all_after", {"timeout_ms": 1_000, "account": account}),
        ):
            found = ask(socket, op, params)
            assert (found["status"], found["error"]["code"]) == (403, "FORBIDDEN")


def test_a_revoked_key_loses_its_connections(api: ApiServer, client: httpx.Client, account: str) -> None:
    number, key = api.make_key("trader", account)
    with open_socket(api, key) as socket:
        assert ask(socket, "ping")["status"] == 200
        assert client.delete(f"/v1/keys/{number}").status_code == 200
        assert close_code(socket) == 4001
    with pytest.raises(InvalidStatus):
        open_socket(api, key)


def test_more_in_flight_than_allowed(
    socket: ClientConnection, account: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trade_session, "IN_FLIGHT_MAX", 0)
    found = ask(socket, "order.place", limit_order(account))
    assert (found["status"], found["error"]["code"]) == (503, "OVERLOADED")


def test_orders_end_with_the_connection(api: ApiServer, client: httpx.Client, account: str) -> None:
    _, key = api.make_key("trader", account)
    with open_socket(api, key) as socket:
        found = ask(socket, "session.cancel_on_disconnect", {"enabled": True})
        assert found["result"] == {"enabled": True, "grace_ms": 0}
        order_id = ask(socket, "order.place", limit_order(account))["result"]["order_id"]
    wait_until(lambda: status_of(client, order_id) == "CANCELED")


def test_a_client_that_comes_back_in_time(api: ApiServer, client: httpx.Client, account: str) -> None:
    _, key = api.make_key("trader", account)
    with open_socket(api, key) as socket:
        ask(socket, "session.cancel_on_disconnect", {"enabled": True, "grace_ms": 700})
        order_id = ask(socket, "order.place", limit_order(account))["result"]["order_id"]
    with open_socket(api, key) as socket:
        ask(socket, "session.cancel_on_disconnect", {"enabled": False})
        time.sleep(0.9)
        assert status_of(client, order_id) == "NEW"


def test_orders_stay_where_nobody_asked(api: ApiServer, client: httpx.Client, account: str) -> None:
    with open_socket(api) as socket:
        params = {"enabled": True, "account": account}
        ask(socket, "session.cancel_on_disconnect", params)
        ask(socket, "session.cancel_on_disconnect", params | {"enabled": False})
        order_id = ask(socket, "order.place", limit_order(account))["result"]["order_id"]
    time.sleep(0.1)
    assert status_of(client, order_id) == "NEW"


def test_the_dead_man_s_timer(api: ApiServer, client: httpx.Client, account: str) -> None:
    _, key = api.make_key("trader", account)
    with open_socket(api, key) as socket:
        order_id = ask(socket, "order.place", limit_order(account))["result"]["order_id"]
        armed = ask(socket, "session.cancel_all_after", {"timeout_ms": 60_000})
        assert armed["result"]["due_ts"] > time.time() * 1_000_000
        assert ask(socket, "session.cancel_all_after", {"timeout_ms": 0})["result"]["due_ts"] is None
        ask(socket, "session.cancel_all_after", {"timeout_ms": 100})
    wait_until(lambda: status_of(client, order_id) == "CANCELED")


def test_a_client_that_does_not_read(api: ApiServer, account: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is not read either, and loses its connection in time; the others notice nothing."""
    # Answered without the engine, which would answer shortly where it has no room; and at length.
    # The buffers of the system take some megabytes of these answers.
    wrong = {"id": 1, "op": "order.place_batch", "params": {"orders": [{}]}}
    request = json.dumps(wrong) + " " * 2_000
    sent_max = 100_000
    with SilentClient(api) as slow, open_socket(api) as other:
        sent = slow.send_until_stuck(request, sent_max)
        assert sent < sent_max
        assert ask(other, "order.cancel_all", {"account": account})["status"] == 200
        monkeypatch.setattr(connection, "UNREAD_SECONDS_MAX", 0.3)
        time.sleep(3)
        assert ask(other, "order.cancel_all", {"account": account})["status"] == 200
        assert slow.read_close_code() == 4008


def test_a_burst_from_a_client_that_reads(socket: ClientConnection) -> None:
    count = 20_000
    socket.send(["", '{"id": 0, "op": "ping"}'])  # one fragmented message, as some clients send them
    for number in range(1, count):
        socket.send(f'{{"id": {number}, "op": "ping"}}')
    assert [answer(socket)["id"] for _ in range(count)] == list(range(count))


def test_orders_are_named_by_client_order_id(socket: ClientConnection, account: str) -> None:
    name = {"account": account, "client_order_id": "desk/1"}
    placed = ask(socket, "order.place", limit_order(account, client_order_id="desk/1"))["result"]
    amended = ask(socket, "order.amend", {**name, "quantity": "0.005"})
    assert (amended["status"], amended["result"]["quantity"]) == (200, "0.00500")
    canceled = ask(socket, "order.cancel", name)["result"]
    assert (canceled["order_id"], canceled["status"]) == (placed["order_id"], "CANCELED")
    assert ask(socket, "order.cancel", name)["error"]["code"] == "ORDER_CLOSED"
    unknown = ask(socket, "order.cancel", name | {"client_order_id": "desk/2"})
    assert (unknown["status"], unknown["error"]["code"]) == (404, "UNKNOWN_ORDER")
    foreign = ask(socket, "order.amend", name | {"account": "nobody-at-all", "price": "1"})
    assert (foreign["status"], foreign["error"]["code"]) == (404, "UNKNOWN_ACCOUNT")


@pytest.mark.parametrize(
    "params",
    [
        {},
        {"account": "a"},
        {"client_order_id": "x"},
        {"order_id": "1", "account": "a"},
        {"order_id": "1", "account": "a", "client_order_id": "x"},
    ],
)
def test_an_order_is_named_in_one_way(socket: ClientConnection, params: dict[str, Any]) -> None:
    for op in ("order.cancel", "order.amend"):
        found = ask(socket, op, params)
        assert (found["status"], found["error"]["code"]) == (400, "INVALID_REQUEST")
        assert "order_id, or by account and client_order_id" in found["error"]["detail"]
