"""The settings of a server: read once from the environment, checked, then frozen.

A field of `Settings` is the one place where a setting is named, defaulted,
checked and explained; `bot4 serve --help` is printed from it. The field `port`
is the variable `BOT4_PORT`. A variable that is set to nothing counts as not
set, which is how compose files pass on what their user left out.
"""

import os
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

PREFIX = "BOT4_"
ADMIN_KEY_LENGTH_MIN = 24
ADMIN_KEY_LENGTH_MAX = 256
LOG_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")
# Read by test and build tooling, not by the server.
_FOREIGN_PREFIXES = ("BOT4_TEST_", "BOT4_BENCH_", "BOT4_CI_", "BOT4_LOAD_")

_REPLAY_OPTION = (
    r"speed=(max|0*[1-9][0-9]*(\.[0-9]+)?|0+\.0*[1-9][0-9]*)|loop=(true|false)|times=(now|recorded)"
)


class SettingsError(ValueError):
    """One line: the variable, its value (never a secret one) and what is allowed."""


class Variable(NamedTuple):
    name: str
    default: str  # as it would be written in the environment; empty where there is none
    meaning: str
    secret: bool


class _Refused(ValueError):
    """What a parser says is allowed instead."""


def _host(raw: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9.:%_-]+", raw):
        raise _Refused("a host name or an address, such as 127.0.0.1")
    return raw


def _whole(low: int, high: int) -> Callable[[str], int]:
    def parse(raw: str) -> int:
        if not re.fullmatch(r"[0-9]{1,18}", raw) or not low <= int(raw) <= high:
            raise _Refused(f"a whole number from {low} to {high}")
        return int(raw)

    return parse


def _flag(raw: str) -> bool:
    if raw not in ("0", "1"):
        raise _Refused("0 or 1")
    return raw == "1"


def _folder(raw: str) -> Path:
    folder = Path(raw).expanduser().absolute()
    if folder.exists() and not folder.is_dir():
        raise _Refused("a folder, and this is a file")
    return folder


def _log_level(raw: str) -> str:
    if raw.upper() not in LOG_LEVELS:
        raise _Refused("one of " + ", ".join(LOG_LEVELS))
    return raw.upper()


def _admin_key(raw: str) -> str:
    if not re.fullmatch(rf"[!-~]{{{ADMIN_KEY_LENGTH_MIN},{ADMIN_KEY_LENGTH_MAX}}}", raw):
        raise _Refused(
            f"{ADMIN_KEY_LENGTH_MIN} to {ADMIN_KEY_LENGTH_MAX} printable ASCII characters without blanks"
        )
    return raw


def _url(*schemes: str) -> Callable[[str], str]:
    def parse(raw: str) -> str:
        try:
            parts = urlsplit(raw)
            known = parts.scheme in schemes and parts.port != 0
        except ValueError:  # a bad port or bracket
            known = False
        if not known:
            raise _Refused("a URL that begins with " + " or ".join(f"{scheme}://" for scheme in schemes))
        return raw

    return parse


def _feed(raw: str) -> str:
    kind, _, rest = raw.partition(":")
    if raw == "none" or kind == "synthetic" or kind.partition(";")[0] == "binance":
        return raw  # what the options mean is for the feed to say
    if kind != "replay" or not rest:
        raise _Refused("synthetic, synthetic:seed=N, replay:FILE[,FILE][;speed=N], binance or none")
    files, *options = rest.split(";")  # what they mean is for the feed to say
    for name in files.split(","):
        if not Path(name).expanduser().is_file():
            raise _Refused(f"a replay of files that exist, and {name or 'an empty name'} does not")
    if not all(re.fullmatch(_REPLAY_OPTION, option) for option in options):
        raise _Refused("after the files ;speed=N, ;speed=max, ;loop=true, ;loop=false or ;times=recorded")
    return raw


def _origins(raw: str) -> frozenset[str]:
    """As browsers write them: scheme, host and port where it is not the scheme's own, in small letters."""
    origins = frozenset(part.strip().lower().rstrip("/") for part in raw.split(",") if part.strip())
    for origin in origins:
        parts = urlsplit(origin)
        if (
            parts.scheme not in ("http", "https")
            or not parts.netloc
            or origin != f"{parts.scheme}://{parts.netloc}"
        ):
            raise _Refused("origins of web pages, separated by commas, such as https://desk.example.com")
    return origins


