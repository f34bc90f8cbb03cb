"""A server whose journal was cut does not start as an older one, or an empty one."""

import os
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from app.runtime.durable_watermark import marked_seq
from app.runtime.segments import list_segments
from tests.support.api import limit_order
from tests.support.process import AUTHORIZATION, ServerProcess


def test_a_journal_that_was_cut(tmp_path: Path) -> None:
    server = ServerProcess(tmp_path / "data", BOT4_FEED="none")
    with server:
        order = limit_order("alpha", client_order_id="kept")
        httpx.post(f"{server.url}/v1/orders", json=order, headers=AUTHORIZATION)
        server.kill()
    (segment,) = list_segments(server.journal)
    whole = segment.path.read_bytes()
    durable = marked_seq(server.journal)
    assert durable
    for content in (whole[:10], None):
        if content is None:
            segment.path.unlink()
        else:
            segment.path.write_bytes(content)
        with pytest.raises(RuntimeError, match="durable commands are missing") as error:
            server.start()
        line = next(line for line in str(error.value).splitlines() if "commands are missing" in line)
        assert line.startswith("bot4: ") and "Restore" in line
    for content in (whole[:-1], b""):
        segment.path.write_bytes(content)
        found = _verify(server.journal)
        assert found.returncode == 1 and "durable commands are missing" in found.stderr
    segment.path.write_bytes(whole)
    found = _verify(server.journal)
    assert found.returncode == 0 and "replayed: " in found.stdout, found
    with server:
        path = f"{server.url}/v1/orders/by-client-id/alpha/kept"
        assert httpx.get(path, headers=AUTHORIZATION).status_code == 200


def _verify(folder: Path) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "app.cli", "journal", "verify", str(folder)],
        env=os.environ,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
