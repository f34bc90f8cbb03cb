"""How kernels are compiled, in one place.

`kernel` compiles for callers in Python and in other kernels, `inline` for
callers in kernels only. No fastmath and no parallel reductions: a kernel that
decides gives the same answer everywhere. Compiled code is cached on disk under
a key made from every source file that kernels are in, because numba by itself
looks only at the file of the outermost function.
"""

import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, cast

import numba

F = TypeVar("F", bound=Callable[..., Any])

_KERNEL_FOLDERS = ("engine", "venues", "market")


def _source_key() -> str:
    digest = hashlib.blake2b(numba.__version__.encode(), digest_size=8)
    package = Path(__file__).parent.parent
    for folder in _KERNEL_FOLDERS:
        for path in sorted((package / folder).rglob("*.py")):
            digest.update(path.read_bytes())
    return digest.hexdigest()


def _choose_cache() -> None:
    root = os.environ.get("BOT4_KERNEL_CACHE") or str(
        Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "bot4" / "kernels"
    )
    numba.config.CACHE_DIR = str(Path(root) / _source_key())


_choose_cache()


def kernel(function: F) -> F:
    return cast(F, numba.njit(cache=True, error_model="numpy")(function))


def inline(function: F) -> F:
    return cast(F, numba.njit(error_model="numpy")(function))
