"""Asking for memory before it is needed.

Orders and their hash indexes are reached at random, and each look at one that is
in no cache costs as much as a whole check. In a batch the next commands are
known, so what they will look at can be on its way meanwhile.
"""

from typing import Any

from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

from app.engine.capacity import SLOT_BITS
from app.engine.hash_index import client_id_home, execution_home
from app.engine.jit import force_inline
from app.engine.state import State
from app.engine.types import CommandKind

# How many commands ahead: some 10 x 0.1 us, the time that memory takes.
AHEAD = 8

_LINE_BYTES = 64
_SLOT_MASK = (1 << SLOT_BITS) - 1


@intrinsic
def _prefetch(_typing_context: Any, array: Any, index: Any) -> Any:
    """Load the cache lines of one element of an array, for writing; out of bounds is harmless."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        view = context.make_array(signature.args[0])(context, builder, arguments[0])
        byte_pointer, word = ir.IntType(8).as_pointer(), ir.IntType(32)
        element = builder.gep(view.data, [arguments[1]])
        start = builder.bitcast(element, byte_pointer)
        signature_of_it = ir.FunctionType(ir.VoidType(), [byte_pointer, word, word, word])
        prefetch = builder.module.declare_intrinsic("llvm.prefetch", [byte_pointer], signature_of_it)
        size = context.get_abi_sizeof(context.get_data_type(signature.args[0].dtype))
        for offset in range(0, size, _LINE_BYTES):
            line = builder.gep(start, [ir.Constant(ir.IntType(64), offset)])
            builder.call(prefetch, [line, word(1), word(3), word(1)])
        return context.get_dummy_value()

    return types.none(array, types.int64), generate


@force_inline
def prefetch_command(st: State, i: int) -> None:
    """Ask for what command `i` of the batch will look at."""
    c = st.commands[i]
    kind = c.kind
    if kind == CommandKind.PLACE_ORDER:
        if c.client_order_id[0] != 0:
            _prefetch(st.client_ids, client_id_home(st, c.account, c.client_order_id))
        following = st.firm[0].closed_first
        if following >= 0:
            _prefetch(st.orders, following)
    elif kind == CommandKind.EXECUTION_REPORT:
        _prefetch(st.orders, c.order_id & _SLOT_MASK)
        _prefetch(st.executions, execution_home(st, c.symbol, st.reports[i].execution_id))
    elif kind == CommandKind.CANCEL_ORDER or kind == CommandKind.AMEND_ORDER:
        _prefetch(st.orders, c.order_id & _SLOT_MASK)
