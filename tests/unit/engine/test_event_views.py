"""Views of events: EVENT's bytes by the names of each kind, and what the engine says by them."""

from dataclasses import fields, replace
from typing import Any

import numpy as np
import pytest

from app.engine import records
from app.engine.codes import Code
from app.engine.records import EVENT, EVENT_VIEWS, HEAD_EVENT, NOTE_EVENT
from app.engine.types import (
    CommandKind,
    EventKind,
    InstrumentStatus,
    Limit,
    Liquidity,
    OrderStatus,
    OrderType,
    OverrideEnd,
    Permission,
    Policy,
    RiskParameter,
    Scope,
    Side,
    TimeInForce,
    TradingState,
)
from app.runtime.event_views import (
    EVENT_VIEW_KINDS,
    VIEWS,
    AccountEvent,
    BreakerEvent,
    CancelAllEvent,
    EventHead,
    FillEvent,
    InstrumentEvent,
    LimitEvent,
    MarkEvent,
    NewOrderEvent,
    NoteEvent,
    PermissionEvent,
    PolicyEvent,
    ProposalEvent,
    RejectionEvent,
    ReplaceEvent,
    RiskModelEvent,
    SampleEvent,
    SettledPositionEvent,
    SettlementEvent,
    StateEvent,
    TransferEvent,
    event_as,
    note_event,
    typed_event,
)
from app.runtime.views import EVENT_LAYOUT, EventView, field_names
from tests.support.engine import (
    BUY,
    SELL,
    Command,
    Desk,
    account,
    advance,
    amend,
    bought,
    cancel_all,
    decision,
    desk,
    instrument,
    limit,
    mark,
    note,
    override,
    place,
    policy,
    proposal,
    risk_model,
    sample_marks,
    settle,
    trade,
    trading_state,
    transfer,
    working,
)

E = EventKind
ALICE, BOB = 7, 8
SECOND = 1_000_000
QUANTITY = 10 * 10**8  # ten steps


# --- Where the fields lie.


def _places(dtype: np.dtype[Any]) -> dict[str, tuple[np.dtype[Any], int]]:
    assert dtype.fields is not None
    return {name: (dtype.fields[name][0], dtype.fields[name][1]) for name in field_names(dtype)}


@pytest.mark.parametrize("view", EVENT_VIEWS)
def test_a_view_is_of_the_event_s_size_and_has_its_head(view: np.dtype[Any]) -> None:
    assert view.itemsize == EVENT.itemsize
    head = set(field_names(HEAD_EVENT))
    if view is NOTE_EVENT:
        head -= {"scope", "notes"}
    assert {name: _places(view)[name] for name in head} == {name: _places(EVENT)[name] for name in head}


@pytest.mark.parametrize("view", [view for view in EVENT_VIEWS if view is not NOTE_EVENT])
def test_each_field_is_a_field_of_the_event_by_another_name(view: np.dtype[Any]) -> None:
    names = {where: name for name, where in _places(EVENT).items()}
    for name, where in _places(view).items():
        assert where in names, name
        assert name == names[where] or name not in _places(EVENT), f"{name} means something else in EVENT"


@pytest.mark.parametrize(
    ("view", "new", "old"),
    [
        (records.LIMIT_EVENT, "new_value", "old_value"),
        (records.PROPOSAL_EVENT, "new_value", "old_value"),
        (records.POLICY_EVENT, "new_value", "old_value"),
        (records.RISK_MODEL_EVENT, "new_value", "old_value"),
        (records.STATE_EVENT, "state", "old_state"),
        (records.PERMISSION_EVENT, "permission", "old_permission"),
        (records.ACCOUNT_EVENT, "leverage", "old_leverage"),
        (records.TRANSFER_EVENT, "amount", "_observed"),
        (records.INSTRUMENT_EVENT, "max_price", "_observed"),
    ],
)
def test_a_changed_value_can_be_read_without_knowing_of_what(view: Any, new: str, old: str) -> None:
    values = records.VALUE_EVENT.fields
    assert values is not None
    assert (view.fields[new], view.fields[old]) == (values["new_value"], values["old_value"])


def test_every_kind_has_one_view() -> None:
    kinds = [*EVENT_VIEW_KINDS, E.NOTE_RECORDED, *(kind for _, _, some in VIEWS for kind in some)]
    assert sorted(kinds) == sorted(E)
    written = [dtype for _, dtype, _ in VIEWS] + [NOTE_EVENT]
    assert sorted(map(id, written)) == sorted(map(id, EVENT_VIEWS))


