"""Orders end when their time is over, the first to end first."""

from hypothesis import given, settings
from hypothesis import strategies as st

from app.engine.types import EventKind, OrderStatus, OrderType, ReportKind, TimeInForce
from tests.support.engine import BUY, FIRST_TS, Command, Desk, advance, cancel, desk, place, report, working

S = 1_000_000
ENDS = FIRST_TS + 10 * S


def until(ends: int, waits: bool = False) -> Command:
    stop = {"type": OrderType.STOP, "stop_price": 2_000} if waits else {"price": 900}
    return place(0, 0, BUY, 1, time_in_force=TimeInForce.GTD, expire_ts=ends, **stop)


def opened() -> Desk:
    made = desk()
    made.send(advance())
    return made


def ended_at(made: Desk, ts: int) -> list[tuple[int, int]]:
    made.ts = ts
    events = made.send(advance())
    return [(event.order_id, event.kind) for event in events if event.kind != EventKind.TIME_ADVANCED]


@settings(max_examples=60, deadline=None)
@given(
    orders=st.lists(st.tuples(st.integers(1, 20), st.booleans()), max_size=30),
    moments=st.lists(st.integers(0, 25), max_size=6).map(sorted),
)
def test_in_the_order_of_their_ends(orders: list[tuple[int, bool]], moments: list[int]) -> None:
    """As a sorted list; of the same end the older order first."""
    made = opened()
    left = []
    for ends, waits in orders:
        order_id = made.one(until(FIRST_TS + ends * S, waits)).order_id
        left.append((ends, order_id, EventKind.ORDER_EXPIRED if waits else EventKind.CANCEL_REQUESTED))
    left.sort()
    for moment in moments:
        due = [(order_id, kind) for ends, order_id, kind in left if ends <= moment]
        left = [row for row in left if row[0] > moment]
        assert ended_at(made, FIRST_TS + moment * S) == due


def test_not_a_microsecond_before() -> None:
    made = opened()
    stop, limit = (made.one(until(ENDS, waits)).order_id for waits in (True, False))
    assert ended_at(made, ENDS - 1) == []
    assert ended_at(made, ENDS) == [(stop, EventKind.ORDER_EXPIRED), (limit, EventKind.CANCEL_REQUESTED)]
    assert made.order(stop)["status"] == OrderStatus.EXPIRED
    assert made.account(0)["open_orders"] == 1, "the venue has not said yet that the other one is over"


def test_one_with_a_request_on_its_way_is_asked_for_again() -> None:
    made = opened()
    order_id = working(made, until(ENDS))
    made.one(cancel(order_id))
    assert ended_at(made, ENDS) == []
    made.one(report(ReportKind.CANCEL_REJECTED, order_id))
    assert ended_at(made, ENDS + S - 1) == [], "a second later"
    assert ended_at(made, ENDS + S) == [(order_id, EventKind.CANCEL_REQUESTED)]
    assert ended_at(made, ENDS + 10 * S) == []


def test_what_has_ended_before_does_not_end_again() -> None:
    made = opened()
    order_id = working(made, until(ENDS))
    made.one(report(ReportKind.CANCELED, order_id))
    assert ended_at(made, ENDS) == []
