"""Projection processes: each runs as a child and reports its progress.

A projection follows the journal independently. The server starts it, watches it, restarts it, and
reads the small file with its status. That file outlives both, so the journal keeps what a
projection has not passed yet.
"""

import asyncio
import json
import logging
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from app.backoff import Backoff

logger = logging.getLogger(__name__)

STATUS_SECONDS = 0.5  # between two reports
STALE_SECONDS = 10.0  # without a report for this long: stuck
RESTART_SECONDS_MIN, RESTART_SECONDS_MAX = 0.5, 30.0
STOP_SECONDS_MAX = 10.0
HANDOVER_BYTES_MAX = 1 << 20  # what waits to be read by the child; more is dropped
LAG_SEQ_ALARM, LAG_SECONDS_ALARM = 1_000_000, 30.0

UP, STARTING = "up", "starting"


@dataclass(frozen=True)
class ProjectionStatus:
    """`seq`: the last command that has been projected durably. `lag_*`: how far behind the journal that is.

    `set_aside`: rows that cannot be stored.
    `error`: what is wrong now, in one line. `reported`: seconds since the epoch.
    """

    seq: int = 0
    lag_seq: int = 0
    lag_seconds: float = 0.0
    rows: int = 0
    rows_per_second: float = 0.0
    dropped: int = 0
    set_aside: int = 0
    error: str | None = STARTING
    reported: float = 0.0


def status_path(folder: Path, name: str) -> Path:
    return folder / f"projection-{name}.json"


def write_status(folder: Path, name: str, status: ProjectionStatus) -> None:
    """Replace the report. Raises OSError.

    Not synced: an older one after a power cut keeps more of the journal.
    """
    path = status_path(folder, name)
    unfinished = path.with_suffix(f".{os.getpid()}.tmp")
    unfinished.write_text(json.dumps(asdict(status)))
    unfinished.replace(path)


def read_status(folder: Path, name: str) -> ProjectionStatus:
    """The newest report; an empty one where there is none, or one that cannot be read."""
    try:
        return ProjectionStatus(**json.loads(status_path(folder, name).read_text()))
    except (OSError, ValueError, TypeError):
        return ProjectionStatus()


class ProjectionProcess:
    """One projection; `run` until cancelled. `status` is as of the last look, twice a second."""

    def __init__(
        self,
        name: str,
        folder: Path,
        command: list[str],
        environment: Mapping[str, str],
        on_change: Callable[[str], None] = lambda _: None,
    ) -> None:
        """`on_change` is called with UP, or with one line that says what is wrong, whenever that changes."""
        self.name = name
        self.status = read_status(folder, name)
        self.dropped = 0  # handed over while the child was absent or too slow
        self.restarts = 0
        self.alarm = False
        # Called at each look: whether the projection is too far behind, and by how much in one line.
        self.on_alarm: Callable[[bool, str], None] = lambda _alarm, _text: None
        self._folder = folder
        self._command = command
        self._environment = environment
        self._on_change = on_change
        self._moved = (self.status.seq, time.monotonic())  # when it was seen to go on
        self._notified = ""
        self._process: asyncio.subprocess.Process | None = None
        self._last_words = ""

    @property
    def passed_seq(self) -> int:
        """The last command that the projection has passed durably."""
        return self.status.seq

    @property
    def lag_seconds(self) -> float:
        """How far behind it is, or how long it has been stuck, whichever is longer."""
        standing = time.monotonic() - self._moved[1] if self.status.lag_seq else 0.0
        return max(self.status.lag_seconds, standing)

    def hand_over(self, content: bytes, count: int) -> None:
        """Pass `count` records to the child that no journal has: at most once, dropped if it is slow."""
        writer = self._process.stdin if self._process else None
        if (
            writer is None
            or writer.is_closing()
            or writer.transport.get_write_buffer_size() > HANDOVER_BYTES_MAX
        ):
            self.dropped += count
        else:
            writer.write(content)

    async def run(self) -> None:
        """Keep the child running; when cancelled, ask it to finish and wait."""
        backoff = Backoff(RESTART_SECONDS_MIN, RESTART_SECONDS_MAX)
        while True:
            started = time.monotonic()
            watcher: asyncio.Task[None] | None = None
            try:
                self._process = await asyncio.create_subprocess_exec(
                    *self._command,
                    stdin=asyncio.subprocess.PIPE,
                    stdout=asyncio.subprocess.DEVNULL,
                    stderr=asyncio.subprocess.PIPE,
                    env=self._environment,
                )
                watcher = asyncio.ensure_future(self._watch())
                await self._read_log(self._process)
                code = await self._process.wait()
                self._notify(
                    f"the {self.name} projection ended ({code}): {self._last_words or 'it said nothing'}"
                )
            except OSError as error:
                self._notify(f"the {self.name} projection cannot be started: {error}")
            finally:
                if watcher is not None:
                    watcher.cancel()
                await asyncio.shield(self._end())
            if time.monotonic() - started > RESTART_SECONDS_MAX:
                backoff.reset()
            await asyncio.sleep(backoff.next_seconds())
            self.restarts += 1

    async def _read_log(self, process: asyncio.subprocess.Process) -> None:
        assert process.stderr is not None
        async for line in process.stderr:
            self._last_words = line.decode(errors="replace").strip()
            logger.warning("%s projection: %s", self.name, self._last_words)

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(STATUS_SECONDS)
            status = await asyncio.to_thread(read_status, self._folder, self.name)
            if status.reported:
                self.status = status
            silent = time.time() - status.reported
            if status.error is None and silent > STALE_SECONDS:
                self._notify(f"the {self.name} projection has not reported for {silent:.0f} s")
            else:
                self._notify(status.error or UP)
            self._look_at_lag(status)

    def _look_at_lag(self, status: ProjectionStatus) -> None:
        if status.seq != self._moved[0] or not status.lag_seq:
            self._moved = (status.seq, time.monotonic())
        seconds = self.lag_seconds
        self.alarm = status.lag_seq > LAG_SEQ_ALARM or seconds > LAG_SECONDS_ALARM
        self.on_alarm(
            self.alarm,
            f"the {self.name} projection is {status.lag_seq} commands and {seconds:.1f} s behind the journal",
        )

    def _notify(self, state: str) -> None:
        if state != self._notified:
            self._notified = state
            self._on_change(state)

    async def _end(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        if process.returncode is None:
            process.terminate()
        if process.stdin is not None and not process.stdin.is_closing():
            process.stdin.close()
        try:  # with its pipes, which would outlive it otherwise
            await asyncio.wait_for(process.communicate(), STOP_SECONDS_MAX)
        except TimeoutError:
            process.kill()
            await process.communicate()
