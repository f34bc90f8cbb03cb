"""The command line as its user meets it: every command is a process of its own."""

import asyncio
import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from app.settings import variables
from tests.e2e.clients import HttpClient, order
from tests.support.process import ADMIN_KEY, AUTHORIZATION, ServerProcess

SECONDS_MAX = 120
IN_FLIGHT = 32
SHOWN_KEY = re.compile(r"^key (\d+), \w+ \S+: (b4_\S+)$", re.MULTILINE)


def _environment(data_dir: Path, **settings: str) -> dict[str, str]:
    own = {"BOT4_DATA_DIR": str(data_dir), "BOT4_PORT": "0", "BOT4_ADMIN_KEY": ADMIN_KEY}
    # Nothing listens there: no command here needs a database, and none is to start one.
    nowhere = {
        "BOT4_DATABASE_URL": "postgresql://127.0.0.1:9/none",
        "BOT4_REDIS_URL": "redis://127.0.0.1:9/0",
    }
    return os.environ | own | nowhere | settings


def _bot4(data_dir: Path, *arguments: str, **settings: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "app.cli", *arguments],
        env=_environment(data_dir, **settings),
        capture_output=True,
        text=True,
        timeout=SECONDS_MAX,
        check=False,
    )


def _error_line(done: "subprocess.CompletedProcess[str]", status: int) -> str:
    """All that a failed command says on its error output, which must be one line."""
    assert done.returncode == status, done
    (line,) = done.stderr.splitlines()
    assert line.startswith("bot4: ")
    return line


def test_help_lists_every_setting(data_dir: Path) -> None:
    done = _bot4(data_dir, "serve", "--help")
    assert (done.returncode, done.stderr) == (0, "")
    for variable in variables():
        assert variable.name in done.stdout
        assert " ".join(variable.meaning.split()) in " ".join(done.stdout.split())
    assert ADMIN_KEY not in done.stdout
    assert not data_dir.exists()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("BOT4_PORT", "http"),
        ("BOT4_FEED", "replay:no-such-file.gz"),
        ("BOT4_FEED", "synthetic:seed=many"),
        ("BOT4_ADMIN_KEY", "too-short"),
    ],
)
def test_a_wrong_setting_is_named_in_one_line(name: str, value: str, data_dir: Path) -> None:
    line = _error_line(_bot4(data_dir, "serve", **{name: value}), 2)
    assert name in line
    assert (value in line) == (name != "BOT4_ADMIN_KEY")
    assert not data_dir.exists()


def test_all_wrong_settings_are_named_in_a_line_each(data_dir: Path) -> None:
    done = _bot4(data_dir, "serve", BOT4_PORT="http", BOT4_DEMO="yes")
    assert done.returncode == 2
    assert [line.partition("=")[0] for line in done.stderr.splitlines()] == [
        "bot4: BOT4_PORT",
        "bot4: BOT4_DEMO",
    ]


def test_what_is_no_setting_is_said_and_ignored(data_dir: Path) -> None:
    done = _bot4(data_dir, "keys", "list", BOT4_PROT="1")
    assert done.returncode == 0
    assert "BOT4_PROT is not a setting" in done.stderr


def test_a_port_in_use_is_named_in_one_line(data_dir: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        line = _error_line(_bot4(data_dir, "serve", BOT4_PORT=str(port)), 1)
    assert f"127.0.0.1:{port}" in line
    assert "in use" in line


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[]",
        "{",
        '{"version": 2, "templates": []}',
        '{"version": 1, "templates": [{"name": "x"}]}',
        (
            '{"version": 1, "templates": [{"name": "x", "version": 1, "limits": {"NO_LIMIT": 1}, "actor": 1,'
            ' "reason": "r", "updated_ts": 1}]}'
        ),
    ],
)
def test_damaged_templates_are_named_in_one_line(content: str, data_dir: Path) -> None:
    data_dir.mkdir(mode=0o700)
    (data_dir / "limit-templates.json").write_text(content)
    line = _error_line(_bot4(data_dir, "serve"), 1)
    assert "limit-templates.json is damaged" in line
    assert "restore it from a backup" in line


