"""The order state machine against the table of the domain description, in the table and in the engine."""

from collections.abc import Callable

import pytest

from app.engine import transitions
from app.engine.codes import Code
from app.engine.transitions import FINAL, TABLE, Trigger
from app.engine.types import EventKind, OrderStatus, OrderType, ReportKind
from tests.support.engine import (
    BUY,
    Command,
    Desk,
    amend,
    cancel,
    desk,
    for_python,
    mark,
    place,
    report,
    trade,
    working,
)

next_status = for_python(transitions.next_status)
is_final = for_python(transitions.is_final)

S = OrderStatus
WORKING = {S.NEW, S.PARTIALLY_FILLED}
PENDING = {*WORKING, S.FILLED, S.CANCELED, S.EXPIRED, S.REJECTED, S.UNKNOWN}

# "From" and "may become", as the domain description has it.
MAY_BECOME: dict[OrderStatus, set[OrderStatus]] = {
    S.PENDING_NEW: {
        S.NEW, S.PARTIALLY_FILLED, S.FILLED, S.REJECTED, S.CANCELED, S.PENDING_CANCEL, S.EXPIRED, S.UNKNOWN,
    },
    S.NEW: {
        S.PARTIALLY_FILLED, S.FILLED, S.PENDING_CANCEL, S.PENDING_REPLACE, S.CANCELED, S.EXPIRED,
        S.TRIGGERED, S.UNKNOWN,
    },
    S.PARTIALLY_FILLED: {
        S.PARTIALLY_FILLED, S.FILLED, S.PENDING_CANCEL, S.PENDING_REPLACE, S.CANCELED, S.EXPIRED, S.UNKNOWN,
    },
    S.PENDING_CANCEL: PENDING,
    S.PENDING_REPLACE: PENDING,
    S.TRIGGERED: {
        S.NEW, S.PARTIALLY_FILLED, S.FILLED, S.PENDING_CANCEL, S.PENDING_REPLACE, S.CANCELED, S.EXPIRED,
        S.UNKNOWN,
    },
    S.UNKNOWN: {S.NEW, S.PARTIALLY_FILLED, S.FILLED, S.CANCELED, S.REJECTED, S.EXPIRED},
    S.FILLED: set(),
    S.CANCELED: set(),
    S.REJECTED: set(),
    S.EXPIRED: set(),
}  # fmt: skip

# What a trigger leads to wherever it is legal; "working" is NEW, or PARTIALLY_FILLED where it has fills.
AIM: dict[Trigger, set[OrderStatus]] = {
    Trigger.ACKNOWLEDGE: WORKING,
    Trigger.FILL: {S.PARTIALLY_FILLED},
    Trigger.COMPLETE: {S.FILLED},
    Trigger.REQUEST_CANCEL: {S.PENDING_CANCEL},
    Trigger.REQUEST_REPLACE: {S.PENDING_REPLACE},
    Trigger.CANCEL: {S.CANCELED},
    Trigger.EXPIRE: {S.EXPIRED},
    Trigger.REJECT: {S.REJECTED},
    Trigger.FIRE: {S.TRIGGERED},
    Trigger.REPLACE: WORKING,
    Trigger.REFUSE: WORKING,
    Trigger.LOSE: {S.UNKNOWN},
}

# Where a trigger's aim is among what the state may become, and it still is no step of that state.
NOT_A_STEP = {
    (S.NEW, Trigger.ACKNOWLEDGE),
    (S.NEW, Trigger.REPLACE),  # a stop that waits in the engine is amended without a step
    (S.PENDING_NEW, Trigger.REPLACE),  # nothing was asked for yet
    (S.PENDING_NEW, Trigger.REFUSE),
    (S.TRIGGERED, Trigger.REPLACE),
    (S.TRIGGERED, Trigger.REFUSE),
    (S.PARTIALLY_FILLED, Trigger.FIRE),
}
# And the other way round, each with its reason.
EXTRA_STEPS = {
    (S.PENDING_CANCEL, Trigger.ACKNOWLEDGE): S.PENDING_CANCEL,  # overtaken by the request
    (S.PENDING_REPLACE, Trigger.ACKNOWLEDGE): S.PENDING_REPLACE,
    (S.PENDING_REPLACE, Trigger.REQUEST_CANCEL): S.PENDING_REPLACE,  # cancels always pass
    (S.PENDING_CANCEL, Trigger.REPLACE): S.PENDING_CANCEL,  # asked for before the cancel
    (S.UNKNOWN, Trigger.REQUEST_CANCEL): S.UNKNOWN,
    (S.UNKNOWN, Trigger.REFUSE): S.UNKNOWN,
    (S.TRIGGERED, Trigger.REJECT): S.CANCELED,  # it was accepted once
}
STATES = [state for state in S if state != S.NONE]
PAIRS = [(state, trigger) for state in STATES for trigger in Trigger]


