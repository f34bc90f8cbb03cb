"""What a live feed relies on of an exchange, kept to by the one that there is."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.market.binance import BinanceSpot
from app.market.exchange import Exchange
from app.market.messages import DepthSnapshot, TouchUpdate
from tests.support.market import BTC, ETH, Instrument, snapshot, touch

documents = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=5,
)


def exchange(*instruments: Instrument) -> Exchange:
    return BinanceSpot(instruments)


def names_in(requests: list[str]) -> list[str]:
    return [name for request in requests for name in json.loads(request)["params"]]


@given(st.binary() | documents.map(lambda document: json.dumps(document).encode()))
def test_no_message_makes_it_raise(raw: bytes) -> None:
    made = exchange(BTC)
    assert made.decode(raw) is None
    assert made.decode_snapshot(BTC.index, raw) is None
    assert made.decode_snapshot(ETH.index, raw) is None, "of one that it does not know"


def test_a_new_connection_is_told_of_all_that_are_known() -> None:
    made = exchange(BTC)
    made.add([ETH])
    told = names_in(list(made.subscriptions()))
    assert told == [*made.stream_names(BTC.index), *made.stream_names(ETH.index)]
    assert told == names_in(list(made.subscribe([BTC.index, ETH.index])))
    made.remove([BTC.index])
    assert names_in(list(made.subscriptions())) == list(made.stream_names(ETH.index))


def test_names_of_before_the_removal_unsubscribe() -> None:
    made = exchange(BTC, ETH)
    names = made.stream_names(BTC.index)
    made.remove([BTC.index])
    assert names_in(list(made.unsubscribe(names))) == list(names)
    assert list(made.unsubscribe([])) == list(made.subscribe([])) == []


def test_what_still_comes_of_a_removed_one_is_no_fault() -> None:
    made = exchange(BTC, ETH)
    raw = touch(7, "61837.63", "61837.64")
    assert isinstance(made.decode(raw), TouchUpdate)
    made.remove([BTC.index])
    assert made.decode(raw) is None
    assert made.parse_errors == 0
    made.add([BTC])
    assert isinstance(made.decode(raw), TouchUpdate)


def test_what_cannot_be_decoded_is_counted() -> None:
    made = exchange(BTC)
    assert made.decode(b"{") is None
    assert made.decode(touch(7, "1.00", "1.01", "DOGEUSDT")) is None
    assert made.parse_errors == 2


@pytest.mark.parametrize("instrument", [BTC, ETH])
def test_a_snapshot_is_of_the_symbol_that_was_asked_for(instrument: Instrument) -> None:
    made = exchange(BTC, ETH)
    found = made.decode_snapshot(instrument.index, snapshot(11, [("1.00", "1.0")], []))
    assert found == DepthSnapshot(instrument.index, 11, [(100, 10**8 // instrument.quantity_step_e8)], [])
    assert instrument.base + instrument.quote in made.snapshot_url(instrument.index)
    assert made.decode_snapshot(instrument.index, touch(7, "61837.63", "61837.64")) is None


def test_an_exchange_says_what_it_closes() -> None:
    made = exchange(BTC)
    assert 60 < made.connection_seconds_max < 24 * 3_600, "it is closed after a day"
    assert len(snapshot(1, [("61837.63", "1.00000000")] * 5_000, [])) < made.message_bytes_max
