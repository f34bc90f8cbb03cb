"""Settings of a server: read once from the environment, checked, then frozen.

A field of `Settings` is the one place where a setting is named, defaulted, checked and explained;
`bot4 serve --help` is printed from it. The field `port` is the variable `BOT4_PORT`. A variable
that is set to an empty value counts as not set: compose files pass on in this way what their user
left out.
"""

import os
import re
import textwrap
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, NamedTuple, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, ValidationError
from pydantic_core import ErrorDetails
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

PREFIX = "BOT4_"
ADMIN_KEY_LENGTH_MIN = 24
ADMIN_KEY_LENGTH_MAX = 256
LOG_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")
# Read by test and build tooling, not by the server.
_FOREIGN_PREFIXES = ("BOT4_TEST_", "BOT4_BENCH_", "BOT4_CI_", "BOT4_LOAD_")

_HELP_COLUMNS = 100
_REPLAY_OPTION = (
    r"speed=(max|0*[1-9][0-9]*(\.[0-9]+)?|0+\.0*[1-9][0-9]*)|loop=(true|false)|times=(now|recorded)"
)


class SettingsError(ValueError):
    """One line for each bad setting: the variable, its value (never a secret one) and what is allowed."""


class Variable(NamedTuple):
    name: str
    default: str  # as it would be written in the environment; empty where there is none
    meaning: str
    secret: bool


# Of the validators below, a ValueError says what is allowed instead.


def _host(name: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9.:%_-]+", name):
        raise ValueError("a host name or an address, such as 127.0.0.1")
    return name


def _whole(low: int, high: int) -> BeforeValidator:
    """Plain digits alone: pydantic's own int would also take 1_000, +5 and 5.0."""

    def check(value: object) -> int:
        digits = str(value)
        if not re.fullmatch(r"[0-9]{1,18}", digits) or not low <= int(digits) <= high:
            raise ValueError(f"a whole number from {low} to {high}")
        return int(digits)

    return BeforeValidator(check)


def _flag(value: object) -> bool:
    if isinstance(value, bool):
        return value
    if value not in ("0", "1"):
        raise ValueError("0 or 1")
    return value == "1"


def _expanded(path: Path) -> Path:
    """With the home folder that a ~ at its beginning stands for."""
    try:
        return path.expanduser()
    except RuntimeError:
        raise ValueError(f"a path, and {path.parts[0]} is nobody's home folder") from None


def _folder(path: Path) -> Path:
    folder = _expanded(path).absolute()
    if folder.exists() and not folder.is_dir():
        raise ValueError("a folder, and this is a file")
    return folder


def _log_level(name: str) -> str:
    if name.upper() not in LOG_LEVELS:
        raise ValueError("one of " + ", ".join(LOG_LEVELS))
    return name.upper()


def _admin_key(key: str) -> str:
    if not re.fullmatch(rf"[!-~]{{{ADMIN_KEY_LENGTH_MIN},{ADMIN_KEY_LENGTH_MAX}}}", key):
        raise ValueError(
            f"{ADMIN_KEY_LENGTH_MIN} to {ADMIN_KEY_LENGTH_MAX} printable ASCII characters without blanks"
        )
    return key


def _url(*schemes: str) -> AfterValidator:
    def check(url: str) -> str:
        try:
            parts = urlsplit(url)
            known = parts.scheme in schemes and parts.port != 0
        except ValueError:  # a bad port or bracket
            known = False
        if not known:
            raise ValueError("a URL that begins with " + " or ".join(f"{scheme}://" for scheme in schemes))
        return url

    return AfterValidator(check)


def _feed(feed: str) -> str:
    kind, _, rest = feed.partition(":")
    if feed == "none" or kind == "synthetic" or kind.partition(";")[0] == "binance":
        return feed  # what the options mean is for the feed to say
    if kind != "replay" or not rest:
        raise ValueError("synthetic, synthetic:seed=N, replay:FILE[,FILE][;speed=N], binance or none")
    files, *options = rest.split(";")  # what they mean is for the feed to say
    for name in files.split(","):
        if not _expanded(Path(name)).is_file():
            raise ValueError(f"a replay of files that exist, and {name or 'an empty name'} does not")
    if not all(re.fullmatch(_REPLAY_OPTION, option) for option in options):
        raise ValueError("after the files ;speed=N, ;speed=max, ;loop=true, ;loop=false or ;times=recorded")
    return feed


def _origins(listed: str | Iterable[str]) -> frozenset[str]:
    """Origins as browsers write them, in lower case: scheme, host, and any port but the scheme's own."""
    names = listed.split(",") if isinstance(listed, str) else listed
    origins = frozenset(name.strip().lower().rstrip("/") for name in names if name.strip())
    for origin in origins:
        parts = urlsplit(origin)
        if (
            parts.scheme not in ("http", "https")
            or not parts.netloc
            or origin != f"{parts.scheme}://{parts.netloc}"
        ):
            raise ValueError("origins of web pages, separated by commas, such as https://desk.example.com")
    return origins


def _variable_of(field: str) -> str:
    return PREFIX + field.upper()


Flag = Annotated[bool, BeforeValidator(_flag)]
Folder = Annotated[Path, AfterValidator(_folder)]


