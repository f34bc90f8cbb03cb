"""Any bytes, any JSON and any damage to a real message: counted, never raised; what decodes is exact."""

from decimal import Decimal
from typing import Any

import orjson
from hypothesis import given
from hypothesis import strategies as st

from app.market.binance import BinanceDecoder
from app.market.books import MarketBooks
from app.market.grid import FeedGrid
from tests.support.market import BTC, ETH, ReplicaSink, depth, snapshot, stream, touch, trade

MESSAGES = [
    snapshot(10, [("100.00", "1.0")], [("101.00", "1.0")]),
    touch(11, "100.00000000", "101.00000000"),
    depth(11, 12, [("99.00000000", "1.50000000")], [("101.00000000", "0.00000000"), ("102.00", "1")]),
    trade("100.00000000", "0.10000000"),
]
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False)
    | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=4),
    max_leaves=12,
)
FIELDS = st.sampled_from(
    ["e", "s", "u", "U", "b", "B", "a", "A", "p", "q", "T", "bids", "asks", "lastUpdateId"]
)


def feed(raws: list[bytes]) -> None:
    decoder, books, sink = BinanceDecoder([BTC, ETH]), MarketBooks([BTC, ETH]), ReplicaSink()
    seen = 0
    for raw in raws:
        message = decoder.decode(raw, lambda last_id: books.snapshot_symbol(last_id, [0, 1]))
        if message is not None:
            seen += 1
            books.apply(message)
        books.flush(sink)
        assert not sink.crossed(0)
    assert seen == decoder.decoded


@given(st.lists(st.binary(max_size=60)))
def test_any_bytes(raws: list[bytes]) -> None:
    feed(raws)


@given(st.sampled_from(["btcusdt@bookTicker", "btcusdt@trade", "btcusdt@depth"]), JSON)
def test_any_json_in_a_stream(name: str, data: Any) -> None:
    feed([orjson.dumps({"stream": name, "data": data}), orjson.dumps(data)])


@given(st.sampled_from(["bookTicker", "trade", "depth"]), st.dictionaries(FIELDS, JSON))
def test_any_values_in_the_fields(kind: str, fields: dict[str, Any]) -> None:
    base = next(orjson.loads(raw)["data"] for raw in MESSAGES if kind.encode() in raw)
    feed([*MESSAGES, stream(f"btcusdt@{kind}", base | fields), *MESSAGES])


@given(st.integers(0, 3), st.integers(0, 400), st.binary(min_size=1, max_size=3))
def test_damaged_messages(which: int, at: int, damage: bytes) -> None:
    raws = list(MESSAGES)
    raw = raws[which]
    at %= len(raw)
    raws[which] = raw[:at] + damage + raw[at + len(damage) :]
    feed(raws)


@given(
    st.decimals(min_value=0, max_value=10**9, places=8, allow_nan=False),
    st.sampled_from([1, 25, 10**4, 10**8, 5 * 10**9, 10**10, 10**13]),
)
def test_units_are_exact(value: Decimal, unit_e12: int) -> None:
    text = f"{value:f}"
    exact = value * 10**12 / unit_e12
    if exact < 2**60:
        assert FeedGrid(unit_e12, floored=True)[text] == int(exact)
        assert FeedGrid(unit_e12).holds(text) == (exact == int(exact))
