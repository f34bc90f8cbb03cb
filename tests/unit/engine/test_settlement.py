"""Settlement of a symbol that does not trade: every position ends, nothing else changes."""

import pytest

from app.engine.capacity import SUM_MAX, Capacity
from app.engine.codes import Code
from app.engine.engine import Engine
from app.engine.state import state_hash
from app.engine.types import CommandKind, EventKind, InstrumentStatus, Limit, OrderType, Scope
from app.runtime.event_views import SettledPositionEvent, SettlementEvent, event_as
from tests.support.engine import (
    BUY,
    SELL,
    Command,
    Desk,
    bought,
    cancel,
    desk,
    instrument,
    limit,
    mark,
    note,
    pack,
    place,
    settle,
    trading_state,
)

E = EventKind
HALTED = InstrumentStatus.HALTED


def held(*quantities: int, accounts: int = 3, symbols: int = 1) -> Desk:
    """A halted symbol, of which accounts hold so much, bought at 1,000; the mark is 1,100."""
    made = desk(accounts=accounts, symbols=symbols)
    for index, quantity in enumerate(quantities):
        if quantity:
            bought(made, quantity, 1_000, account=index)
    made.send(mark(0, 1_100), instrument(0, status=HALTED))
    return made


def test_every_position_ends_at_the_price() -> None:
    made = held(10, 0, -4)
    before = [made.account(index) for index in range(3)]
    text, first, second, done = made.send(note(b"delisted"), settle(0, 700, notes=1, actor=9))
    assert [event.kind for event in (text, first, second, done)] == [
        E.NOTE_RECORDED, E.POSITION_SETTLED, E.POSITION_SETTLED, E.SYMBOL_SETTLED
    ]  # fmt: skip
    ended = [event_as(SettledPositionEvent, event) for event in (first, second)]
    assert [(e.account, e.symbol, e.settlement_price) for e in ended] == [(0, 0, 700), (2, 0, 700)]
    told = [(e.settled_quantity, e.position_quantity, e.realised) for e in ended]
    assert told == [(10, 0, -3_000), (-4, 0, 1_200)]
    whole = event_as(SettlementEvent, done)
    assert (whole.symbol, whole.settlement_price, whole.accounts) == (0, 700, 2)
    assert (whole.notes, whole.actor) == (1, 9)
    for index, realised in ((0, -3_000), (1, 0), (2, 1_200)):
        position, record = made.position(index, 0), made.account(index)
        assert [position[name] for name in ("quantity", "entry_cost", "value", "worst", "exposure")] == [
            0
        ] * 5
        assert position["realised"] == record["realised"] == realised
        assert made.equity(index) == record["cash"] == 10**12 + realised
        assert [record[name] for name in ("position_value", "exposure", "upper", "lower")] == [0] * 4
        for name in ("day_fills", "day_traded", "fees", "messages"):
            assert record[name] == before[index][name]
    firm = made.engine.state.firm[0]
    assert [int(firm[name]) for name in ("exposure", "upper", "lower")] == [0] * 3
    assert firm["equity"] == sum(made.equity(index) for index in range(3))


def test_a_symbol_that_nobody_holds() -> None:
    assert held().one_as(SettlementEvent, settle(0, 1)).accounts == 0


def test_other_symbols_stay() -> None:
    made = held(10, symbols=2)
    bought(made, 7, 1_000, symbol=1)
    before = made.position(0, 1)
    made.send(settle(0, 700))
    assert made.position(0, 1) == before
    assert made.account(0)["position_value"] == 7_000


def test_it_can_be_settled_again() -> None:
    made = held(10)
    made.send(settle(0, 700))
    assert made.one_as(SettlementEvent, settle(0, 800)).accounts == 0


@pytest.mark.parametrize("status", [InstrumentStatus.TRADING, InstrumentStatus.CANCEL_ONLY])
def test_what_trades_is_not_settled(status: InstrumentStatus) -> None:
    made = held(10)
    made.one(instrument(0, status=status))
    before = state_hash(made.engine.state)
    event = made.one(settle(0, 700))
    assert (event.kind, event.code) == (E.COMMAND_REJECTED, Code.SYMBOL_TRADING)
    assert (event.symbol, event.limit, event.observed) == (0, HALTED, status)
    assert made.position(0, 0)["quantity"] == 10
    assert before != state_hash(made.engine.state), "the command has a number"


