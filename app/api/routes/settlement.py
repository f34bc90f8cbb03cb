"""Settlement of a symbol that does not trade: for a delisted holding, at a price that a person sets."""

import logging

from fastapi import APIRouter, Response
from pydantic import BaseModel

from app.api.routes.access import Admin, ExactRoute, Provided, json_response, problems, symbol_index
from app.api.routes.instruments import parse_field
from app.api.services import Services
from app.api.submission import raise_if_refused, reason_text
from app.commands.administration import settle_symbol
from app.documents.content import Content
from app.documents.problems import Problem, status_of_code
from app.documents.schemas import Decimal, Settlement
from app.engine.codes import Code
from app.engine.types import EventKind
from app.runtime.event_views import SettledPositionEvent, event_as
from app.runtime.outcomes import Outcome
from app.runtime.reference import InstrumentView, money_text
from app.runtime.views import EventView

logger = logging.getLogger(__name__)

router = APIRouter(prefix="/v1/instruments", tags=["instruments"], route_class=ExactRoute)


class SettledPosition(BaseModel):
    """`quantity` is the position before, negative if short; `realised_pnl` the result of the settlement."""

    account: str
    quantity: Decimal
    realised_pnl: Decimal


class SettledSymbol(BaseModel):
    """The settled positions of all accounts that held it."""

    symbol: str
    price: Decimal
    positions: list[SettledPosition]


def _refuse(services: Services, instrument: InstrumentView, events: list[EventView]) -> None:
    """Raises Problem if the engine has refused."""
    event = next((each for each in events if each.kind == EventKind.COMMAND_REJECTED), None)
    if event is None:
        return
    if event.code == Code.INVALID_VALUE:
        limit, observed = instrument.price_text(event.limit), instrument.price_text(event.observed)
        detail = f"price must be from {instrument.price_text(1)} to {limit}"
        raise Problem(422, "INVALID_VALUE", detail, limit=limit, observed=observed)
    if event.code == Code.INSTRUMENT_IN_USE:
        detail = f"{event.observed} orders of {instrument.symbol} are open: cancel them first"
        status = status_of_code(event.code)
        raise Problem(status, "INSTRUMENT_IN_USE", detail, limit=event.limit, observed=event.observed)
    raise_if_refused(services, Outcome(event))


@router.post("/{symbol}/settle", response_model=SettledSymbol, responses=problems(404, 409, 413, 422))
async def settle(symbol: str, request: Settlement, services: Provided, principal: Admin) -> Response:
    """Close every position in a HALTED instrument without open orders at a price, all of them or none.

    Profit and loss are realised as if each had been traded at the price without a fee; it is no trade.
    """
    number = symbol_index(services, symbol)
    instrument = services.reference.instruments[number]
    multiple = f"must be a multiple of {instrument.price_text(1)}"
    price = parse_field("price", instrument.prices, request.price, multiple)
    records = settle_symbol(number, price, principal.number, reason_text(request.reason))
    *_, events = await services.loop.submit_events(b"".join(records))
    _refuse(services, instrument, events)
    names = services.reference.account_names
    settled = [
        event_as(SettledPositionEvent, each) for each in events if each.kind == EventKind.POSITION_SETTLED
    ]
    positions: list[Content] = [
        {
            "account": names[event.account],
            "quantity": instrument.quantity_text(event.settled_quantity),
            "realised_pnl": money_text(event.realised),
        }
        for event in settled
    ]
    logger.warning(
        "%s was settled at %s by key %d: %s",
        symbol, instrument.price_text(price), principal.number, request.reason,
    )  # fmt: skip
    return json_response({"symbol": symbol, "price": instrument.price_text(price), "positions": positions})
