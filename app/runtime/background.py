"""Background processes, which give way to orders."""

import asyncio
import os
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any

# Not the idle class: on a busy machine it gets next to no time, not even to end.
_NICENESS = 15
_CANCEL_SECONDS = 0.5


def to_background(pid: int = 0) -> None:
    """Let a process, this one by default, give way to those of the server. Its children inherit it.

    Where Linux groups processes by session (`sched_autogroup_enabled`), priorities count among those of one
    session only; PostgreSQL begins a session for each of its processes.
    """
    with suppress(PermissionError):
        os.setpriority(os.PRIO_PROCESS, pid, _NICENESS)


async def run_until(stop: asyncio.Event, work: Coroutine[Any, Any, None]) -> None:
    """Run `work` until it ends or the process is asked to stop. Raises what `work` raises.

    The cancellation is repeated: a client library may take one for its own timeout and go on.
    """
    running = asyncio.ensure_future(work)
    stopping = asyncio.ensure_future(stop.wait())
    await asyncio.wait([running, stopping], return_when=asyncio.FIRST_COMPLETED)
    while not running.done():
        running.cancel()
        await asyncio.wait([running], timeout=_CANCEL_SECONDS)
    stopping.cancel()
    if not running.cancelled():
        running.result()
