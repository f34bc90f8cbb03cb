"""Directory: the one argument through which kernels reach many arrays, and a record by other names.

A kernel call from Python pays about 0.1 us for each array argument, and a kernel that hands twenty
arrays on to another copies twenty descriptors. So a kernel takes one array of addresses and
lengths, and `attach` turns it into a view: one pointer, whose attributes are arrays again, made
where they are used. Inside a kernel a view reads like the NamedTuple of arrays that it was made
for.
"""

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba
import numpy as np
from llvmlite import ir
from numba.core import cgutils, types
from numba.core.datamodel.models import OpaqueModel
from numba.extending import intrinsic, overload_attribute, register_model
from numpy.typing import NDArray

from app.engine.jit import force_inline

T = TypeVar("T")


def directory_of(arrays: tuple[NDArray[Any], ...]) -> NDArray[np.int64]:
    """Address and length of each array. Valid while the arrays are alive."""
    return np.array([(a.ctypes.data, len(a)) for a in arrays], dtype=np.int64).ravel()


class ViewType(types.Type):
    """The type of a view; one for each set of arrays."""


@intrinsic
def _word(_typing_context: Any, view: Any, index: Any) -> Any:
    """The index-th word of the directory behind a view."""

    def generate(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        words = builder.bitcast(arguments[0], ir.IntType(64).as_pointer())
        return builder.load(builder.gep(words, [arguments[1]]))

    return types.int64(view, types.int64), generate


@intrinsic
def _pointer(_typing_context: Any, address: Any) -> Any:
    def generate(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        return builder.inttoptr(arguments[0], cgutils.voidptr_t)

    return types.voidptr(types.int64), generate


def _define_attribute(view_type: type[ViewType], name: str, index: int, dtype: np.dtype[Any]) -> None:
    address = 2 * index
    length = address + 1

    @overload_attribute(view_type, name)
    def _array(view: Any) -> Any:
        def array_of(view: Any) -> Any:
            return numba.carray(_pointer(_word(view, address)), (_word(view, length),), dtype)

        return array_of


def define_view(kind: type[T], dtypes: dict[str, np.dtype[Any]]) -> Callable[[NDArray[np.int64]], T]:
    """Make the `attach` of a NamedTuple of arrays, given the dtype of each, in order."""
    view_type = type(f"{kind.__name__}ViewType", (ViewType,), {})
    instance = view_type(name=kind.__name__)
    register_model(view_type)(OpaqueModel)
    for index, (name, dtype) in enumerate(dtypes.items()):
        _define_attribute(view_type, name, index, dtype)

    @intrinsic
    def _view_of(_typing_context: Any, directory: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            array = context.make_array(signature.args[0])(context, builder, arguments[0])
            return builder.bitcast(array.data, cgutils.voidptr_t)

        return instance(directory), generate

    @force_inline
    def attach(directory: NDArray[np.int64]) -> T:
        return _view_of(directory)

    return attach


def define_record_view(dtype: np.dtype[Any]) -> Callable[[Any], Any]:
    """Make what reads a record, in kernels, by the names of another dtype of the same size."""
    record_type = numba.from_dtype(dtype)

    @intrinsic
    def view_record(_typing_context: Any, record: Any) -> Any:
        assert record.size == record_type.size, (record, record_type)

        def generate(context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
            return builder.bitcast(arguments[0], context.get_value_type(record_type))

        return record_type(record), generate

    return cast(Callable[[Any], Any], view_record)
