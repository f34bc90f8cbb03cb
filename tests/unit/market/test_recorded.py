"""The books made from recorded exchange messages equal those of a naive reference."""

import asyncio
import gzip
from pathlib import Path

import orjson
import pytest

from app.engine.types import Side
from app.market.playback_clock import MAX_SPEED
from app.market.replay import ReplayFeed
from tests.support.market import BTC, ETH, Instrument, ReplicaSink

RECORDINGS = Path(__file__).parents[4] / "shared" / "data" / "binance"


def recording(instrument: Instrument) -> Path:
    name = f"{instrument.base}{instrument.quote}".lower()
    for path in sorted(RECORDINGS.glob(f"{name}*.gz")):
        return path
    pytest.skip(f"there is no recording of {name} in {RECORDINGS}")


class Reference:
    """Snapshot and depth updates alone, in dictionaries of decimal text."""

    def __init__(self, path: Path) -> None:
        self.sides: dict[str, dict[str, str]] = {"bids": {}, "asks": {}}
        self.touch: dict[str, str] = {}
        self.touch_id = 0
        self.last_id = 0
        waiting: list[dict[str, list[tuple[str, str]]]] = []
        with gzip.open(path) as lines:
            for line in lines:
                message = orjson.loads(line.partition(b" ")[2])
                if "lastUpdateId" in message:
                    self._load(message)
                    for update in waiting:
                        self._apply(update)
                elif "depth" in message["stream"]:
                    if self.last_id:
                        self._apply(message["data"])
                    else:
                        waiting.append(message["data"])
                elif "bookTicker" in message["stream"]:
                    self.touch, self.touch_id = message["data"], message["data"]["u"]

    def _load(self, message: dict[str, list[tuple[str, str]]]) -> None:
        self.sides = {name: dict(message[name]) for name in ("bids", "asks")}
        self.last_id = int(str(message["lastUpdateId"]))

    def _apply(self, update: dict[str, list[tuple[str, str]]]) -> None:
        if int(str(update["u"])) <= self.last_id:
            return
        assert int(str(update["U"])) <= self.last_id + 1
        self.last_id = int(str(update["u"]))
        for name, key in (("bids", "b"), ("asks", "a")):
            for price, quantity in update[key]:
                self.sides[name][price] = quantity

    def levels(self, name: str, instrument: Instrument) -> dict[int, int]:
        """In ticks and whole steps."""
        levels = {
            round(float(price) * 1e12 / instrument.price_tick_e12): int(
                float(quantity) * 1e8 / instrument.quantity_step_e8 + 0.001
            )
            for price, quantity in self.sides[name].items()
        }
        return {price: quantity for price, quantity in levels.items() if quantity}


class Checker(ReplicaSink):
    """Looks at the published books after each batch of changes."""

    def on_mark(self, symbol: int, mark: int) -> None:
        assert not self.crossed(symbol)
        bid, ask = self.touch(symbol)
        assert mark == (bid + ask) // 2
        super().on_mark(symbol, mark)


def test_book_equals_the_reference() -> None:
    instruments = [BTC, ETH]
    paths = [recording(instrument) for instrument in instruments]
    feed = ReplayFeed(paths, instruments, speed=MAX_SPEED, loop=False)
    sink = Checker()
    asyncio.run(feed.run(sink))
    assert not feed.decoder.faults
    assert feed.books.gaps == 0
    assert len(sink.trades) == 15_863
    for instrument, path in zip(instruments, paths, strict=True):
        reference = Reference(path)
        bid, ask = (round(float(reference.touch[key]) * 1e12 / instrument.price_tick_e12) for key in "ba")
        assert reference.touch_id > reference.last_id, "the recording ends with a touch"
        assert sink.touch(instrument.index) == (bid, ask)
        for side, name in ((Side.BUY, "bids"), (Side.SELL, "asks")):
            expected = reference.levels(name, instrument)
            assert len(expected) > 1_000
            # At and inside the last touch, that is newer than depth.
            found = sink.side(instrument.index, side)
            worse = {p: q for p, q in found.items() if (p < bid if side == Side.BUY else p > ask)}
            assert worse == {p: q for p, q in expected.items() if (p < bid if side == Side.BUY else p > ask)}