@pytest.mark.parametrize(("view", "dtype", "kinds"), VIEWS)
def test_a_view_has_the_names_of_its_dtype(view: Any, dtype: np.dtype[Any], kinds: tuple[E, ...]) -> None:
    names = {field.name for field in fields(view)}
    assert names == set(field_names(dtype))
    record = np.zeros(1, EVENT)
    for number, name in enumerate(names, 1):
        record.view(dtype)[name] = number
    record["kind"] = kinds[0]
    found = typed_event(EVENT_LAYOUT.unpack(record.tobytes()))
    assert type(found) is view
    assert all(getattr(found, name) == record.view(dtype)[name][0] for name in names)


@pytest.mark.parametrize("kind", [E.ORDER_REJECTED, E.NOTE_RECORDED])
def test_what_has_no_such_view(kind: E) -> None:
    with pytest.raises(KeyError):
        typed_event(_event(kind))


def test_an_event_is_read_by_no_other_view() -> None:
    with pytest.raises(AssertionError):
        event_as(StateEvent, _event(E.BREAKER_TRIPPED))
    assert event_as(EventHead, _event(E.DAY_STARTED)).kind == E.DAY_STARTED


def _event(kind: E) -> EventView:
    record = np.zeros(1, EVENT)
    record["kind"] = kind
    return EventView._make(EVENT_LAYOUT.unpack(record.tobytes()))


# --- What the engine says.


def head(event: EventView) -> dict[str, int]:
    return {name: getattr(event, name) for name in field_names(HEAD_EVENT)}


def only(made: Desk, command: Command) -> tuple[EventHead, dict[str, int]]:
    """What a command leads to, as the view of its kind; and the head that it has to have."""
    event = made.one(command)
    return typed_event(event), head(event)


def by(command: Command, actor: int = ALICE) -> Command:
    return replace(command, actor=actor)


def test_limit() -> None:
    made = desk()
    made.one(limit(Limit.MAX_ORDER_QUANTITY, 5, Scope.ACCOUNT, 0))
    found, shown = only(made, by(limit(Limit.MAX_ORDER_QUANTITY, 4, Scope.ACCOUNT, 0)))
    assert (shown["kind"], shown["scope"], shown["account"]) == (E.LIMIT_SET, Scope.ACCOUNT, 0)
    assert found == LimitEvent(
        **shown, actor=ALICE, limit_number=Limit.MAX_ORDER_QUANTITY, new_value=4, old_value=5, version=3,
        override_id=0, expires_ts=0, end=OverrideEnd.NONE,
    )  # fmt: skip


def test_override() -> None:
    made = desk()
    made.one(advance())
    made.one(limit(Limit.MAX_ORDER_QUANTITY, 5, Scope.ACCOUNT, 0))
    ends = made.ts + SECOND
    found, shown = only(made, by(override(Limit.MAX_ORDER_QUANTITY, 9, ends, Scope.ACCOUNT, 0)))
    assert shown["kind"] == E.OVERRIDE_SET
    assert found == LimitEvent(
        **shown, actor=ALICE, limit_number=Limit.MAX_ORDER_QUANTITY, new_value=9, old_value=5, version=3,
        override_id=1, expires_ts=ends, end=OverrideEnd.NONE,
    )  # fmt: skip
    made.ts = ends
    found, shown = only(made, advance())
    assert shown["kind"] == E.OVERRIDE_ENDED
    assert found == LimitEvent(
        **shown, actor=0, limit_number=Limit.MAX_ORDER_QUANTITY, new_value=5, old_value=9, version=4,
        override_id=1, expires_ts=0, end=OverrideEnd.EXPIRED,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("decided", "kind"),
    [(CommandKind.APPROVE_CHANGE, E.CHANGE_APPROVED), (CommandKind.REJECT_CHANGE, E.CHANGE_REJECTED)],
)
def test_proposal(decided: CommandKind, kind: E) -> None:
    made = desk()
    made.one(limit(Limit.MAX_ORDER_QUANTITY, 5, Scope.ACCOUNT, 0))
    made.one(by(proposal(Limit.MAX_ORDER_QUANTITY, 6, Scope.ACCOUNT, 0)))
    found, shown = only(made, by(proposal(Limit.MAX_ORDER_QUANTITY, 7, Scope.ACCOUNT, 0)))
    assert shown["kind"] == E.CHANGE_PROPOSED
    assert found == ProposalEvent(
        **shown, actor=ALICE, request_id=2, limit_number=Limit.MAX_ORDER_QUANTITY, new_value=7, old_value=5,
        expires_ts=0,
    )  # fmt: skip
    *_, event = made.send(decision(decided, 2, BOB))
    assert event.kind == kind
    assert typed_event(event) == ProposalEvent(
        **head(event), actor=BOB, request_id=2, limit_number=0, new_value=0, old_value=0, expires_ts=0
    )


