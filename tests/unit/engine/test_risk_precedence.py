"""Of all the checks that an order fails, the refusal names the first: each alone, and every two of them."""

from dataclasses import dataclass, field, replace
from itertools import combinations
from typing import Any

import pytest

from app.engine.capacity import Capacity
from app.engine.codes import Code
from app.engine.types import (
    CommandKind,
    EventKind,
    Fault,
    InstrumentStatus,
    Limit,
    OrderFlag,
    OrderType,
    Permission,
    Policy,
    Scope,
    TimeInForce,
    TradingState,
)
from tests.support.engine import (
    BUY,
    Command,
    Desk,
    account,
    instrument,
    limit,
    mark,
    market,
    pack,
    place,
    trading_state,
    transfer,
)

CAPACITY = Capacity(accounts=4, symbols=2, orders=16, open_orders=1, fills=16, commands=64, events=64)
ORDER = place(0, 0, BUY, 10, 1_000)


@dataclass(frozen=True)
class Violation:
    """What makes the order fail one check: commands before it, fields of it."""

    before: tuple[Command, ...] = ()
    fields: dict[str, Any] = field(default_factory=dict)
    later_us: int = 0


VIOLATIONS: dict[Code, Violation] = {
    Code.TRADING_HALTED: Violation(
        (
            trading_state(TradingState.HALTED, Scope.SYMBOL, symbol=0),
            trading_state(TradingState.HALTED, Scope.ACCOUNT, account=0),
        )
    ),
    Code.REDUCING_ONLY: Violation((trading_state(TradingState.REDUCING, Scope.FIRM),)),
    Code.LIMITS_NOT_SET: Violation((limit(Limit.MAX_OPEN_ORDERS, 0, Scope.ACCOUNT, 0, state=0),)),
    Code.UNKNOWN_ACCOUNT: Violation(fields={"account": 3}),
    Code.UNKNOWN_SYMBOL: Violation(fields={"symbol": 1}),
    Code.SYMBOL_NOT_TRADING: Violation((instrument(0, status=InstrumentStatus.CANCEL_ONLY, min_quantity=5),)),
    Code.SYMBOL_RESTRICTED: Violation((Command(CommandKind.SET_PERMISSION, 0, 0, state=Permission.DENIED),)),
    Code.PRICE_REQUIRED: Violation(fields={"price": 0}),
    Code.PRICE_INVALID: Violation(fields={"price": -1}),
    Code.PRICE_TICK: Violation(fields={"fault": Fault.PRICE_TICK}),
    Code.STOP_PRICE_INVALID: Violation(fields={"stop_price": 7}),
    Code.QUANTITY_STEP: Violation(fields={"fault": Fault.QUANTITY_STEP}),
    Code.QUANTITY_MIN: Violation(fields={"quantity": 4}),
    Code.QUANTITY_MAX: Violation(fields={"quantity": 10**6 + 1}),
    Code.NOTIONAL_MIN: Violation((instrument(0, min_notional=10**9, min_quantity=5),)),
    Code.EXPIRE_TIME_INVALID: Violation(fields={"expire_ts": 1}),
    Code.REDUCE_ONLY: Violation(fields={"flags": OrderFlag.REDUCE_ONLY}),
    Code.POST_ONLY_WOULD_TAKE: Violation(
        fields={"flags": OrderFlag.POST_ONLY, "time_in_force": TimeInForce.IOC}
    ),
    Code.DUPLICATE_CLIENT_ORDER_ID: Violation(
        (place(0, 0, BUY, 0, client_order_id=b"A"),), {"client_order_id": b"A"}
    ),
    Code.ORDER_RATE: Violation((limit(Limit.ORDER_RATE, 0),)),
    Code.MARKET_DATA_STALE: Violation((limit(Limit.MAX_MARK_AGE, 10),), later_us=11),
    Code.PRICE_COLLAR: Violation((limit(Limit.PRICE_COLLAR_BPS, 100), mark(0, 500))),
    Code.MAX_ORDER_QUANTITY: Violation((limit(Limit.MAX_ORDER_QUANTITY, 1),)),
    Code.MAX_ORDER_NOTIONAL: Violation((limit(Limit.MAX_ORDER_NOTIONAL, 1),)),
    Code.MAX_OPEN_ORDERS: Violation((limit(Limit.MAX_OPEN_ORDERS, 0, Scope.ACCOUNT_SYMBOL, 0, 0),)),
    Code.MAX_POSITION: Violation((limit(Limit.MAX_POSITION, 1, Scope.SYMBOL, symbol=0),)),
    Code.MAX_GROSS_EXPOSURE: Violation((limit(Limit.MAX_GROSS_EXPOSURE, 1),)),
    Code.MAX_NET_EXPOSURE: Violation((limit(Limit.MAX_NET_EXPOSURE, 1),)),
    Code.MAX_LEVERAGE: Violation((limit(Limit.MAX_LEVERAGE, 0, Scope.ACCOUNT, 0),)),
    Code.INSUFFICIENT_MARGIN: Violation((transfer(0, -(10**12)),)),
    Code.MAX_DAILY_NOTIONAL: Violation((limit(Limit.MAX_DAILY_NOTIONAL, 1),)),
    Code.MAX_ORDER_TO_TRADE_RATIO: Violation(
        (
            Command(CommandKind.SET_POLICY, code=Policy.ORDER_TO_TRADE_FLOOR, value=0),
            limit(Limit.MAX_ORDER_TO_TRADE_RATIO, 1, Scope.ACCOUNT, 0),
            place(0, 0, BUY, 0),
        )
    ),
    Code.MAX_PORTFOLIO_VAR: Violation((limit(Limit.MAX_PORTFOLIO_VAR, 1),)),
    Code.MAX_CORRELATED_EXPOSURE: Violation((limit(Limit.MAX_CORRELATED_EXPOSURE, 1, Scope.ACCOUNT, 0),)),
    Code.ORDER_CAPACITY: Violation((place(1, 0, BUY, 10, 1_000),)),
}
# One takes the other away, or both want the same field.
IMPOSSIBLE = {
    (Code.LIMITS_NOT_SET, Code.UNKNOWN_ACCOUNT),  # an account that is not known has no limits to miss
    (Code.LIMITS_NOT_SET, Code.MAX_LEVERAGE),
    (Code.LIMITS_NOT_SET, Code.MAX_ORDER_TO_TRADE_RATIO),
    (Code.LIMITS_NOT_SET, Code.MAX_CORRELATED_EXPOSURE),
    (Code.PRICE_REQUIRED, Code.PRICE_INVALID),
    (Code.PRICE_REQUIRED, Code.PRICE_TICK),  # a price off the tick is a price
    (Code.QUANTITY_MIN, Code.QUANTITY_MAX),
    (Code.NOTIONAL_MIN, Code.REDUCE_ONLY),  # what is left of a position may be small
    (Code.QUANTITY_MAX, Code.NOTIONAL_MIN),
    (Code.SYMBOL_NOT_TRADING, Code.NOTIONAL_MIN),  # both set the instrument
}
PAIRS = [pair for pair in combinations(sorted(VIOLATIONS), 2) if pair not in IMPOSSIBLE]


