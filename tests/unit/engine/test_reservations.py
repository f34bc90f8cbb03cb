"""Whatever way an order takes to its end, it leaves nothing reserved.

The ways come from the transition table: every walk through the states that passes none twice. After each,
account, position, instrument, firm and the portfolios of value at risk are as in a copy of the engine
where the order never was, but its fills were (each by an order of its own that was filled at once).
"""

from itertools import product
from typing import Any, NamedTuple

import numpy as np
import pytest

from app.engine.capacity import SLOT_BITS
from app.engine.state import State
from app.engine.transitions import FINAL, TABLE, Trigger
from app.engine.types import Limit, OrderFlag, OrderStatus, OrderType, ReportKind, Scope, TimeInForce
from tests.support import engine as build
from tests.support.engine import BUY, SELL, Command, Desk
from tests.support.limit_worlds import CAPACITY, SECOND_US, Fork

S, T = OrderStatus, Trigger
Path = tuple[Trigger, ...]
Node = tuple[OrderStatus, bool, bool]

PRICE = 1_000
QUANTITY, FILL = 10, 1
_HELD = 40
_ANY_PATH = 100
_SHORT_PATH = 4  # triggers; longer ones are walked by the slow test
_REPORTS = {
    T.ACKNOWLEDGE: ReportKind.NEW,
    T.CANCEL: ReportKind.CANCELED,
    T.EXPIRE: ReportKind.EXPIRED,
    T.REJECT: ReportKind.REJECTED,
    T.LOSE: ReportKind.UNKNOWN,
}
_ACCOUNT = (
    "cash", "position_value", "exposure", "upper", "lower", "open_notional", "day_traded", "realised",
    "fees", "peak_equity", "open_orders", "first_open", "last_open",
)  # fmt: skip
_FIRM = (
    "exposure", "upper", "lower", "open_notional", "day_traded", "equity", "peak_equity", "open_orders",
    "expiry_root",
)  # fmt: skip
_INSTRUMENT = ("worst", "rise_root", "fall_root")

WALKED, CONTROL = Fork(), Fork()


class Variant(NamedTuple):
    """What kind of order walks, and what its account holds."""

    type: OrderType
    side: int
    reduce_only: bool
    held: int
    time_in_force: TimeInForce


VARIANTS = [
    Variant(order_type, side, reduce_only, held, time_in_force)
    for order_type, side, reduce_only, held, time_in_force in product(
        (OrderType.LIMIT, OrderType.STOP, OrderType.STOP_LIMIT, OrderType.TAKE_PROFIT_LIMIT),
        (BUY, SELL),
        (False, True),
        (0, _HELD, -_HELD),
        (TimeInForce.GTC, TimeInForce.GTD),
    )
    if not reduce_only or held * (1 if side == SELL else -1) > 0
]


def walks(status: OrderStatus, longest: int) -> list[Path]:
    """Every way from a state to a final one, by triggers, of at most so many.

    No (state, has fills, was amended) comes twice, but one step of a way may lead to where it began.
    """
    found = []

    def go_on(node: Node, seen: frozenset[Node], path: Path, back: bool) -> None:
        state, filled, amended = node
        if state in FINAL:
            found.append(path)
        if state in FINAL or len(path) == longest:
            return
        for trigger in TABLE[state]:
            if trigger == T.FIRE or (trigger == T.REPLACE and not amended):
                continue  # only what waits fires; nothing was asked for
            fills = filled or trigger == T.FILL
            following = (aim(state, trigger, fills), fills, amended or trigger == T.REQUEST_REPLACE)
            if following not in seen:
                go_on(following, seen | {following}, (*path, trigger), back)
            elif following == node and not back:
                go_on(following, seen, (*path, trigger), True)

    start = (status, False, False)
    go_on(start, frozenset({start}), (), False)
    return found


def aim(state: OrderStatus, trigger: Trigger, filled: bool) -> OrderStatus:
    target = TABLE[state][trigger]
    return S.PARTIALLY_FILLED if target == S.NEW and filled else target


def states_of(start: OrderStatus, path: Path) -> list[OrderStatus]:
    """The state before each trigger, and the last."""
    states = [start]
    for number, trigger in enumerate(path):
        states.append(aim(states[-1], trigger, T.FILL in path[: number + 1]))
    return states


STARTS = (S.PENDING_NEW, S.TRIGGERED)


def steps_of(start: OrderStatus, path: Path) -> set[tuple[OrderStatus, Trigger]]:
    return set(zip(states_of(start, path), path, strict=False))


def short_walks(start: OrderStatus) -> list[Path]:
    """The short ones, and one for each step of the table that none of them takes."""
    chosen = walks(start, _SHORT_PATH)
    taken = {step for path in chosen for step in steps_of(start, path)}
    for path in walks(start, _SHORT_PATH + 2):
        if not steps_of(start, path) <= taken:
            chosen.append(path)
            taken |= steps_of(start, path)
    return chosen


