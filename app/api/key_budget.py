"""Key budget: the requests a second and the share of the event loop's time that a key may use beside orders.

Orders, cancels and other requests that reduce risk are not counted (`app.api.http.gate`). So a key
that may only read cannot delay them, and a key that has used up its budget can still get out.
"""

import math
from collections.abc import Coroutine, Generator
from dataclasses import dataclass
from time import thread_time
from typing import Any

from app.documents.problems import Problem, too_many_requests

# The burst after a while of silence, in seconds of the rate and of the share.
RATE_BURST_SECONDS = 2.0
SHARE_BURST_SECONDS = 2.0
# Responses of one key in the making: each may hold a large document.
AT_ONCE_MAX = 64


@dataclass(frozen=True, slots=True)
class Allowance:
    """Bounds for each key: requests a second, and percent of the event loop's time; 0 is no bound."""

    requests_per_second: int = 1_000
    loop_percent: int = 50


class KeyBudget:
    """The budget of one key. Times are seconds of the event loop's clock."""

    __slots__ = ("_allowance", "_debt", "_due", "_seen", "at_once")

    def __init__(self, allowance: Allowance) -> None:
        self._allowance = allowance
        self._due = 0.0  # when the requests so far would have come at the allowed rate
        self._debt = 0.0  # seconds of the loop that were used and are not paid off by its share yet
        self._seen = 0.0
        self.at_once = 0

    def problem(self, now: float) -> Problem | None:
        """Why the next request is refused; None if it may go on, and then it is counted."""
        allowance = self._allowance
        if self.at_once >= AT_ONCE_MAX:
            return too_many_requests(
                "REQUESTS_AT_ONCE",
                f"{self.at_once} requests of this key are being answered, allowed are {AT_ONCE_MAX}",
                1,
                AT_ONCE_MAX,
            )
        percent = allowance.loop_percent
        if percent:
            self._debt = max(self._debt - (now - self._seen) * percent / 100, 0.0)
            self._seen = now
            if self._debt > SHARE_BURST_SECONDS:
                wait = (self._debt - SHARE_BURST_SECONDS) * 100 / percent
                return too_many_requests(
                    "REQUEST_COST",
                    f"requests of this key have used more than {percent} % of the server's time; orders and "
                    "cancels are not counted",
                    math.ceil(wait),
                    percent,
                )
        rate = allowance.requests_per_second
        if rate:
            due = max(self._due, now)
            if due - now > RATE_BURST_SECONDS:
                return too_many_requests(
                    "REQUEST_RATE",
                    f"more than {rate} requests of this key in a second; orders and cancels are not counted",
                    math.ceil(due - now - RATE_BURST_SECONDS),
                    rate,
                )
            self._due = due + 1 / rate
        return None

    def spent(self, seconds: float) -> None:
        """Charge this much of the loop's time."""
        self._debt += seconds


class KeyBudgets:
    """Budgets by the number of the key: no more than there are keys. `refused` counts requests."""

    def __init__(self, allowance: Allowance | None = None) -> None:
        self._allowance = allowance or Allowance()
        self._budgets: dict[int, KeyBudget] = {}
        self.refused = 0

    def of(self, number: int) -> KeyBudget:
        budget = self._budgets.get(number)
        if budget is None:
            budget = self._budgets[number] = KeyBudget(self._allowance)
        return budget


class Metered:
    """Awaits a coroutine and charges a budget with the processor time that it takes on the loop's thread."""

    __slots__ = ("_budget", "_coroutine")

    def __init__(self, coroutine: Coroutine[Any, Any, None], budget: KeyBudget) -> None:
        self._coroutine = coroutine
        self._budget = budget

    def __await__(self) -> Generator[Any, Any, None]:
        coroutine, budget = self._coroutine, self._budget
        step, argument = coroutine.send, None
        while True:
            begun = thread_time()
            try:
                waits_for = step(argument)
            except StopIteration:
                return
            finally:
                budget.spent(thread_time() - begun)
            try:
                argument = yield waits_for
                step = coroutine.send
            except GeneratorExit:
                coroutine.close()
                raise
            except BaseException as error:  # noqa: BLE001  # a cancellation, mostly: the coroutine's to deal with
                argument = error
                step = coroutine.throw