def test_policy() -> None:
    found, shown = only(desk(), by(policy(Policy.COLLAR_WINDOW_US, 5 * SECOND)))
    assert (shown["kind"], shown["scope"]) == (E.POLICY_SET, Scope.FIRM)
    assert found == PolicyEvent(
        **shown, actor=ALICE, policy=Policy.COLLAR_WINDOW_US, new_value=5 * SECOND, old_value=60 * SECOND
    )


def test_risk_model() -> None:
    found, shown = only(desk(), by(risk_model(samples_min=50)))
    assert (shown["kind"], shown["scope"]) == (E.RISK_MODEL_SET, Scope.FIRM)
    assert found == RiskModelEvent(
        **shown, actor=ALICE, parameter=RiskParameter.SAMPLES_MIN, new_value=50, old_value=30, version=1
    )


def test_permission() -> None:
    made = desk()
    made.send(Command(CommandKind.SET_PERMISSION, 0, 0, state=Permission.ALLOWED))
    found, shown = only(made, by(Command(CommandKind.SET_PERMISSION, 0, 0, state=Permission.DENIED)))
    assert (shown["kind"], shown["scope"]) == (E.PERMISSION_SET, Scope.ACCOUNT_SYMBOL)
    assert found == PermissionEvent(
        **shown, actor=ALICE, permission=Permission.DENIED, old_permission=Permission.ALLOWED
    )


def test_trading_state() -> None:
    made = desk()
    bought(made, 10, 1_000)
    for side in (SELL, BUY, BUY):
        working(made, place(0, 0, side, 1, 1_000 if side == SELL else 900))
    reducing = by(trading_state(TradingState.REDUCING, Scope.ACCOUNT, 0))
    event = made.send(reducing)[0]
    assert (event.kind, event.scope, event.account) == (E.TRADING_STATE_SET, Scope.ACCOUNT, 0)
    assert typed_event(event) == StateEvent(
        **head(event), actor=ALICE, state=TradingState.REDUCING, old_state=TradingState.ACTIVE,
        cause=Code.NONE, resting=1, ending=2,
    )  # fmt: skip


def test_breaker() -> None:
    made = desk()
    bought(made, 10, 1_000)
    for side in (SELL, BUY, BUY):
        working(made, place(0, 0, side, 1, 1_000 if side == SELL else 900))
    made.send(limit(Limit.DAILY_LOSS, 500, Scope.ACCOUNT, 0))
    _, tripped, state, *_ = made.send(mark(0, 900))
    facts = {"state": TradingState.REDUCING, "old_state": TradingState.ACTIVE, "cause": Code.DAILY_LOSS}
    assert tripped.kind == E.BREAKER_TRIPPED
    assert typed_event(tripped) == BreakerEvent(
        **head(tripped), **facts, actor=0, limit=500, observed=1_000, resting=1, ending=2
    )
    assert typed_event(state) == StateEvent(**head(state), **facts, actor=0, resting=1, ending=2)


def test_account_and_transfer() -> None:
    made = desk()
    found, shown = only(made, by(account(0, leverage=12)))
    assert (shown["kind"], shown["account"]) == (E.ACCOUNT_SET, 0)
    assert found == AccountEvent(**shown, actor=ALICE, leverage=12, old_leverage=10)
    found, shown = only(made, by(transfer(0, -30)))
    assert (shown["kind"], shown["account"]) == (E.CASH_TRANSFERRED, 0)
    assert found == TransferEvent(**shown, actor=ALICE, amount=-30)


def test_settlement() -> None:
    made = desk(accounts=3)
    bought(made, 10, 1_000, account=0)
    bought(made, -4, 1_000, account=2)
    made.send(mark(0, 1_100), instrument(0, status=InstrumentStatus.HALTED))
    long, short, done = made.send(by(settle(0, 700)))
    assert (long.kind, short.kind, done.kind) == (E.POSITION_SETTLED, E.POSITION_SETTLED, E.SYMBOL_SETTLED)
    assert typed_event(long) == SettledPositionEvent(
        **head(long), settlement_price=700, settled_quantity=10, position_quantity=0, realised=-3_000
    )
    assert typed_event(short) == SettledPositionEvent(
        **head(short), settlement_price=700, settled_quantity=-4, position_quantity=0, realised=1_200
    )
    assert typed_event(done) == SettlementEvent(**head(done), actor=ALICE, settlement_price=700, accounts=2)


