"""Projector: the database's writer as its own process: `python -m app.store.projector JOURNAL_DIR [OPTION]`.

Its database is BOT4_DATABASE_URL. Standard input carries MARKET_TRADE records; when it ends, the
server is gone, and so is this process. It runs at low priority, so that writing history never takes
the processor from an order.
"""

import asyncio
import os
import signal
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from app.runtime.background import run_until, to_background
from app.runtime.projections import ProjectionProcess
from app.runtime.recovery import RecoveryError
from app.runtime.segments import JournalError
from app.store.writer import MARKET_TRADE, PROJECTION, DatabaseWriter

_READ_BYTES = 1 << 16
_REQUIRED = "--timescaledb-required"
_SWITCH_SECONDS = 0.0005


def database_projection(
    folder: Path,
    url: str,
    environment: Mapping[str, str],
    on_change: Callable[[str], None],
    *,
    timescaledb_required: bool = False,
) -> ProjectionProcess:
    """This module as a child of the server."""
    command = [sys.executable, "-m", "app.store.projector", str(folder)]
    if timescaledb_required:
        command.append(_REQUIRED)
    return ProjectionProcess(
        PROJECTION, folder, command, {**environment, "BOT4_DATABASE_URL": url}, on_change
    )


async def follow(folder: Path, url: str, *, timescaledb_required: bool = False) -> None:
    """Runs until standard input ends or SIGTERM comes. Raises JournalError, RecoveryError, OSError."""
    writer = DatabaseWriter(folder, url, timescaledb_required=timescaledb_required)
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    feeding = asyncio.ensure_future(_take_trades(writer))
    feeding.add_done_callback(lambda _: stop.set())
    await run_until(stop, writer.run())
    feeding.cancel()


async def _take_trades(writer: DatabaseWriter) -> None:
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), sys.stdin.buffer
    )
    rest = b""
    while content := await reader.read(_READ_BYTES):
        content = rest + content
        whole = len(content) - len(content) % MARKET_TRADE.itemsize
        rest = content[whole:]
        writer.take_trades(content[:whole])


def main(arguments: list[str]) -> int:
    url = os.environ.get("BOT4_DATABASE_URL")
    folder, *options = arguments or [""]
    if not folder or options not in ([], [_REQUIRED]) or not url:
        usage = f"usage: BOT4_DATABASE_URL=... python -m app.store.projector JOURNAL_DIR [{_REQUIRED}]"
        print(usage, file=sys.stderr)
        return 2
    to_background()
    # Between the thread that prepares a batch and the loop that feeds the database with another.
    sys.setswitchinterval(_SWITCH_SECONDS)
    try:
        asyncio.run(follow(Path(folder), url, timescaledb_required=bool(options)))
    except (JournalError, RecoveryError, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
