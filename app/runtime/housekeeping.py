"""Housekeeping of the journal's folder: snapshots of sealed segments, removal of old files, disk budget."""

import asyncio
import logging
import sys
from collections.abc import Callable
from pathlib import Path

from app.runtime.journal import JournalWriter
from app.runtime.retention import DiskBudget, prune

logger = logging.getLogger(__name__)

_CHECK_SECONDS = 5.0


async def keep_journal_folder(
    folder: Path, journal: JournalWriter, budget: DiskBudget, passed_seq: Callable[[], int]
) -> None:
    """Runs until cancelled. The snapshotter is a process of its own and runs after every rotation.

    `passed_seq`: the last command that every projection has passed. Errors of the operating system are
    logged, and the step is tried again.
    """
    covered = journal.segment_first_seq
    while True:
        newest = journal.segment_first_seq
        try:
            if newest != covered:
                await _run_snapshotter(folder)
                covered = newest
            await prune_now(folder, passed_seq())
            await asyncio.to_thread(budget.look)
        except OSError as error:
            logger.error("the journal's folder could not be looked after, next try in a moment: %s", error)
        await asyncio.sleep(_CHECK_SECONDS)


async def prune_now(folder: Path, passed_seq: int) -> None:
    """Remove files that are no longer needed; an error of the disk is logged for the operator."""
    try:
        pruned = await asyncio.to_thread(prune, folder, passed_seq)
    except OSError as error:
        logger.error("old files of the journal were not removed: %s", error)
        return
    if pruned.bytes:
        logger.info(
            "removed %d segments and %d snapshots, %d bytes", pruned.segments, pruned.snapshots, pruned.bytes
        )


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
