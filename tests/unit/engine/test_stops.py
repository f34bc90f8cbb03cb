"""Stops are judged when they fire, by the position as it is then, and wait through halts."""

import pytest

from app.engine.codes import Code
from app.engine.types import (
    CommandKind,
    EventKind,
    InstrumentStatus,
    Limit,
    OrderFlag,
    OrderStatus,
    OrderType,
    Permission,
    Policy,
    Scope,
    TradingState,
)
from app.runtime.views import EventView
from tests.support.engine import (
    BUY,
    SELL,
    Command,
    Desk,
    amend,
    bought,
    cancel,
    desk,
    instrument,
    limit,
    mark,
    place,
    policy,
    trading_state,
)

E = EventKind
STEP = 10**8
SIDES = [BUY, SELL]


def reach(side: int, ticks: int = 10) -> int:
    return 1_000 + ticks if side == BUY else 1_000 - ticks


def stop(made: Desk, side: int, quantity: int = 10, flags: int = 0, ticks: int = 10) -> int:
    order = place(0, 0, side, quantity, type=OrderType.STOP, stop_price=reach(side, ticks), flags=flags)
    event = made.one(order)
    assert event.kind == E.ORDER_OPENED, event
    return event.order_id


def of(events: list[EventView], order_id: int) -> list[EventView]:
    return [event for event in events if event.order_id == order_id]


REFUSALS: dict[str, tuple[list[Command], int]] = {
    "position": ([limit(Limit.MAX_POSITION, 0, Scope.ACCOUNT_SYMBOL, 0, 0)], Code.MAX_POSITION),
    "exposure": ([limit(Limit.MAX_GROSS_EXPOSURE, 1)], Code.MAX_GROSS_EXPOSURE),
    "quantity": ([limit(Limit.MAX_ORDER_QUANTITY, STEP, Scope.ACCOUNT, 0)], Code.MAX_ORDER_QUANTITY),
    "denied": (
        [Command(CommandKind.SET_PERMISSION, 0, 0, state=Permission.DENIED)],
        Code.SYMBOL_RESTRICTED,
    ),
    "reducing": ([trading_state(TradingState.REDUCING)], Code.REDUCING_ONLY),
}


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("name", REFUSALS)
def test_one_that_opens_is_checked_when_it_fires(name: str, side: int) -> None:
    commands, code = REFUSALS[name]
    made = desk()
    made.one(policy(Policy.CANCEL_INCREASING, 0))
    order_id = stop(made, side)
    made.send(*commands)
    (event,) = of(made.send(mark(0, reach(side))), order_id)
    assert (event.kind, event.status, event.code) == (E.ORDER_CANCELED, OrderStatus.CANCELED, code)
    assert made.account(0)["open_notional"] == 0 and made.account(0)["open_cost"] == 0


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("name", REFUSALS)
@pytest.mark.parametrize(("held", "fires"), [(10, 10), (4, 4)])
def test_the_part_that_reduces_fires(name: str, side: int, held: int, fires: int) -> None:
    made = desk()
    made.one(policy(Policy.CANCEL_INCREASING, 0))
    bought(made, held if side == SELL else -held, 1_000)
    order_id = stop(made, side)
    made.send(*REFUSALS[name][0])
    (event,) = of(made.send(mark(0, reach(side))), order_id)
    assert (event.kind, event.quantity) == (E.ORDER_TRIGGERED, fires)
    # Down to flat a position limit of nothing is kept, whatever the order may do.
    assert event.flags & OrderFlag.REDUCE_ONLY or (name, held) == ("position", 10)


@pytest.mark.parametrize("side", SIDES)
def test_an_account_below_zero_opens_nothing(side: int) -> None:
    made = desk(cash=1_000)
    made.one(policy(Policy.CANCEL_INCREASING, 0))
    order_id = stop(made, side, 1)
    bought(made, 8 if side == SELL else -8, 1_000)
    other = made.one(place(0, 0, side, 8))
    assert other.kind == E.ORDER_ACCEPTED
    made.send(mark(0, reach(side, 500)))
    assert made.equity(0) < 0
    assert made.order(order_id)["flags"] & OrderFlag.REDUCE_ONLY


HALTS: dict[str, tuple[Command, Command]] = {
    "firm": (trading_state(TradingState.HALTED), trading_state(TradingState.ACTIVE)),
    "account": (
        trading_state(TradingState.HALTED, Scope.ACCOUNT, 0),
        trading_state(TradingState.ACTIVE, Scope.ACCOUNT, 0),
    ),
    "symbol": (
        trading_state(TradingState.HALTED, Scope.SYMBOL, symbol=0),
        trading_state(TradingState.ACTIVE, Scope.SYMBOL, symbol=0),
    ),
    "instrument": (instrument(0, status=InstrumentStatus.HALTED), instrument(0)),
    "cancel only": (instrument(0, status=InstrumentStatus.CANCEL_ONLY), instrument(0)),
}


def halted(name: str, side: int) -> tuple[Desk, int]:
    made = desk()
    bought(made, 10 if side == SELL else -10, 1_000)
    order_id = stop(made, side, flags=int(OrderFlag.REDUCE_ONLY))
    assert not of(made.send(HALTS[name][0]), order_id)
    assert not of(made.send(mark(0, reach(side, 11))), order_id)
    return made, order_id


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("name", HALTS)
def test_one_that_is_reached_in_a_halt_fires_when_that_ends(name: str, side: int) -> None:
    made, order_id = halted(name, side)
    (event,) = of(made.send(HALTS[name][1]), order_id)
    assert event.kind == E.ORDER_TRIGGERED


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("name", HALTS)
def test_where_the_mark_has_come_back_it_waits_on(name: str, side: int) -> None:
    made, order_id = halted(name, side)
    made.send(mark(0, 1_000))
    assert not of(made.send(HALTS[name][1]), order_id)
    (event,) = of(made.send(mark(0, reach(side, 12))), order_id)
    assert event.kind == E.ORDER_TRIGGERED


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("name", HALTS)
def test_it_can_be_canceled_and_made_smaller_meanwhile(name: str, side: int) -> None:
    made, order_id = halted(name, side)
    assert made.one(amend(order_id, quantity=5)).kind == E.ORDER_REPLACED
    assert made.one(cancel(order_id)).kind == E.ORDER_CANCELED
    assert not of(made.send(HALTS[name][1]), order_id)
    assert made.account(0)["open_notional"] == 0


def test_a_halt_of_one_account_holds_nobody_else_up() -> None:
    made = desk()
    for account in range(2):
        bought(made, 10, 1_000, account)
    stops = [
        made.one(place(account, 0, SELL, 10, type=OrderType.STOP, stop_price=990)).order_id
        for account in range(2)
    ]
    made.send(HALTS["account"][0])
    fired = [event.order_id for event in made.send(mark(0, 990)) if event.kind == E.ORDER_TRIGGERED]
    assert fired == [stops[1]]
    fired = [event.order_id for event in made.send(HALTS["account"][1]) if event.kind == E.ORDER_TRIGGERED]
    assert fired == [stops[0]]
