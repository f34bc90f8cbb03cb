"""The README's commands work as they are written: they are taken from it and run against a real server.

A line `# → text … text` in a block says what the commands before it print: the pieces, in this order.
"""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.e2e.clients import HttpClient, order
from tests.support.process import ADMIN_KEY, ServerProcess

README = Path(__file__).resolve().parents[2] / "README.md"
SECONDS_MAX = 60
_BLOCK = re.compile(r"^```sh\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_EXPECTED = re.compile(r"^# → (.*)$", re.MULTILINE)
_MARK = "@@ expected @@"


def blocks(heading: str) -> str:
    """All shell commands of one section."""
    section = re.search(rf"^## {heading}\n(.*?)(?=^## |\Z)", README.read_text(), re.DOTALL | re.MULTILINE)
    assert section is not None, heading
    found = [block for block in _BLOCK.findall(section[1]) if "make run" not in block]
    assert found, heading
    return "\n".join(found)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ServerProcess]:
    """A first start, as `make run` does it; its folder is `data` where the commands run."""
    with ServerProcess(tmp_path / "data") as process, HttpClient(process.url) as client:
        for symbol in ("BTC-USDT", "ETH-USDT", "SOL-USDT"):
            client.await_market(order("BUY", "0.1", symbol=symbol))
        (tmp_path / "data/admin.key").write_text(ADMIN_KEY)
        yield process


def run(server: ServerProcess, commands: str) -> list[str]:
    """What was printed up to each expectation."""
    place = urlsplit(server.url).netloc
    commands = re.sub(r"(localhost|127\.0\.0\.1):8000", place, commands)
    commands = commands.replace(".venv/bin/python", sys.executable)
    commands = _EXPECTED.sub(f"echo; echo '{_MARK}'", commands)
    done = subprocess.run(
        ["bash", "-eu", "-o", "pipefail", "-c", commands],
        cwd=server.data_dir.parent,
        env=os.environ | {"no_proxy": "*"},
        capture_output=True,
        text=True,
        timeout=SECONDS_MAX,
        check=False,
    )
    assert done.returncode == 0, (done.stdout, done.stderr)
    return done.stdout.split(_MARK)


def test_first_steps(server: ServerProcess) -> None:
    commands = blocks("Run it")
    (printed,) = run(server, commands)
    assert '"status":"FILLED"' in printed
    problems = re.findall(r'"status":4\d\d.{0,200}', printed)
    assert problems == []
    assert printed.count("FILLED") >= 4  # the first order, and three over the WebSocket


def test_the_walk_through_risk(server: ServerProcess) -> None:
    commands = blocks("Limits, kill switch and their reasons")
    expected = _EXPECTED.findall(commands)
    *printed, _ = run(server, commands)
    assert len(printed) == len(expected) > 5
    for output, expectation in zip(printed, expected, strict=True):
        at = 0
        for piece in expectation.split(" … "):
            at = output.find(piece, at)
            assert at >= 0, (piece, output)