def expected(state: OrderStatus, trigger: Trigger, filled: int) -> OrderStatus:
    """Where a step leads by the domain description; NONE where it is illegal."""
    if (state, trigger) in EXTRA_STEPS:
        return EXTRA_STEPS[state, trigger]
    if (state, trigger) in NOT_A_STEP or not AIM[trigger] & MAY_BECOME[state]:
        return S.NONE
    if AIM[trigger] == WORKING:
        return S.PARTIALLY_FILLED if filled else S.NEW
    (target,) = AIM[trigger]
    return target


@pytest.mark.parametrize(("state", "trigger"), PAIRS)
@pytest.mark.parametrize("filled", [0, 3])
def test_each_pair(state: OrderStatus, trigger: Trigger, filled: int) -> None:
    assert S(int(next_status(int(state), int(trigger), filled))) == expected(state, trigger, filled)


def test_the_table_says_no_more_and_no_less_than_the_description() -> None:
    for state, may_become in MAY_BECOME.items():
        extra = {target for (of, _), target in EXTRA_STEPS.items() if of == state}
        fills = {S.NEW: (0,), S.PARTIALLY_FILLED: (3,)}.get(state, (0, 3))
        targets = {S(int(next_status(int(state), int(t), filled))) for t in Trigger for filled in fills}
        assert may_become <= targets <= may_become | extra | {S.NONE, state}, state  # or stay


@pytest.mark.parametrize("state", STATES)
def test_final_states(state: OrderStatus) -> None:
    assert is_final(int(state)) == (state in FINAL) == (not MAY_BECOME[state]) == (state not in TABLE)


# --- The same pairs through the engine.


def _pending_new(made: Desk) -> int:
    return made.one(place(0, 0, BUY, 10, 1_000)).order_id


def _new(made: Desk) -> int:
    return working(made, place(0, 0, BUY, 10, 1_000))


def _partially_filled(made: Desk) -> int:
    order_id = _new(made)
    made.one(trade(order_id, 1, 3, 1_000))
    return order_id


def _triggered(made: Desk) -> int:
    order_id = made.one(place(0, 0, BUY, 10, type=OrderType.STOP, stop_price=1_100)).order_id
    made.send(mark(0, 1_100))
    return order_id


def _then(prepare: Callable[[Desk], int], *commands: Callable[[int], Command]) -> Callable[[Desk], int]:
    def prepared(made: Desk) -> int:
        order_id = prepare(made)
        for command in commands:
            made.send(command(order_id))
        return order_id

    return prepared


def _reported(kind: ReportKind) -> Callable[[int], Command]:
    return lambda order_id: report(kind, order_id)


PREPARED: dict[str, tuple[OrderStatus, Callable[[Desk], int]]] = {
    "pending new": (S.PENDING_NEW, _pending_new),
    "new": (S.NEW, _new),
    "partially filled": (S.PARTIALLY_FILLED, _partially_filled),
    "pending cancel": (S.PENDING_CANCEL, _then(_new, cancel)),
    "pending cancel, with fills": (S.PENDING_CANCEL, _then(_partially_filled, cancel)),
    "pending replace": (S.PENDING_REPLACE, _then(_new, lambda i: amend(i, 990, 12))),
    "pending replace, with fills": (S.PENDING_REPLACE, _then(_partially_filled, lambda i: amend(i, 990, 12))),
    "triggered": (S.TRIGGERED, _triggered),
    "unknown": (S.UNKNOWN, _then(_new, _reported(ReportKind.UNKNOWN))),
    "unknown, with fills": (S.UNKNOWN, _then(_partially_filled, _reported(ReportKind.UNKNOWN))),
    "filled": (S.FILLED, _then(_new, lambda i: trade(i, 1, 10, 1_000))),
    "canceled": (S.CANCELED, _then(_partially_filled, _reported(ReportKind.CANCELED))),
    "rejected": (S.REJECTED, _then(_pending_new, _reported(ReportKind.REJECTED))),
    "expired": (S.EXPIRED, _then(_new, _reported(ReportKind.EXPIRED))),
}

_REPORTS = {
    Trigger.ACKNOWLEDGE: ReportKind.NEW,
    Trigger.CANCEL: ReportKind.CANCELED,
    Trigger.EXPIRE: ReportKind.EXPIRED,
    Trigger.REJECT: ReportKind.REJECTED,
    Trigger.LOSE: ReportKind.UNKNOWN,
}


