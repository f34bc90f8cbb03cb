"""API keys, their roles, and what each may do.

A key is 256 random bits, so its SHA-256 cannot be reversed by guessing and needs no slow hash:
those protect short passwords. Only hashes are stored. Keys are found by their hash in a dictionary,
so no comparison depends on how much of a guess was right.

The key file carries a checksum: a changed byte must not make another key, or another role of a key,
valid.
"""

import base64
import hashlib
import json
import os
import re
import secrets
import tempfile
import threading
from collections.abc import Callable, Iterable
from enum import IntEnum
from pathlib import Path
from typing import Any

from app.runtime.plain_text import NOT_STORABLE_MESSAGE, is_storable

KEY_PREFIX = "b4_"
KEY_BYTES = 32
KEYS_MAX = 10_000
# A key has 46 characters, the environment's up to 256: a longer header is not looked up.
HEADER_BYTES_MAX = 1_024
NAME_LENGTH_MAX = 100

# The number of the key that the environment sets; it is never written to the file.
ENVIRONMENT_KEY = 1


class Role(IntEnum):
    """Each role may do what those before it may; a trader is bound to its accounts."""

    VIEWER = 0
    TRADER = 1
    RISK = 2
    ADMIN = 3


_ROLES = {role.name.lower(): role for role in Role}
_DIGEST = re.compile(r"[0-9a-f]{64}")
_VERSION, _VERSION_WITHOUT_CHECKSUM = 2, 1
_BEARER = b"Bearer "
_BEARER_BYTES = len(_BEARER)


class KeyFileError(Exception):
    """The file of keys cannot be used; the message says why and what to do."""


class KeyRefused(Exception):
    """A change of keys that is not allowed; the message says why."""


class Principal:
    """The holder of a key. `watchers` are called once, on the loop, when it is revoked."""

    __slots__ = ("accounts", "created_ts", "digest", "name", "number", "revoked_ts", "role", "watchers")

    def __init__(
        self,
        number: int,
        name: str,
        role: Role,
        accounts: Iterable[str],
        digest: str,
        created_ts: int,
        revoked_ts: int = 0,
    ) -> None:
        self.number = number
        self.name = name
        self.role = role
        # None: all accounts.
        self.accounts: frozenset[str] | None = frozenset(accounts) if role == Role.TRADER else None
        self.digest = digest
        self.created_ts = created_ts
        self.revoked_ts = revoked_ts
        self.watchers: set[Callable[[], None]] = set()

    @property
    def sees_all(self) -> bool:
        """Whether the key is bound to no accounts, so that it may read what belongs to the firm."""
        return self.accounts is None

    def may_read(self, account: str) -> bool:
        return self.accounts is None or account in self.accounts

    def may_trade(self, account: str) -> bool:
        return self.role >= Role.TRADER and (self.accounts is None or account in self.accounts)

    def record(self) -> dict[str, Any]:
        """The key's entry in the file."""
        return {
            "number": self.number,
            "name": self.name,
            "role": self.role.name.lower(),
            "accounts": sorted(self.accounts or ()),
            "sha256": self.digest,
            "created_ts": self.created_ts,
            "revoked_ts": self.revoked_ts,
        }