def test_a_folder_without_a_journal_is_no_journal(data_dir: Path) -> None:
    assert "there is no journal" in _error_line(_bot4(data_dir, "replay"), 1)


class _Load(threading.Thread):
    """Places resting orders as fast as they are answered, until the server is gone."""

    def __init__(self, url: str, name: str) -> None:
        super().__init__()
        self._url = f"{url.replace('http', 'ws', 1)}/v1/trade"
        self._prefix = name
        self.acknowledged: dict[str, str] = {}  # order id by client order id
        self.failure: BaseException | None = None

    def run(self) -> None:
        try:
            with (
                contextlib.suppress(ConnectionClosed),
                connect(self._url, additional_headers=AUTHORIZATION) as opened,
            ):
                for number in range(IN_FLIGHT):
                    opened.send(self._request(number))
                for number, message in enumerate(opened, IN_FLIGHT):
                    result = json.loads(message)["result"]
                    self.acknowledged[result["client_order_id"]] = result["order_id"]
                    opened.send(self._request(number))
        except BaseException as error:  # noqa: BLE001  # for the test's own thread
            self.failure = error

    def _request(self, number: int) -> str:
        members = {"type": "LIMIT", "price": "1000.00", "client_order_id": f"{self._prefix}-{number}"}
        params = order("BUY", "0.01000", account="load", **members)
        return json.dumps({"id": number, "op": "order.place", "params": params})

    def wait_for(self, count: int) -> None:
        deadline = time.monotonic() + SECONDS_MAX
        while len(self.acknowledged) < count and self.is_alive():
            assert time.monotonic() < deadline
            time.sleep(0.01)


def _stop_under_load(server: ServerProcess, number: signal.Signals) -> dict[str, str]:
    load = _Load(server.url, number.name)
    load.start()
    try:
        load.wait_for(500)
        server.process.send_signal(number)
        assert server.process.wait(SECONDS_MAX) == 0, server.output()
    finally:
        server.kill()
        load.join(SECONDS_MAX)
    assert load.failure is None
    assert "Traceback" not in server.output()
    assert len(load.acknowledged) >= 500
    return load.acknowledged


def _check_acknowledged(http: HttpClient, acknowledged: dict[str, str]) -> None:
    """Each is there, open, and none is there twice."""
    path = "/v1/orders?account=load&limit=500"
    found: list[tuple[str, str]] = []
    cursor = None
    while cursor is not None or not found:
        page = http.get(path if cursor is None else f"{path}&cursor={cursor}")
        found += [(each["client_order_id"], each["order_id"]) for each in page["items"]]
        cursor = page["next_cursor"]
    assert len(dict(found)) == len(found)
    assert acknowledged.items() <= set(found)


def test_a_server_that_is_asked_to_stop_keeps_all_it_has_acknowledged(data_dir: Path) -> None:
    server = ServerProcess(data_dir)
    with server:
        first = _stop_under_load(server, signal.SIGTERM)
    replayed = [_bot4(data_dir, "replay") for _ in range(2)]
    assert _count("commands", replayed[0]) > len(first)
    assert _count("events", replayed[0]) >= _count("commands", replayed[0])
    assert len(_hashes(replayed[0])) == 2
    assert _hashes(replayed[0]) == _hashes(replayed[1])

    with server, HttpClient(server.url) as http:
        _check_acknowledged(http, first)
        second = _stop_under_load(server, signal.SIGINT)
    with server, HttpClient(server.url) as http:
        _check_acknowledged(http, first | second)
        assert server.stop() == 0


def _count(name: str, done: "subprocess.CompletedProcess[str]") -> int:
    (found,) = re.findall(rf"^{name} +(\d+)$", done.stdout, re.MULTILINE)
    return int(found)


def _hashes(done: "subprocess.CompletedProcess[str]") -> list[str]:
    assert (done.returncode, done.stderr) == (0, "")
    return [line for line in done.stdout.splitlines() if " hash " in line]


def _status(url: str, key: str) -> int:
    return httpx.get(f"{url}/v1/orders", headers={"Authorization": f"Bearer {key}"}).status_code


