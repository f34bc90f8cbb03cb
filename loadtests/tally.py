"""Tally: what a load generator counts, and its result for the process that started it."""

from time import perf_counter, process_time
from typing import Any

import numpy as np

from loadtests.figures import percentiles


class Tally:
    """Counts answers between the end of the warm-up and the end of the run."""

    def __init__(self, warmup_seconds: float, seconds: float) -> None:
        self._warmup_seconds = warmup_seconds
        self._seconds = seconds
        self.begin = self.end = 0.0
        self.counting = False
        self.over = False
        self.answers = 0
        self.all_answers = 0  # before and after the counted time too
        self.orders = 0
        self.refused = 0
        self.answer_bytes = 0
        self.statuses: dict[int, int] = {}
        self.latencies: list[float] = []
        self.example = b""
        self._busy_from = 0.0
        self._busy = 0.0

    def start(self) -> None:
        self.begin = perf_counter() + self._warmup_seconds
        self.end = self.begin + self._seconds

    def answered(self, now: float, sent: float, size: int, orders: int = 1) -> None:
        """Count one response of `size` bytes to a request sent (or due) at `sent`."""
        self.all_answers += 1
        if not self.counting:
            if now < self.begin or self.over:
                return
            self.counting = True
            self._busy_from = process_time()
        if now >= self.end:
            self.counting = False
            self.over = True
            self._busy = (process_time() - self._busy_from) / self._seconds
            return
        self.answers += 1
        self.orders += orders
        self.answer_bytes += size
        self.latencies.append(now - sent)

    def refuse(self, status: int, content: bytes) -> None:
        """Count a response that is not the expected one."""
        self.refused += 1
        self.statuses[status] = self.statuses.get(status, 0) + 1
        self.example = self.example or content[:300]

    def result(self) -> dict[str, Any]:
        """Rates per second over the counted time, latencies in milliseconds."""
        if not self.answers:
            example = self.example.decode(errors="replace")
            raise RuntimeError(f"no answer was counted; refused {self.refused}, for instance {example!r}")
        return {
            "seconds": self._seconds,
            "answers": self.answers,
            "all_answers": self.all_answers,
            "answers_per_second": self.answers / self._seconds,
            "orders_per_second": self.orders / self._seconds,
            "answer_bytes": self.answer_bytes / self.answers,
            "latency_ms": percentiles(np.array(self.latencies) * 1e3),
            "generator_busy": round(self._busy, 3),
            "refused": self.refused,
            "refused_statuses": self.statuses,
            "refused_example": self.example.decode(errors="replace"),
        }