def test_the_walks_take_every_step_of_the_table() -> None:
    found = {step for start in STARTS for path in short_walks(start) for step in steps_of(start, path)}
    table = {(state, trigger) for state, row in TABLE.items() for trigger in row}
    assert table - found == {(S.NEW, T.FIRE)}  # see below


def prepared(held: int) -> Desk:
    """Open orders of both accounts on both sides, a position, and value at risk that is kept up to date."""
    made = Desk(CAPACITY)
    made.send(*build.market(2, 2, PRICE, cash=10**9), build.risk_model(samples_min=2, half_life=5))
    for move in (3, -5, 4, -2):
        made.ts += SECOND_US
        made.send(*(build.mark(symbol, PRICE + move * (1 + symbol)) for symbol in range(2)))
        made.send(build.sample_marks())
    made.send(*(build.mark(symbol, PRICE) for symbol in range(2)))
    made.send(build.limit(Limit.MAX_PORTFOLIO_VAR, 10**12))
    for account in range(2):
        made.send(build.limit(Limit.MAX_PORTFOLIO_VAR, 10**12, Scope.ACCOUNT, account))
        made.send(build.limit(Limit.MAX_CORRELATED_EXPOSURE, 10**12, Scope.ACCOUNT, account))
    if held:
        build.bought(made, held, PRICE)
    for account, symbol, side in product(range(2), range(2), (BUY, SELL)):
        build.working(made, build.place(account, symbol, side, 3, PRICE - 7 if side == BUY else PRICE + 7))
    return made


DESKS = {held: prepared(held) for held in (0, _HELD, -_HELD)}


def picture(state: State) -> list[object]:
    """All that an open order reserves or is counted in."""
    rows = [state.portfolios["measured"].tolist(), state.exposures.tolist(), state.exposures_apart.tolist()]
    return [
        state.accounts[list(_ACCOUNT)].tolist(),
        state.positions.tobytes(),
        state.instruments[list(_INSTRUMENT)].tolist(),
        state.firm[list(_FIRM)].tolist(),
        *rows,
    ]


class Walk:
    """One order on its way."""

    def __init__(self, variant: Variant, number: int) -> None:
        self.variant = variant
        self.number = number
        self.executions = 10**6
        self.fills: list[tuple[int, int]] = []  # quantity, price
        WALKED.reset(DESKS[variant.held])
        CONTROL.reset(DESKS[variant.held])

    @property
    def order(self) -> Any:
        return WALKED.engine.state.orders[self.order_id & ((1 << SLOT_BITS) - 1)]

    def place(self) -> None:
        """The order and, of a stop, the mark that fires it: half of them are amended before."""
        kind, side, reduce_only, _, time_in_force = self.variant
        rises = (kind in (OrderType.STOP, OrderType.STOP_LIMIT)) == (side == BUY)
        stop = 0 if kind == OrderType.LIMIT else PRICE + (5 if rises else -5)
        price = 0 if kind == OrderType.STOP else PRICE
        expires = WALKED.ts + SECOND_US if time_in_force == TimeInForce.GTD else 0
        order = build.place(
            0, 0, side, QUANTITY, price, type=kind, stop_price=stop, time_in_force=time_in_force,
            flags=OrderFlag.REDUCE_ONLY if reduce_only else 0, expire_ts=expires,
        )  # fmt: skip
        (event,) = WALKED.send([order])
        assert event.code == 0, event
        self.order_id = event.order_id
        if stop:
            if self.number % 2:
                WALKED.send([build.amend(self.order_id, quantity=QUANTITY + 2)])
            for fork in (WALKED, CONTROL):
                fork.send([build.mark(0, stop)])
            assert self.order["status"] == S.TRIGGERED

    def pull(self, trigger: Trigger) -> None:
        """Make a trigger happen, and see that the order holds no less than it may still fill."""
        before = self.order.copy()
        if trigger == T.REPLACE and not before["replace_quantity"]:
            return  # nothing is asked for any more: a report of it would be an anomaly
        WALKED.send([self.command(trigger)])
        assert self.order["status"] != before["status"] or self.order["seq"] == WALKED.seq
        if self.order["status"] not in FINAL:
            assert self.order["reserved"] >= self.order["quantity"] - self.order["filled_quantity"]

    def command(self, trigger: Trigger) -> Command:
        order, order_id = self.order, self.order_id
        if trigger in (T.FILL, T.COMPLETE):
            self.executions += 1
            quantity = FILL if trigger == T.FILL else int(order["reserved"])
            price = PRICE - 3 + self.executions % 7
            self.fills.append((quantity, price))
            return build.trade(order_id, self.executions, quantity, price, fee=1)
        if trigger == T.REQUEST_CANCEL:
            return build.cancel(order_id)
        if trigger == T.REQUEST_REPLACE:
            price = (0, PRICE - 4, PRICE + 4)[self.number % 3] if order["price"] else 0
            return build.amend(order_id, price, int(order["quantity"]) + (2, -1, 3, -2)[self.number % 4])
        if trigger == T.REPLACE:
            asked = int(order["replace_price"]), int(order["replace_quantity"])
            return build.report(ReportKind.REPLACED, order_id, price=asked[0], quantity=asked[1])
        if trigger == T.REFUSE:
            canceling = order["status"] == S.PENDING_CANCEL
            return build.report(
                ReportKind.CANCEL_REJECTED if canceling else ReportKind.REPLACE_REJECTED, order_id
            )
        return build.report(_REPORTS[trigger], order_id)

    def fill_the_control(self) -> None:
        for quantity, price in self.fills:
            order = build.place(0, 0, self.variant.side, quantity, PRICE, time_in_force=TimeInForce.IOC)
            (event,) = CONTROL.send([order])
            self.executions += 1
            CONTROL.send([build.trade(event.order_id, self.executions, quantity, price, fee=1)])

    def check(self) -> None:
        self.fill_the_control()
        walked, control = WALKED.engine.state, CONTROL.engine.state
        assert self.order["status"] in FINAL and self.order["reserved"] == 0
        assert picture(walked) == picture(control)
        for name in ("variance", "products"):
            mine = walked.portfolios[name] if name == "variance" else walked.products
            its = control.portfolios[name] if name == "variance" else control.products
            size = float(np.abs(its).max()) + 1.0
            np.testing.assert_allclose(mine, its, rtol=1e-9, atol=1e-9 * size)