def test_keys_are_made_and_revoked_while_the_server_is_stopped(data_dir: Path) -> None:
    made = {}
    for name, arguments in {
        "desk": ("--role", "trader", "--account", "alpha", "--account", "beta"),
        "screen": ("--role", "viewer"),
    }.items():
        done = _bot4(data_dir, "keys", "create", name, *arguments)
        assert (done.returncode, done.stderr) == (0, "")
        (made[name],) = SHOWN_KEY.findall(done.stdout)
    listed = _bot4(data_dir, "keys", "list")
    assert re.search(r"trader +desk +alpha beta$", listed.stdout, re.MULTILINE)
    assert re.search(r"viewer +screen +all$", listed.stdout, re.MULTILINE)
    assert not any(key in listed.stdout for _, key in made.values())

    revoked = _bot4(data_dir, "keys", "revoke", made["screen"][0])
    assert (revoked.returncode, revoked.stderr) == (0, "")
    assert re.search(r"screen +revoked$", _bot4(data_dir, "keys", "list").stdout, re.MULTILINE)
    assert "no key 99" in _error_line(_bot4(data_dir, "keys", "revoke", "99"), 2)
    assert "--account" in _error_line(_bot4(data_dir, "keys", "create", "desk", "--role", "trader"), 2)

    with ServerProcess(data_dir) as server:
        assert _status(server.url, made["desk"][1]) == 200
        assert _status(server.url, made["screen"][1]) == 401
        _check_folder_is_taken(data_dir, server)
        assert server.stop() == 0


def _check_folder_is_taken(data_dir: Path, server: ServerProcess) -> None:
    """Nobody else gets at the folder of a running server, which does not notice the attempt."""
    for arguments in (("serve",), ("keys", "create", "late", "--role", "viewer")):
        line = _error_line(_bot4(data_dir, *arguments), 1)
        assert f"in use by another process (pid {server.process.pid})" in line
    with HttpClient(server.url) as http:
        assert http.place(order("BUY", "0.01000"))["status"] == "FILLED"


@contextlib.contextmanager
def _compiling_server(data_dir: Path, kernels: Path) -> Iterator[tuple[str, "subprocess.Popen[bytes]"]]:
    """A server that has to compile its kernels first, which takes long enough to look at it; its URL."""
    log = data_dir.with_suffix(".log")
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "app.cli", "serve"],
            env=_environment(data_dir, BOT4_KERNEL_CACHE=str(kernels)),
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        deadline = time.monotonic() + SECONDS_MAX
        while not (said := re.search(r"starting on (http://\S+),", log.read_text())):
            assert process.poll() is None and time.monotonic() < deadline, log.read_text()
            time.sleep(0.02)
        yield said[1], process
    finally:
        process.kill()
        process.wait()


async def _answers(url: str, paths: list[str]) -> list[httpx.Response]:
    async with httpx.AsyncClient(base_url=url, headers=AUTHORIZATION, timeout=SECONDS_MAX) as http:
        return [await http.get(path) for path in paths]


def test_a_server_that_is_starting_lives_but_is_not_ready(data_dir: Path, tmp_path: Path) -> None:
    with _compiling_server(data_dir, tmp_path / "kernels") as (url, process):
        live, ready = asyncio.run(_answers(url, ["/health/live", "/health/ready"]))
        assert live.status_code == 200
        assert ready.status_code == 503
        assert ready.headers["content-type"] == "application/problem+json"
        assert ready.json()["code"] == "NOT_READY"
        assert "retry-after" in ready.headers
        refused = httpx.post(
            f"{url}/v1/orders", json=order("BUY", "0.01"), headers=AUTHORIZATION, timeout=SECONDS_MAX
        )
        assert (refused.status_code, refused.json()["code"]) == (503, "NOT_READY")
        # Replies to stop, it does not first compile to the end, nor does it claim to be ready.
        process.send_signal(signal.SIGTERM)
        assert process.wait(SECONDS_MAX) == 0
        said = data_dir.with_suffix(".log").read_text()
        assert "bot4 is ready" not in said
        assert "Traceback" not in said
        assert not list((tmp_path / "kernels").glob("venues-*/**/*.nbi")), "the venue's kernels come last"
