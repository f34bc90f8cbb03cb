"""Instrument routes: what can be traded, on which grid, at which fees."""

from dataclasses import replace
from decimal import Decimal as Exact

from fastapi import APIRouter, Response
from pydantic import BaseModel

from app.api.http.large_response import document, json_list
from app.api.routes.access import (
    Admin,
    ExactRoute,
    Provided,
    Viewer,
    json_response,
    problems,
    symbol_index,
)
from app.api.services import Services
from app.api.submission import is_refused, raise_if_refused
from app.commands.administration import set_instrument
from app.documents.content import Content
from app.documents.instrument_reasons import instrument_reason
from app.documents.instruments import PPM_PER_BPS, Instrument, instrument_content
from app.documents.problems import Problem, invalid_field, status_of_code
from app.documents.schemas import InstrumentChange, NewInstrument
from app.engine.codes import Code
from app.engine.types import InstrumentStatus
from app.runtime.decimals import JsonNumber, decimal_text
from app.runtime.event_views import RejectionEvent, event_as
from app.runtime.reference import (
    INTEGER_MAX,
    MONEY,
    PRICE_DIGITS,
    QUANTITY_DIGITS,
    Grid,
    InstrumentView,
    OutOfRange,
)

router = APIRouter(prefix="/v1/instruments", tags=["instruments"], route_class=ExactRoute)


class Instruments(BaseModel):
    items: list[Instrument]
    next_cursor: str | None


def _ppm(bps: str) -> int:
    return int(Exact(bps) * PPM_PER_BPS)


def parse_field(path: str, grid: Grid, value: str | int | JsonNumber, meaning: str) -> int:
    """Steps of a grid. Raises Problem: `meaning` is the text for a value off the grid."""
    try:
        return grid.parse(decimal_text(value))
    except OutOfRange:
        raise invalid_field(path, f"may be at most {grid.text(INTEGER_MAX - 1)}") from None
    except ValueError:
        raise invalid_field(path, meaning) from None


def _grid(path: str, value: str | int | JsonNumber, digits: int) -> Grid:
    meaning = f"must be positive, with at most {digits} decimals"
    count = parse_field(path, Grid(1, digits), value, meaning)
    if count <= 0:
        raise invalid_field(path, meaning)
    return Grid(count, digits)


def _new_view(request: NewInstrument, index: int) -> InstrumentView:
    prices = _grid("price_tick", request.price_tick, PRICE_DIGITS)
    quantities = _grid("quantity_step", request.quantity_step, QUANTITY_DIGITS)
    multiple = f"must be a multiple of the quantity step, {quantities.text(1)}"
    return InstrumentView(
        index=index,
        symbol=request.symbol,
        base=request.base,
        quote=request.quote,
        price_tick_e12=prices.step,
        quantity_step_e8=quantities.step,
        multiplier=0,
        min_quantity=parse_field("min_quantity", quantities, request.min_quantity, multiple),
        max_quantity=parse_field("max_quantity", quantities, request.max_quantity, multiple),
        max_price=0,
        min_notional=parse_field("min_notional", MONEY, request.min_notional, "must have at most 8 decimals"),
        maker_fee_ppm=_ppm(request.maker_fee_bps),
        taker_fee_ppm=_ppm(request.taker_fee_bps),
        status=InstrumentStatus[request.status],
        version=0,
        prices=prices,
        quantities=quantities,
        mark_spread_max_bps=request.mark_spread_max_bps,
    )


