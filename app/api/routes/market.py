"""The market as the venue shows it."""

from typing import Annotated, Any

from fastapi import APIRouter, Query, Response
from pydantic import BaseModel, Field

from app.api.http.large_response import document, json_list
from app.api.routes.access import (
    ExactRoute,
    Observer,
    Provided,
    Viewer,
    json_response,
    problems,
    symbol_index,
)
from app.api.services import Services
from app.documents.schemas import BOOK_DEPTH_MAX, Decimal
from app.market.mark_rule import NoMark
from app.market.market_data import TRADES_MAX
from app.market.types import FeedState
from app.runtime.reference import InstrumentView

router = APIRouter(prefix="/v1/market", tags=["market"], route_class=ExactRoute)


class Book(BaseModel):
    """Levels of [price, quantity], best first: what is displayed less what was taken, and resting orders."""

    symbol: str
    ts: int
    bids: list[tuple[Decimal, Decimal]]
    asks: list[tuple[Decimal, Decimal]]


class Market(BaseModel):
    """What a symbol costs outside, null where it is not known; `mark` is the middle of bid and ask.

    Only a symbol whose `state` is LIVE is given marks. `no_mark` says why its book makes none: the mark
    before it, of the time `ts`, stands then, and so does `mid`.
    """

    symbol: str
    state: FeedState
    last: Decimal | None
    mid: Decimal | None
    mark: Decimal | None
    ts: Annotated[int | None, Field(description="when the mark was told last")]
    no_mark: Annotated[NoMark | None, Field(description="only while the book makes no mark")] = None


class Markets(BaseModel):
    items: list[Market]


class MarketTrade(BaseModel):
    price: Decimal
    quantity: Decimal
    ts: int


class MarketTrades(BaseModel):
    """Trades of the outside market, the newest first."""

    symbol: str
    items: list[MarketTrade]


def _levels(instrument: InstrumentView, levels: Any) -> list[tuple[str, str]]:
    return [
        (instrument.price_text(int(level["price"])), instrument.quantity_text(int(level["quantity"])))
        for level in levels
    ]


def book_content(services: Services, symbol: int, depth: int) -> dict[str, Any]:
    instrument = services.reference.instruments[symbol]
    bids, asks = services.venue.depth(symbol, depth)
    return {
        "symbol": instrument.symbol,
        "ts": services.clock.now(),
        "bids": _levels(instrument, bids),
        "asks": _levels(instrument, asks),
    }


@router.get("/{symbol}/book", response_model=Book, responses=problems(404))
async def get_book(
    symbol: str,
    services: Provided,
    _principal: Viewer,
    depth: Annotated[int, Query(ge=1, le=BOOK_DEPTH_MAX)] = 20,
) -> Response:
    content = book_content(services, symbol_index(services, symbol), depth)
    await services.loop.durable()
    return json_response(content)


@router.get("", response_model=Markets, responses=problems())
async def list_markets(services: Provided, principal: Observer) -> Response:
    """Every symbol's prices and how far its market can be trusted."""
    views = list(services.reference.instruments)
    return document(
        services,
        principal,
        items=await json_list(services, principal, (market_content(services, each) for each in views)),
    )


def market_content(services: Services, instrument: InstrumentView) -> dict[str, Any]:
    prices = services.market.prices(instrument.index)
    known = {name: getattr(prices, name) for name in ("last", "mid", "mark")}
    reason = services.market.no_mark(instrument.index)
    return {
        "symbol": instrument.symbol,
        "state": services.market.state(instrument.index),
        **{name: instrument.price_text(ticks) if ticks else None for name, ticks in known.items()},
        "ts": prices.ts or None,
        **({"no_mark": reason} if reason else {}),
    }


@router.get("/{symbol}/trades", response_model=MarketTrades, responses=problems(404))
async def get_trades(
    symbol: str,
    services: Provided,
    _principal: Observer,
    limit: Annotated[int, Query(ge=1, le=TRADES_MAX)] = 100,
) -> Response:
    instrument = services.reference.instruments[symbol_index(services, symbol)]
    items = [
        {
            "price": instrument.price_text(trade.price),
            "quantity": instrument.quantity_text(trade.quantity),
            "ts": trade.ts,
        }
        for trade in services.market.trades(instrument.index, limit)
    ]
    return json_response({"symbol": symbol, "items": items})