def walk(variant: Variant, path: Path, number: int) -> None:
    one = Walk(variant, number)
    one.place()
    for trigger in path:
        one.pull(trigger)
    one.check()


def start_of(variant: Variant) -> OrderStatus:
    return S.PENDING_NEW if variant.type == OrderType.LIMIT else S.TRIGGERED


def walk_all(start: OrderStatus, paths: list[Path], first: int) -> None:
    """Each way by another kind of order than the way before."""
    variants = [v for v in VARIANTS if (v.type == OrderType.LIMIT) == (start == S.PENDING_NEW)]
    for number, path in enumerate(paths):
        walk(variants[(first + number) % len(variants)], path, number)


@pytest.mark.parametrize("end", FINAL)
@pytest.mark.parametrize("start", STARTS)
def test_every_short_way_to_an_end(start: OrderStatus, end: OrderStatus) -> None:
    paths = short_walks(start)
    walk_all(start, [path for path in paths if states_of(start, path)[-1] == end], 0)


@pytest.mark.slow
@pytest.mark.parametrize("start", STARTS)
def test_every_way(start: OrderStatus) -> None:
    walk_all(start, walks(start, _ANY_PATH), 1)


# What waits here ends without the venue.


def _waiting_ends(order_id: int, ts: int) -> dict[str, list[Command]]:
    halted, reducing = (build.trading_state(state, Scope.SYMBOL, symbol=0) for state in (2, 1))
    fired = build.mark(0, PRICE + 5)
    return {
        "canceled": [build.cancel(order_id)],
        "amended, canceled": [build.amend(order_id, quantity=QUANTITY + 5), build.cancel(order_id)],
        "fired while halted": [halted, fired],
        "fired while reducing": [reducing, fired],
        "fired while not trading": [build.instrument(0, status=2), fired, build.cancel(order_id)],
        "expired": [build.advance()],
    }


@pytest.mark.parametrize("kind", [OrderType.STOP, OrderType.STOP_LIMIT])
@pytest.mark.parametrize("way", list(_waiting_ends(0, 0)))
def test_every_way_of_what_waits(way: str, kind: OrderType) -> None:
    desk = DESKS[0]
    WALKED.reset(desk)
    CONTROL.reset(desk)
    price = PRICE if kind == OrderType.STOP_LIMIT else 0
    expires = WALKED.ts + 1 if way == "expired" else 0
    (event,) = WALKED.send([
        build.place(
            0, 0, BUY, QUANTITY, price, type=kind, stop_price=PRICE + 5, expire_ts=expires,
            time_in_force=TimeInForce.GTD if expires else TimeInForce.GTC,
        )
    ])  # fmt: skip
    held = picture(WALKED.engine.state)
    assert held != picture(CONTROL.engine.state), "it reserves something while it waits"
    WALKED.ts += 1
    CONTROL.ts += 1
    for command in _waiting_ends(event.order_id, WALKED.ts)[way]:
        WALKED.send([command])
        if command.order_id == 0:
            CONTROL.send([command])
    order = WALKED.engine.state.orders[event.order_id & ((1 << SLOT_BITS) - 1)]
    assert order["status"] == (S.EXPIRED if way == "expired" else S.CANCELED)
    assert picture(WALKED.engine.state) == picture(CONTROL.engine.state)