def _variable(default: str, parse: Callable[[str], object], meaning: str, *, secret: bool = False) -> Any:
    """A field whose value comes from the environment; an empty default means None."""
    metadata = {"default": default, "parse": parse, "meaning": meaning, "secret": secret}
    return field(default=parse(default) if default else None, repr=not secret, metadata=metadata)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    host: str = _variable("127.0.0.1", _host, "address to listen on; 0.0.0.0 is every network of the machine")
    port: int = _variable("8000", _whole(0, 65535), "port to listen on; 0 takes a free one")
    data_dir: Path = _variable(
        "./data", _folder, "folder of the journal, the snapshots, the admin key and the embedded servers"
    )
    database_url: str | None = _variable(
        "",
        _url("postgresql", "postgres"),
        "PostgreSQL or TimescaleDB, postgresql://user:password@host:port/name; without it one is started",
        secret=True,
    )
    timescaledb_required: bool = _variable(
        "0", _flag, "1: a database without the timescaledb extension is an error; 0: tables are ordinary then"
    )
    redis_url: str | None = _variable(
        "",
        _url("redis", "rediss", "unix"),
        "Redis or Valkey, redis://host:port/0; without it one is started",
        secret=True,
    )
    admin_key: str | None = _variable(
        "",
        _admin_key,
        "the administrator's API key; without it the first start makes one, prints it and keeps it in a file",
        secret=True,
    )
    feed: str = _variable(
        "synthetic",
        _feed,
        "market data: synthetic, synthetic:seed=N, replay:FILE[,FILE][;speed=N|max][;loop=false], none, or "
        "live with binance[;ws=URL][;rest=URL][;levels=N][;stale_s=X][;idle_s=X][;verify_s=X]: where the "
        "streams and the snapshots are, levels of a snapshot, seconds until a silent symbol is stale, until "
        "a silent connection is dropped, and between two checks of a book against a snapshot",
    )
    mark_interval_ms: int = _variable(
        "200", _whole(1, 60_000), "marks enter the engine at most this often for each symbol"
    )
    max_body_bytes: int = _variable(
        "1048576", _whole(1024, 1 << 28), "a larger request body is refused with 413"
    )
    key_requests_per_second: int = _variable(
        "1000",
        _whole(0, 1_000_000),
        "of each key, orders and cancels not counted: beyond it requests are refused with 429; 0 is no bound",
    )
    key_loop_percent: int = _variable(
        "50",
        _whole(0, 100),
        "share of the server's time that each key may use, orders and cancels not counted; 0 is no bound",
    )
    journal_bytes_max: int = _variable(
        "68719476736",
        _whole(0, 1 << 60),
        "disk budget of the journal's folder: an alarm from 80 % on, no new orders at 100 %; 0 is none",
    )
    allowed_origins: frozenset[str] | None = _variable(
        "",
        _origins,
        "web pages of these origins may open streams, separated by commas; the server's own always may",
    )
    demo: bool = _variable(
        "1", _flag, "1: at first start make instruments and the accounts alpha, beta and load"
    )
    maker_checker: bool | None = _variable(
        "",
        _flag,
        "1: who loosens a limit needs another person's approval; 0: not; without it what was in force before",
    )
    cancel_increasing: bool | None = _variable(
        "",
        _flag,
        "1: where trading is restricted, orders that could increase a position are canceled; 0: only when "
        "they would trade; without it what was in force before, at first 1",
    )
    log_level: str = _variable("INFO", _log_level, "one of " + ", ".join(LOG_LEVELS))
    kernel_cache: Path | None = _variable(
        "", _folder, "folder of the compiled kernels; without it a folder in the user's cache"
    )

    @property
    def journal_dir(self) -> Path:
        return self.data_dir / "journal"

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] | None = None) -> "Settings":
        """The settings that the environment asks for.

        Raises:
            SettingsError: a value is not allowed.
        """
        source = os.environ if environment is None else environment
        values: dict[str, Any] = {}
        for entry in fields(cls):
            name = PREFIX + entry.name.upper()
            raw = source.get(name, "").strip()
            if not raw:
                continue
            try:
                values[entry.name] = entry.metadata["parse"](raw)
            except _Refused as refusal:
                shown = "" if entry.metadata["secret"] else f"={raw!r}"
                raise SettingsError(f"{name}{shown} is not allowed: it takes {refusal}") from None
        return cls(**values)


def variables() -> Iterator[Variable]:
    """Every setting, in the order in which they are declared."""
    for entry in fields(Settings):
        about = entry.metadata
        yield Variable(PREFIX + entry.name.upper(), about["default"], about["meaning"], about["secret"])


def unknown_variables(environment: Mapping[str, str] | None = None) -> list[str]:
    """Names that look like settings and are none: most likely misspelt."""
    source = os.environ if environment is None else environment
    known = {variable.name for variable in variables()}
    return sorted(
        name
        for name in source
        if name.startswith(PREFIX) and name not in known and not name.startswith(_FOREIGN_PREFIXES)
    )


def without_password(url: str) -> str:
    """A URL that can be logged: user and place, no password and no query values."""
    parts = urlsplit(url)
    user, at, place = parts.netloc.rpartition("@")
    return f"{parts.scheme}://{user.partition(':')[0]}{at}{place}{parts.path}"
