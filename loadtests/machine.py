"""Machine: hardware, versions and core assignment under which figures were taken."""

import contextlib
import os
import platform
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import psutil

ROOT = Path(__file__).parent.parent
# For what is written: of a clone its own folder, of an installed package the one that we are in.
BUILD = (ROOT if (ROOT / "pyproject.toml").is_file() else Path.cwd()) / "build"
_PACKAGES = (
    "numba",
    "llvmlite",
    "numpy",
    "uvloop",
    "httptools",
    "uvicorn",
    "websockets",
    "fastapi",
    "pydantic",
    "orjson",
)


def circumstances() -> dict[str, Any]:
    """Machine, versions, revision and time, for the document beside the figures."""
    memory_gib = psutil.virtual_memory().total / 2**30
    return {
        "taken_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "revision": _git("rev-parse", "HEAD"),
        "uncommitted_changes": bool(_git("status", "--porcelain", "--untracked-files=no")),
        "machine": {
            "system": f"{platform.system()} {platform.release()} {platform.machine()}",
            "cpu": _cpu_model(),
            "cores": os.cpu_count(),
            "memory_gib": round(memory_gib, 1),
            "load_average_before": [round(value, 2) for value in os.getloadavg()],
        },
        "versions": {"python": platform.python_version()} | {name: version(name) for name in _PACKAGES},
    }


def _git(*arguments: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", "-C", str(ROOT), *arguments], capture_output=True, text=True, check=True, timeout=10
        )
    except (OSError, subprocess.SubprocessError):  # not a clone, or no git: the figures stand without it
        return None
    return done.stdout.strip()


def _cpu_model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or "unknown"
    return next(
        (line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown"
    )


def cores() -> tuple[int, int] | None:
    """One core for the server and another for the load; None where processes cannot be pinned."""
    if not hasattr(os, "sched_getaffinity"):
        return None
    allowed = sorted(os.sched_getaffinity(0))
    return (allowed[0], allowed[-1]) if len(allowed) > 1 else None


@contextlib.contextmanager
def started_on(core: int | None) -> Iterator[None]:
    """Processes started inside run on this core alone, with their threads and children."""
    if core is None or not hasattr(os, "sched_setaffinity"):
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def resident_mib() -> float:
    """Resident memory of this process."""
    resident: int = psutil.Process().memory_info().rss
    return resident / 2**20