def command_of(trigger: Trigger, made: Desk, order_id: int) -> Command:
    """The command that pulls a trigger."""
    order = made.order(order_id)
    left = max(order["quantity"] - order["filled_quantity"], 1)
    if trigger == Trigger.FILL:
        return trade(order_id, 77, max(left - 1, 1), 1_000)
    if trigger == Trigger.COMPLETE:
        return trade(order_id, 77, max(order["reserved"], 1), 1_000)  # replaced too
    if trigger == Trigger.REQUEST_CANCEL:
        return cancel(order_id)
    if trigger == Trigger.REQUEST_REPLACE:
        return amend(order_id, quantity=8)
    if trigger == Trigger.FIRE:
        return mark(0, 1_200)
    if trigger == Trigger.REPLACE:
        price, quantity = order["replace_price"] or 990, order["replace_quantity"] or 12
        return report(ReportKind.REPLACED, order_id, price=price, quantity=quantity)
    if trigger == Trigger.REFUSE:
        canceling = order["status"] == S.PENDING_CANCEL
        return report(ReportKind.CANCEL_REJECTED if canceling else ReportKind.REPLACE_REJECTED, order_id)
    return report(_REPORTS[trigger], order_id)


def _all_bytes(made: Desk) -> list[bytes]:
    """All that a trigger could change, but for the count of an account's messages: every request is one."""
    state = made.engine.state
    arrays = ("orders", "positions", "triggers", "expiries", "fills", "client_ids", "executions")
    accounts = state.accounts.copy()
    accounts["messages"] = 0
    return [accounts.tobytes(), *(getattr(state, array).tobytes() for array in arrays)]


@pytest.mark.parametrize("trigger", list(Trigger))
@pytest.mark.parametrize("name", PREPARED)
def test_each_pair_in_the_engine(name: str, trigger: Trigger) -> None:
    state, prepare = PREPARED[name]
    made = desk()
    order_id = prepare(made)
    before = made.order(order_id)
    assert before["status"] == state
    command = command_of(trigger, made, order_id)
    bytes_before = _all_bytes(made)
    first = made.send(command)[0]
    target = expected(state, trigger, before["filled_quantity"])
    impossible = trigger == Trigger.FIRE  # a limit order has no stop price
    if target != S.NONE and not impossible:
        assert S(made.order(order_id)["status"]) == target
        assert first.kind != EventKind.EXECUTION_ANOMALY and S(first.status) == target
        return
    if trigger == Trigger.REFUSE and state in FINAL:  # it ended before the request was there
        assert first.kind == EventKind.REPLACE_REJECTED
        assert made.order(order_id) == before
        return
    if trigger == Trigger.FIRE:
        assert first.kind == EventKind.MARK_UPDATED
        assert made.order(order_id) == before
        return
    assert bytes_before == _all_bytes(made)
    if trigger == Trigger.REQUEST_CANCEL:
        assert first.kind == EventKind.CANCEL_REJECTED
    elif trigger == Trigger.REQUEST_REPLACE:
        assert first.kind == EventKind.REPLACE_REJECTED
    else:
        assert first.kind == EventKind.EXECUTION_ANOMALY
        late = trigger in (Trigger.FILL, Trigger.COMPLETE) and state == S.FILLED
        assert first.code == (Code.OVERFILL if late else Code.ILLEGAL_TRANSITION)


@pytest.mark.parametrize("kind", [*ReportKind, 10, 255])
def test_a_stop_that_waits_here_is_not_known_to_the_venue(kind: int) -> None:
    made = desk()
    stop = made.one(place(0, 0, BUY, 10, type=OrderType.STOP, stop_price=1_100)).order_id
    before = made.order(stop)
    event = made.one(report(kind, stop, price=1_000, quantity=5, execution_id=1))
    assert (event.kind, event.code) == (EventKind.EXECUTION_ANOMALY, Code.ILLEGAL_TRANSITION)
    assert made.order(stop) == before


@pytest.mark.parametrize("kind", [0, 10, 200, 255])
@pytest.mark.parametrize("name", PREPARED)
def test_a_report_of_no_kind_is_an_anomaly(name: str, kind: int) -> None:
    made = desk()
    order_id = PREPARED[name][1](made)
    before = made.order(order_id)
    event = made.one(report(kind, order_id))
    assert (event.kind, event.code) == (EventKind.EXECUTION_ANOMALY, Code.ILLEGAL_TRANSITION)
    assert made.order(order_id) == before
