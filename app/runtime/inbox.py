"""Inbox: client commands that wait for the next tick, with those who await their outcomes.

It is bounded. Commands are refused here, before the engine sees them, when there is no room, when
the disk budget is used up, or when the engine accepts nothing any more.
"""

import time
from collections.abc import Callable

from app.engine.records import COMMAND, field_offset
from app.engine.types import CommandKind
from app.runtime.outcomes import Waiter
from app.runtime.retention import DiskState
from app.runtime.unavailable import EngineHalted, Overloaded, StorageFull

INBOX_COMMANDS_MAX = 1 << 14

_COMMAND_BYTES = COMMAND.itemsize
_KIND_OFFSET = field_offset(COMMAND, "kind")
_MAY_ADD_RISK = bytes((CommandKind.PLACE_ORDER, CommandKind.AMEND_ORDER))


class Inbox:
    """`closed`: nothing is accepted any more. `count`: how many commands wait.

    `overloads`: how often there was no room. `first_ns`: when the first command came since the inbox was last
    empty, by `time.perf_counter_ns`.
    """

    def __init__(self, journal_full: Callable[[], bool]) -> None:
        self.closed = False
        self.count = 0
        self.first_ns = 0
        self.overloads = 0
        self._storage_full = False
        self._journal_full = journal_full
        self._bytes = bytearray(INBOX_COMMANDS_MAX * _COMMAND_BYTES)
        self._view = memoryview(self._bytes)
        self._waiters: list[Waiter] = []

    def on_disk_state(self, state: DiskState) -> None:
        """The disk budget of the journal is in a new state; may be called from any thread.

        When all of it is used, commands that may add risk are refused, and cancels are accepted.
        """
        self._storage_full = state == DiskState.REACHED

    def put(self, waiter: Waiter, records: bytes | bytearray) -> bool:
        """Add COMMAND records; returns whether they are the first since the last `take`.

        Raises StorageFull, EngineHalted, Overloaded: then nothing was added.
        """
        if self._storage_full:
            _refuse_risk(records)
        if self.closed:
            raise EngineHalted("the engine has halted")
        first, size = self.count, len(records)
        count = size // _COMMAND_BYTES
        if first + count > INBOX_COMMANDS_MAX or self._journal_full():
            self.overloads += 1
            raise Overloaded("the inbox is full")
        if first == 0:
            self.first_ns = time.perf_counter_ns()
        start = first * _COMMAND_BYTES
        self._bytes[start : start + size] = records
        self.count = first + count
        waiter.first, waiter.count = first, count
        self._waiters.append(waiter)
        return first == 0

    def take(self) -> tuple[memoryview, list[Waiter]]:
        """All waiting commands and their waiters, in order of arrival.

        The inbox is empty afterwards; the records are valid until the next command comes.
        """
        records, waiters = self._view[: self.count * _COMMAND_BYTES], self._waiters
        self.count, self._waiters = 0, []
        return records, waiters

    def fail(self, error: Exception) -> None:
        """Fail everything that waits: it will not be applied."""
        _, waiters = self.take()
        for waiter in waiters:
            waiter.fail(error)


def _refuse_risk(records: bytes | bytearray) -> None:
    if any(kind in _MAY_ADD_RISK for kind in records[_KIND_OFFSET::_COMMAND_BYTES]):
        raise StorageFull("the journal has reached its disk budget")
