"""The market as the venue shows it."""

from typing import Annotated, Any

from fastapi import APIRouter, Query, Response
from pydantic import BaseModel

from app.api.access import Provided, Viewer, json_response, problems, symbol_index
from app.api.schemas import BOOK_DEPTH_MAX, Decimal
from app.runtime.reference import InstrumentView

router = APIRouter(prefix="/v1/market", tags=["market"])


class Book(BaseModel):
    """Levels of [price, quantity], best first: what is displayed less what was taken, and resting orders."""

    symbol: str
    ts: int
    bids: list[tuple[Decimal, Decimal]]
    asks: list[tuple[Decimal, Decimal]]


def _levels(instrument: InstrumentView, levels: Any) -> list[tuple[str, str]]:
    return [
        (instrument.price_text(int(level["price"])), instrument.quantity_text(int(level["quantity"])))
        for level in levels
    ]


@router.get("/{symbol}/book", response_model=Book, responses=problems(404))
async def get_book(
    symbol: str,
    services: Provided,
    _principal: Viewer,
    depth: Annotated[int, Query(ge=1, le=BOOK_DEPTH_MAX)] = 20,
) -> Response:
    index = symbol_index(services, symbol)
    instrument = services.reference.instruments[index]
    bids, asks = services.venue.depth(index, depth)
    content = {
        "symbol": symbol,
        "ts": services.clock.now(),
        "bids": _levels(instrument, bids),
        "asks": _levels(instrument, asks),
    }
    await services.loop.durable()
    return json_response(content)
