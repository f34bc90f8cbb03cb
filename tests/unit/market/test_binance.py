"""Binance messages become ticks and steps exactly, and nothing in a message can hurt."""

from typing import Any

import orjson
import pytest

from app.market import binance
from app.market.binance import BinanceDecoder, Fault
from app.market.grid import TEXTS_MAX, FeedGrid, Malformed, OffGrid
from app.market.messages import DepthSnapshot, DepthUpdate, TouchUpdate, Trade
from tests.support.market import BTC, ETH, depth, snapshot, stream, touch, trade

TOUCH = {"u": 7, "s": "BTCUSDT", "b": "61837.63", "B": "3.78826", "a": "61837.64", "A": "1.54698"}
DEPTH = {"e": "depthUpdate", "s": "BTCUSDT", "U": 1, "u": 2, "b": [["1.00", "1.0"]], "a": []}
TRADE = {"e": "trade", "s": "BTCUSDT", "p": "61837.63", "q": "0.02", "T": 1723161255342, "t": 5}


def no_symbol(last_id: int) -> int:
    return -1


def decoder() -> BinanceDecoder:
    return BinanceDecoder([BTC, ETH])


@pytest.mark.parametrize(
    ("text", "ticks"),
    [("61837.63000000", 6183763), ("0.01", 1), ("5", 500), ("5.", 500), ("007.10", 710), ("0.00000000", 0)],
)
def test_decimal_text_is_whole_ticks(text: str, ticks: int) -> None:
    grid = FeedGrid(10**10)
    assert grid[text] == ticks
    assert grid[text] == ticks, "the same from the dictionary"


@pytest.mark.parametrize(
    "text",
    ["", ".", ".5", "-1", "+1", "1e5", "NaN", "Infinity", "1_000", " 1", "1 ", "1\n", "1.0.0", "0x10", "1,5"],
)
def test_other_text_is_malformed(text: str) -> None:
    with pytest.raises(Malformed):
        FeedGrid(10**10)[text]


@pytest.mark.parametrize(
    "text", ["9" * 41, "9" * 30, "\u00b2", "1.\u0661"], ids=["long", "large", "raised", "arabic"]
)
def test_other_digits_are_malformed(text: str) -> None:
    with pytest.raises(Malformed):
        FeedGrid(10**10)[text]


def test_a_number_in_place_of_text_is_malformed() -> None:
    for value in (1, 1.5, None, True, b"1"):
        with pytest.raises(Malformed):
            FeedGrid(10**10)[value]  # type: ignore[index]


def test_between_two_ticks() -> None:
    with pytest.raises(OffGrid):
        FeedGrid(10**10)["1.001"]
    assert FeedGrid(10**10, floored=True)["1.019"] == 101


def test_remembered_texts_are_bounded() -> None:
    grid = FeedGrid(10**10)
    for value in range(TEXTS_MAX + 10):
        assert grid[str(value)] == value * 100
        assert len(grid) <= TEXTS_MAX


def test_decodes_each_kind() -> None:
    decode = decoder().decode
    assert decode(touch(7, "61837.63000000", "61837.64000000"), no_symbol) == TouchUpdate(
        0, 7, 6183763, 100000, 6183764, 200000
    )
    assert decode(trade("2683.80000000", "0.02000000", 12, "ETHUSDT"), no_symbol) == Trade(
        1, 268380, 200, 12000, 1
    )
    update = depth(5, 9, [("2.00", "1.5"), ("1.00", "0.0")], [("3.00", "0.1")], "ETHUSDT")
    assert decode(update, no_symbol) == DepthUpdate(1, 5, 9, [(200, 15000), (100, 0)], [(300, 1000)])


def test_the_symbol_of_a_snapshot_is_asked_for() -> None:
    asked: list[int] = []

    def symbol(last_id: int) -> int:
        asked.append(last_id)
        return 1

    message = decoder().decode(snapshot(11, [("1.00", "1.0")], []), symbol)
    assert message == DepthSnapshot(1, 11, [(100, 10000)], [])
    assert asked == [11]


