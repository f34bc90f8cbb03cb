"""A feed is told what to follow, and only when that may have changed."""

from collections.abc import Sequence

from app.engine.types import InstrumentStatus
from app.market.feed import SilentFeed
from app.market.types import MarketInstrument
from app.runtime.instrument_watch import InstrumentWatch, followed
from app.runtime.reference import Reference
from tests.support.engine import Desk, desk, instrument

TRADING, CANCEL_ONLY, HALTED = (
    InstrumentStatus.TRADING,
    InstrumentStatus.CANCEL_ONLY,
    InstrumentStatus.HALTED,
)


class ToldFeed(SilentFeed):
    def __init__(self) -> None:
        self.told: list[list[str]] = []

    def follow(self, instruments: Sequence[MarketInstrument]) -> None:
        self.told.append([each.symbol for each in instruments])


def listed(*statuses: InstrumentStatus) -> Desk:
    made = desk(symbols=0)
    made.send(*(instrument(symbol, status=status) for symbol, status in enumerate(statuses)))
    return made


def test_all_but_the_halted_are_followed() -> None:
    reference = Reference.from_state(listed(TRADING, HALTED, CANCEL_ONLY).engine.state)
    assert [each.symbol for each in followed(reference.instruments)] == ["S0-USDT", "S2-USDT"]
    assert followed([]) == []


def test_the_feed_is_told_once_of_each_change() -> None:
    made, feed = listed(TRADING), ToldFeed()
    reference = Reference.from_state(made.engine.state)
    watch = InstrumentWatch(reference, feed)
    watch.on_events(b"")
    assert feed.told == [], "it was opened with these"
    made.send(instrument(1))
    watch.on_events(b"")
    assert feed.told == [], "the reference data are not those of the tick yet"
    reference.refresh(made.engine.state)
    watch.on_events(b"")
    watch.on_events(b"")
    assert feed.told == [["S0-USDT", "S1-USDT"]]
    made.send(instrument(0, status=HALTED))
    reference.refresh(made.engine.state)
    watch.on_events(b"")
    assert feed.told[1:] == [["S1-USDT"]]
    made.send(instrument(0, status=CANCEL_ONLY), instrument(1, status=HALTED))
    reference.refresh(made.engine.state)
    watch.on_events(b"")
    assert feed.told[2:] == [["S0-USDT"]]
