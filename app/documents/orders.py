"""Documents of orders and fills."""

from typing import Any, NamedTuple

import orjson

from app.codec.order_json import AVERAGE_PRICE_EXTRA_DECIMALS
from app.documents.problems import code_name, problem_headers
from app.engine.types import Liquidity, OrderFlag, OrderStatus, OrderType, Side, TimeInForce
from app.runtime.decimals import ratio_text
from app.runtime.reference import InstrumentView, Reference, money_text
from app.runtime.views import EventView

_SIDES = tuple(member.name for member in Side)
_TYPES = tuple(member.name for member in OrderType)
_TIMES_IN_FORCE = tuple(member.name for member in TimeInForce)
_STATUSES = tuple(member.name for member in OrderStatus)
_LIQUIDITIES = (None, Liquidity.MAKER.name, Liquidity.TAKER.name)
_POST_ONLY = int(OrderFlag.POST_ONLY)
_REDUCE_ONLY = int(OrderFlag.REDUCE_ONLY)
_TRIGGERED = int(OrderFlag.TRIGGERED)


class Reply(NamedTuple):
    """What a client is sent, over either transport: HTTP status and JSON. `replayed`: not the first time."""

    status: int
    body: bytes
    replayed: bool = False

    @property
    def headers(self) -> dict[str, str]:
        """HTTP headers, without Content-Length."""
        found = problem_headers(self.status) if self.status >= 400 else {"content-type": "application/json"}
        return found | {"idempotency-replayed": "true"} if self.replayed else found


class ReplyContent(NamedTuple):
    """A reply before it is serialised as JSON."""

    status: int
    content: dict[str, Any]
    replayed: bool = False

    def encoded(self) -> Reply:
        return Reply(self.status, orjson.dumps(self.content), self.replayed)


def average_price(instrument: InstrumentView, notional: int, quantity: int) -> str:
    """Ticks x steps over steps, as a price."""
    ticks, rest = divmod(notional, quantity)
    if not rest:
        return instrument.prices.text(ticks)
    grid = instrument.prices
    scale = quantity * 10**grid.decimals
    return ratio_text(notional * grid.unit, scale, grid.decimals + AVERAGE_PRICE_EXTRA_DECIMALS)


def order_content(reference: Reference, event: EventView) -> dict[str, Any]:
    """An order as an event shows it, without its fills."""
    (
        seq, ts, account, symbol, _, status, side, order_type, time_in_force, flags, _, _, code, _, _, _,
        order_id, price, stop_price, quantity, filled, notional, created_ts, expire_ts, _, _, _, _, _, _,
        client_id,
    ) = event  # fmt: skip
    if symbol < 0:
        symbol_name = size = price_text = stop_text = average = None
        filled_size = "0"
    else:
        instrument = reference.instruments[symbol]
        prices = instrument.prices
        quantities = instrument.quantities
        symbol_name = instrument.symbol
        size = quantities.text(quantity)
        filled_size = size if filled == quantity else quantities.text(filled)
        price_text = prices.text(price) if price else None
        stop_text = prices.text(stop_price) if stop_price else None
        average = average_price(instrument, notional, filled) if filled else None
    return {
        "order_id": str(order_id),
        "client_order_id": client_id.rstrip(b"\0").decode() if client_id[0] else None,
        "account": reference.account_names[account] if account >= 0 else None,
        "symbol": symbol_name,
        "side": _SIDES[side],
        "type": _TYPES[order_type],
        "time_in_force": _TIMES_IN_FORCE[time_in_force],
        "price": price_text,
        "stop_price": stop_text,
        "quantity": size,
        "filled_quantity": filled_size,
        "average_price": average,
        "status": _STATUSES[status],
        "code": code_name(code) if code else None,
        "post_only": flags & _POST_ONLY != 0,
        "reduce_only": flags & _REDUCE_ONLY != 0,
        "triggered": flags & _TRIGGERED != 0,
        "expire_at": expire_ts or None,
        "created_ts": created_ts,
        "updated_ts": ts,
        "seq": seq,
    }


def fill_content(
    instrument: InstrumentView,
    execution_id: int,
    price: int,
    quantity: int,
    fee: int,
    liquidity: int,
    ts: int,
) -> dict[str, Any]:
    return {
        "fill_id": str(execution_id),
        "price": instrument.prices.text(price),
        "quantity": instrument.quantities.text(quantity),
        "fee": money_text(fee),
        "liquidity": _LIQUIDITIES[liquidity],
        "ts": ts,
    }


def event_fill(instrument: InstrumentView, event: EventView) -> dict[str, Any]:
    """The execution in an ORDER_FILLED event."""
    return fill_content(
        instrument,
        event.execution_id,
        event.last_price,
        event.last_quantity,
        event.fee,
        event.liquidity,
        event.ts,
    )