class Settings(BaseSettings):
    """The settings as given by arguments; only `from_environment` reads the environment."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        enable_decoding=False,  # a list is separated by commas, no JSON
        frozen=True,
        hide_input_in_errors=True,  # it may be a secret
    )

    host: Annotated[str, AfterValidator(_host)] = Field(
        default="127.0.0.1", description="address to listen on; 0.0.0.0 is every network of the machine"
    )
    port: Annotated[int, _whole(0, 65535)] = Field(
        default=8000, description="port to listen on; 0 takes a free one"
    )
    data_dir: Folder = Field(
        default=Path("data"),
        description="folder of the journal, the snapshots, the admin key and the embedded servers",
    )
    database_url: Annotated[str, _url("postgresql", "postgres")] | None = Field(
        default=None,
        repr=False,
        description="PostgreSQL or TimescaleDB, postgresql://user:password@host:port/name; "
        "without it one is started",
    )
    timescaledb_required: Flag = Field(
        default=False,
        description="1: a database without the timescaledb extension is an error; "
        "0: tables are ordinary then",
    )
    redis_url: Annotated[str, _url("redis", "rediss", "unix")] | None = Field(
        default=None,
        repr=False,
        description="Redis or Valkey, redis://host:port/0; without it one is started",
    )
    admin_key: Annotated[str, AfterValidator(_admin_key)] | None = Field(
        default=None,
        repr=False,
        description="the administrator's API key; without it the first start makes one, prints it and keeps "
        "it in a file",
    )
    feed: Annotated[str, AfterValidator(_feed)] = Field(
        default="synthetic",
        description="market data: synthetic, synthetic:seed=N, replay:FILE[,FILE][;speed=N|max]"
        "[;loop=false], none, or live with binance[;ws=URL][;rest=URL][;levels=N][;stale_s=X][;idle_s=X]"
        "[;verify_s=X]: where the streams and the snapshots are, levels of a snapshot, seconds until a "
        "silent symbol is stale, until a silent connection is dropped, and between two checks of a book "
        "against a snapshot",
    )
    mark_interval_ms: Annotated[int, _whole(1, 60_000)] = Field(
        default=200, description="marks enter the engine at most this often for each symbol"
    )
    max_body_bytes: Annotated[int, _whole(1024, 1 << 28)] = Field(
        default=1 << 20, description="a larger request body is refused with 413"
    )
    key_requests_per_second: Annotated[int, _whole(0, 1_000_000)] = Field(
        default=1000,
        description="of each key, orders and cancels not counted: beyond it requests are refused with 429; "
        "0 is no bound",
    )
    key_loop_percent: Annotated[int, _whole(0, 100)] = Field(
        default=50,
        description="share of the server's time that each key may use, orders and cancels not counted; "
        "0 is no bound",
    )
    journal_bytes_max: Annotated[int, _whole(0, 1 << 60)] = Field(
        default=64 << 30,
        description="disk budget of the journal's folder: an alarm from 80 % on, no new orders at 100 %; "
        "0 is none",
    )
    allowed_origins: Annotated[frozenset[str], BeforeValidator(_origins)] | None = Field(
        default=None,
        description="web pages of these origins may open streams, separated by commas; the server's own "
        "always may",
    )
    demo: Flag = Field(
        default=True, description="1: at first start make instruments and the accounts alpha, beta and load"
    )
    maker_checker: Flag | None = Field(
        default=None,
        description="1: who loosens a limit needs another person's approval; 0: not; without it what was in "
        "force before",
    )
    cancel_increasing: Flag | None = Field(
        default=None,
        description="1: where trading is restricted, orders that could increase a position are canceled; "
        "0: only when they would trade; without it what was in force before, at first 1",
    )
    log_level: Annotated[str, AfterValidator(_log_level)] = Field(
        default="INFO", description="one of " + ", ".join(LOG_LEVELS)
    )
    kernel_cache: Folder | None = Field(
        default=None, description="folder of the compiled kernels; without it a folder in the user's cache"
    )

    @property
    def journal_dir(self) -> Path:
        return self.data_dir / "journal"

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Arguments only: settings built in a program or a test contain what is written there."""
        return (init_settings,)

    @classmethod
    def from_environment(cls) -> Self:
        """The settings of the environment.

        Raises:
            SettingsError: values are not allowed.
        """
        given = {name: text.strip() for name, text in EnvSettingsSource(cls)().items() if text.strip()}
        try:
            return cls.model_validate(given)
        except ValidationError as refused:
            raise SettingsError("\n".join(map(_refusal, refused.errors()))) from None


def variables() -> Iterator[Variable]:
    """Every setting, in order of declaration."""
    for name, field in Settings.model_fields.items():
        assert field.description is not None
        yield Variable(_variable_of(name), _written(field.default), field.description, not field.repr)


def settings_help() -> str:
    """Every setting with its default, as a table in order of declaration."""
    lines = ["settings, from the environment:"]
    for variable in variables():
        lines.append(f"  {variable.name}{'=' + variable.default if variable.default else ''}")
        lines += textwrap.wrap(
            variable.meaning, _HELP_COLUMNS, initial_indent=" " * 6, subsequent_indent=" " * 6
        )
    return "\n".join(lines)


def _written(default: object) -> str:
    if default is None:
        return ""
    return str(int(default)) if isinstance(default, bool) else str(default)


def _refusal(error: ErrorDetails) -> str:
    field = str(error["loc"][0])
    shown = f"={error['input']!r}" if Settings.model_fields[field].repr else ""
    allowed = error["msg"].removeprefix("Value error, ")
    return f"{_variable_of(field)}{shown} is not allowed: it takes {allowed}"


def unknown_variables(environment: Mapping[str, str] | None = None) -> list[str]:
    """Variables with our prefix that are not settings: most likely misspelt."""
    source = os.environ if environment is None else environment
    known = {variable.name for variable in variables()}
    return sorted(
        name
        for name in source
        if name.startswith(PREFIX) and name.upper() not in known and not name.startswith(_FOREIGN_PREFIXES)
    )


def without_password(url: str) -> str:
    """A URL that is safe to log: user and place, without the password and the query's values."""
    parts = urlsplit(url)
    user, at, place = parts.netloc.rpartition("@")
    return f"{parts.scheme}://{user.partition(':')[0]}{at}{place}{parts.path}"
