"""Memory instructions that Python has no word for: moving rows, and prefetching them."""

from collections.abc import Callable
from typing import Any, cast

from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic
from numpy.typing import NDArray

_BYTE = ir.IntType(8).as_pointer()
_FLAG = ir.IntType(32)
_PREFETCH = ir.FunctionType(ir.VoidType(), [_BYTE, _FLAG, _FLAG, _FLAG])
_TO_WRITE = _FLAG(1)
_KEEP_IN_ALL_CACHES = _FLAG(3)
_DATA = _FLAG(1)


def _data_of(context: Any, builder: Any, array_type: Any, array: Any) -> Any:
    return context.make_array(array_type)(context, builder, array).data


def _move_rows(_typing_context: Any, rows: Any, to: Any, source: Any, count: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        data = _data_of(context, builder, signature.args[0], arguments[0])
        itemsize = context.get_abi_sizeof(context.get_data_type(signature.args[0].dtype))
        target, origin = (builder.gep(data, [index]) for index in arguments[1:3])
        cast(Any, cgutils).raw_memmove(builder, target, origin, arguments[3], itemsize)
        return context.get_dummy_value()

    return types.void(rows, types.int64, types.int64, types.int64), generate


def _prefetch(_typing_context: Any, rows: Any, index: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        row = builder.gep(_data_of(context, builder, signature.args[0], arguments[0]), [arguments[1]])
        function = builder.module.declare_intrinsic("llvm.prefetch", [_BYTE], _PREFETCH)
        builder.call(function, [builder.bitcast(row, _BYTE), _TO_WRITE, _KEEP_IN_ALL_CACHES, _DATA])
        return context.get_dummy_value()

    return types.void(rows, types.int64), generate


# (rows, to, source, count): memmove inside a contiguous array.
move_rows = cast(Callable[[NDArray[Any], int, int, int], None], intrinsic(_move_rows))

# (rows, index): bring a row into the cache, to be written; does nothing else, whatever the index.
prefetch = cast(Callable[[NDArray[Any], int], None], intrinsic(_prefetch))