@pytest.mark.parametrize("worst", [0, 1_100])
def test_new_order(worst: int) -> None:
    made = desk()
    if worst:
        made.one(limit(Limit.PRICE_COLLAR_BPS, 1_000))
    event = made.one(place(0, 0, BUY, 6))
    assert (event.kind, event.account, event.symbol) == (E.ORDER_ACCEPTED, 0, 0)
    assert typed_event(event) == NewOrderEvent(
        **head(event), side=Side.BUY, type=OrderType.MARKET, time_in_force=TimeInForce.GTC, flags=0,
        self_trade_prevention=0, order_id=event.order_id, price=0, quantity=6, filled_quantity=0,
        protection_price=worst,
    )  # fmt: skip


def test_replace() -> None:
    made = desk()
    order_id = working(made, place(0, 0, BUY, 10, 1_000))
    found, shown = only(made, amend(order_id, 990, 8))
    assert (shown["kind"], shown["account"], shown["symbol"]) == (E.REPLACE_REQUESTED, 0, 0)
    assert found == ReplaceEvent(
        **shown, code=Code.NONE, side=Side.BUY, flags=0, self_trade_prevention=0, order_id=order_id,
        replace_price=990, replace_quantity=8,
    )  # fmt: skip


def test_fill() -> None:
    made = desk()
    bought(made, 10, 1_000)
    order_id = working(made, place(0, 0, BUY, 6, 1_200))
    found, shown = only(made, replace(trade(order_id, 99, 4, 1_100, fee=7), liquidity=Liquidity.MAKER))
    assert (shown["kind"], shown["account"], shown["symbol"]) == (E.ORDER_FILLED, 0, 0)
    assert found == FillEvent(
        **shown, status=OrderStatus.PARTIALLY_FILLED, side=Side.BUY, liquidity=Liquidity.MAKER,
        order_id=order_id, last_price=1_100, last_quantity=4, fee=7, execution_id=99,
        position_quantity=14, position_cost=14_400,
    )  # fmt: skip


def test_rejection() -> None:
    made = desk()
    order_id = working(made, place(0, 0, BUY, 10, 1_000))
    found, shown = only(made, instrument(0, max_quantity=9))
    assert shown["kind"] == E.COMMAND_REJECTED
    in_use = {"code": Code.INSTRUMENT_IN_USE, "blocking_order_id": order_id}
    assert found == RejectionEvent(**shown, **in_use, limit=9, observed=10, price_bound=0, quantity_bound=9)
    highest = int(made.engine.state.instruments[0]["max_price"])
    found, shown = only(made, mark(0, highest + 1))
    assert found == RejectionEvent(
        **shown, code=Code.INVALID_VALUE, limit=highest, observed=highest + 1, price_bound=0,
        quantity_bound=0, blocking_order_id=0,
    )  # fmt: skip


def test_cancel_all() -> None:
    made = desk()
    for _ in range(3):
        working(made, place(0, 0, BUY, 1, 900))
    *_, done = made.send(cancel_all(Scope.ACCOUNT, 0))
    assert typed_event(done) == CancelAllEvent(**head(done), requested=3)


def test_market() -> None:
    made = desk()
    found, shown = only(made, mark(0, 1_234))
    assert found == MarkEvent(**shown, mark=1_234)
    made.ts += SECOND
    made.send(mark(0, 1_235))
    made.one(sample_marks())
    made.ts += SECOND
    made.send(mark(0, 1_236))
    found, shown = only(made, sample_marks())
    assert found == SampleEvent(**shown, samples=1)


def test_instrument() -> None:
    found, shown = only(desk(), instrument(1, max_quantity=1 << 10, status=InstrumentStatus.CANCEL_ONLY))
    assert (shown["kind"], shown["symbol"]) == (E.INSTRUMENT_SET, 1)
    assert found == InstrumentEvent(**shown, status=InstrumentStatus.CANCEL_ONLY, max_price=1 << 50)


def test_note() -> None:
    event = desk().one(note(b"why so", actor=ALICE))
    assert event.kind == E.NOTE_RECORDED
    shown = {name: getattr(event, name) for name in ("seq", "ts", "account", "symbol", "kind", "index")}
    assert note_event(EVENT_LAYOUT.pack(*event)) == NoteEvent(**shown, text=b"why so", actor=ALICE)


def test_time_and_parts_of_a_request_have_nothing_to_add() -> None:
    made = desk()
    found, shown = only(made, advance())
    assert (found, found.kind) == (EventHead(**shown), E.DAY_STARTED)
    found, shown = only(made, advance())
    assert (found, found.kind) == (EventHead(**shown), E.TIME_ADVANCED)
    found, shown = only(made, replace(limit(Limit.MAX_ORDER_QUANTITY, 5, Scope.ACCOUNT, 0), remaining=1))
    assert (found, found.kind, found.account) == (EventHead(**shown), E.LIMIT_STAGED, 0)
