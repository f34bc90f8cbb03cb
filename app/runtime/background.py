"""Processes that must never take the processor from an order."""

import os
import sys
from contextlib import suppress
from pathlib import Path

_NICENESS = 19


def to_background(pid: int = 0) -> None:
    """Let a process, this one by default, run when nobody else wants the processor. Its children inherit it.

    A process of low priority still holds an order up until its turn is over, some milliseconds; one of
    Linux's idle class gives way at once. Other systems, and a sandbox that forbids it, get the low priority.
    """
    if sys.platform == "linux":
        with suppress(PermissionError):
            os.sched_setscheduler(pid, os.SCHED_IDLE, os.sched_param(0))
    with suppress(PermissionError):
        os.setpriority(os.PRIO_PROCESS, pid, _NICENESS)


def session_to_background(pid: int) -> bool:
    """The same for a session that is not ours; False where it should be tried again.

    Where Linux groups processes by session (`sched_autogroup_enabled`), sessions share the processor evenly,
    and the priority of a process counts within its own session only.
    """
    with suppress(ProcessLookupError):
        to_background(pid)
    session = Path(f"/proc/{pid}/autogroup")
    try:
        group, _, niceness = session.read_text().split()
        if group != Path("/proc/self/autogroup").read_text().split()[0] and niceness != str(_NICENESS):
            session.write_text(str(_NICENESS))
    except BlockingIOError:  # without privileges one may be changed every tenth of a second
        return False
    except OSError:  # another system, another user's, or gone
        return True
    return True


def children_of(pid: int) -> set[int]:
    """The processes that a process of one thread has started; none where the system does not say."""
    try:
        return {int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()}
    except OSError:
        return set()
