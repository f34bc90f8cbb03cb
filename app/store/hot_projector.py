"""Hot projector: the hot state's writer as its own process: `python -m app.store.hot_projector JOURNAL_DIR`.

Its Redis is BOT4_REDIS_URL. It ends when standard input does: then the server is gone.
"""

import asyncio
import logging
import os
import signal
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from app.runtime.background import run_until, to_background
from app.runtime.projections import ProjectionProcess
from app.runtime.recovery import RecoveryError
from app.runtime.segments import JournalError
from app.store.hot_writer import NAME, HotWriter


def hot_projection(
    folder: Path, url: str, environment: Mapping[str, str], on_change: Callable[[str], None]
) -> ProjectionProcess:
    """This module as a child of the server."""
    command = [sys.executable, "-m", "app.store.hot_projector", str(folder)]
    return ProjectionProcess(NAME, folder, command, {**environment, "BOT4_REDIS_URL": url}, on_change)


async def follow(folder: Path, url: str) -> None:
    """Runs until standard input ends or SIGTERM comes. Raises JournalError, RecoveryError, OSError."""
    writer = HotWriter(folder, url)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    ended = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(ended), sys.stdin.buffer)
    watching = asyncio.ensure_future(ended.read())
    watching.add_done_callback(lambda _: stop.set())
    await run_until(stop, writer.run())
    watching.cancel()


def main(arguments: list[str]) -> int:
    url = os.environ.get("BOT4_REDIS_URL")
    if len(arguments) != 1 or not url:
        print("usage: BOT4_REDIS_URL=... python -m app.store.hot_projector JOURNAL_DIR", file=sys.stderr)
        return 2
    to_background()
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    try:
        asyncio.run(follow(Path(arguments[0]), url))
    except (JournalError, RecoveryError, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
