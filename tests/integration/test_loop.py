"""The loop with a real engine, venue and journal: bounds, order of answers, a clean end."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from app import demo
from app.commands.notes import note_parts
from app.commands.orders import cancel_all, cancel_order
from app.commands.records import command
from app.engine.capacity import Capacity
from app.engine.engine import Engine
from app.engine.records import EVENT
from app.engine.state_records import ORDER
from app.engine.types import CommandKind, EventKind, OrderStatus, OrderType, ReportKind, Side
from app.runtime import journal
from app.runtime.clock import SystemClock
from app.runtime.event_views import CancelAllEvent, event_as
from app.runtime.inbox import INBOX_COMMANDS_MAX
from app.runtime.journal import JournalWriter
from app.runtime.loop import EngineLoop
from app.runtime.outcomes import Outcome
from app.runtime.recovery import recover
from app.runtime.reference import Reference
from app.runtime.unavailable import EngineHalted, Overloaded
from app.venues.base import Venue
from app.venues.paper import PaperStepper, PaperVenue
from app.venues.stepper import EngineStepper
from tests.support.scripted_venue import ScriptedVenue

CAPACITY = Capacity(
    accounts=8,
    symbols=16,
    orders=1 << 17,
    open_orders=1 << 16,
    fills=1 << 12,
    commands=1 << 11,
    events=1 << 12,
)
MARK = 6_180_000  # ticks of BTC-USDT


def place(client_order_id: str = "", quantity: int = 100, price: int = 6_000_000) -> bytes:
    """A buy of BTC-USDT by account `load` that rests."""
    return command(
        CommandKind.PLACE_ORDER,
        account=2,
        symbol=0,
        side=Side.BUY,
        type=OrderType.LIMIT,
        price=price,
        quantity=quantity,
        client_order_id=client_order_id.encode(),
    )


@asynccontextmanager
async def running(folder: Path, outside: Venue | None = None) -> AsyncIterator[EngineLoop]:
    """A loop with the paper venue, or with the engine alone in front of one that is `outside`."""
    engine = Engine(CAPACITY)
    paper = PaperVenue(engine.state, CAPACITY)
    venue, stepper = (outside, EngineStepper(engine)) if outside else (paper, PaperStepper(engine, paper))
    reference = Reference.from_state(engine.state)
    loop = EngineLoop(engine, venue, stepper, reference, SystemClock(), mark_interval_ms=1)
    loop.start(partial(JournalWriter, folder))
    await demo.set_up(loop)
    loop.on_mark(0, MARK)
    await asyncio.wait_for(loop.marked.wait(), 5)
    await loop.durable()
    loop.ready = True
    try:
        yield loop
    finally:
        await loop.close()


def test_a_flood_past_the_inbox_is_refused_and_the_rest_is_answered(tmp_path: Path) -> None:
    async def flood() -> None:
        async with running(tmp_path) as loop:
            accepted = [loop.submit(place(f"flood-{number}")) for number in range(INBOX_COMMANDS_MAX)]
            with pytest.raises(Overloaded):
                loop.submit(place("one-more"))
            with pytest.raises(Overloaded):
                loop.submit_batch(place("two-more") * 2)
            assert loop.inbox.overloads == 2
            assert loop.inbox.count == INBOX_COMMANDS_MAX
            outcomes = await asyncio.gather(*accepted)
            assert [outcome.event.status for outcome in outcomes] == [OrderStatus.NEW] * len(outcomes)
            assert [outcome.event.seq for outcome in outcomes] == sorted(o.event.seq for o in outcomes)
            # There is room again, and what was refused has left nothing behind.
            again = await loop.submit(place("one-more"))
            assert again.event.kind == EventKind.ORDER_OPENED
            assert int(loop.engine.state.firm[0]["open_orders"]) == INBOX_COMMANDS_MAX + 1

    asyncio.run(flood())


def test_notes_have_no_outcome_of_their_own(tmp_path: Path) -> None:
    async def batch() -> None:
        async with running(tmp_path) as loop:
            notes = note_parts("why " * 100, actor=0)
            assert len(notes) > 1
            records = [*notes, place("a"), *notes, place("b")]
            outcomes = await loop.submit_batch(b"".join(records))
            assert [outcome.event.kind for outcome in outcomes] == [EventKind.ORDER_OPENED] * 2

    asyncio.run(batch())


def test_outcomes_of_a_batch_and_of_cancel_all_are_in_order(tmp_path: Path) -> None:
    async def batch() -> None:
        async with running(tmp_path) as loop:
            records = [place("a"), place("b", quantity=0), place("a"), place("a", quantity=7)]
            outcomes = await loop.submit_batch(b"".join(records))
            assert [outcome.event.kind for outcome in outcomes] == [
                EventKind.ORDER_OPENED,
                EventKind.ORDER_REJECTED,
                EventKind.ORDER_REPLAYED,
                EventKind.ORDER_REJECTED,
            ]
            await loop.submit(place("c"))
            done = await loop.submit(cancel_all(2, None, actor=0))
            assert event_as(CancelAllEvent, done.event).requested == 2
            assert [order.status for order in done.orders] == [OrderStatus.CANCELED] * 2
            assert [order.client_order_id.rstrip(b"\0") for order in done.orders] == [b"a", b"c"]

    asyncio.run(batch())


def test_a_venue_outside_is_routed_to_behind_the_disk_and_reports_in_a_later_tick(tmp_path: Path) -> None:
    venue = ScriptedVenue(
        {
            EventKind.ORDER_ACCEPTED: [ReportKind.NEW],
            EventKind.CANCEL_REQUESTED: [ReportKind.CANCELED],
        }
    )

    async def trade() -> None:
        async with running(tmp_path, venue) as loop:
            reported: list[asyncio.Future[list[Outcome]]] = []

            def route(events: bytes) -> None:
                assert np.frombuffer(events, EVENT)["seq"].max() <= loop.durable_seq
                batches = venue.execute(np.frombuffer(events, EVENT))
                reported.extend(loop.submit_batch(reports.tobytes()) for reports in batches)

            loop.observe(route)
            loop.resume(np.zeros(0, ORDER))
            placed = (await loop.submit(place("a"))).event
            assert placed.status == OrderStatus.PENDING_NEW
            (opened,) = await reported.pop()
            assert (opened.event.order_id, opened.event.status) == (placed.order_id, OrderStatus.NEW)
            asked = (await loop.submit(cancel_order(2, 0, placed.order_id, actor=0))).event
            assert asked.status == OrderStatus.PENDING_CANCEL
            (ended,) = await reported.pop()
            assert (ended.event.order_id, ended.event.status) == (placed.order_id, OrderStatus.CANCELED)
            numbers = [placed.seq, opened.event.seq, asked.seq, ended.event.seq]
            assert numbers == sorted(set(numbers))
            assert [event.seq for event in venue.routed] == [placed.seq, asked.seq]

    asyncio.run(trade())


def test_a_clean_end_answers_what_is_there_and_refuses_what_comes(tmp_path: Path) -> None:
    async def end() -> int:
        async with running(tmp_path) as loop:
            last = loop.submit(place("last"))
            await loop.close()
            assert (await last).event.status == OrderStatus.NEW
            with pytest.raises(EngineHalted):
                loop.submit(place("late"))
            return loop.seq

    seq = asyncio.run(end())
    engine = Engine(CAPACITY)
    assert recover(tmp_path, engine).last_seq == seq
    assert int(engine.state.firm[0]["open_orders"]) == 1


def test_a_disk_that_fails_halts_the_loop_and_fails_all_who_wait(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail() -> None:
        async with running(tmp_path) as loop:

            def refuse(_descriptor: int) -> None:
                raise OSError(5, "Input/output error")

            monkeypatch.setattr(journal, "sync_data", refuse)
            waiting = [loop.submit(place(f"lost-{number}")) for number in range(3)]
            barrier = loop.durable()
            answers = await asyncio.gather(*waiting, return_exceptions=True)
            assert all(isinstance(answer, EngineHalted) for answer in answers)
            await asyncio.wait([asyncio.ensure_future(barrier)])
            assert loop.halted
            assert loop.failed
            with pytest.raises(EngineHalted):
                loop.submit(place("after"))
            with pytest.raises(EngineHalted):
                await loop.durable()
            monkeypatch.undo()

    asyncio.run(fail())
    engine = Engine(CAPACITY)
    recover(tmp_path, engine)
    assert int(engine.state.firm[0]["open_orders"]) == 0
