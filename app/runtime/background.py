"""Processes that must never take the processor from an order."""

import os
import sys
from contextlib import suppress

_NICENESS = 19


def to_background(pid: int = 0) -> None:
    """Let a process, this one by default, run when nobody else wants the processor. Its children inherit it.

    A process of low priority still holds an order up until its turn is over, some milliseconds; one of
    Linux's idle class gives way at once. Other systems, and a sandbox that forbids it, get the low priority.
    Where Linux groups processes by session (`sched_autogroup_enabled`), either counts among those of one
    session only; PostgreSQL begins a session for each of its processes.
    """
    if sys.platform == "linux":
        with suppress(PermissionError):
            os.sched_setscheduler(pid, os.SCHED_IDLE, os.sched_param(0))
    with suppress(PermissionError):
        os.setpriority(os.PRIO_PROCESS, pid, _NICENESS)
