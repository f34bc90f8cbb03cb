"""Connections are told what has changed, together, and end with what is known."""

from typing import Any

import orjson
from hypothesis import given
from hypothesis import strategies as st

from app.market.binance import BinanceSpot
from app.market.subscriptions import SEND_SECONDS, Subscriptions, added_and_removed
from tests.support.market import BTC, ETH, Instrument, demo_instruments

ALL = demo_instruments()


def requests(texts: list[str]) -> list[tuple[str, list[str]]]:
    documents: list[dict[str, Any]] = [orjson.loads(text) for text in texts]
    return [(document["method"], document["params"]) for document in documents]


def streams(*instruments: Instrument) -> list[str]:
    return [
        f"{each.base}{each.quote}@{name}".lower().replace("bookticker", "bookTicker")
        for each in instruments
        for name in ("bookTicker", "trade", "depth@100ms")
    ]


@given(st.sets(st.sampled_from(range(len(ALL)))), st.sets(st.sampled_from(range(len(ALL)))))
def test_what_is_new_and_what_is_gone(known: set[int], wanted: set[int]) -> None:
    added, removed = added_and_removed(known, [ALL[index] for index in wanted])
    assert {each.index for each in added} == wanted - known and len(added) == len(wanted - known)
    assert set(removed) == known - wanted and len(removed) == len(known - wanted)


def test_nothing_has_changed() -> None:
    assert Subscriptions(BinanceSpot([BTC])).due(100.0) == []


def test_changes_are_told_together_and_once() -> None:
    subscriptions = Subscriptions(BinanceSpot([BTC]))
    subscriptions.add([ALL[3]])
    subscriptions.add([ETH])
    subscriptions.remove([BTC.index])
    assert requests(subscriptions.due(100.0)) == [
        ("UNSUBSCRIBE", streams(BTC)),
        ("SUBSCRIBE", streams(ETH, ALL[3])),
    ]
    assert subscriptions.due(200.0) == []


def test_the_next_request_waits_for_its_time() -> None:
    subscriptions = Subscriptions(BinanceSpot([BTC]))
    subscriptions.add([ETH])
    assert subscriptions.due(100.0)
    subscriptions.add([ALL[2]])
    assert subscriptions.due(100.0 + 0.9 * SEND_SECONDS) == []
    subscriptions.add([ALL[3]])
    assert requests(subscriptions.due(100.0 + SEND_SECONDS)) == [("SUBSCRIBE", streams(ALL[2], ALL[3]))]


def test_who_comes_back_before_it_was_told_is_only_subscribed_to() -> None:
    """To ask for one that is subscribed to does no harm, to cut it off would."""
    subscriptions = Subscriptions(BinanceSpot([BTC, ETH]))
    subscriptions.remove([BTC.index])
    subscriptions.add([BTC])
    assert requests(subscriptions.due(100.0)) == [("SUBSCRIBE", streams(BTC))]


def test_the_exchange_knows_at_once() -> None:
    exchange = BinanceSpot([BTC])
    subscriptions = Subscriptions(exchange)
    subscriptions.add([ETH])
    subscriptions.remove([BTC.index])
    assert requests(exchange.subscriptions()) == [("SUBSCRIBE", streams(ETH))]


@given(st.lists(st.tuples(st.integers(0, 3), st.booleans())))
def test_a_connection_ends_with_what_is_known(steps: list[tuple[int, bool]]) -> None:
    """Whatever comes and goes, and whenever it is told."""
    exchange = BinanceSpot([BTC])
    subscriptions = Subscriptions(exchange)
    known, subscribed = {BTC.index}, set(streams(BTC))
    for number, (index, told) in enumerate([*steps, (BTC.index, True)], 1):
        if index in known:
            known.remove(index)
            subscriptions.remove([index])
        else:
            known.add(index)
            subscriptions.add([ALL[index]])
        if told:
            for method, names in requests(subscriptions.due(number * SEND_SECONDS)):
                subscribed = subscribed | set(names) if method == "SUBSCRIBE" else subscribed - set(names)
    assert subscribed == {name for index in known for name in streams(ALL[index])}
