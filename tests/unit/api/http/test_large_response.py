"""Answers that may be large: whole and valid JSON, in pieces that are never too large."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.api.auth import Principal
from app.api.http import large_response
from app.api.http.large_response import (
    CSV_TYPE,
    JSON_TYPE,
    PIECE_BYTES,
    LargeResponse,
    PiecewiseResponse,
    document,
    json_list,
    json_object,
)
from app.api.services import Services
from tests.support.api import ADMIN_KEY, ApiServer

Message = dict[str, Any]

json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@pytest.fixture(scope="module")
def services(api: ApiServer) -> Services:
    return api.server.services


@pytest.fixture(scope="module")
def principal(api: ApiServer) -> Principal:
    found = api.server.keys.of_header(f"Bearer {ADMIN_KEY}".encode())
    assert found is not None
    return found


async def sent_by(response: Any) -> list[Message]:
    """What goes to the connection."""
    found: list[Message] = []

    async def send(message: Message) -> None:
        found.append(message)

    async def receive() -> Message:
        await asyncio.Event().wait()
        raise AssertionError

    await response({"type": "http"}, receive, send)
    return found


def body_of(messages: list[Message]) -> bytes:
    """The body; every piece but the last says that there is more."""
    pieces = messages[1:]
    assert [piece["more_body"] for piece in pieces] == [True] * (len(pieces) - 1) + [False]
    return b"".join(piece["body"] for piece in pieces)


@given(st.dictionaries(st.text(max_size=5), json_values, max_size=5))
def test_an_object_is_what_its_members_are(members: dict[str, Any]) -> None:
    if members:
        assert orjson.loads(b"".join(json_object(**members))) == members


def test_members_that_are_json_already_are_put_in_as_they_are() -> None:
    pieces = json_object(items=[b"[1,", b"2]"], empty=[], next_cursor=None)
    assert orjson.loads(b"".join(pieces)) == {"items": [1, 2], "empty": [], "next_cursor": None}


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(items=st.lists(json_values, max_size=20))
def test_a_list_is_what_its_items_are(
    api: ApiServer, services: Services, principal: Principal, items: list[Any]
) -> None:
    pieces = api.run(json_list(services, principal, iter(items)))
    assert orjson.loads(b"".join(pieces)) == items


@pytest.mark.parametrize("sizes", [[], [1], [7, 7], [8], [9], [30], [3, 30, 3], [8, 8], [1] * 20])
def test_pieces_are_whole_and_bounded(
    api: ApiServer,
    services: Services,
    principal: Principal,
    sizes: list[int],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(large_response, "PIECE_BYTES", 8)
    pieces = [bytes([65 + place]) * size for place, size in enumerate(sizes)]
    start, *parts = api.run(sent_by(LargeResponse(services, principal, pieces, CSV_TYPE)))
    body = b"".join(pieces)
    assert body_of([start, *parts]) == body
    assert max(len(part["body"]) for part in parts) < 2 * 8
    headers = dict(start["headers"])
    assert headers[b"content-length"] == str(len(body)).encode()
    assert headers[b"content-type"] == CSV_TYPE.encode()


def test_a_document_is_an_answer(api: ApiServer, services: Services, principal: Principal) -> None:
    response = document(services, principal, items=[b"[", b"]"], next_cursor="x")
    start, *parts = api.run(sent_by(response))
    assert (start["status"], dict(start["headers"])[b"content-type"]) == (200, JSON_TYPE.encode())
    assert orjson.loads(body_of([start, *parts])) == {"items": [], "next_cursor": "x"}
    assert len(parts) == 1, f"less than {PIECE_BYTES} bytes"


async def _pieces(made: list[int]) -> AsyncIterator[bytes]:
    for number in range(3):
        made.append(number)
        yield b"%d," % number
        await asyncio.sleep(0)


def test_a_body_is_made_while_it_is_sent() -> None:
    messages = asyncio.run(sent_by(PiecewiseResponse(_pieces([]), CSV_TYPE)))
    assert b"content-length" not in dict(messages[0]["headers"])
    assert body_of(messages) == b"0,1,2,"


def test_nothing_more_is_made_for_who_has_gone() -> None:
    made: list[int] = []

    async def run() -> None:
        async def receive() -> Message:
            return {"type": "http.disconnect"}

        async def send(_message: Any) -> None:
            await asyncio.sleep(0)

        await PiecewiseResponse(_pieces(made), CSV_TYPE)({"type": "http"}, receive, send)

    asyncio.run(run())
    assert made == [0]