def _changed_view(view: InstrumentView, change: InstrumentChange) -> InstrumentView:
    changes: Content = {}
    multiple = f"must be a multiple of {view.quantity_text(1)}"
    if change.min_quantity is not None:
        changes["min_quantity"] = parse_field("min_quantity", view.quantities, change.min_quantity, multiple)
    if change.max_quantity is not None:
        changes["max_quantity"] = parse_field("max_quantity", view.quantities, change.max_quantity, multiple)
    if change.min_notional is not None:
        text = "must have at most 8 decimals"
        changes["min_notional"] = parse_field("min_notional", MONEY, change.min_notional, text)
    if change.maker_fee_bps is not None:
        changes["maker_fee_ppm"] = _ppm(change.maker_fee_bps)
    if change.taker_fee_bps is not None:
        changes["taker_fee_ppm"] = _ppm(change.taker_fee_bps)
    if change.mark_spread_max_bps is not None:
        changes["mark_spread_max_bps"] = change.mark_spread_max_bps
    if change.status is not None:
        changes["status"] = InstrumentStatus[change.status]
    if not changes:
        raise invalid_field("", "name at least one field to change")
    return replace(view, **changes)


async def _set(services: Services, view: InstrumentView, actor: int) -> Content:
    """With `reference_lock` held. Raises Problem where the engine refuses."""
    outcome = await services.loop.submit(set_instrument(view, actor))
    if outcome.event.code == Code.INSTRUMENT_IN_USE:
        raise _in_use(view, event_as(RejectionEvent, outcome.event))
    if is_refused(outcome) and outcome.event.code == Code.INVALID_VALUE:
        raise Problem(422, "INVALID_VALUE", instrument_reason(view) or "a value is out of range")
    raise_if_refused(services, outcome)
    return instrument_content(services.state, services.reference.instruments[view.index])


def _in_use(view: InstrumentView, event: RejectionEvent) -> Problem:
    """The order, or the mark, that a change of an instrument would leave out of bounds."""
    order_id = str(event.blocking_order_id) if event.blocking_order_id else None
    text = view.price_text if event.price_bound else view.quantity_text
    limit, observed = text(event.limit), text(event.observed)
    if event.price_bound:
        bound = f"with this max_quantity the highest price would be {limit}"
        found = f"order {order_id} is at {observed}: cancel it" if order_id else f"the mark is {observed}"
    else:
        name = "max_quantity" if event.observed > event.limit else "min_quantity"
        bound, found = f"{name} would be {limit}", f"order {order_id} is of {observed}: cancel it"
    return Problem(
        status_of_code(event.code), "INSTRUMENT_IN_USE", f"{bound}, but {found}",
        order_id=order_id, limit=limit, observed=observed,
    )  # fmt: skip


@router.get("", response_model=Instruments, responses=problems())
async def list_instruments(services: Provided, principal: Viewer) -> Response:
    views = list(services.reference.instruments)
    items = await json_list(services, principal, (instrument_content(services.state, view) for view in views))
    await services.loop.durable()
    return document(services, principal, items=items, next_cursor=None)


@router.get("/{symbol}", response_model=Instrument, responses=problems(404))
async def get_instrument(symbol: str, services: Provided, _principal: Viewer) -> Response:
    view = services.reference.instruments[symbol_index(services, symbol)]
    content = instrument_content(services.state, view)
    await services.loop.durable()
    return json_response(content)


@router.post("", status_code=201, response_model=Instrument, responses=problems(409, 413, 422))
async def create_instrument(request: NewInstrument, services: Provided, principal: Admin) -> Response:
    async with services.reference_lock:
        if request.symbol in services.reference.symbols:
            raise Problem(409, "INSTRUMENT_EXISTS", f"there is an instrument {request.symbol!r} already")
        view = _new_view(request, len(services.reference.instruments))
        content = await _set(services, view, principal.number)
    await services.loop.durable()
    return json_response(content, 201)


@router.patch("/{symbol}", response_model=Instrument, responses=problems(404, 409, 413, 422))
async def change_instrument(
    symbol: str, change: InstrumentChange, services: Provided, principal: Admin
) -> Response:
    """Change quantities, fees or status; tick, step and currencies never change."""
    async with services.reference_lock:
        view = services.reference.instruments[symbol_index(services, symbol)]
        content = await _set(services, _changed_view(view, change), principal.number)
    await services.loop.durable()
    return json_response(content)
