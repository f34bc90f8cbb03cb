"""Alarms for operators: raised once, cleared once, and each change kept with its time.

Alarms are about the server, not about trading. They are in no journal, and a restart begins without
any; a condition that persists raises its alarm again.
"""

import logging
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

logger = logging.getLogger(__name__)

CHANGES_MAX = 50


@dataclass(frozen=True)
class AlarmChange:
    """`number` counts from 1 since the start, so a reader sees whether it has missed changes."""

    number: int
    name: str
    raised: bool  # False: it is over
    ts: int
    text: str


class Alarms:
    """`active`: by name, the change that raised the alarm. `changes`: the newest, the last one last."""

    def __init__(self, now: Callable[[], int]) -> None:
        self.active: dict[str, AlarmChange] = {}
        self.changes: deque[AlarmChange] = deque(maxlen=CHANGES_MAX)
        self._now = now
        self._count = 0
        self._observers: list[Callable[[], None]] = []

    def observe(self, changed: Callable[[], None]) -> None:
        """`changed` is called after each change, in the thread of whoever made it."""
        self._observers.append(changed)

    def set(self, name: str, raised: bool, text: str) -> None:
        """Raise or clear an alarm. Only a change counts; `text` describes it in one line."""
        if raised == (name in self.active):
            return
        self._count += 1
        change = AlarmChange(self._count, name, raised, self._now(), text)
        if raised:
            self.active[name] = change
        else:
            del self.active[name]
        self.changes.append(change)
        logger.log(
            logging.ERROR if raised else logging.INFO,
            "alarm %s %s: %s",
            name,
            "raised" if raised else "cleared",
            text,
        )
        for observer in self._observers:
            observer()
