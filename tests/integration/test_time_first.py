"""T17, E20: time comes first in a tick. What has ended trades no more, what has begun counts.

Over HTTP by the server's clock, and in a loop whose clock the test moves.
"""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import httpx
import pytest

from app import demo
from app.commands.limits import change_limits
from app.engine.codes import Code
from app.engine.engine import Engine
from app.engine.reference import DAY_US
from app.engine.types import CommandKind, EventKind, Limit, OrderStatus
from app.runtime.clock import VirtualClock
from app.runtime.journal import JournalWriter
from app.runtime.loop import EngineLoop
from app.runtime.reference import Reference
from app.runtime.views import EventView, event_views
from app.venues.paper import PaperStepper, PaperVenue
from tests.integration.test_loop import CAPACITY, MARK, place
from tests.support.api import ApiServer
from tests.support.trading_desk import TradingDesk

TRIES = 40
LIFE_US = 30_000
S = 1_000_000
START = 1_700_006_400 * S  # a UTC midnight
LOAD = 2  # the account of `place`


@pytest.fixture
def desk(api: ApiServer, client: httpx.Client) -> TradingDesk:
    desk = TradingDesk(api, client)
    desk.book([("150.00", "1000")], [("151.00", "1000")])
    return desk


def rests(desk: TradingDesk, account: str, side: str, price: str) -> tuple[str, int]:
    """An order that ends soon, and when."""
    ends = desk.api.server.clock.now() + LIFE_US
    return desk.take(account, side, "1", price, time_in_force="GTD", expire_at=ends), ends


def wait_past(ends: int) -> None:
    """By the machine's clock, which the server's is."""
    while time.time_ns() // 1_000 < ends:
        pass


@pytest.mark.parametrize(("side", "other"), [("SELL", "BUY"), ("BUY", "SELL")])
def test_nothing_is_taken_of_an_order_after_its_time(desk: TradingDesk, side: str, other: str) -> None:
    maker, taker = desk.account(), desk.account()
    for _ in range(TRIES):
        order, ends = rests(desk, maker, side, "150.50")
        wait_past(ends)
        taken = desk.order(desk.take(taker, other, "1", "150.50", time_in_force="IOC"))
        assert (taken["status"], taken["filled_quantity"]) == ("CANCELED", "0.000")
        assert desk.status(order) == ("EXPIRED", None)
    assert desk.position(maker) == desk.position(taker) == 0


def test_no_market_order_and_no_amend_takes_of_it(desk: TradingDesk) -> None:
    maker, taker = desk.account(), desk.account()
    for _ in range(5):
        order, ends = rests(desk, maker, "SELL", "150.50")
        wait_past(ends)
        (fill,) = desk.order(desk.take(taker, "BUY", "1"))["fills"]
        assert fill["price"] == "151.00", "of the depth behind it"
        assert desk.status(order) == ("EXPIRED", None)
    resting = desk.take(taker, "BUY", "1", "150.10")
    order, ends = rests(desk, maker, "SELL", "150.50")
    wait_past(ends)
    assert desk.amend(resting, price="150.50").status_code == 200
    assert desk.status(resting) == ("NEW", None) and desk.status(order) == ("EXPIRED", None)


def test_depth_does_not_reach_it(desk: TradingDesk) -> None:
    maker = desk.account()
    for _ in range(10):
        order, ends = rests(desk, maker, "BUY", "150.50")
        wait_past(ends)
        desk.depth([("150.00", "1000")], [("150.40", "1000")])
        assert desk.status(order) == ("EXPIRED", None)
        desk.depth([("150.00", "1000")], [("151.00", "1000")])
    assert desk.position(maker) == 0


def test_a_stop_does_not_fire_after_its_time(desk: TradingDesk) -> None:
    account = desk.account()
    for price in ("149.00", "148.00", "147.00", "146.00"):
        ends = desk.api.server.clock.now() + LIFE_US
        more = {"stop_price": "150.00", "time_in_force": "GTD", "expire_at": ends}
        order = desk.take(account, "SELL", "1", "100.00", type="STOP_LIMIT", **more)
        wait_past(ends)
        desk.mark(price)
        assert desk.status(order) == ("EXPIRED", None)
        desk.mark("150.50")
    assert desk.position(account) == 0


# In a loop whose clock the test moves.


