"""The router gives each event to the logs that show it, once encoded, and to no others."""

import json
from collections.abc import Iterable
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.codec.stream_json import BLOCK_EVENTS
from app.documents.raw_events import EVERY_INDEX
from app.documents.stream_items import Sources, StreamItems
from app.engine.codes import Code
from app.engine.types import Limit, ReportKind, Scope
from app.runtime.clock import SystemClock
from app.runtime.reference import Reference
from app.streams.router import Router
from app.streams.states import States
from app.streams.stream import LogStream, StateStream
from app.streams.topics import LOGS, Channel, Topic
from tests.support.engine import (
    BUY,
    Command,
    Desk,
    amend,
    cancel,
    desk,
    limit,
    note,
    pack,
    place,
    report,
    trade,
    working,
)

Watched = Iterable[tuple[Channel, int]]


class Routes:
    """A router over a desk, and the logs that are watched."""

    def __init__(self, made: Desk, watched: Watched) -> None:
        state = made.engine.state
        reference = Reference.from_state(state)
        unused: Any = None  # of venue and market nothing is asked that is made of events
        self.items = StreamItems(
            Sources(state, reference, unused, unused, SystemClock(), reference.name_tables, dict)
        )
        self.logs: dict[Channel, dict[int, LogStream]] = {channel: {} for channel in LOGS}
        for channel, index in watched:
            self.logs[channel][index] = LogStream(Topic(channel, str(index), index), 0)
        self.states = States(self.items)
        self.touched: list[LogStream] = []
        self._made = made
        self._router = Router(self.items, self.logs, self.states)

    def send(self, *commands: Command) -> None:
        """Route what commands lead to, as one tick."""
        events = self._made.engine.process(pack(self._made.stamp(commands))).tobytes()
        self._router.route(events, self.touched)

    def told(self, channel: Channel, index: int) -> list[tuple[int, Any]]:
        """(seq, item) of one log."""
        messages = self.logs[channel][index].take(0).messages
        return [(each["seq"], item) for each in map(json.loads, messages) for item in each["data"]]


def routes(*watched: tuple[Channel, int]) -> tuple[Desk, Routes]:
    made = desk(accounts=3)
    return made, Routes(made, watched)


def test_orders_go_to_their_account_and_to_all() -> None:
    made, found = routes((Channel.ORDERS, 0), (Channel.ORDERS, 1), (Channel.ORDERS, EVERY_INDEX))
    found.send(place(0, 0, BUY, 1, 990), place(2, 0, BUY, 2, 990))
    (mine,) = found.told(Channel.ORDERS, 0)
    assert (mine[0], mine[1]["account"], mine[1]["quantity"]) == (made.seq - 1, "account-0", "1")
    assert found.told(Channel.ORDERS, 1) == []
    every = found.told(Channel.ORDERS, EVERY_INDEX)
    assert [item["account"] for _, item in every] == ["account-0", "account-2"]
    assert every[0] == mine, "the same item"


def test_executions_are_orders_and_fills() -> None:
    made, found = routes((Channel.ORDERS, 0), (Channel.FILLS, 0), (Channel.FILLS, 1))
    order_id = working(made, place(0, 0, BUY, 5, 990))
    found.send(trade(order_id, 77, 2, 990))
    ((_, order),) = found.told(Channel.ORDERS, 0)
    ((_, fill),) = found.told(Channel.FILLS, 0)
    assert (order["order_id"], order["filled_quantity"]) == (str(order_id), "2")
    assert (fill["order_id"], fill["fill_id"], fill["quantity"]) == (str(order_id), "77", "2")
    assert found.told(Channel.FILLS, 1) == []


def test_refusals_of_changes_are_shown_though_no_kernel_writes_them() -> None:
    made, found = routes((Channel.ORDERS, 0), (Channel.ORDERS, EVERY_INDEX))
    order_id = working(made, place(0, 0, BUY, 5, 990))
    made.send(cancel(order_id))
    found.send(report(ReportKind.CANCEL_REJECTED, order_id, code=Code.VENUE_REJECTED))
    ((_, order),) = found.told(Channel.ORDERS, 0)
    assert order["order_id"] == str(order_id)
    assert [item for _, item in found.told(Channel.ORDERS, EVERY_INDEX)] == [order]
    made.send(cancel(order_id), report(ReportKind.CANCELED, order_id))
    found.send(cancel(order_id))
    assert found.told(Channel.ORDERS, 0) == [], "it has ended, and nothing has changed"


