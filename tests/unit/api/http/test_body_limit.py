"""What the framework gets to read of a body, and whose bodies are none of its concern."""

import json
from pathlib import Path
from typing import Any

import pytest

from app.api.auth import KeyStore
from app.api.http.asgi import Message, Receive, Scope, Send
from app.api.http.body_limit import BodyLimit, is_order_entry
from tests.support.asgi import KEY, call, elsewhere

OTHER = "/v1/keys"


def _keys(folder: Path) -> KeyStore:
    return KeyStore.open(folder, KEY, lambda: 1)[0]


async def _echo(_scope: Scope, receive: Receive, send: Send) -> None:
    await send(await receive())
    await send(await receive())


def test_the_limit_of_other_bodies(tmp_path: Path) -> None:
    left: list[Message] = [
        {"type": "http.request", "body": b"12345", "more_body": True},
        {"type": "http.request", "body": b"67890"},
        {"type": "http.disconnect"},
    ]
    whole = {"type": "http.request", "body": b"1234567890", "more_body": False}
    keys = _keys(tmp_path)
    assert call(BodyLimit(_echo, 10, keys), left, path=OTHER) == [whole, {"type": "http.disconnect"}]
    start, content = call(BodyLimit(_echo, 9, keys), left, path=OTHER)
    assert start["status"] == 413 and json.loads(content["body"])["code"] == "BODY_TOO_LARGE"


def test_a_client_that_goes_away_gets_nothing(tmp_path: Path) -> None:
    limit = BodyLimit(elsewhere, 10, _keys(tmp_path))
    assert call(limit, [{"type": "http.disconnect"}], path=OTHER) == []


def test_without_a_key_no_body_is_read(tmp_path: Path) -> None:
    """Neither here nor by the framework, which gets an empty one in its place."""

    async def echo(_scope: Scope, receive: Receive, send: Send) -> None:
        await send(await receive())

    whole = {"type": "http.request", "body": b"", "more_body": False}
    for headers in ([], [(b"authorization", b"Bearer wrong")]):
        assert call(BodyLimit(echo, 10, _keys(tmp_path)), [], path=OTHER, headers=headers) == [whole]


@pytest.mark.parametrize(
    ("method", "path", "is_entry"),
    [
        ("POST", "/v1/orders", True),
        ("POST", "/v1/orders/batch", True),
        ("DELETE", "/v1/orders/1", True),
        ("PATCH", "/v1/orders/by-client-id/a/b", True),
        ("GET", "/v1/orders", False),
        ("GET", "/v1/orders/1", False),
        ("DELETE", "/v1/orders", False),
        ("POST", "/v1/orders/", False),
        ("POST", "/v1/orders/batch/", False),
        ("POST", "/v1/ordersx", False),
    ],
)
def test_what_is_order_entry(tmp_path: Path, method: str, path: str, is_entry: bool) -> None:
    """It gets its messages as they come; all else with a body gets them read."""
    assert is_order_entry(method, path) == is_entry
    pieces: list[Message] = [{"type": "http.request", "more_body": True}, {"type": "http.request"}]
    whole: Message = {"type": "http.request", "body": b"", "more_body": False}
    as_it_comes = is_entry or method == "GET"
    found = call(BodyLimit(_echo, 10, _keys(tmp_path)), [*pieces, whole], method=method, path=path)
    assert found == (pieces if as_it_comes else [whole, whole])


@pytest.mark.parametrize("scope", [{"type": "websocket", "path": "/v1/trade"}, {"type": "lifespan"}])
def test_what_is_no_request_goes_on(tmp_path: Path, scope: dict[str, Any]) -> None:
    assert call(BodyLimit(elsewhere, 10, _keys(tmp_path)), [], **scope) == [{"type": "elsewhere"}]
