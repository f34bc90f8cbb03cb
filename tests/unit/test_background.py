"""Background processes give way."""

import subprocess
import sys

import pytest

from app.runtime.background import to_background


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
