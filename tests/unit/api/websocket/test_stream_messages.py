"""What clients send on the stream: each op and channel has its members, and no others."""

from typing import Any

import orjson
import pytest

from app.api.websocket.stream_messages import CHANNELS_MAX, decode_request
from app.documents.problems import Problem
from app.streams.topics import OF_ACCOUNTS, Channel

SUBSCRIBE = {"op": "subscribe", "id": 1}


def subscribe(*channels: dict[str, Any], **members: Any) -> dict[str, Any]:
    return {**SUBSCRIBE, "channels": list(channels), **members}


def refused(message: Any) -> list[str]:
    """The places that are wrong."""
    with pytest.raises(Problem) as caught:
        decode_request(orjson.dumps(message))
    assert (caught.value.status, caught.value.code) == (400, "INVALID_REQUEST")
    return [error["path"] for error in caught.value.content["errors"]]


GOOD = [
    {"op": "ping", "id": "a"},
    subscribe({"name": "system"}),
    subscribe({"name": "orders", "account": "alpha", "from_seq": 0}, from_seq=1 << 53, batch=True),
    subscribe({"name": "risk"}, {"name": "marks"}, {"name": "marks", "symbol": "BTC-USDT"}),
    subscribe({"name": "candles", "symbol": "BTC-USDT", "interval": "1m"}),
    subscribe({"name": "orders", "account": None, "from_seq": None}),
    {"op": "unsubscribe", "id": 2, "channels": [{"name": "book", "symbol": "BTC-USDT"}]},
    subscribe(*[{"name": "system"}] * CHANNELS_MAX),
]


@pytest.mark.parametrize("message", GOOD, ids=lambda message: str(message)[:60])
def test_what_is_right_comes_as_it_was_sent(message: dict[str, Any]) -> None:
    assert decode_request(orjson.dumps(message)) == message


@pytest.mark.parametrize("channel", Channel)
def test_every_channel_can_be_asked_for(channel: Channel) -> None:
    wanted: dict[str, Any] = {"name": channel.value}
    if channel not in OF_ACCOUNTS and channel is not Channel.SYSTEM:
        wanted["symbol"] = "BTC-USDT"
    if channel is Channel.CANDLES:
        wanted["interval"] = "1s"
    assert decode_request(orjson.dumps(subscribe(wanted)))["channels"] == [wanted]
    if channel in OF_ACCOUNTS:
        decode_request(orjson.dumps(subscribe(wanted | {"account": "alpha"})))
    else:
        assert refused(subscribe(wanted | {"account": "alpha"}))


@pytest.mark.parametrize(
    ("message", "place"),
    [
        (subscribe(), "channels"),
        (subscribe(*[{"name": "system"}] * (CHANNELS_MAX + 1)), "channels"),
        (subscribe({"name": "book"}), "symbol"),
        (subscribe({"name": "candles", "symbol": "BTC-USDT", "interval": "5m"}), "interval"),
        (subscribe({"name": "candles", "symbol": "BTC-USDT"}), "interval"),
        (subscribe({"name": "system"}, from_seq=-1), "from_seq"),
        (subscribe({"name": "system"}, from_seq=(1 << 53) + 1), "from_seq"),
        (subscribe({"name": "orders", "acount": "alpha"}), "acount"),
        (subscribe({"name": "book", "symbol": "x" * 25}), "symbol"),
        (subscribe({"name": "risk", "account": "x" * 37}), "account"),
        ({"op": "subscribe", "channels": [{"name": "system"}]}, "id"),
        ({"op": "ping", "id": 1, "channels": []}, "channels"),
    ],
    ids=lambda value: str(value)[:60],
)
def test_what_is_wrong_is_named(message: dict[str, Any], place: str) -> None:
    (found,) = refused(message)
    assert found.split(".")[-1] == place


@pytest.mark.parametrize("message", [{"op": "listen", "id": 1}, {"id": 1}, [], "ping", None])
def test_what_is_no_request(message: Any) -> None:
    assert len(refused(message)) <= 1


def test_a_channel_that_is_not_there() -> None:
    assert len(refused(subscribe({"name": "prices"}))) == 1
