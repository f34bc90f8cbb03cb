"""Commands of clients' orders: from requests to records.

A decimal that is not a whole number of ticks or steps passes: it sets a `Fault`, and the engine
refuses the order, so the refusal has a place in the sequence and in the journal.

Orders, cancels and amendments are packed by the fast path, `packer`; `command` would give the same
bytes.
"""

from app.commands.records import command, packer
from app.commands.scopes import scope_fields
from app.documents.schemas import AmendOrder, PlaceOrder
from app.engine.types import (
    CommandKind,
    Fault,
    OrderFlag,
    OrderType,
    SelfTradePrevention,
    Side,
    StateFlag,
    TimeInForce,
)
from app.market.grid import OffGrid
from app.runtime.decimals import JsonNumber, decimal_text
from app.runtime.reference import Grid, InstrumentView, OutOfRange, Reference

_PLACE_ORDER = int(CommandKind.PLACE_ORDER)
_CANCEL_ORDER = int(CommandKind.CANCEL_ORDER)
_AMEND_ORDER = int(CommandKind.AMEND_ORDER)
_SIDES = {member.name: int(member) for member in Side}
_TYPES = {member.name: int(member) for member in OrderType}
_TIMES_IN_FORCE = {member.name: int(member) for member in TimeInForce}
_SELF_TRADE_PREVENTIONS = {member.name: int(member) for member in SelfTradePrevention}
_PRICE_TICK = int(Fault.PRICE_TICK)
_PRICE_RANGE = int(Fault.PRICE_RANGE)
_STOP_PRICE = int(Fault.STOP_PRICE)
_QUANTITY_STEP = int(Fault.QUANTITY_STEP)
_QUANTITY_RANGE = int(Fault.QUANTITY_RANGE)
_QUANTITY_ZERO = int(Fault.QUANTITY_ZERO)
_POST_ONLY = int(OrderFlag.POST_ONLY)
_REDUCE_ONLY = int(OrderFlag.REDUCE_ONLY)

_pack_place = packer(
    CommandKind.PLACE_ORDER,
    "side",
    "type",
    "time_in_force",
    "flags",
    "self_trade_prevention",
    "fault",
    "price",
    "stop_price",
    "quantity",
    "expire_ts",
    "client_order_id",
    "actor",
)
_pack_cancel = packer(CommandKind.CANCEL_ORDER, "order_id", "actor")
_pack_amend = packer(CommandKind.AMEND_ORDER, "fault", "order_id", "price", "stop_price", "quantity", "actor")


def _positive(
    grid: Grid, value: str | int | JsonNumber, off_grid: int, out_of_range: int, zero: int
) -> tuple[int, int]:
    """A number of ticks or steps, and its fault, if any; zero is a fault too."""
    try:
        count = grid.parse(value if type(value) is str else decimal_text(value))
    except OffGrid:
        return 0, off_grid
    except OutOfRange:
        return 0, out_of_range
    return count, 0 if count else zero


def new_order(
    *,
    account: int,
    symbol: int,
    side: int,
    type: int,  # noqa: A002  # the field's own name
    time_in_force: int,
    flags: int,
    self_trade_prevention: int,
    fault: int,
    price: int,
    stop_price: int,
    quantity: int,
    expire_ts: int,
    client_order_id: bytes,
    actor: int,
) -> bytes:
    """PLACE_ORDER by the names of its fields."""
    return _pack_place(
        account,
        symbol,
        _PLACE_ORDER,
        side,
        type,
        time_in_force,
        flags,
        self_trade_prevention,
        fault,
        price,
        stop_price,
        quantity,
        expire_ts,
        client_order_id,
        actor,
    )


def place_order(reference: Reference, order: PlaceOrder, actor: int) -> bytes:
    """PLACE_ORDER; an account or symbol that is not known is -1."""
    symbol = reference.symbols.get(order["symbol"], -1)
    price = stop_price = quantity = fault = 0
    if symbol >= 0:
        instrument = reference.instruments[symbol]
        size = order["quantity"]
        try:
            quantity = instrument.quantities.parse(size if type(size) is str else decimal_text(size))
        except OffGrid:
            fault = _QUANTITY_STEP
        except OutOfRange:
            fault = _QUANTITY_RANGE
        value = order.get("price")
        if value is not None:
            price, price_fault = _positive(instrument.prices, value, _PRICE_TICK, _PRICE_RANGE, _PRICE_RANGE)
            fault |= price_fault
        value = order.get("stop_price")
        if value is not None:
            stop_price, price_fault = _positive(
                instrument.prices, value, _STOP_PRICE, _STOP_PRICE, _STOP_PRICE
            )
            fault |= price_fault
    flags = (_POST_ONLY if order.get("post_only") else 0) | (_REDUCE_ONLY if order.get("reduce_only") else 0)
    client_order_id = order.get("client_order_id")
    return new_order(
        account=reference.accounts.get(order["account"], -1),
        symbol=symbol,
        side=_SIDES[order["side"]],
        type=_TYPES[order["type"]],
        time_in_force=_TIMES_IN_FORCE[order.get("time_in_force", "GTC")],
        flags=flags,
        self_trade_prevention=_SELF_TRADE_PREVENTIONS[order.get("self_trade_prevention", "CANCEL_NEWEST")],
        fault=fault,
        price=price,
        stop_price=stop_price,
        quantity=quantity,
        expire_ts=order.get("expire_at") or 0,
        client_order_id=client_order_id.encode() if client_order_id else b"",
        actor=actor,
    )


def amend_order(
    account: int, instrument: InstrumentView, order_id: int, amend: AmendOrder, actor: int
) -> bytes:
    """AMEND_ORDER; 0 leaves a price or the quantity unchanged, so a requested zero is a fault."""
    price = stop_price = quantity = fault = 0
    value = amend.get("price")
    if value is not None:
        price, fault = _positive(instrument.prices, value, _PRICE_TICK, _PRICE_RANGE, _PRICE_RANGE)
    value = amend.get("stop_price")
    if value is not None:
        stop_price, price_fault = _positive(instrument.prices, value, _STOP_PRICE, _STOP_PRICE, _STOP_PRICE)
        fault |= price_fault
    value = amend.get("quantity")
    if value is not None:
        grid = instrument.quantities
        quantity, size_fault = _positive(grid, value, _QUANTITY_STEP, _QUANTITY_RANGE, _QUANTITY_ZERO)
        fault |= size_fault
    return _pack_amend(
        account, instrument.index, _AMEND_ORDER, fault, order_id, price, stop_price, quantity, actor
    )


def cancel_order(account: int, symbol: int, order_id: int, actor: int) -> bytes:
    """CANCEL_ORDER."""
    return _pack_cancel(account, symbol, _CANCEL_ORDER, order_id, actor)


def cancel_all(account: int | None, symbol: int | None, actor: int) -> bytes:
    """CANCEL_ALL; None stands for all accounts or symbols."""
    return command(CommandKind.CANCEL_ALL, **scope_fields(account, symbol), actor=actor)


def close_position(
    account: int, symbol: int, cancel_open_orders: bool, client_order_id: str | None, actor: int
) -> bytes:
    """CLOSE_POSITION; `cancel_open_orders`: cancel the account's other orders in the symbol first."""
    return command(
        CommandKind.CLOSE_POSITION,
        account=account,
        symbol=symbol,
        flags=StateFlag.CANCEL_OPEN if cancel_open_orders else 0,
        client_order_id=client_order_id.encode() if client_order_id else b"",
        actor=actor,
    )
