"""Documents of instruments: what can be traded, on which grid, at which fees."""

from decimal import Decimal as Exact
from typing import Any

from pydantic import BaseModel

from app.documents.schemas import Decimal
from app.engine.state import State
from app.engine.types import InstrumentStatus, TradingState
from app.runtime.reference import InstrumentView, money_text

PPM_PER_BPS = 100


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
    mark_spread_max_bps: int
    status: str
    trading_state: str
    mark: Decimal | None
    mark_ts: int | None


def instrument_content(state: State, view: InstrumentView) -> dict[str, Any]:
    record = state.instruments[view.index]
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
        "mark_spread_max_bps": view.mark_spread_max_bps,
        "status": InstrumentStatus(view.status).name,
        "trading_state": TradingState(int(record["trading_state"])).name,
        "mark": view.price_text(mark) if mark else None,
        "mark_ts": int(record["mark_ts"]) or None,
    }


def _bps_text(ppm: int) -> str:
    return f"{Exact(ppm) / PPM_PER_BPS:f}"
