"""Error hints: database errors in one line, with what an operator can do about them; never a password."""

import ssl
from urllib.parse import parse_qs, urlsplit

import asyncpg

_URL = "BOT4_DATABASE_URL"
# By SQLSTATE, https://www.postgresql.org/docs/current/errcodes-appendix.html; of a class, its two digits.
_BY_STATE = {
    "28P01": f"correct the password in {_URL}, or that of the role in the database",
    "28000": f"correct the user in {_URL}, or give it access: CREATE ROLE, pg_hba.conf",
    "3D000": f"create it with CREATE DATABASE, or correct the name in {_URL}",
    "42501": f"the user of {_URL} must own the database's tables and may create some: "
    "GRANT ALL ON SCHEMA public",
    "42704": f"correct what follows the ? in {_URL}",
    "25006": f"it is a standby or read-only: put the address of the primary into {_URL}",
    "53100": "make room on the database's disk",
    "53200": "give it more memory, or raise max_locks_per_transaction",
    "53300": "raise max_connections, or close other connections",
    "58P01": "the server does not have the version of timescaledb that made this database: install it",
    "55000": "add timescaledb to shared_preload_libraries and restart the database",
    "42P07": "it already has tables with the names that Bot4 needs: use an empty database",
    "57": "",  # it is starting or stopping: that ends by itself
    "08": f"is it running, and is {_URL} right?",
}
_UNREACHABLE = _BY_STATE["08"]


def first_line(error: BaseException) -> str:
    text = str(error).strip()
    if text:
        return text.splitlines()[0]
    return "no answer in time" if isinstance(error, TimeoutError) else type(error).__name__


def with_advice(error: BaseException) -> str:
    """The error's first line, and a hint if there is one."""
    return "; ".join(part for part in (first_line(error), _advice(error)) if part)


def _advice(error: BaseException) -> str:
    state = getattr(error, "sqlstate", None)  # of asyncpg's own errors, and of SQLAlchemy's about them
    if state:
        return _BY_STATE.get(state, _BY_STATE.get(state[:2], ""))
    if isinstance(error, ssl.SSLError):
        return f"is sslmode right in {_URL}?"
    if isinstance(error, OSError):  # TimeoutError is one
        return _UNREACHABLE
    return f"is {_URL} right?" if isinstance(error, asyncpg.InterfaceError | ValueError) else ""


def place_of(url: str) -> str:
    """Host and port of a database's URL, or the folder of its socket."""
    parts = urlsplit(url)
    host = parts.hostname or parse_qs(parts.query).get("host", ["localhost"])[0]
    return host if host.startswith("/") else f"{host}:{parts.port or 5432}"
