"""When snapshots are made: each time the journal has sealed another segment."""

import asyncio
import logging
import sys
from pathlib import Path

from app.runtime.journal import JournalWriter

logger = logging.getLogger(__name__)

_CHECK_SECONDS = 5.0


async def keep_snapshots(folder: Path, journal: JournalWriter) -> None:
    """Run the snapshotter, a process of its own, after every rotation; until cancelled."""
    covered = journal.segment_first_seq
    while True:
        await asyncio.sleep(_CHECK_SECONDS)
        newest = journal.segment_first_seq
        if newest != covered:
            covered = newest
            await _run_snapshotter(folder)


async def _run_snapshotter(folder: Path) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "app.runtime.snapshotter",
        str(folder),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        output, _ = await process.communicate()
    except asyncio.CancelledError:
        process.terminate()
        await process.wait()
        raise
    text = output.decode(errors="replace").strip()
    if process.returncode:
        logger.error("no snapshot was made (the journal is unharmed): %s", text)
    else:
        logger.info("%s", text)
