"""The hot state's writer: Redis is made what the journal says, and again whenever it is not."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import orjson
import pytest
from redis import Redis
from redis.client import PubSub

from app.documents.redis_documents import RedisDocuments
from app.embedded.valkey import Valkey
from app.engine.capacity import DEFAULT_CAPACITY
from app.engine.types import OrderStatus
from app.runtime.durable_watermark import journal_identity
from app.runtime.projections import read_status
from app.runtime.segments import JournalError
from app.runtime.views import EventView
from app.store import hot_keys as keys
from app.store import hot_writer
from app.store.hot_reader import HotReader, NotSynced
from app.store.hot_writer import HotWriter
from tests.support.engine import BUY, Command, Desk, bought, events_of, pack, place, working
from tests.support.engine import market as engine_market
from tests.support.feed import until
from tests.support.journals import write_ticks


@pytest.fixture(scope="module")
def valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Valkey]:
    server = Valkey(tmp_path_factory.mktemp("valkey"))
    server.start()
    yield server
    server.stop()


class Market(Desk):
    """A desk whose journal grows with each tick."""

    def __init__(self, folder: Path) -> None:
        super().__init__(DEFAULT_CAPACITY)
        self.folder = folder
        self.send(*engine_market())

    def send(self, *commands: Command) -> list[EventView]:
        first = self.seq + 1
        records = pack(self.stamp(commands))
        events = self.engine.process(records).copy()
        write_ticks(self.folder, iter([(records, events)]), first)
        return events_of(events)

    def trade(self) -> None:
        """Account 0 buys, account 1 sells, and both have orders that rest."""
        bought(self, 3, 1_001)
        bought(self, -2, 999, account=1)
        for account in range(2):
            working(self, place(account, 0, BUY, 4, 990, client_order_id=b"mine-%d" % self.seq))


@pytest.fixture
def market(tmp_path: Path) -> Market:
    return Market(tmp_path)


async def synced(reader: HotReader, market: Market) -> None:
    def there() -> bool:
        try:
            return reader.meta().seq == market.seq
        except NotSynced:
            return False

    await until(there, "Redis has all of the journal")


def check_same(reader: HotReader, market: Market) -> None:
    """What stands in Redis is what the engine says."""
    state = market.engine.state
    documents = RedisDocuments(state)
    for account in range(int(state.firm[0]["accounts"])):
        name = documents.account_name(account)
        assert reader.account(name) == orjson.loads(documents.account(account))
        held = {
            documents.symbol_name(symbol): orjson.loads(documents.position(account, symbol))
            for symbol in documents.held(account)
        }
        assert reader.positions(name) == held
        orders = state.orders[state.orders["order_id"] != 0]
        is_mine = (orders["account"] == account) & (orders["status"] < OrderStatus.FILLED)
        mine = set(map(str, orders["order_id"][is_mine].tolist()))
        assert set(reader.open_orders(name)) == mine


def test_redis_is_made_what_the_journal_says(
    valkey: Valkey, market: Market, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever stood there before, whatever is done to it meanwhile, and as the journal grows."""
    monkeypatch.setattr(hot_writer, "REVALUE_SECONDS", 0.02)
    monkeypatch.setattr(hot_writer, "STATUS_SECONDS", 0.02)
    redis = Redis.from_url(valkey.url)
    reader = HotReader.connect(valkey.url)
    redis.hset(keys.orders("ghost"), "1", "{}")
    redis.hset(keys.META, mapping={"journal": "another", "layout": 1, "seq": market.seq, "synced": 1})

    async def run() -> None:
        writer = asyncio.create_task(HotWriter(market.folder, valkey.url).run())
        await until(lambda: redis.hget(keys.META, "journal") == journal, "it is ours")
        await synced(reader, market)
        assert not redis.exists(keys.orders("ghost"))
        check_same(reader, market)
        for _ in range(3):
            market.trade()
            await synced(reader, market)
        check_same(reader, market)
        assert redis.xlen(keys.EVENTS) >= 3 * 8
        redis.flushall()
        await until(lambda: redis.exists(keys.META), "it is written anew")
        await synced(reader, market)
        check_same(reader, market)
        redis.hset(keys.META, "seq", market.seq - 1)  # as when it was restored from a copy
        redis.delete(keys.ACCOUNTS)
        await until(lambda: redis.exists(keys.ACCOUNTS), "it is written anew")
        await synced(reader, market)
        check_same(reader, market)
        await until(lambda: read_status(market.folder, "redis").error is None, "it says that all is well")
        status = read_status(market.folder, "redis")
        assert (status.seq, status.lag_seq, status.lag_seconds) == (market.seq, 0, 0.0)
        assert status.rows >= 3 * 8, "events that were added"
        writer.cancel()
        with pytest.raises(asyncio.CancelledError):
            await writer

    journal = journal_identity(market.folder).encode()
    asyncio.run(run())
    redis.flushall()
    redis.close()
    reader.close()


def test_each_transaction_is_announced(valkey: Valkey, market: Market) -> None:
    redis = Redis.from_url(valkey.url)
    reader = HotReader.connect(valkey.url)
    live: PubSub = redis.pubsub(ignore_subscribe_messages=True)  # type: ignore[no-untyped-call]
    live.subscribe(keys.LIVE)

    async def run() -> None:
        writer = asyncio.create_task(HotWriter(market.folder, valkey.url).run())
        await synced(reader, market)
        market.trade()
        await synced(reader, market)
        told: list[dict[str, int]] = []

        def heard() -> bool:
            while message := live.get_message():
                told.append(orjson.loads(message["data"]))
            return any(each["events"] for each in told)

        await until(heard, "announced")
        await until(lambda: heard() and told[-1]["seq"] == market.seq, "all of it is announced")
        assert sum(each["events"] for each in told) == redis.xlen(keys.EVENTS)
        assert [each["seq"] for each in told] == sorted(each["seq"] for each in told)
        writer.cancel()
        await asyncio.gather(writer, return_exceptions=True)

    asyncio.run(run())
    live.close()
    redis.flushall()
    redis.close()
    reader.close()


def test_without_redis_it_says_so_and_goes_on_trying(market: Market, tmp_path: Path) -> None:
    async def run() -> None:
        writer = asyncio.create_task(HotWriter(market.folder, f"unix://{tmp_path}/nowhere").run())
        await until(lambda: "cannot be used" in str(read_status(market.folder, "redis").error), "it says so")
        assert not writer.done()
        writer.cancel()
        await asyncio.gather(writer, return_exceptions=True)

    asyncio.run(run())


def test_without_a_journal_there_is_nothing_to_follow(tmp_path: Path) -> None:
    with pytest.raises(JournalError, match="there is no journal"):
        HotWriter(tmp_path, "redis://127.0.0.1:1")
