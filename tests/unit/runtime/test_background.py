"""Background processes give way."""

import asyncio
import subprocess
import sys

import pytest

from app.runtime.background import run_until, to_background


def test_a_process_and_its_children_have_a_low_priority() -> None:
    child = "import os; print(os.getpriority(os.PRIO_PROCESS, 0))"
    script = f"import subprocess, sys; input(); subprocess.run([sys.executable, '-c', {child!r}])"
    with subprocess.Popen(
        [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        to_background(process.pid)
        printed, _ = process.communicate("\n", timeout=60)
    assert int(printed) == 15


def test_a_process_that_is_gone_is_an_error() -> None:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    with pytest.raises(ProcessLookupError):
        to_background(process.pid)


def test_what_takes_a_cancellation_for_its_own_is_told_again() -> None:
    told = 0

    async def stubborn() -> None:
        nonlocal told
        while told < 2:
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                told += 1
        await asyncio.sleep(60)

    async def run() -> None:
        stop = asyncio.Event()
        asyncio.get_running_loop().call_soon(stop.set)
        await asyncio.wait_for(run_until(stop, stubborn()), 30)

    asyncio.run(run())
    assert told == 2


def test_what_fails_is_raised() -> None:
    async def failing() -> None:
        raise OSError("no more")

    with pytest.raises(OSError, match="no more"):
        asyncio.run(run_until(asyncio.Event(), failing()))
