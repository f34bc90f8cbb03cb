"""Market routes: the market as the venue shows it."""

from typing import Annotated

from fastapi import APIRouter, Query, Response
from pydantic import BaseModel

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
from app.documents.market import Book, Market, book_content, market_content, trade_content
from app.documents.schemas import BOOK_DEPTH_MAX, Decimal
from app.market.market_data import TRADES_MAX

router = APIRouter(prefix="/v1/market", tags=["market"], route_class=ExactRoute)


class Markets(BaseModel):
    items: list[Market]


class MarketTrade(BaseModel):
    price: Decimal
    quantity: Decimal
    ts: int


class MarketTrades(BaseModel):
    """Trades of the outside market, newest first."""

    symbol: str
    items: list[MarketTrade]


@router.get("/{symbol}/book", response_model=Book, responses=problems(404))
async def get_book(
    symbol: str,
    services: Provided,
    _principal: Viewer,
    depth: Annotated[int, Query(ge=1, le=BOOK_DEPTH_MAX)] = 20,
) -> Response:
    instrument = services.reference.instruments[symbol_index(services, symbol)]
    content = book_content(services.venue, instrument, depth, services.clock.now())
    await services.loop.durable()
    return json_response(content)


@router.get("", response_model=Markets, responses=problems())
async def list_markets(services: Provided, principal: Observer) -> Response:
    """Every symbol's prices and how far its market can be trusted."""
    views = list(services.reference.instruments)
    return document(
        services,
        principal,
        items=await json_list(services, principal, (market_content(services.market, each) for each in views)),
    )


@router.get("/{symbol}/trades", response_model=MarketTrades, responses=problems(404))
async def get_trades(
    symbol: str,
    services: Provided,
    _principal: Observer,
    limit: Annotated[int, Query(ge=1, le=TRADES_MAX)] = 100,
) -> Response:
    instrument = services.reference.instruments[symbol_index(services, symbol)]
    items = [trade_content(instrument, *trade) for trade in services.market.trades(instrument.index, limit)]
    return json_response({"symbol": symbol, "items": items})
