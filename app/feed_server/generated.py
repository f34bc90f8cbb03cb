"""Generated recordings of a synthetic market, for use without real ones.

A synthetic market (`app.market.synthetic`) encoded as Binance's messages: depth updates, touches,
trades, and a snapshot a few steps after the beginning. The same for the same seed.
"""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import orjson

from app.engine.types import Side
from app.market.demo_instruments import DEMO_INSTRUMENTS
from app.market.synthetic import SyntheticMarket, SyntheticTrade
from app.market.types import MarketInstrument

START_NS = 1_723_161_253_000_000_000
STEP_MS = 100
SNAPSHOT_STEP = 3
VOLATILITY = 20.0

Level = tuple[int, int, int, int, int]  # the fields of LEVEL_UPDATE


class DemoMarketInstrument:
    """A MarketInstrument of `app.market.demo_instruments`."""

    def __init__(self, index: int) -> None:
        demo = DEMO_INSTRUMENTS[index]
        self.index = index
        self.symbol, self.base, self.quote = demo.symbol, demo.base, demo.quote
        self.price_tick_e12 = int(Decimal(demo.price_tick).scaleb(12))
        self.quantity_step_e8 = int(Decimal(demo.quantity_step).scaleb(8))


def write_recordings(
    folder: Path, instruments: Sequence[MarketInstrument], seconds: int, seed: int
) -> list[Path]:
    """Write a file for each instrument, this many seconds long."""
    encoders = [_Encoder(each) for each in instruments]
    market = SyntheticMarket(instruments, seed=seed, interval_ms=STEP_MS, volatility=VOLATILITY)
    lines: list[list[bytes]] = [[] for _ in encoders]
    for number in range(seconds * 1000 // STEP_MS):
        step = market.step()
        levels = step.levels.tolist()
        at_ms = START_NS // 1_000_000 + number * STEP_MS
        for encoder, recorded in zip(encoders, lines, strict=True):
            index = encoder.instrument.index
            raws = [encoder.depth([each for each in levels if each[2] == index], at_ms), encoder.touch()]
            raws += [encoder.trade(each, at_ms) for each in step.trades if each.symbol == index]
            if number == SNAPSHOT_STEP:
                raws.append(encoder.snapshot())
            recorded += [b"%d %s\n" % (at_ms * 1_000_000 + at * 1_000, raw) for at, raw in enumerate(raws)]
    paths = []
    for encoder, recorded in zip(encoders, lines, strict=True):
        path = folder / f"{encoder.name.lower()}.txt"
        path.write_bytes(b"".join(recorded))
        paths.append(path)
    return paths


class _Encoder:
    def __init__(self, instrument: MarketInstrument) -> None:
        self.instrument = instrument
        self.name = instrument.base + instrument.quote
        self._id = 1_000_000 * (1 + instrument.index)
        self._trade_id = 0
        self._book: dict[Side, dict[int, int]] = {side: {} for side in Side}

    def depth(self, levels: Sequence[Level], at_ms: int) -> bytes:
        changes: dict[Side, dict[int, int]] = {side: {} for side in Side}
        for price, quantity, _symbol, side, _kind in levels:
            changes[Side(side)][price] = quantity
            if quantity:
                self._book[Side(side)][price] = quantity
            else:
                self._book[Side(side)].pop(price, None)
        first_id = self._id + 1
        self._id += max(1, len(levels))
        return self._message(
            "depth@100ms",
            {
                "e": "depthUpdate",
                "E": at_ms,
                "s": self.name,
                "U": first_id,
                "u": self._id,
                "b": self._pairs(changes[Side.BUY]),
                "a": self._pairs(changes[Side.SELL]),
            },
        )

    def touch(self) -> bytes:
        bids, asks = self._book[Side.BUY], self._book[Side.SELL]
        bid, ask = max(bids), min(asks)
        ((bid_text, bid_quantity),) = self._pairs({bid: bids[bid]})
        ((ask_text, ask_quantity),) = self._pairs({ask: asks[ask]})
        content = {"u": self._id, "s": self.name, "b": bid_text, "B": bid_quantity}
        return self._message("bookTicker", content | {"a": ask_text, "A": ask_quantity})

    def trade(self, trade: SyntheticTrade, at_ms: int) -> bytes:
        self._trade_id += 1
        ((price, quantity),) = self._pairs({trade.price: trade.quantity})
        content = {"e": "trade", "E": at_ms, "s": self.name, "t": self._trade_id, "p": price, "q": quantity}
        return self._message("trade", content | {"T": at_ms, "m": False})

    def snapshot(self) -> bytes:
        bids, asks = self._book[Side.BUY], self._book[Side.SELL]
        content = {"lastUpdateId": self._id, "bids": self._pairs(bids), "asks": self._pairs(asks)}
        return orjson.dumps(content)

    def _message(self, stream: str, data: Mapping[str, Any]) -> bytes:
        return orjson.dumps({"stream": f"{self.name.lower()}@{stream}", "data": data})

    def _pairs(self, levels: Mapping[int, int]) -> list[tuple[str, str]]:
        tick, step = self.instrument.price_tick_e12, self.instrument.quantity_step_e8 * 10_000
        return [(_text(price * tick), _text(quantity * step)) for price, quantity in levels.items()]


def _text(units_e12: int) -> str:
    return f"{Decimal(units_e12).scaleb(-12):.8f}"
