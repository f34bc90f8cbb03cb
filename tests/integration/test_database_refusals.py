"""A database that cannot be used: one line that says why and what to do; orders are served all the same."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote, urlsplit, urlunsplit

import asyncpg
import httpx
import pytest

from app.embedded.postgres import Postgres
from app.runtime.projections import read_status
from app.store.database import DatabaseError, connect
from app.store.error_hints import place_of
from app.store.schema import migrate
from tests.support.process import AUTHORIZATION, ServerProcess

PASSWORD = "a-secret: that is/never@shown"
WRONG = "wrong-and-secret-too"
_SECONDS_MAX = 60.0


class GuardedPostgres:
    """A PostgreSQL that asks `trader` for a password, as one in production does."""

    def __init__(self, folder: Path) -> None:
        self.server = Postgres(folder)
        self.server.start()
        asyncio.run(self.execute(f"CREATE ROLE trader LOGIN PASSWORD '{PASSWORD}'"))
        asyncio.run(self.execute("GRANT ALL ON SCHEMA public TO trader"))
        rules = folder / "pg_hba.conf"
        rules.write_text("local all postgres trust\nlocal all all scram-sha-256\n")
        assert self.server.process is not None
        os.kill(self.server.process.pid, signal.SIGHUP)
        self._await_guard()

    def _await_guard(self) -> None:
        deadline = time.monotonic() + _SECONDS_MAX
        while True:  # until the rules have been read again
            try:
                asyncio.run(self.execute("SELECT 1", self.url(WRONG)))
            except DatabaseError:
                return
            assert time.monotonic() < deadline
            time.sleep(0.05)

    async def execute(self, statement: str, url: str = "") -> None:
        connection: asyncpg.Connection = await connect(url or self.server.url, wait_seconds=0)
        try:
            await connection.execute(statement)
        finally:
            await connection.close()

    def url(self, password: str, name: str = "bot4") -> str:
        parts = urlsplit(self.server.url)
        return f"postgresql://trader:{quote(password, safe='')}@/{name}?{parts.query}"


@pytest.fixture(scope="session")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GuardedPostgres]:
    database = GuardedPostgres(tmp_path_factory.mktemp("guarded") / "postgres")
    yield database
    database.server.stop()


def refusal(url: str, **options: bool) -> str:
    """What `bot4 migrate` says: one line, nothing secret, status 1."""
    settings = {f"BOT4_{name.upper()}": str(int(value)) for name, value in options.items()}
    done = subprocess.run(
        [sys.executable, "-m", "app.cli", "migrate"],
        env=os.environ | settings | {"BOT4_DATABASE_URL": url},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 1, done.stderr
    (line,) = done.stderr.splitlines()
    assert line.startswith("bot4: the ")
    assert "secret" not in line
    return line


def test_a_wrong_password(guarded: GuardedPostgres) -> None:
    line = refusal(guarded.url(WRONG))
    assert "password authentication failed" in line
    assert "correct the password in BOT4_DATABASE_URL" in line


def test_a_role_and_a_database_that_are_not_there(guarded: GuardedPostgres) -> None:
    nobody = guarded.server.url.replace("postgres@", "nobody:secret@")
    assert "BOT4_DATABASE_URL" in refusal(nobody)
    missing = guarded.url(PASSWORD, "no_such_name")
    line = refusal(missing)
    assert '"no_such_name" does not exist; create it with CREATE DATABASE' in line


def test_one_who_may_not_create_tables(guarded: GuardedPostgres) -> None:
    asyncio.run(guarded.execute("CREATE DATABASE closed"))
    parts = urlsplit(guarded.server.url)
    line = refusal(guarded.url(PASSWORD, "closed"))
    assert "permission denied for schema public" in line and "GRANT ALL ON SCHEMA public" in line
    asyncio.run(
        guarded.execute("GRANT ALL ON SCHEMA public TO trader", urlunsplit(parts._replace(path="/closed")))
    )
    asyncio.run(migrate(guarded.url(PASSWORD, "closed")))


def test_timescaledb_that_is_required(guarded: GuardedPostgres) -> None:
    asyncio.run(guarded.execute("CREATE DATABASE plain OWNER trader"))
    line = refusal(guarded.url(PASSWORD, "plain"), timescaledb_required=True)
    assert "has no timescaledb, and BOT4_TIMESCALEDB_REQUIRED=1" in line
    assert "shared_preload_libraries" in line
    asyncio.run(migrate(guarded.url(PASSWORD, "plain")))


def test_tables_that_are_no_hypertables_where_they_must_be(database_url: str) -> None:
    async def run() -> None:
        await migrate(database_url)
        connection: asyncpg.Connection = await connect(database_url)
        there = await connection.fetchval("SELECT count(*) FROM pg_extension WHERE extname = 'timescaledb'")
        await connection.execute("DROP TABLE fills; CREATE TABLE fills (ts timestamptz)")
        await connection.close()
        if not there:
            pytest.skip("no TimescaleDB here")
        with pytest.raises(DatabaseError, match=r"made without timescaledb.*an empty database"):
            await migrate(database_url, timescaledb_required=True)

    asyncio.run(run())


def test_a_newer_schema_says_what_to_start(database_url: str) -> None:
    async def run() -> None:
        await migrate(database_url)
        connection: asyncpg.Connection = await connect(database_url)
        await connection.execute("UPDATE alembic_version SET version_num = '9999'")
        await connection.close()

    asyncio.run(run())
    line = refusal(database_url)
    assert "revision 9999" in line and "a newer one has migrated it" in line and "bot4 migrate --to 0" in line


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("postgresql://127.0.0.1:9/none", "at 127.0.0.1:9: .*is it running, and is BOT4_DATABASE_URL right"),
        (
            "postgresql://user:secret@no-such-host.invalid/none",
            "at no-such-host.invalid:5432: .*is it running",
        ),
        ("postgresql:///none?host=/no/such/folder", "at /no/such/folder: .*is it running"),
        ("postgresql://127.0.0.1/none?sslmode=nonsense", "refuses us: .*sslmode.*is BOT4_DATABASE_URL right"),
    ],
)
def test_a_server_that_is_not_there(url: str, reason: str) -> None:
    with pytest.raises(DatabaseError, match=reason) as caught:
        asyncio.run(connect(url, wait_seconds=0))
    assert "\n" not in str(caught.value) and "secret" not in str(caught.value)


def test_a_url_that_is_none_keeps_from_starting() -> None:
    for command in ("serve", "migrate"):
        done = subprocess.run(
            [sys.executable, "-m", "app.cli", command],
            env=os.environ | {"BOT4_DATABASE_URL": "mysql://user:secret@host/name"},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 2
        (line,) = done.stderr.splitlines()
        assert "BOT4_DATABASE_URL" in line and "postgresql://" in line and "secret" not in line


def test_where_a_url_leads() -> None:
    assert place_of("postgresql://u:p@db.example.com:6432/x") == "db.example.com:6432"
    assert place_of("postgresql:///x?host=/run/postgresql") == "/run/postgresql"
    assert place_of("postgresql:///x") == "localhost:5432"


def test_a_server_with_a_wrong_password_serves_and_goes_on_once_it_is_right(
    guarded: GuardedPostgres, tmp_path: Path
) -> None:
    asyncio.run(guarded.execute("CREATE DATABASE served OWNER trader"))
    with ServerProcess(tmp_path / "data", BOT4_DATABASE_URL=guarded.url(WRONG, "served")) as server:
        deadline = time.monotonic() + _SECONDS_MAX
        while True:
            system = httpx.get(f"{server.url}/v1/system", headers=AUTHORIZATION).json()
            reason = system["dependencies"]["database"]
            if "password" in reason:
                break
            assert time.monotonic() < deadline, reason
            time.sleep(0.1)
        assert "correct the password in BOT4_DATABASE_URL" in reason and "secret" not in reason
        health = httpx.get(f"{server.url}/health/ready")
        assert health.status_code == 200 and "database" in health.json()["degraded"]
        assert "correct the password in BOT4_DATABASE_URL" in server.output()
        asyncio.run(guarded.execute(f"ALTER ROLE trader PASSWORD '{WRONG}'"))
        while not read_status(server.journal, "database").seq:
            assert time.monotonic() < deadline + _SECONDS_MAX
            time.sleep(0.1)
        asyncio.run(guarded.execute(f"ALTER ROLE trader PASSWORD '{PASSWORD}'"))
        assert WRONG not in server.output()