def test_levels_between_two_ticks_or_steps() -> None:
    """Both exist in the recordings: what is not whole steps is less, what no order can meet is left out."""
    update = depth(5, 9, [("200000.00000000", "25.42618900"), ("1.00100000", "7.0")], [])
    tool = decoder()
    assert tool.decode(update, no_symbol) == DepthUpdate(0, 5, 9, [(20000000, 2542618)], [])
    assert not tool.faults


MALFORMED: list[bytes] = [
    stream("btcusdt@bookTicker", TOUCH | {"u": "7"}),
    stream("btcusdt@bookTicker", TOUCH | {"u": -1}),
    stream("btcusdt@bookTicker", TOUCH | {"u": True}),
    stream("btcusdt@bookTicker", TOUCH | {"u": 2**63}),
    stream("btcusdt@bookTicker", TOUCH | {"b": "61837.64"}),
    stream("btcusdt@bookTicker", TOUCH | {"b": "0.00"}),
    stream("btcusdt@bookTicker", TOUCH | {"A": "0.00"}),
    stream("btcusdt@bookTicker", TOUCH | {"b": ["1"]}),
    stream("btcusdt@bookTicker", TOUCH | {"s": "ETHUSDT"}),
    stream("btcusdt@bookTicker", {}),
    stream("btcusdt@depth", DEPTH | {"U": 3}),
    stream("btcusdt@depth", DEPTH | {"b": [["1.00"]]}),
    stream("btcusdt@depth", DEPTH | {"b": [["1.00", "1", "1"]]}),
    stream("btcusdt@depth", DEPTH | {"b": ["1"]}),
    stream("btcusdt@depth", DEPTH | {"b": [["0.00", "1"]]}),
    stream("btcusdt@depth", DEPTH | {"b": {"1.00": "1"}}),
    stream("btcusdt@depth", DEPTH | {"b": None}),
    stream("btcusdt@depth", DEPTH | {"a": [["1.00", "1"]] * (binance.LEVELS_MAX + 1)}),
    stream("btcusdt@trade", TRADE | {"T": 1e300}),
    stream("btcusdt@trade", TRADE | {"q": "0"}),
    b'{"stream":"btcusdt@trade"}',
    b'{"stream":"btcusdt@trade","data":[]}',
    b'{"stream":["btcusdt@trade"],"data":{}}',
    b"[]",
    b"1",
    b"null",
    b'"stream"',
    b'{"lastUpdateId":"1"}',
]


@pytest.mark.parametrize("raw", MALFORMED)
def test_malformed_messages_are_counted(raw: bytes) -> None:
    tool = decoder()
    assert tool.decode(raw, lambda last_id: 0) is None
    assert tool.faults == {Fault.MALFORMED: 1}
    assert tool.decoded == 0


@pytest.mark.parametrize(
    ("raw", "fault"),
    [
        (b"", Fault.NOT_JSON),
        (b"\xff\xfe", Fault.NOT_JSON),
        (b'{"stream":', Fault.NOT_JSON),
        (b"[" * 100_000, Fault.NOT_JSON),
        (b" " * (binance.MESSAGE_BYTES_MAX + 1), Fault.TOO_LONG),
        (stream("dogeusdt@trade", TRADE), Fault.UNKNOWN),
        (stream("btcusdt@kline_1m", {}), Fault.UNKNOWN),
        (snapshot(1, [], []), Fault.UNKNOWN),
        (stream("btcusdt@trade", TRADE | {"p": "61837.631"}), Fault.OFF_GRID),
    ],
)
def test_other_faults(raw: bytes, fault: Fault) -> None:
    tool = decoder()
    assert tool.decode(raw, no_symbol) is None
    assert tool.faults == {fault: 1}


def test_answers_to_requests_are_no_faults() -> None:
    tool = decoder()
    answer: dict[str, Any] = {"result": None, "id": 1}
    assert tool.decode(orjson.dumps(answer), no_symbol) is None
    assert not tool.faults
