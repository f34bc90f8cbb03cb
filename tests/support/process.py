"""A server as a process of its own: started, killed, limited, started again."""

import contextlib
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Self

ADMIN_KEY = "test-admin-key-0123456789abcdef"
AUTHORIZATION = {"Authorization": f"Bearer {ADMIN_KEY}"}

_START_SECONDS_MAX = 240.0  # a first start compiles the kernels
# Nothing listens there: the server runs without a database, which these tests do not need.
_NO_DATABASE = {
    "BOT4_DATABASE_URL": "postgresql://127.0.0.1:9/none",
    "BOT4_REDIS_URL": "redis://127.0.0.1:9/0",
}


class ServerProcess:
    """`url` and `process` are those of the newest start."""

    def __init__(self, data_dir: Path, **settings: str) -> None:
        self.data_dir = data_dir
        self._environment = (
            os.environ
            | _NO_DATABASE
            | {
                "BOT4_DATA_DIR": str(data_dir),
                "BOT4_PORT": "0",
                "BOT4_ADMIN_KEY": ADMIN_KEY,
            }
            | settings
        )
        self._log = data_dir.parent / f"{data_dir.name}.log"

    @property
    def journal(self) -> Path:
        return self.data_dir / "journal"

    def start(self) -> None:
        """Start and wait until it is ready. Raises RuntimeError with its output if it does not get there."""
        offset = self._log.stat().st_size if self._log.exists() else 0
        with self._log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "app.cli", "serve"],
                stdout=log,
                stderr=subprocess.STDOUT,
                env=self._environment,
            )
        deadline = time.monotonic() + _START_SECONDS_MAX
        while time.monotonic() < deadline:
            output = self._log.read_bytes()[offset:].decode(errors="replace")
            ready = re.search(r"^bot4 is ready: (http://\S+)$", output, re.MULTILINE)
            if ready:
                self.url = ready[1]
                return
            if self.process.poll() is not None:
                break
            time.sleep(0.02)
        self.kill()
        raise RuntimeError(f"the server did not become ready:\n{self.output()}")

    def kill(self) -> None:
        """kill -9, and wait until it is gone."""
        with contextlib.suppress(ProcessLookupError):
            self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def stop(self) -> int:
        """Ask it to stop, and wait; its exit status."""
        self.process.terminate()
        return self.process.wait(timeout=30)

    def output(self) -> str:
        return self._log.read_text(errors="replace")

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.process.poll() is None:
            self.kill()
