"""How the paper venue's inner functions are compiled.

They are small and called in few places with the whole state as argument: told
to inline them, the compiler passes nothing and is three times as fast. They
are never called from Python, so they get no wrappers, which would be half of
the compile time.
"""

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba

F = TypeVar("F", bound=Callable[..., Any])


_OPTIONS: dict[str, Any] = {
    "error_model": "numpy",
    "forceinline": True,
    "no_cpython_wrapper": True,
    "no_cfunc_wrapper": True,
}


def inline(function: F) -> F:
    return cast(F, numba.njit(**_OPTIONS)(function))