def _digest(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()


def new_key() -> str:
    return KEY_PREFIX + base64.urlsafe_b64encode(secrets.token_bytes(KEY_BYTES)).rstrip(b"=").decode()


def write_private(path: Path, content: bytes) -> None:
    """Replace a file atomically and durably; only its owner may read it (0600)."""
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


class KeyStore:
    """All keys, in memory and in `keys.json`. Safe to call from several threads."""

    def __init__(self, path: Path, principals: list[Principal], now: Callable[[], int]) -> None:
        self._path = path
        self._now = now
        self._lock = threading.Lock()
        self._by_number = {principal.number: principal for principal in principals}
        self._by_digest = {
            principal.digest: principal for principal in principals if not principal.revoked_ts
        }
        # By the key itself. Only valid keys get in, so it holds no more than KEYS_MAX of them.
        self._by_key: dict[bytes, Principal] = {}

    @classmethod
    def open(
        cls, folder: Path, admin_key: str | None, now: Callable[[], int]
    ) -> tuple["KeyStore", str | None]:
        """Load the keys of a data directory; also returns the first admin key if one had to be made.

        `now` gives microseconds since the epoch. The new key is also in `admin.key`. Raises KeyFileError.
        """
        path = folder / "keys.json"
        store = cls(path, _read(path), now)
        if admin_key is not None:
            store._add_environment_key(admin_key)
            return store, None
        if any(principal.role == Role.ADMIN for principal in store._by_digest.values()):
            return store, None
        key = new_key()
        # The readable copy first: a crash in between leaves a key that opens nothing,
        # not an administrator whose key nobody has.
        write_private(folder / "admin.key", key.encode() + b"\n")
        store._add(key, "first administrator", Role.ADMIN, ())
        return store, key

    def authenticate(self, key: str) -> Principal | None:
        """The holder of this key; None if it is not a key, or is revoked."""
        if len(key) > HEADER_BYTES_MAX:
            return None
        try:
            digest = _digest(key)
        except UnicodeEncodeError:  # half of a surrogate pair, out of JSON
            return None
        principal = self._by_digest.get(digest)
        return None if principal is None or principal.revoked_ts else principal

    def of_header(self, header: bytes) -> Principal | None:
        """As `authenticate`, for the raw value of an Authorization header; caches the result."""
        principal = self._by_key.get(header[_BEARER_BYTES:])
        # A cached key may have been revoked meanwhile: `revoked_ts` counts, not that it is here.
        if principal is not None and not principal.revoked_ts and header[:_BEARER_BYTES] == _BEARER:
            return principal
        if len(header) > HEADER_BYTES_MAX:
            return None
        scheme, _, rest = header.partition(b" ")
        if scheme.lower() != b"bearer":
            return None
        key = rest.strip()
        try:
            principal = self.authenticate(key.decode("ascii"))
        except UnicodeDecodeError:
            return None
        if principal is not None:
            self._by_key[key] = principal
        return principal

    def create(self, name: str, role: Role, accounts: Iterable[str]) -> tuple[Principal, str]:
        """A new key, shown only now. Raises KeyRefused, OSError."""
        if not is_storable(name) or not 0 < len(name) <= NAME_LENGTH_MAX:
            raise KeyRefused(f"a name has 1 to {NAME_LENGTH_MAX} characters, and {NOT_STORABLE_MESSAGE}")
        key = new_key()
        return self._add(key, name, role, accounts), key

    def revoke(self, number: int) -> Principal | None:
        """Make a key useless at once; the caller then calls `disconnect`. Raises KeyRefused, OSError."""
        with self._lock:
            principal = self._by_number.get(number)
            if principal is None or principal.revoked_ts:
                return principal
            if number == ENVIRONMENT_KEY:
                raise KeyRefused("this key is set by BOT4_ADMIN_KEY: change the setting to revoke it")
            admins = sum(other.role == Role.ADMIN for other in self._by_digest.values())
            if principal.role == Role.ADMIN and admins == 1:
                raise KeyRefused("the last administrator's key cannot be revoked: create another first")
            principal.revoked_ts = self._now()
            try:
                self._save()
            except OSError:
                principal.revoked_ts = 0
                raise
            del self._by_digest[principal.digest]
            # A look-up at this moment may put it back, which is harmless: `revoked_ts` is checked each time.
            self._by_key = {key: other for key, other in self._by_key.items() if other is not principal}
            return principal

    def name_of(self, number: int) -> str | None:
        """The name of the key with this number, revoked or not; None if there is none."""
        principal = self._by_number.get(number)
        return None if principal is None else principal.name

    def all(self) -> list[Principal]:
        numbers = sorted(self._by_number)
        return [self._by_number[number] for number in numbers]

    def _add(self, key: str, name: str, role: Role, accounts: Iterable[str]) -> Principal:
        with self._lock:
            if len(self._by_number) >= KEYS_MAX:
                raise KeyRefused(f"there may be at most {KEYS_MAX} keys, revoked ones included")
            number = max(self._by_number, default=0)
            number = max(number, ENVIRONMENT_KEY) + 1
            principal = Principal(number, name, role, accounts, _digest(key), self._now())
            self._by_number[number] = principal
            try:
                self._save()
            except OSError:
                del self._by_number[number]
                raise
            self._by_digest[principal.digest] = principal
            return principal

    def _add_environment_key(self, key: str) -> None:
        principal = Principal(ENVIRONMENT_KEY, "BOT4_ADMIN_KEY", Role.ADMIN, (), _digest(key), self._now())
        self._by_number[ENVIRONMENT_KEY] = principal
        self._by_digest[principal.digest] = principal

    def _save(self) -> None:
        records = [principal.record() for principal in self.all() if principal.number != ENVIRONMENT_KEY]
        document = {"version": _VERSION, "keys": records, "sha256": _checksum(records)}
        write_private(self._path, json.dumps(document, indent=1).encode() + b"\n")


def disconnect(principal: Principal) -> None:
    """Notify the open connections of a revoked key; on the event loop's thread."""
    watchers, principal.watchers = principal.watchers, set()
    for watcher in watchers:
        watcher()


def _checksum(records: list[Any]) -> str:
    """A checksum of the keys' data, whatever the file's layout."""
    return hashlib.sha256(json.dumps(records, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def _read(path: Path) -> list[Principal]:
    try:
        document = json.loads(path.read_bytes())
        if not isinstance(document, dict) or not isinstance(document["keys"], list):
            raise ValueError("it is no list of keys")
        version = document["version"]
        if version not in (_VERSION_WITHOUT_CHECKSUM, _VERSION):
            raise ValueError(f"version {version!r} is not known")
        if (version == _VERSION or "sha256" in document) and document["sha256"] != _checksum(
            document["keys"]
        ):
            raise ValueError("its content does not have the checksum that it names")
        principals = [_principal(record) for record in document["keys"]]
        for what in ("number", "digest"):
            if len({getattr(principal, what) for principal in principals}) < len(principals):
                raise ValueError(f"two keys have the same {what}")
    except FileNotFoundError:
        return []
    except KeyError as error:
        raise _damaged(path, f"{error.args[0]!r} is missing") from error
    except (ValueError, RecursionError) as error:
        raise _damaged(path, str(error)) from error
    return principals


def _damaged(path: Path, reason: str) -> KeyFileError:
    return KeyFileError(
        f"{path} is damaged ({reason}): restore it from a backup, or move it away to start with a new "
        "admin key"
    )


def _member(record: dict[str, Any], name: str, kind: type) -> Any:
    value = record[name]
    if type(value) is not kind:
        raise ValueError(f"{name!r} of a key cannot be {value!r}")
    return value


def _principal(record: Any) -> Principal:
    """Raises ValueError, KeyError."""
    if not isinstance(record, dict):
        raise ValueError(f"{record!r} is no key")
    role = _member(record, "role", str)
    if role not in _ROLES:
        raise ValueError(f"role {role!r} is not known")
    accounts = _member(record, "accounts", list)
    if not all(type(account) is str for account in accounts):
        raise ValueError("an account's name is text")
    digest = _member(record, "sha256", str)
    if not _DIGEST.fullmatch(digest):
        raise ValueError("'sha256' of a key is no hash")
    numbers = {name: _member(record, name, int) for name in ("number", "created_ts", "revoked_ts")}
    if numbers["number"] <= ENVIRONMENT_KEY or min(numbers.values()) < 0:
        raise ValueError("a number of a key is out of range")
    name = _member(record, "name", str)
    return Principal(
        numbers["number"], name, _ROLES[role], accounts, digest, numbers["created_ts"], numbers["revoked_ts"]
    )
