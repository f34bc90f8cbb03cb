"""JIT: how kernels are compiled, in one place.

`kernel` compiles for callers in Python, `inline` and `force_inline` for callers in kernels only. No
fastmath and no parallel reductions: a kernel that decides gives the same answer everywhere.
Compiled code is cached on disk under a key made from all source files of the engine and of the
kernel's own package, because numba by itself checks only the file of the outermost function.
"""

import hashlib
import os
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar, cast

import numba

F = TypeVar("F", bound=Callable[..., Any])

_PACKAGE = Path(__file__).parent.parent
_CACHE_ROOT = Path(
    os.environ.get("BOT4_KERNEL_CACHE")
    or Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "bot4" / "kernels"
)


@lru_cache
def _cache_folder(package: str) -> str:
    """The cache of the kernels of `app.<package>`: they are made of its source and the engine's."""
    digest = hashlib.blake2b(numba.__version__.encode(), digest_size=8)
    for folder in sorted({"engine", package}):
        for path in sorted((_PACKAGE / folder).rglob("*.py")):
            digest.update(path.read_bytes())
    return str(_CACHE_ROOT / f"{package}-{digest.hexdigest()}")


def kernel(function: F) -> F:
    numba.config.CACHE_DIR = _cache_folder(function.__module__.split(".")[1])
    return cast(F, numba.njit(cache=True, error_model="numpy")(function))


# No entry for Python, no C entry: making those takes as long as the function itself.
_INNER = {"error_model": "numpy", "no_cpython_wrapper": True, "no_cfunc_wrapper": True}


def inline(function: F) -> F:
    """For functions that kernels call; whether a call becomes part of its caller is left to LLVM."""
    return cast(F, numba.njit(**_INNER)(function))


def force_inline(function: F) -> F:
    """For small functions on the path of every order: always part of their callers."""
    return cast(F, numba.njit(forceinline=True, **_INNER)(function))


def expand(function: F) -> F:
    """For large functions with one caller: made part of it before it is compiled.

    A function of its own would be optimised by itself and once more in each function above it.
    """
    return cast(F, numba.njit(inline="always", **_INNER)(function))
