"""Dead-man timers: the orders of silent clients are canceled.

Timers belong to a key and an account, not to a connection: an armed timer fires even if its
connection is gone, and a new connection of the same key can disarm it. They live in this process;
after a restart clients arm them anew.
"""

import asyncio
import logging
from enum import Enum, auto

from app.commands.orders import cancel_all
from app.runtime.loop import EngineLoop
from app.runtime.outcomes import Outcome
from app.runtime.unavailable import EngineHalted, Overloaded

logger = logging.getLogger(__name__)

RETRY_SECONDS = 0.05


class Reason(Enum):
    DISCONNECT = auto()
    SILENCE = auto()


class DeadManTimers:
    def __init__(self, loop: EngineLoop) -> None:
        self._loop = loop
        self._timers: dict[tuple[Reason, int, int], asyncio.TimerHandle] = {}

    def arm(self, reason: Reason, key: int, account: int, seconds: float) -> None:
        """Cancel the account's orders in `seconds`, unless armed again or disarmed before."""
        self.disarm(reason, key, account)
        timer = asyncio.get_running_loop().call_later(seconds, self._fire, reason, key, account)
        self._timers[reason, key, account] = timer

    def disarm(self, reason: Reason, key: int, account: int) -> None:
        timer = self._timers.pop((reason, key, account), None)
        if timer is not None:
            timer.cancel()

    def _fire(self, reason: Reason, key: int, account: int) -> None:
        self._timers.pop((reason, key, account), None)
        try:
            future = self._loop.submit_batch(cancel_all(account, None, key))
        except Overloaded:
            self.arm(reason, key, account, RETRY_SECONDS)
            return
        except EngineHalted:
            logger.error("orders of account %d not canceled: the engine has halted", account)
            return
        logger.warning("canceling the orders of account %d (%s, key %d)", account, reason.name.lower(), key)
        future.add_done_callback(_log_failure)


def _log_failure(future: "asyncio.Future[list[Outcome]]") -> None:
    if not future.cancelled() and future.exception() is not None:
        logger.error("a mass cancel failed: %s", future.exception())