def ready() -> Desk:
    made = Desk(CAPACITY)
    made.send(*market(accounts=2), account(2))
    made.send(instrument(0, min_quantity=5))
    return made


def combine(*violations: Violation) -> tuple[tuple[Command, ...], dict[str, Any]]:
    fields: dict[str, Any] = {}
    for violation in violations:
        for name, value in violation.fields.items():
            fields[name] = fields.get(name, 0) | value if name in ("fault", "flags") else value
    # An order that is to stand before has to come before what would refuse it.
    before = [command for violation in violations for command in violation.before]
    before.sort(key=lambda command: command.account != 1)
    return tuple(before), fields


def refusal(*codes: Code) -> Code:
    made = ready()
    before, fields = combine(*(VIOLATIONS[code] for code in codes))
    made.send(*before)
    made.ts += sum(VIOLATIONS[code].later_us for code in codes)
    event = made.one(replace(ORDER, **fields))
    assert event.kind in (EventKind.ORDER_REJECTED, EventKind.ORDER_ACCEPTED)
    return Code(event.code)


def test_the_order_itself_passes() -> None:
    assert refusal() == Code.NONE


def test_every_check_of_an_order_is_here() -> None:
    elsewhere = {  # what takes a history: tests/unit/engine/test_breakers.py
        Code.NONE, Code.CANCEL_RATE, Code.REPEATED_ORDER, Code.DAILY_LOSS, Code.MAX_DRAWDOWN,
        Code.VENUE_REJECTIONS, Code.MAINTENANCE_LEVERAGE, Code.NEGATIVE_EQUITY,
    }  # fmt: skip
    assert {code for code in Code if code <= Code.ORDER_CAPACITY} - elsewhere == set(VIOLATIONS)


@pytest.mark.parametrize("code", VIOLATIONS)
def test_each_alone(code: Code) -> None:
    assert refusal(code) == code


@pytest.mark.parametrize(("first", "second"), PAIRS)
def test_the_first_of_two(first: Code, second: Code) -> None:
    assert refusal(first, second) == first


@pytest.mark.parametrize("code", [code for code in VIOLATIONS if code != Code.ORDER_CAPACITY])
def test_explain_names_the_same_check_and_changes_nothing(code: Code) -> None:
    made = ready()
    before, fields = combine(VIOLATIONS[code])
    made.send(*before)
    made.ts += VIOLATIONS[code].later_us
    arrays = ("firm", "accounts", "positions", "orders", "instruments", "client_ids")
    bytes_before = [getattr(made.engine.state, name).tobytes() for name in arrays]
    order = replace(ORDER, **fields)
    verdicts = made.engine.explain(pack([order]), made.ts)
    assert bytes_before == [getattr(made.engine.state, name).tobytes() for name in arrays]
    places = [(verdict.code, verdict.scope) for verdict in verdicts]
    assert places == sorted(set(places))
    failed = [verdict for verdict in verdicts if not verdict.passed]
    assert failed[0].code == code
    event = made.one(order)
    found = (event.code, event.limit, event.observed, event.scope)
    assert found == (code, failed[0].limit, failed[0].observed, failed[0].scope)


def test_explain_shows_every_check_of_a_good_order() -> None:
    verdicts = ready().engine.explain(pack([ORDER]), ready().ts)
    assert all(verdict.passed for verdict in verdicts)
    unconditional = set(VIOLATIONS) - {Code.ORDER_CAPACITY, Code.MAX_ORDER_TO_TRADE_RATIO}
    unconditional |= {Code.DAILY_LOSS, Code.MAX_DRAWDOWN, Code.POSITION_CAPACITY}
    assert {verdict.code for verdict in verdicts} == unconditional


def test_a_stop_that_would_fire_at_once_is_a_mistake() -> None:
    made = ready()
    for stop_price, expected in ((1_001, EventKind.ORDER_OPENED), (1_000, EventKind.ORDER_REJECTED)):
        event = made.one(place(0, 0, BUY, 5, type=OrderType.STOP, stop_price=stop_price))
        assert event.kind == expected
        if expected == EventKind.ORDER_OPENED:
            made.send(Command(4, scope=Scope.FIRM))
