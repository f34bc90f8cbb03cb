"""Documents of the venue's books and of outside market prices."""

from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, Field

from app.documents.content import Content
from app.documents.schemas import Decimal
from app.market.mark_rule import NoMark
from app.market.market_data import MarketData
from app.market.types import FeedState
from app.runtime.reference import InstrumentView
from app.venues.base import Venue


class Book(BaseModel):
    """Levels of [price, quantity], best first: what is displayed less what was taken, and resting orders."""

    symbol: str
    ts: int
    bids: list[tuple[Decimal, Decimal]]
    asks: list[tuple[Decimal, Decimal]]


class Market(BaseModel):
    """Outside prices of a symbol, null where unknown; `mark` is the middle of bid and ask.

    Only a symbol whose `state` is LIVE gets marks. `no_mark` says why its book makes none: then the mark
    before it, of the time `ts`, still stands, and so does `mid`.
    """

    symbol: str
    state: FeedState
    last: Decimal | None
    mid: Decimal | None
    mark: Decimal | None
    ts: Annotated[int | None, Field(description="when the mark was last published")]
    no_mark: Annotated[NoMark | None, Field(description="only while the book makes no mark")] = None


def _levels(instrument: InstrumentView, levels: NDArray[np.void]) -> list[tuple[str, str]]:
    return [
        (instrument.price_text(int(level["price"])), instrument.quantity_text(int(level["quantity"])))
        for level in levels
    ]


def book_content(venue: Venue, instrument: InstrumentView, depth: int, now: int) -> Content:
    bids, asks = venue.depth(instrument.index, depth)
    return {
        "symbol": instrument.symbol,
        "ts": now,
        "bids": _levels(instrument, bids),
        "asks": _levels(instrument, asks),
    }


def market_content(market: MarketData, instrument: InstrumentView) -> Content:
    prices = market.prices(instrument.index)
    known = {name: getattr(prices, name) for name in ("last", "mid", "mark")}
    reason = market.no_mark(instrument.index)
    return {
        "symbol": instrument.symbol,
        "state": market.state(instrument.index),
        **{name: instrument.price_text(ticks) if ticks else None for name, ticks in known.items()},
        "ts": prices.ts or None,
        **({"no_mark": reason} if reason else {}),
    }


def trade_content(instrument: InstrumentView, price: int, quantity: int, ts: int) -> Content:
    """A trade of the outside market."""
    return {
        "price": instrument.price_text(price),
        "quantity": instrument.quantity_text(quantity),
        "ts": ts,
    }
