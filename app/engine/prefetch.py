"""Prefetch: memory requested before it is needed.

Orders and their hash indexes are accessed at random, as are the position and the limits of an
account in a symbol, and each cache miss costs as much as a whole check. In a batch the next
commands are known, so their memory is prefetched meanwhile.
"""

from typing import Any

from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

from app.engine.capacity import SLOT_BITS
from app.engine.hash_index import client_id_home, execution_home
from app.engine.jit import force_inline
from app.engine.limits import UNLIMITED, limit_in
from app.engine.positions import position_index
from app.engine.repeats import bucket_of, place_of
from app.engine.state import Array, State
from app.engine.types import CommandKind, Limit, ReportKind

# How many commands ahead: some 10 x 0.1 us, longer than memory takes while others use it too.
AHEAD = 16
THEN = 6

_LINE_BYTES = 64
_SLOT_MASK = (1 << SLOT_BITS) - 1


def _request(builder: Any, address: Any) -> None:
    byte_pointer, word = ir.IntType(8).as_pointer(), ir.IntType(32)
    kind = ir.FunctionType(ir.VoidType(), [byte_pointer, word, word, word])
    function = builder.module.declare_intrinsic("llvm.prefetch", [byte_pointer], kind)
    builder.call(function, [address, word(1), word(3), word(1)])  # to write, to keep, data


def _address(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
    view = context.make_array(signature.args[0])(context, builder, arguments[0])
    return builder.bitcast(builder.gep(view.data, [arguments[1]]), ir.IntType(8).as_pointer())


@intrinsic
def _prefetch(_typing_context: Any, array: Any, index: Any) -> Any:
    """Prefetch all cache lines of an element of an array; out of bounds does nothing."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        start = _address(context, builder, signature, arguments)
        size = context.get_abi_sizeof(context.get_data_type(signature.args[0].dtype))
        for offset in range(0, size, _LINE_BYTES):
            _request(builder, builder.gep(start, [ir.Constant(ir.IntType(64), offset)]))
        return context.get_dummy_value()

    return types.none(array, types.int64), generate


@intrinsic
def _prefetch_line(_typing_context: Any, array: Any, index: Any) -> Any:
    """Prefetch the first cache line of an element of an array."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        _request(builder, _address(context, builder, signature, arguments))
        return context.get_dummy_value()

    return types.none(array, types.int64), generate


@force_inline
def slot_ahead(st: State, orders: int) -> int:
    """The slot that the new order this many orders ahead will reuse; -1 while there are unused slots."""
    firm = st.firm[0]
    place = firm.closed_begin + orders
    if firm.orders_used < len(st.orders) or place >= firm.closed_end:
        return -1
    return st.closed[place & (len(st.closed) - 1)]


@force_inline
def _counts_repeats(st: State, c: Any) -> bool:
    """Whether an order is counted among its repeats."""
    if not 0 <= c.account < st.firm[0].accounts:
        return False
    return limit_in(st.account_limits[c.account :], Limit.MAX_REPEATED_ORDERS) != UNLIMITED


@force_inline
def prefetch_checked(st: State, commands: Array, i: int) -> None:
    """Prefetch the data for the check of a new order."""
    c = commands[i]
    if _counts_repeats(st, c):
        _prefetch(st.repeat_buckets, bucket_of(st, c))
    pair = position_index(st, c.account, c.symbol)
    _prefetch(st.positions, pair)
    _prefetch(st.account_symbol_limits, pair)


@force_inline
def prefetch_repeats(st: State, commands: Array, i: int) -> None:
    """Prefetch the order that a new one is compared with, and the place that it will take."""
    c = commands[i]
    if _counts_repeats(st, c):
        _prefetch(st.repeats, place_of(st, st.repeat_buckets[bucket_of(st, c)]))
        _prefetch(st.repeats, place_of(st, st.firm[0].repeats + THEN))


@force_inline
def prefetch_neighbours(st: State, commands: Array, i: int) -> None:
    """Prefetch data whose address comes from records that were prefetched before.

    The order of a report may leave its list: the orders beside it. A new order takes the slot of a closed
    one, and a fill the place of an old one: the places of their ids in the index.
    """
    c = commands[i]
    if c.kind == CommandKind.PLACE_ORDER:
        slot = slot_ahead(st, THEN)
        if slot >= 0 and st.orders[slot].indexed:
            order = st.orders[slot]
            _prefetch(st.client_ids, client_id_home(st, order.account, order.client_order_id))
        prefetch_repeats(st, commands, i)
    elif c.kind == CommandKind.EXECUTION_REPORT:
        order = st.orders[c.order_id & _SLOT_MASK & (len(st.orders) - 1)]
        if order.next >= 0:
            _prefetch_line(st.orders, order.next)
        if order.previous >= 0:
            _prefetch_line(st.orders, order.previous)
        if st.reports[i].report == ReportKind.TRADE:
            fill = st.fills[(st.firm[0].fills + THEN) & (len(st.fills) - 1)]
            _prefetch(st.executions, execution_home(st, fill.symbol, fill.execution_id))


@force_inline
def prefetch_request(st: State, commands: Array, i: int) -> None:
    """Prefetch the data of a client's command."""
    c = commands[i]
    kind = c.kind
    if kind == CommandKind.PLACE_ORDER:
        if c.client_order_id[0] != 0:
            _prefetch(st.client_ids, client_id_home(st, c.account, c.client_order_id))
        slot = slot_ahead(st, AHEAD)
        if slot >= 0:
            _prefetch(st.orders, slot)
        prefetch_checked(st, commands, i)
    elif kind == CommandKind.CANCEL_ORDER or kind == CommandKind.AMEND_ORDER:
        _prefetch(st.orders, c.order_id & _SLOT_MASK)


@force_inline
def prefetch_command(st: State, i: int) -> None:
    """Prefetch the data of command `i` of the batch."""
    c = st.commands[i]
    if c.kind == CommandKind.EXECUTION_REPORT:
        _prefetch(st.orders, c.order_id & _SLOT_MASK)
        _prefetch(st.positions, position_index(st, c.account, c.symbol))
        if st.reports[i].execution_id != 0:
            _prefetch(st.executions, execution_home(st, c.symbol, st.reports[i].execution_id))
    else:
        prefetch_request(st, st.commands, i)
