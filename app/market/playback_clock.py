"""Playback clock: the pace at which a recording is played."""

import asyncio
import math

# A player works for this long before everything else on the event loop gets its turn.
SLICE_NS_MAX = 1_000_000
# Shorter waits would only cost wake-ups.
SLEEP_SECONDS_MIN = 0.001
# After a standstill, or when the speed is more than the machine can do, the recording does
# not catch up: it goes on from where it is.
LAG_SECONDS_MAX = 0.5
# A longer silence in a recording is cut to this.
SILENCE_SECONDS_MAX = 60.0

MAX_SPEED = math.inf


class Pace:
    """The current position in the recording."""

    def __init__(self, speed: float) -> None:
        self._ns_per_second = speed * 1e9
        self._start_seconds = 0.0
        self._start_ns: int | None = None
        self.reached_ns = MAX_SPEED

    def delay_seconds(self, next_ns: int) -> float:
        """Until the message received at `next_ns` is due; sets `reached_ns`."""
        if self._ns_per_second == MAX_SPEED:
            return 0.0
        now_seconds = asyncio.get_running_loop().time()
        if self._start_ns is not None:
            self.reached_ns = self._start_ns + (now_seconds - self._start_seconds) * self._ns_per_second
            delay_seconds = (next_ns - self.reached_ns) / self._ns_per_second
            if -LAG_SECONDS_MAX < delay_seconds and next_ns - self.reached_ns <= SILENCE_SECONDS_MAX * 1e9:
                return delay_seconds
        self._start_seconds, self._start_ns, self.reached_ns = now_seconds, next_ns, float(next_ns)
        return 0.0