def test_a_trading_state_is_no_status() -> None:
    made = held(10)
    made.send(instrument(0), trading_state(2, Scope.SYMBOL, symbol=0))
    assert made.one(settle(0, 700)).code == Code.SYMBOL_TRADING


@pytest.mark.parametrize("order_type", [OrderType.LIMIT, OrderType.STOP])
def test_orders_are_canceled_first(order_type: OrderType) -> None:
    made = desk()
    bought(made, 10, 1_000)
    stop = order_type == OrderType.STOP
    order = made.one(
        place(1, 0, SELL, 1, 0 if stop else 1_200, type=order_type, stop_price=900 if stop else 0)
    ).order_id
    made.one(instrument(0, status=HALTED))
    event = made.one(settle(0, 700))
    assert (event.code, event.limit, event.observed) == (Code.INSTRUMENT_IN_USE, 0, 1)
    assert made.position(0, 0)["quantity"] == 10
    made.one(cancel(order))
    if stop:
        assert made.send(settle(0, 700))[-1].kind == E.SYMBOL_SETTLED
    else:
        assert made.one(settle(0, 700)).code == Code.INSTRUMENT_IN_USE, "its end is on the way"


def test_prices_and_symbols_that_cannot_be() -> None:
    made = held(10)
    highest = int(made.engine.state.instruments[0]["max_price"])
    for price in (0, -1, highest + 1, 2**63 - 1, -(2**63)):
        event = made.one(settle(0, price))
        assert (event.code, event.limit, event.observed) == (Code.INVALID_VALUE, highest, price)
    for symbol in (-1, 1, 8, 2**31 - 1):
        assert made.one(settle(symbol, 700)).code == Code.UNKNOWN_SYMBOL
    assert made.position(0, 0)["quantity"] == 10


@pytest.mark.parametrize("quantity", [10**6, -(10**6)])
def test_what_would_leave_the_range_is_settled_for_nobody(quantity: int) -> None:
    made = held(5, quantity, 0)
    highest = int(made.engine.state.instruments[0]["max_price"])
    for account in (0, 1):
        made.engine.state.accounts[account]["cash"] += 10**6 if quantity > 0 else 0
    made.engine.state.firm[0]["equity"] = SUM_MAX if quantity > 0 else -SUM_MAX
    event = made.one(settle(0, highest))
    assert (event.kind, event.code, event.limit) == (E.COMMAND_REJECTED, Code.VALUE_RANGE, SUM_MAX)
    assert made.position(0, 0)["quantity"] == 5


def test_a_loss_trips_once_all_are_settled() -> None:
    made = held(10)
    made.send(limit(Limit.DAILY_LOSS, 2_000, Scope.ACCOUNT, 0))
    kinds = [event.kind for event in made.send(settle(0, 700))]
    assert kinds == [E.POSITION_SETTLED, E.SYMBOL_SETTLED, E.BREAKER_TRIPPED, E.TRADING_STATE_SET]


@pytest.mark.parametrize("events", range(16, 30))
def test_any_buffer(events: int) -> None:
    """Thirty accounts do not fit into the smallest buffers; the events are the same in any."""
    sizes = {"accounts": 32, "symbols": 2, "orders": 1 << 8, "open_orders": 1 << 7, "fills": 1 << 8,
             "commands": 64}  # fmt: skip
    made = desk(accounts=31, capacity=Capacity(**sizes, events=1024))
    for index in range(31):
        if index % 7 != 3:
            bought(made, index - 15 or 40, 1_000, account=index)
    made.send(mark(0, 990), instrument(0, status=HALTED))
    made.send(note(b"x"), settle(0, 880, notes=1), place(0, 0, BUY, 1, 1), mark(0, 980))
    records = pack(made.log)
    one = Engine(Capacity(**sizes, events=1024))
    other = Engine(Capacity(**sizes, events=events))
    assert one.process(records).tobytes() == other.process(records).tobytes()
    assert state_hash(one.state) == state_hash(other.state) == state_hash(made.engine.state)


def test_the_command_is_a_value_command() -> None:
    assert settle(0, 5).kind == CommandKind.SETTLE_SYMBOL
    assert isinstance(settle(0, 5), Command)
