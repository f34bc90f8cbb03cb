"""Instruments: what can be traded, on which grid, at what fees."""

import re
from dataclasses import replace
from decimal import Decimal as Exact
from typing import Any

from fastapi import APIRouter, Response
from pydantic import BaseModel

from app.api import commands
from app.api.access import (
    Admin,
    ExactRoute,
    Provided,
    Viewer,
    is_refused,
    json_response,
    problems,
    symbol_index,
)
from app.api.decimals import JsonNumber, decimal_text
from app.api.documents import document, json_list
from app.api.errors import Problem, invalid_field
from app.api.refusals import refusal
from app.api.schemas import Decimal, InstrumentChange, NewInstrument
from app.api.services import Services
from app.engine.types import InstrumentStatus, TradingState
from app.runtime.reference import (
    MONEY,
    PRICE_DIGITS,
    QUANTITY_DIGITS,
    Grid,
    InstrumentView,
    money_text,
)

router = APIRouter(prefix="/v1/instruments", tags=["instruments"], route_class=ExactRoute)

_PPM_PER_BPS = 100


class Instrument(BaseModel):
    symbol: str
    base: str
    quote: str
    price_tick: Decimal
    quantity_step: Decimal
    min_quantity: Decimal
    max_quantity: Decimal
    max_price: Decimal
    min_notional: Decimal
    maker_fee_bps: Decimal
    taker_fee_bps: Decimal
    status: str
    trading_state: str
    mark: Decimal | None
    mark_ts: int | None


class Instruments(BaseModel):
    items: list[Instrument]
    next_cursor: str | None


def instrument_content(services: Services, view: InstrumentView) -> dict[str, Any]:
    record = services.state.instruments[view.index]
    mark = int(record["mark"])
    return {
        "symbol": view.symbol,
        "base": view.base,
        "quote": view.quote,
        "price_tick": view.price_text(1),
        "quantity_step": view.quantity_text(1),
        "min_quantity": view.quantity_text(view.min_quantity),
        "max_quantity": view.quantity_text(view.max_quantity),
        "max_price": view.price_text(view.max_price),
        "min_notional": money_text(view.min_notional),
        "maker_fee_bps": _bps_text(view.maker_fee_ppm),
        "taker_fee_bps": _bps_text(view.taker_fee_ppm),
        "status": InstrumentStatus(view.status).name,
        "trading_state": TradingState(int(record["trading_state"])).name,
        "mark": view.price_text(mark) if mark else None,
        "mark_ts": int(record["mark_ts"]) or None,
    }


def _bps_text(ppm: int) -> str:
    return f"{Exact(ppm) / _PPM_PER_BPS:f}"


def _ppm(bps: str) -> int:
    return int(Exact(bps) * _PPM_PER_BPS)


def _parse(path: str, grid: Grid, value: str | int | JsonNumber, meaning: str) -> int:
    try:
        return grid.parse(decimal_text(value))
    except ValueError:
        raise invalid_field(path, meaning) from None


def _grid(path: str, value: str | int | JsonNumber, digits: int) -> Grid:
    meaning = f"must be positive, with at most {digits} decimals"
    count = _parse(path, Grid(1, digits), value, meaning)
    if count <= 0:
        raise invalid_field(path, meaning)
    return Grid(count, digits)


def _new_view(request: NewInstrument, index: int) -> InstrumentView:
    prices = _grid("price_tick", request.price_tick, PRICE_DIGITS)
    quantities = _grid("quantity_step", request.quantity_step, QUANTITY_DIGITS)
    multiple = "must be a multiple of the quantity step, and fit"
    return InstrumentView(
        index=index,
        symbol=request.symbol,
        base=request.base,
        quote=request.quote,
        price_tick_e12=prices.step,
        quantity_step_e8=quantities.step,
        multiplier=0,
        min_quantity=_parse("min_quantity", quantities, request.min_quantity, multiple),
        max_quantity=_parse("max_quantity", quantities, request.max_quantity, multiple),
        max_price=0,
        min_notional=_parse("min_notional", MONEY, request.min_notional, "must have at most 8 decimals"),
        maker_fee_ppm=_ppm(request.maker_fee_bps),
        taker_fee_ppm=_ppm(request.taker_fee_bps),
        status=InstrumentStatus[request.status],
        version=0,
        prices=prices,
        quantities=quantities,
    )


def _changed_view(view: InstrumentView, change: InstrumentChange) -> InstrumentView:
    changes: dict[str, Any] = {}
    multiple = f"must be a multiple of {view.quantity_text(1)}, and fit"
    if change.min_quantity is not None:
        changes["min_quantity"] = _parse("min_quantity", view.quantities, change.min_quantity, multiple)
    if change.max_quantity is not None:
        changes["max_quantity"] = _parse("max_quantity", view.quantities, change.max_quantity, multiple)
    if change.min_notional is not None:
        text = "must have at most 8 decimals"
        changes["min_notional"] = _parse("min_notional", MONEY, change.min_notional, text)
    if change.maker_fee_bps is not None:
        changes["maker_fee_ppm"] = _ppm(change.maker_fee_bps)
    if change.taker_fee_bps is not None:
        changes["taker_fee_ppm"] = _ppm(change.taker_fee_bps)
    if change.status is not None:
        changes["status"] = InstrumentStatus[change.status]
    if not changes:
        raise invalid_field("", "name at least one field to change")
    return replace(view, **changes)


async def _set(services: Services, view: InstrumentView, actor: int) -> dict[str, Any]:
    """With `reference_lock` held. Raises Problem where the engine refuses."""
    outcome = await services.loop.submit(commands.set_instrument(view, actor))
    if is_refused(outcome):
        content = refusal(services.reference, outcome.event)
        raise Problem(422, content["code"], _refused_detail(content["detail"]))
    return instrument_content(services, services.reference.instruments[view.index])


def _refused_detail(detail: str) -> str:
    rule = "tick x step must be a whole multiple of 1e-8, 0 < min_quantity <= max_quantity"
    return f"{detail}: {rule}" if re.search("out of range", detail) else detail


@router.get("", response_model=Instruments, responses=problems())
async def list_instruments(services: Provided, principal: Viewer) -> Response:
    views = list(services.reference.instruments)
    items = await json_list(services, principal, (instrument_content(services, view) for view in views))
    await services.loop.durable()
    return document(services, principal, items=items, next_cursor=None)


@router.get("/{symbol}", response_model=Instrument, responses=problems(404))
async def get_instrument(symbol: str, services: Provided, _principal: Viewer) -> Response:
    view = services.reference.instruments[symbol_index(services, symbol)]
    content = instrument_content(services, view)
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


@router.patch("/{symbol}", response_model=Instrument, responses=problems(404, 413, 422))
async def change_instrument(
    symbol: str, change: InstrumentChange, services: Provided, principal: Admin
) -> Response:
    """Change quantities, fees or status; tick, step and currencies stay."""
    async with services.reference_lock:
        view = services.reference.instruments[symbol_index(services, symbol)]
        content = await _set(services, _changed_view(view, change), principal.number)
    await services.loop.durable()
    return json_response(content)