class Watched:
    """A loop, its clock, and all events that have become durable."""

    def __init__(self, loop: EngineLoop, clock: VirtualClock) -> None:
        self.loop = loop
        self.clock = clock
        self.seen: list[EventView] = []
        loop.observe(lambda events: self.seen.extend(event_views(events)))

    async def mark(self, price: int) -> None:
        self.loop.marked.clear()
        self.loop.on_mark(0, price)
        await asyncio.wait_for(self.loop.marked.wait(), 5)
        await self.loop.durable()

    async def submit(self, records: list[bytes]) -> None:
        outcomes = await self.loop.submit_batch(b"".join(records))
        assert all(outcome.event.kind != EventKind.COMMAND_REJECTED for outcome in outcomes)

    def first(self, kind: EventKind, since: int = 0) -> int:
        return next(at for at, event in enumerate(self.seen) if at >= since and event.kind == kind)


@asynccontextmanager
async def watched(folder: Path) -> AsyncIterator[Watched]:
    engine, clock = Engine(CAPACITY), VirtualClock(START + DAY_US - 10 * S)
    venue, reference = PaperVenue(engine.state, CAPACITY), Reference.from_state(engine.state)
    stepper = PaperStepper(engine, venue)
    loop = EngineLoop(engine, venue, stepper, reference, clock, mark_interval_ms=1)
    loop.start(partial(JournalWriter, folder))
    await demo.set_up(loop)
    made = Watched(loop, clock)
    await made.mark(MARK)
    try:
        yield made
    finally:
        await loop.close()


def test_the_first_mark_of_a_day_comes_after_its_start(tmp_path: Path) -> None:
    async def run() -> None:
        async with watched(tmp_path) as made:
            for day in range(1, 11):
                made.clock.set(START + (day + 1) * DAY_US - 1)
                await made.mark(MARK + day)
                since = len(made.seen)
                made.loop.on_mark(0, MARK - day)
                placed = made.loop.submit(place())
                made.clock.set(START + (day + 1) * DAY_US)
                await placed
                await made.mark(MARK - day)
                began = made.first(EventKind.DAY_STARTED, since)
                assert began < made.first(EventKind.MARK_UPDATED, since)
                assert began < made.first(EventKind.ORDER_ACCEPTED, since)
                assert int(made.loop.engine.state.firm[0]["day_start_ts"]) == made.clock.now()

    asyncio.run(run())


def test_an_order_that_comes_when_the_mark_is_overdue_meets_the_halt(tmp_path: Path) -> None:
    async def run() -> None:
        async with watched(tmp_path) as made:
            values: dict[Limit, int | None] = {Limit.MARK_HALT_AGE: S}
            await made.submit(change_limits(CommandKind.SET_LIMIT, None, 0, values, 0, "a test"))
            await asyncio.sleep(0.2)  # it has been seen
            made.clock.advance(S)
            assert (await made.loop.submit(place())).event.status == OrderStatus.NEW
            made.clock.advance(1)
            refused = (await made.loop.submit(place())).event
            assert (refused.kind, refused.code) == (EventKind.ORDER_REJECTED, Code.TRADING_HALTED)
            tripped = made.seen[made.first(EventKind.BREAKER_TRIPPED)]
            assert (tripped.code, tripped.symbol) == (Code.MARKET_DATA_STALE, 0)

    asyncio.run(run())


def test_an_order_that_comes_when_an_override_ends_meets_the_old_limit(tmp_path: Path) -> None:
    async def run() -> None:
        async with watched(tmp_path) as made:
            own: dict[Limit, int | None] = {Limit.MAX_ORDER_QUANTITY: 1}
            await made.submit(change_limits(CommandKind.SET_LIMIT, LOAD, None, own, 0, "a test"))
            for _ in range(5):
                wider: dict[Limit, int | None] = {Limit.MAX_ORDER_QUANTITY: 1 << 50}
                ends = made.clock.now() + S
                await made.submit(
                    change_limits(CommandKind.SET_OVERRIDE, LOAD, None, wider, 0, "a test", expires_ts=ends)
                )
                made.clock.advance(S - 1)
                assert (await made.loop.submit(place())).event.status == OrderStatus.NEW
                made.clock.advance(1)
                refused = (await made.loop.submit(place())).event
                assert refused.code == Code.MAX_ORDER_QUANTITY

    asyncio.run(run())
