"""Command line: `bot4 serve | migrate | replay | journal | keys | feed-server | bench | warm`.

It reads arguments and settings and passes them on. The modules of a command are imported when it
runs, so help and usage errors appear at once, before the kernels' libraries are loaded.
"""

import argparse
import asyncio
import sys
import time
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from app.settings import Settings, SettingsError, settings_help, unknown_variables

ROLES = ("viewer", "trader", "risk", "admin")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command. Returns the exit status: 0 done, 1 failed, 2 usage error."""
    options, rest = _parser().parse_known_args(arguments)
    if rest and options.command is not _bench:
        print(f"bot4: unknown arguments: {' '.join(rest)} (see bot4 --help)", file=sys.stderr)
        return 2
    options.rest = rest
    try:
        settings = Settings.from_environment()
        for name in unknown_variables():
            print(f"bot4: {name} is not a setting and is ignored (see bot4 serve --help)", file=sys.stderr)
        status: int = options.command(settings, options)
    except SettingsError as error:
        for line in str(error).splitlines():
            print(f"bot4: {line}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    except Exception as error:  # sorted into what a user can act on, and bugs, which keep their trace
        if not isinstance(error, _user_errors()):
            raise
        print(f"bot4: {error}", file=sys.stderr)
        return 1
    return status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="bot4", description="A trading engine behind a REST/WebSocket API.", allow_abbrev=False
    )
    commands = parser.add_subparsers(metavar="COMMAND", required=True)

    serve = commands.add_parser(
        "serve",
        help="run the server",
        description="Run the server until it is stopped (Ctrl-C, SIGTERM).",
        epilog=settings_help(),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    serve.set_defaults(command=_serve)

    migrate = commands.add_parser("migrate", help="bring the database's schema up to date")
    migrate.add_argument(
        "--to", default="head", metavar="REVISION", help="a revision, head (default) or base"
    )
    migrate.set_defaults(command=_migrate)

    replay = commands.add_parser("replay", help="replay a journal: counts, rate and state hash")
    replay.add_argument("folder", nargs="?", type=Path, help="default: the journal of BOT4_DATA_DIR")
    replay.set_defaults(command=_replay)

    database = commands.add_parser("db", help="the database")
    actions = database.add_subparsers(metavar="ACTION", required=True)
    rebuild = actions.add_parser(
        "rebuild",
        help="fill the database from the journal",
        description="Empty what came from a journal and write it again, of a server that is stopped.",
    )
    rebuild.add_argument(
        "--lose-history",
        action="store_true",
        help="also where the journal's oldest files are gone: history will begin with what is left",
    )
    rebuild.set_defaults(command=_rebuild_database)

    _add_journal(commands)
    _add_keys(commands)

    warm = commands.add_parser("warm", help="compile the kernels into BOT4_KERNEL_CACHE and end")
    warm.set_defaults(command=_warm)

    _add_feed_server(commands)

    bench = commands.add_parser("bench", help="measure the figures of the README", add_help=False)
    bench.set_defaults(command=_bench)
    return parser


def _add_journal(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    journal = commands.add_parser("journal", help="look at a journal, check it, export its records")
    actions = journal.add_subparsers(metavar="ACTION", required=True)
    folder: dict[str, Any] = {"nargs": "?", "type": Path, "help": "default: the journal of BOT4_DATA_DIR"}
    inspect = actions.add_parser("inspect", help="segments, snapshots, counts, times")
    inspect.add_argument("folder", **folder)
    inspect.set_defaults(command=_inspect_journal)
    verify = actions.add_parser(
        "verify",
        help="read every byte, and replay as a start would; status 1 where anything is wrong",
        description="Read every byte: checksums, sequence numbers, whether durable commands are missing. "
        "Then do as a start does: load the newest snapshot, replay what is behind it, compare every event. "
        "Changes nothing; needs as much memory as a server.",
    )
    verify.add_argument("folder", **folder)
    verify.add_argument("--no-replay", action="store_true", help="only read, which needs no memory")
    verify.set_defaults(command=_verify_journal)
    export = actions.add_parser("export", help="records as CSV")
    export.add_argument("folder", **folder)
    export.add_argument("--records", choices=("events", "commands"), default="events")
    export.add_argument("--from-seq", type=int, default=1, metavar="SEQ")
    export.add_argument("--to-seq", type=int, default=(1 << 63) - 1, metavar="SEQ")
    export.add_argument("--output", type=Path, metavar="FILE", help="default: standard output")
    export.set_defaults(command=_export_journal)


def _add_feed_server(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    server = commands.add_parser(
        "feed-server",
        help="serve recorded market data as Binance does, with faults on request",
        description="Serve recorded market data on WebSocket and REST as Binance does, until stopped. "
        "GET /status shows its state; GET /faults?drop=0.01&cut=0.0001 changes the faults, "
        "/faults?now=cut or now=half_open hits all connections at once.",
        allow_abbrev=False,
    )
    server.add_argument(
        "files", nargs="*", type=Path, help="recordings, plain or gzipped; without any a market is made up"
    )
    server.add_argument("--host", default="127.0.0.1")
    server.add_argument("--port", type=int, default=9443, help="default 9443; 0 takes a free one")
    server.add_argument("--speed", default="1", help="recorded seconds per second, or max; default 1")
    server.add_argument("--passes", type=int, default=0, help="then it stands still; default 0: for ever")
    server.add_argument(
        "--times", choices=("now", "recorded"), default="now", help="of messages; default now"
    )
    server.add_argument("--seed", type=int, default=1, help="of faults and a made-up market; default 1")
    server.add_argument(
        "--fault",
        action="append",
        default=[],
        metavar="NAME=NUMBER",
        help="such as drop=0.01, may be given several times; GET /faults has all names",
    )
    server.set_defaults(command=_feed_server)


def _add_keys(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    keys = commands.add_parser(
        "keys",
        help="API keys of a server that is stopped",
        description="API keys of a server that is stopped; of a running one, use its /v1/keys.",
    )
    actions = keys.add_subparsers(metavar="ACTION", required=True)
    listing = actions.add_parser("list", help="who has a key; the keys themselves are not stored")
    listing.set_defaults(command=_list_keys)
    create = actions.add_parser("create", help="make a key and print it, once")
    create.add_argument("name", help="whose it is")
    create.add_argument("--role", choices=ROLES, required=True)
    create.add_argument("--account", action="append", default=[], help="trader: may be given several times")
    create.set_defaults(command=_create_key)
    revoke = actions.add_parser("revoke", help="make a key useless")
    revoke.add_argument("number", type=int, help="as listed")
    revoke.set_defaults(command=_revoke_key)


def _serve(settings: Settings, _options: argparse.Namespace) -> int:
    from app.serving import serve

    serve(settings)
    return 0


def _migrate(settings: Settings, options: argparse.Namespace) -> int:
    before, after = asyncio.run(_migrate_to(settings, options.to))
    print(f"schema: {before} -> {after}" if before != after else f"schema: {after} already")
    return 0


async def _migrate_to(settings: Settings, revision: str) -> tuple[str, str]:
    from app.embedded import EmbeddedServers
    from app.store.schema import migrate

    if settings.database_url is not None:
        return await migrate(
            settings.database_url, revision, timescaledb_required=settings.timescaledb_required
        )
    async with EmbeddedServers(settings.data_dir, None, "not needed") as servers:
        assert servers.database_url is not None
        return await migrate(servers.database_url, revision)


def _rebuild_database(settings: Settings, options: argparse.Namespace) -> int:
    from app.runtime.folder_lock import FolderLock

    if not settings.journal_dir.is_dir():
        raise FileNotFoundError(f"there is no journal in {settings.journal_dir}")
    started = time.monotonic()
    with FolderLock(settings.journal_dir):
        rows, seq = asyncio.run(_rebuild(settings, options.lose_history))
    print(f"{rows} rows, up to seq {seq}, in {time.monotonic() - started:.1f} s")
    return 0


async def _rebuild(settings: Settings, lose_history: bool) -> tuple[int, int]:
    from app.embedded import EmbeddedServers
    from app.runtime.journal_tools import sound_end
    from app.store.rebuild import rebuild

    end = sound_end(settings.journal_dir)
    async with EmbeddedServers(settings.data_dir, settings.database_url, "not needed") as servers:
        assert servers.database_url is not None
        writer = await rebuild(settings.journal_dir, servers.database_url, end, lose_history=lose_history)
    return writer.rows, writer.progress_seq


def _replay(settings: Settings, options: argparse.Namespace) -> int:
    from app.runtime.replay import replay

    result = replay(_journal_of(settings, options))
    print(f"from seq     {result.from_seq}")
    print(f"commands     {result.commands}")
    print(f"events       {result.events}")
    print(f"seconds      {result.seconds:.3f}")
    print(f"commands/s   {result.rate:.0f}")
    print(f"state hash   {result.state_hash}")
    print(f"events hash  {result.events_hash}")
    return 0


def _journal_of(settings: Settings, options: argparse.Namespace) -> Path:
    folder: Path = options.folder or settings.journal_dir
    if not folder.is_dir():
        raise FileNotFoundError(f"there is no journal in {folder}")
    return folder


def _inspect_journal(settings: Settings, options: argparse.Namespace) -> int:
    from app.runtime.journal_tools import inspect, segment_lines, snapshot_lines

    summary = inspect(_journal_of(settings, options))
    print("\n".join((*segment_lines(summary), *snapshot_lines(summary))))
    return 0


def _verify_journal(settings: Settings, options: argparse.Namespace) -> int:
    from app.runtime.journal_tools import verify

    folder = _journal_of(settings, options)
    summary = verify(folder)
    replayed = "not replayed (--no-replay): whether this build takes it over is not known"
    if not options.no_replay:
        from app.runtime.replay import rehearse_start

        start = rehearse_start(folder)
        begin = (
            f"behind the snapshot of seq {start.snapshot_seq}" if start.snapshot_seq else "from the first on"
        )
        replayed = f"replayed: {start.commands} commands {begin}, {start.events} events as in the journal"
    commands = sum(segment.last_seq - segment.first_seq + 1 for segment in summary.segments)
    print(f"sound: {len(summary.segments)} segments, {commands} commands, {summary.events} events")
    print(replayed)
    if summary.marked is None:
        print("no durable mark: whether commands are missing at the end is not known")
    if summary.torn is not None:
        torn = summary.torn
        print(
            f"incomplete tail of {torn.size} bytes at offset {torn.offset} of {torn.path}: "
            "a frame that is being written, or that a crash interrupted; recovery cuts it"
        )
    return 0


def _export_journal(settings: Settings, options: argparse.Namespace) -> int:
    from app.runtime.journal_tools import export_csv

    folder = _journal_of(settings, options)
    if options.output is None:
        export_csv(folder, options.records, options.from_seq, options.to_seq, sys.stdout)
        return 0
    with options.output.open("x", newline="", encoding="utf-8") as file:
        rows = export_csv(folder, options.records, options.from_seq, options.to_seq, file)
    print(f"{rows} {options.records} in {options.output}")
    return 0


def _list_keys(settings: Settings, _options: argparse.Namespace) -> int:
    from app.api.auth import KeyStore
    from app.runtime.plain_text import log_text

    if not (settings.data_dir / "keys.json").exists() and settings.admin_key is None:
        raise FileNotFoundError(f"there are no keys in {settings.data_dir}: the first start makes one")
    store, _ = KeyStore.open(settings.data_dir, settings.admin_key, _now)
    print(f"{'number':>6}  {'role':7} {'name':24} accounts")
    for key in store.all():
        accounts = "all" if key.accounts is None else " ".join(sorted(key.accounts)) or "none"
        what = "revoked" if key.revoked_ts else accounts
        print(f"{key.number:>6}  {key.role.name.lower():7} {log_text(key.name):24} {what}")
    return 0


def _create_key(settings: Settings, options: argparse.Namespace) -> int:
    from app.api.auth import KeyStore, Role
    from app.runtime.folder_lock import FolderLock
    from app.runtime.plain_text import log_text

    if (options.role == "trader") != bool(options.account):
        raise SettingsError("a trader needs --account, the other roles take none")
    with FolderLock(settings.journal_dir):
        store, first = KeyStore.open(settings.data_dir, settings.admin_key, _now)
        if first is not None:
            print(f"first administrator: {first}")
        principal, key = store.create(options.name, Role[options.role.upper()], options.account)
    print(f"key {principal.number}, {options.role} {log_text(options.name)}: {key}")
    return 0


def _revoke_key(settings: Settings, options: argparse.Namespace) -> int:
    from app.api.auth import KeyStore
    from app.runtime.folder_lock import FolderLock
    from app.runtime.plain_text import log_text

    with FolderLock(settings.journal_dir):
        store, _ = KeyStore.open(settings.data_dir, settings.admin_key, _now)
        principal = store.revoke(options.number)
    if principal is None:
        raise SettingsError(f"there is no key {options.number}")
    print(f"key {principal.number}, {log_text(principal.name)}, is revoked")
    return 0


def _warm(_settings: Settings, _options: argparse.Namespace) -> int:
    from app.warmup import compile_kernels

    started = time.monotonic()
    compile_kernels(print)
    print(f"kernels are compiled ({time.monotonic() - started:.1f} s)")
    return 0


def _feed_server(_settings: Settings, options: argparse.Namespace) -> int:
    from app.feed_server.command import UsageError, run

    try:
        run(options)
    except UsageError as error:
        raise SettingsError(str(error)) from None
    return 0


def _bench(_settings: Settings, options: argparse.Namespace) -> int:
    # Measuring is no part of the server: its code is beside the load tests.
    status: int = import_module("loadtests.bench").main(options.rest)
    return status


def _now() -> int:
    return time.time_ns() // 1000


def _user_errors() -> tuple[type[Exception], ...]:
    """Errors that are shown to the user as one line; imported only once something has failed."""
    from app.api.auth import KeyFileError, KeyRefused
    from app.api.template_store import TemplateFileError
    from app.embedded import EmbeddedError
    from app.runtime.folder_lock import FolderLocked
    from app.runtime.recovery import RecoveryError
    from app.runtime.segments import JournalError
    from app.store.database import DatabaseError

    return (
        DatabaseError,
        EmbeddedError,
        FolderLocked,
        JournalError,
        KeyFileError,
        KeyRefused,
        OSError,
        RecoveryError,
        TemplateFileError,
    )


if __name__ == "__main__":
    sys.exit(main())
