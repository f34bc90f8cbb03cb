"""Processes that give way to orders."""

import os
from contextlib import suppress

# Not the idle class: where everything else is busy, its processes neither start nor end in any time.
_NICENESS = 15


def to_background(pid: int = 0) -> None:
    """Let a process, this one by default, give way to those of the server. Its children inherit it.

    Where Linux groups processes by session (`sched_autogroup_enabled`), priorities count among those of one
    session only; PostgreSQL begins a session for each of its processes.
    """
    with suppress(PermissionError):
        os.setpriority(os.PRIO_PROCESS, pid, _NICENESS)