def test_a_log_is_touched_once() -> None:
    _, found = routes((Channel.ORDERS, 0), (Channel.ORDERS, 1))
    found.send(*(place(0, 0, BUY, 1, 990) for _ in range(3)))
    assert found.touched == [found.logs[Channel.ORDERS][0]]
    found.send(place(0, 0, BUY, 1, 990))
    assert len(found.touched) == 1, "it has something already"
    found.told(Channel.ORDERS, 0)
    found.send(place(0, 0, BUY, 1, 990))
    assert len(found.touched) == 2, "it had nothing any more"


def test_many_events_come_in_order_across_blocks() -> None:
    made, found = routes((Channel.ORDERS, EVERY_INDEX))
    count = 2 * BLOCK_EVENTS + 3
    orders = [place(number % 3, 0, BUY, 1 + number, 990) for number in range(count)]
    found.send(*orders)
    every = found.told(Channel.ORDERS, EVERY_INDEX)
    assert [item["quantity"] for _, item in every] == [str(1 + number) for number in range(count)]
    assert [seq for seq, _ in every] == list(range(made.seq - count + 1, made.seq + 1))


def test_what_risk_says_of_the_firm_is_for_all_alone() -> None:
    _, found = routes((Channel.RISK, 0), (Channel.RISK, 1), (Channel.RISK, EVERY_INDEX))
    found.send(
        note(b"because"),
        limit(
            Limit.MAX_GROSS_EXPOSURE,
            10**8,
            Scope.ACCOUNT,
            0,
        ),
    )
    found.send(limit(Limit.MAX_GROSS_EXPOSURE, 10**9))
    mine, every = found.told(Channel.RISK, 0), found.told(Channel.RISK, EVERY_INDEX)
    assert [item["scope"] for _, item in mine] == ["account:account-0"]
    assert [item["scope"] for _, item in every] == ["account:account-0", "firm"]
    assert found.told(Channel.RISK, 1) == []


def test_an_account_is_not_told_the_numbers_that_it_shares() -> None:
    made, found = routes((Channel.RISK, 0), (Channel.RISK, EVERY_INDEX))
    made.send(limit(Limit.MAX_GROSS_EXPOSURE, 5_000))
    found.send(place(0, 0, BUY, 10, 990))
    ((_, mine),) = found.told(Channel.RISK, 0)
    ((_, all_of_it),) = found.told(Channel.RISK, EVERY_INDEX)
    assert (mine["code"], all_of_it["code"]) == ("MAX_GROSS_EXPOSURE", "MAX_GROSS_EXPOSURE")
    assert (mine["limit"], mine["observed"]) == (None, None)
    assert all_of_it["limit"] == "0.00005"


def test_states_are_told_only_while_they_are_watched(monkeypatch: pytest.MonkeyPatch) -> None:
    made, found = routes()
    noted: list[Any] = []
    monkeypatch.setattr(found.states, "note", noted.append)
    found.send(place(0, 0, BUY, 1, 990))
    assert noted == []
    found.states.streams[Channel.ACCOUNTS][EVERY_INDEX] = cast(StateStream, object())
    found.send(place(0, 0, BUY, 1, 990), amend(0, 1))
    assert [event[0] for event in noted] == [made.seq - 1, made.seq]


@pytest.fixture(scope="module")
def shared() -> tuple[Desk, Routes]:
    return routes(*((channel, index) for channel in LOGS for index in (EVERY_INDEX, 0, 1, 2)))


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 2), st.integers(1, 9), st.booleans()), min_size=1, max_size=12))
def test_all_is_what_the_accounts_are_told_put_together(
    shared: tuple[Desk, Routes], wanted: list[tuple[int, int, bool]]
) -> None:
    _, found = shared
    found.send(*(place(account, 0, BUY, size, 990 if good else -5) for account, size, good in wanted))
    for channel in LOGS:
        every = found.told(channel, EVERY_INDEX)
        parts = [item for index in range(3) for item in found.told(channel, index)]
        assert sorted(parts, key=lambda item: item[0]) == every
