"""History figures: response times of the history API over ten million rows, and its query plans.

Needs a server to fill: BOT4_BENCH_DATABASE_URL. The database created there is dropped afterwards.
"""

import asyncio
import contextlib
import http.client
import json
import os
import time
from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

import asyncpg
import numpy as np

from app.store.database import connect
from app.store.schema import migrate
from loadtests.figures import Figure, percentiles
from loadtests.history_data import ACCOUNTS, LARGE, SYMBOLS, fill
from loadtests.history_queries import TRADER_ACCOUNTS, Asker, Query
from loadtests.processes import Server, bot4_server, build_folder
from loadtests.store_figures import database_on

REQUESTS = 60  # of each kind
P95_MS_MAX = 200.0
_DAY_US = 86_400_000_000
_ORDERS_KNOWN = 1_000
_SERVER_SECONDS_MAX = 60.0


def measure_history(rounds: int) -> list[Figure]:
    server = os.environ.get("BOT4_BENCH_DATABASE_URL")
    if not server:
        raise RuntimeError("it fills a database: BOT4_BENCH_DATABASE_URL says on which server")
    return asyncio.run(_measure(server, min(rounds, 3)))


async def _measure(server: str, rounds: int) -> list[Figure]:
    async with filled_database(server) as (url, rows, asker):
        found = await asyncio.to_thread(_ask_a_server, url, asker, rounds)
        plans = build_folder() / "history_plans.txt"
        plans.write_text(await explain_all(url, asker))
    load = f"{sum(rows.values()):,} rows in {len(rows)} tables over {LARGE.days} days"
    worst = max(found, key=lambda name: found[name]["p95"])
    details = {"load": load, "rows": rows, "requests": REQUESTS, "kinds": found, "plans": str(plans)}
    overall = Figure(
        part="history",
        claim=f"the slowest kind of query over {load}, p95: {worst}",
        measured=found[worst]["p95"],
        unit="ms",
        target=P95_MS_MAX,
        details=details,
    )
    return [overall, *(_figure(name, times) for name, times in found.items())]


def _figure(name: str, times: Mapping[str, float]) -> Figure:
    return Figure(
        part="history",
        claim=f"{name}, p95 (p50 {times['p50']:.1f} ms)",
        measured=times["p95"],
        unit="ms",
        target=P95_MS_MAX,
        details={"percentiles_ms": dict(times)},
    )


@contextlib.asynccontextmanager
async def filled_database(server: str) -> AsyncIterator[tuple[str, Mapping[str, int], Asker]]:
    """A database of its own on a server, filled; the rows of its tables, and its client."""
    async with database_on(server) as url:
        await migrate(url)
        connection: asyncpg.Connection = await connect(url)
        end = datetime.now(UTC)
        rows = await fill(connection, LARGE, end)
        asker = await make_asker(connection, LARGE.days, end)
        await connection.close()
        yield url, rows, asker


async def make_asker(connection: asyncpg.Connection, days: int, end: datetime) -> Asker:
    ids = await connection.fetch(
        "SELECT order_id FROM orders ORDER BY order_id % 9973, order_id LIMIT $1", _ORDERS_KNOWN
    )
    end_us = int(end.timestamp() * 1_000_000)
    return Asker(
        accounts=[f"account-{number}" for number in range(ACCOUNTS)],
        symbols=[f"symbol-{number}" for number in range(SYMBOLS)],
        begin=end_us - days * _DAY_US,
        end=end_us,
        order_ids=[row["order_id"] for row in ids],
    )


def _ask_a_server(url: str, asker: Asker, rounds: int) -> dict[str, dict[str, float]]:
    with bot4_server(feed="none", settings={"BOT4_DATABASE_URL": url}) as server:
        keys = _set_up(server, asker)
        connection = http.client.HTTPConnection(server.host, server.port, timeout=60)
        taken: dict[str, list[float]] = {}
        for _ in range(rounds):
            for name, make in asker.kinds().items():
                times = taken.setdefault(name, [])
                times += [_ask(connection, keys, make()) for _ in range(REQUESTS)]
        connection.close()
    return {name: percentiles(np.array(times)) for name, times in taken.items()}


def _set_up(server: Server, asker: Asker) -> dict[str, str]:
    """As many accounts as the history has, and a trader of some of them; keys by who has them."""
    connection = http.client.HTTPConnection(server.host, server.port, timeout=60)

    def call(method: str, path: str, content: Any = None) -> Any:
        body = None if content is None else json.dumps(content)
        connection.request(method, path, body, {"Authorization": f"Bearer {server.key}"})
        answer = connection.getresponse()
        text = answer.read()
        if answer.status >= 300:
            raise RuntimeError(f"{method} {path}: {answer.status} {text[:300]!r}")
        return json.loads(text)

    asker.accounts[:3] = [account["account"] for account in call("GET", "/v1/accounts")["items"]][:3]
    for name in asker.accounts[3:]:
        call("POST", "/v1/accounts", {"account": name})
    asker.symbols[:] = [item["symbol"] for item in call("GET", "/v1/instruments")["items"]][:SYMBOLS]
    trader = call(
        "POST",
        "/v1/keys",
        {"name": "bench", "role": "trader", "accounts": [asker.accounts[at] for at in TRADER_ACCOUNTS]},
    )
    deadline = time.monotonic() + _SERVER_SECONDS_MAX
    while call("GET", "/v1/system")["dependencies"]["database"] != "up":
        if time.monotonic() > deadline:
            raise RuntimeError("the database did not come up")
        time.sleep(0.2)
    connection.close()
    return {"admin": server.key, "trader": trader["key"]}


def _ask(connection: http.client.HTTPConnection, keys: Mapping[str, str], query: Query) -> float:
    """Milliseconds from the request to the last byte of the answer."""
    path = f"{query.path}?{urlencode(query.parameters)}"
    started = time.perf_counter()
    connection.request("GET", path, headers={"Authorization": f"Bearer {keys[query.key]}"})
    answer = connection.getresponse()
    text = answer.read()
    seconds = time.perf_counter() - started
    if answer.status != 200:
        raise RuntimeError(f"{path}: {answer.status} {text[:300]!r}")
    return seconds * 1e3


async def explain_all(url: str, asker: Asker) -> str:
    """EXPLAIN (ANALYZE, BUFFERS) of one query of each kind."""
    connection: asyncpg.Connection = await connect(url)
    parts = []
    for name, make in asker.kinds().items():
        query = make()
        lines = await connection.fetch(f"EXPLAIN (ANALYZE, BUFFERS) {query.sql}", *query.arguments)
        plan = "\n".join(line[0] for line in lines)
        sql = "\n".join(line.rstrip() for line in query.sql.strip().splitlines())
        parts.append(f"== {name}\n\n{sql}\n\n-- {query.arguments}\n\n{plan}\n")
    await connection.close()
    return "\n".join(parts)
