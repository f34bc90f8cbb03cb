"""From requests to the engine's 128-byte commands.

A decimal that is no whole number of ticks or steps does not stop here: it sets
a `Fault`, and the engine refuses the order, so that the refusal has a place in
the sequence and in the journal.
"""

from collections.abc import Mapping

from app.documents.schemas import AmendOrder, PlaceOrder
from app.engine.records import ACCOUNT_COMMAND, INSTRUMENT_COMMAND, RISK_MODEL_COMMAND, VALUE_COMMAND
from app.engine.types import (
    CommandKind,
    Fault,
    OrderFlag,
    OrderType,
    Scope,
    SelfTradePrevention,
    Side,
    StateFlag,
    TimeInForce,
)
from app.runtime.decimals import JsonNumber, decimal_text
from app.runtime.limit_scope import scope_of
from app.runtime.reference import Grid, InstrumentView, OffGrid, OutOfRange, Reference
from app.runtime.views import COMMAND_LAYOUT, field_names, layout

_PLACE_ORDER = int(CommandKind.PLACE_ORDER)
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

_pack = COMMAND_LAYOUT.pack
_VALUE_LAYOUT = layout(VALUE_COMMAND)
_INSTRUMENT_LAYOUT = layout(INSTRUMENT_COMMAND)
_ACCOUNT_LAYOUT = layout(ACCOUNT_COMMAND)
_RISK_MODEL_LAYOUT = layout(RISK_MODEL_COMMAND)

RISK_MODEL_FIELDS = field_names(RISK_MODEL_COMMAND)[5:-2]  # without the header, notes and actor


def _positive(
    grid: Grid, value: str | int | JsonNumber, off_grid: int, out_of_range: int, zero: int
) -> tuple[int, int]:
    """A number of ticks or steps, and the fault that it has; zero is one too."""
    try:
        count = grid.parse(value if type(value) is str else decimal_text(value))
    except OffGrid:
        return 0, off_grid
    except OutOfRange:
        return 0, out_of_range
    return count, 0 if count else zero


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
    return _pack(
        0,
        0,
        reference.accounts.get(order["account"], -1),
        symbol,
        _PLACE_ORDER,
        _SIDES[order["side"]],
        _TYPES[order["type"]],
        _TIMES_IN_FORCE[order.get("time_in_force", "GTC")],
        flags,
        _SELF_TRADE_PREVENTIONS[order.get("self_trade_prevention", "CANCEL_NEWEST")],
        fault,
        0,
        0,
        price,
        stop_price,
        quantity,
        order.get("expire_at") or 0,
        client_order_id.encode() if client_order_id else b"",
        0,
        0,
        0,
        0,
        0,
        0,
        actor,
    )


def _command(
    kind: CommandKind,
    actor: int,
    *,
    account: int = -1,
    symbol: int = -1,
    flags: int = 0,
    order_id: int = 0,
    price: int = 0,
    stop_price: int = 0,
    quantity: int = 0,
    fault: int = 0,
    client_order_id: str | None = None,
    scope: Scope = Scope.NONE,
    state: int = 0,
    notes: int = 0,
) -> bytes:
    head = (0, 0, account, symbol, int(kind), 0, 0, 0, flags, 0, fault, 0)
    name = client_order_id.encode() if client_order_id else b""
    body = (order_id, price, stop_price, quantity, 0, name, 0, 0, int(scope), state, notes, 0, actor)
    return _pack(*head, *body)


def close_position(
    account: int, symbol: int, cancel_open_orders: bool, client_order_id: str | None, actor: int
) -> bytes:
    """CLOSE_POSITION; `cancel_open_orders`: the account's other orders in the symbol make way."""
    return _command(
        CommandKind.CLOSE_POSITION,
        actor,
        account=account,
        symbol=symbol,
        flags=int(StateFlag.CANCEL_OPEN) if cancel_open_orders else 0,
        client_order_id=client_order_id,
    )


def cancel_order(account: int, symbol: int, order_id: int, actor: int) -> bytes:
    return _command(CommandKind.CANCEL_ORDER, actor, account=account, symbol=symbol, order_id=order_id)


def amend_order(
    account: int, instrument: InstrumentView, order_id: int, amend: AmendOrder, actor: int
) -> bytes:
    """AMEND_ORDER; 0 leaves a price or the quantity as it is, so a zero that was asked for is a fault."""
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
    return _command(
        CommandKind.AMEND_ORDER,
        actor,
        account=account,
        symbol=instrument.index,
        order_id=order_id,
        price=price,
        stop_price=stop_price,
        quantity=quantity,
        fault=fault,
    )


def _index(value: int | None) -> int:
    return -1 if value is None else value


def cancel_all(account: int | None, symbol: int | None, actor: int) -> bytes:
    """CANCEL_ALL; None stands for all accounts or symbols."""
    scope = scope_of(account, symbol)
    return _command(
        CommandKind.CANCEL_ALL, actor, account=_index(account), symbol=_index(symbol), scope=scope
    )


def set_trading_state(
    account: int | None, symbol: int | None, state: int, actor: int, notes: int = 0
) -> bytes:
    """SET_TRADING_STATE; so many NOTE commands directly before it say why."""
    scope = scope_of(account, symbol)
    return _command(
        CommandKind.SET_TRADING_STATE,
        actor,
        account=_index(account),
        symbol=_index(symbol),
        scope=scope,
        state=state,
        notes=notes,
    )


def transfer_cash(account: int, value: int, actor: int, notes: int = 0) -> bytes:
    """TRANSFER_CASH; positive is a deposit. So many NOTE commands directly before it say why."""
    head = (0, 0, account, -1, int(CommandKind.TRANSFER_CASH))
    return _VALUE_LAYOUT.pack(*head, value, 0, 0, 0, 0, 0, 0, 0, notes, actor)


def set_account(account: int, name: str, leverage: int, actor: int, notes: int = 0) -> bytes:
    """SET_ACCOUNT; so many NOTE commands directly before it say why."""
    kind = int(CommandKind.SET_ACCOUNT)
    return _ACCOUNT_LAYOUT.pack(0, 0, account, -1, kind, name.encode(), leverage, notes, actor)


def set_risk_model(values: Mapping[str, int], actor: int, notes: int = 0) -> bytes:
    """SET_RISK_MODEL; `values` has all of `RISK_MODEL_FIELDS`, so many NOTE commands before it say why."""
    head = (0, 0, -1, -1, int(CommandKind.SET_RISK_MODEL))
    return _RISK_MODEL_LAYOUT.pack(*head, *(values[name] for name in RISK_MODEL_FIELDS), notes, actor)


def set_instrument(view: InstrumentView, actor: int) -> bytes:
    """SET_INSTRUMENT with all that the view says; its multiplier, max_price and version are not sent."""
    kind = int(CommandKind.SET_INSTRUMENT)
    return _INSTRUMENT_LAYOUT.pack(
        0,
        0,
        -1,
        view.index,
        kind,
        view.status,
        view.mark_spread_max_bps,
        view.symbol.encode(),
        _currency_word(view.base),
        _currency_word(view.quote),
        view.price_tick_e12,
        view.quantity_step_e8,
        view.min_quantity,
        view.max_quantity,
        view.maker_fee_ppm,
        view.taker_fee_ppm,
        view.min_notional,
        actor,
    )


def _currency_word(name: str) -> int:
    return int.from_bytes(name.encode().ljust(8, b"\0"), "little")
