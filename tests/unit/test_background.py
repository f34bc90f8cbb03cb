"""Background processes give way at once."""

import os
import subprocess
import sys

import pytest

from app.runtime.background import to_background


@pytest.mark.skipif(sys.platform != "linux", reason="the idle class is Linux's")
def test_a_process_and_its_children_run_when_nobody_else_does() -> None:
    child = "import os; print(os.sched_getscheduler(0), os.nice(0))"
    script = f"import subprocess, sys; input(); subprocess.run([sys.executable, '-c', {child!r}])"
    with subprocess.Popen(
        [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        to_background(process.pid)
        printed, _ = process.communicate("\n", timeout=60)
    assert [int(word) for word in printed.split()] == [os.SCHED_IDLE, 19]


def test_a_process_that_is_gone_is_an_error() -> None:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    with pytest.raises(ProcessLookupError):
        to_background(process.pid)
