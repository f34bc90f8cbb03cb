"""Child process: a server started with a bounded wait and stopped in order; orphans are found and stopped."""

import contextlib
import hashlib
import importlib.util
import os
import signal
import socket
import stat
import subprocess
import tempfile
import time
from pathlib import Path
from typing import ClassVar

import psutil

from app.embedded.identity import Identity
from app.runtime.background import to_background

START_SECONDS_MAX = 60.0  # the crash recovery of a big database takes its time
STOP_SECONDS_MAX = 20.0  # after each signal, before the next one
POLL_SECONDS = 0.02
SOCKET_PATH_BYTES_MAX = 100  # macOS allows 103, Linux 107
LOG_BYTES_MAX = 1 << 24  # a longer log starts anew with the server
_TAIL_BYTES = 4096


class EmbeddedError(RuntimeError):
    """An embedded server does not start or stop; one line that says where to look."""


class Child:
    """One server: its folder, its log beside the folder, its process. All methods block."""

    name: ClassVar[str]
    stop_signals: ClassVar[tuple[signal.Signals, ...]]  # from the politest on; SIGKILL follows

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.log = folder.with_name(f"{folder.name}.log")
        self.process: psutil.Popen | None = None

    @property
    def url(self) -> str:
        raise NotImplementedError

    def prepare(self) -> tuple[list[str], Identity]:
        """Make the folder ready; returns the command, and the account under which it runs."""
        raise NotImplementedError

    def ready(self) -> bool:
        """Whether clients are served."""
        raise NotImplementedError

    def start(self) -> None:
        """Returns when the server is ready.

        Raises:
            EmbeddedError: it is not, and it does not run any more.
        """
        try:
            command, identity = self.prepare()
            self._launch(command, identity)
        except (OSError, psutil.Error) as error:
            raise EmbeddedError(f"{self.name} cannot be started: {error}") from error

    def stop(self) -> None:
        if self.process is not None:
            self.end(self.process)
            self.process = None

    def end(self, process: psutil.Process) -> None:
        """Stop a process, our own or an orphan."""
        with contextlib.suppress(psutil.NoSuchProcess):
            for number in (*self.stop_signals, signal.SIGKILL):
                process.send_signal(number)
                deadline = time.monotonic() + STOP_SECONDS_MAX
                while time.monotonic() < deadline:
                    if _ended(process):
                        return
                    time.sleep(POLL_SECONDS)
            raise EmbeddedError(f"{self.name}, process {process.pid}, does not stop")

    def orphan(self, pid_text: str, mark: str) -> psutil.Process | None:
        """The process in a pid file, if it is one of ours: its command line contains `mark`."""
        try:
            process = psutil.Process(int(pid_text))
            # A pid is reused in time, and a zombie has no command line.
            return process if any(mark in argument for argument in process.cmdline()) else None
        except (psutil.Error, ValueError):
            return None

    def _last_words(self, start: int) -> str:
        """The log's last line after an offset; a fatal one, if there is one."""
        with self.log.open("rb") as log:
            log.seek(max(start, self.log.stat().st_size - _TAIL_BYTES))
            lines = [line.strip() for line in log.read().decode(errors="replace").splitlines()]
        reasons = [line for line in lines if "fatal" in line.lower()] or [line for line in lines if line]
        return reasons[-1] if reasons else "it said nothing"

    def _launch(self, command: list[str], identity: Identity) -> None:
        if self.log.exists() and self.log.stat().st_size > LOG_BYTES_MAX:
            self.log.unlink()
        with self.log.open("ab") as log:
            start = log.tell()
            # A group of its own: Ctrl-C in the terminal is meant for our server, which then stops this one.
            self.process = psutil.Popen(
                [*identity.prefix, *command],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=self.folder,
                process_group=0,
                **identity.arguments,
            )
        deadline = time.monotonic() + START_SECONDS_MAX
        while not self.ready():
            if self.process.poll() is not None:
                self.process = None
                raise EmbeddedError(f"{self.name} ended at start: {self._last_words(start)} (see {self.log})")
            if time.monotonic() > deadline:
                self.stop()
                raise EmbeddedError(
                    f"{self.name} was not ready in {START_SECONDS_MAX:.0f} s (see {self.log})"
                )
            time.sleep(POLL_SECONDS)
        to_background(self.process.pid)


def _ended(process: psutil.Process) -> bool:
    if isinstance(process, psutil.Popen):  # a child, which must be waited for
        return process.poll() is not None
    # An orphan's zombie is for its new parent to reap.
    return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE


def package_folder(name: str) -> Path:
    """The folder of an installed package; the package itself is not imported.

    Raises:
        EmbeddedError: it is not installed.
    """
    spec = importlib.util.find_spec(name)
    if spec is None or not spec.submodule_search_locations:
        raise EmbeddedError(f"the Python package {name} is not installed")
    return Path(spec.submodule_search_locations[0])


def answers(path: Path, question: bytes, answer: bytes) -> bool:
    """Whether a server on a unix socket answers a question as expected."""
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(1.0)
        connection.connect(str(path))
        connection.sendall(question)
        return connection.recv(64).startswith(answer)
    return False


def socket_folder(folder: Path, socket_name: str) -> Path:
    """The folder of the socket: the server's, unless its path is too long for a socket.

    Raises:
        EmbeddedError: the short folder in its place belongs to somebody else.
    """
    if len(os.fsencode(folder / socket_name)) <= SOCKET_PATH_BYTES_MAX:
        return folder
    digest = hashlib.blake2b(os.fsencode(folder), digest_size=6).hexdigest()
    short = Path(tempfile.gettempdir()) / f"bot4-{os.geteuid()}-{digest}"
    short.mkdir(mode=0o700, exist_ok=True)
    found = short.lstat()
    # Anybody may make folders here. For root the owner may also be the account that PostgreSQL runs under.
    trusted = os.geteuid() in (0, found.st_uid)
    if not (stat.S_ISDIR(found.st_mode) and stat.S_IMODE(found.st_mode) == 0o700 and trusted):
        raise EmbeddedError(
            f"{short} belongs to somebody else: set BOT4_DATA_DIR to a folder with a shorter path"
        )
    return short
