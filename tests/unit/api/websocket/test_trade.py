"""The trade socket's door: a key first, a bound for all together, and a place that is free again."""

import json
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from app.api.websocket import trade
from tests.support.api import ADMIN_KEY, ApiServer, limit_order


def open_socket(api: ApiServer, key: str | None = ADMIN_KEY) -> ClientConnection:
    headers = {} if key is None else {"Authorization": f"Bearer {key}"}
    url = api.url.replace("http", "ws", 1) + "/v1/trade"
    return connect(url, additional_headers=headers, compression=None, proxy=None)


def place(socket: ClientConnection, account: str) -> int:
    """The status of the answer to an order."""
    socket.send(json.dumps({"id": 7, "op": "order.place", "params": limit_order(account)}))
    answer: dict[str, Any] = json.loads(socket.recv(10))
    assert answer["id"] == 7
    return int(answer["status"])


def status_of(api: ApiServer, key: str | None = ADMIN_KEY) -> int:
    """With which a connection is refused."""
    with pytest.raises(InvalidStatus) as caught:
        open_socket(api, key)
    return caught.value.response.status_code


def test_orders_go_through_it(api: ApiServer, account: str) -> None:
    with open_socket(api) as socket:
        assert place(socket, account) == 201


def test_a_key_may_come_in_the_first_message(api: ApiServer, account: str) -> None:
    _, key = api.make_key("trader", account)
    with open_socket(api, None) as socket:
        socket.send(json.dumps({"op": "auth", "key": key, "id": 1}))
        assert json.loads(socket.recv(10))["status"] == 200
        assert place(socket, account) == 201


def test_a_wrong_key_does_not_even_connect(api: ApiServer) -> None:
    assert status_of(api, "wrong") == 401


def test_a_wrong_key_in_the_first_message_ends_it(api: ApiServer) -> None:
    with open_socket(api, None) as socket:
        socket.send(json.dumps({"op": "auth", "key": "wrong", "id": 1}))
        assert json.loads(socket.recv(10))["error"]["code"] == "UNAUTHORIZED"
        with pytest.raises(ConnectionClosed):
            socket.recv(10)


def test_more_than_there_is_room_for_are_told_to_try_again(
    api: ApiServer, account: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trade, "SESSIONS_MAX", 2)
    with open_socket(api) as first, open_socket(api) as second:
        assert (place(first, account), place(second, account)) == (201, 201)
        assert status_of(api) == 503
        first.close()
        for _ in range(200):  # its place is free once the server has seen that it has gone
            try:
                third = open_socket(api)
            except InvalidStatus:
                continue
            break
        with third:
            assert place(third, account) == 201
