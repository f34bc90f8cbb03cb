"""Start times: where the time of a start went, for an operator who waited for one."""

from collections.abc import Callable
from time import perf_counter


class StartTimes:
    """Seconds by stage, each from the end of the one before; `total` from the beginning."""

    def __init__(self, clock: Callable[[], float] = perf_counter) -> None:
        self.seconds: dict[str, float] = {}
        self._clock = clock
        self._began = self._last = clock()

    def end(self, stage: str) -> None:
        """End `stage`, which began at the end of the stage before."""
        now = self._clock()
        self.seconds[stage] = now - self._last
        self._last = now

    def split(self, stage: str, inner: str, seconds: float) -> None:
        """Attribute this many seconds of the ended `stage` to `inner`, which is shown before it."""
        rest = max(self.seconds.pop(stage) - seconds, 0.0)
        self.seconds |= {inner: seconds, stage: rest}

    @property
    def total(self) -> float:
        return self._last - self._began

    def text(self) -> str:
        """`9.1 s (kernels 1.2, snapshot 1.5, …)`."""
        parts = ", ".join(f"{stage} {seconds:.1f}" for stage, seconds in self.seconds.items())
        return f"{self.total:.1f} s ({parts})"
