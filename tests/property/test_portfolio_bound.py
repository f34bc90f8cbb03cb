"""After any fill value at risk is at most what the check has reported, and never above a limit that was kept.

Several accounts and symbols, measured ones and others; marks stay as they are, so that all that
happens is orders, amends, cancels and fills, in any order and of any part.
"""

from random import Random
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.engine.capacity import Capacity
from app.engine.codes import Code
from app.engine.types import EventKind, Limit, OrderFlag, OrderType, ReportKind, Scope
from app.runtime.risk_figures import account_portfolio, firm_portfolio
from tests.support.engine import (
    BUY,
    SELL,
    Command,
    Desk,
    amend,
    cancel,
    instrument,
    limit,
    mark,
    market,
    pack,
    place,
    report,
    risk_model,
    sample_marks,
    trade,
)

CAPACITY = Capacity(accounts=4, symbols=5, orders=512, open_orders=256, fills=512, commands=64, events=256)
ACCOUNTS = 3
MEASURED = 3
SYMBOLS = 5
PRICE = 10_000
SECOND_US = 1_000_000
_ROUNDED = 1  # what is shown is computed in another order, and rounded up


class Shown(NamedTuple):
    """Of each account, then of the firm."""

    bounds: list[int]
    positions: list[int]


class Book:
    """An engine, and what its checks have reported."""

    def __init__(self, random: Random) -> None:
        self.random = random
        self.desk = Desk(CAPACITY)
        self.open: list[int] = []
        self.executions = 0
        self.fills = 0
        self.refusals = 0
        self.desk.send(*market(ACCOUNTS, MEASURED, PRICE, cash=10**15), risk_model(samples_min=5))
        common = random.choice((0, 30, 300))  # how strongly symbols move together
        for tick in range(12):
            self.desk.ts += SECOND_US
            together = PRICE + random.randint(-common, common) + tick % 2  # never without variance
            prices = [together + random.randint(-40, 40) for _ in range(MEASURED)]
            self.desk.send(*(mark(symbol, price) for symbol, price in enumerate(prices)), sample_marks())
        for symbol in range(MEASURED, SYMBOLS):
            self.desk.send(instrument(symbol), mark(symbol, PRICE // 7))
        assert (self.desk.engine.state.scales[:MEASURED] > 0).all()
        for account in range(ACCOUNTS):
            self.limit(Scope.ACCOUNT, account)
        self.limit(Scope.FIRM, -1)
        # What the check of the newest order has reported, of each account, then of the firm.
        self.reported = [0] * (ACCOUNTS + 1)

    def limit(self, scope: int, account: int) -> None:
        value = int(10 ** self.random.uniform(5.5, 8))
        self.desk.send(limit(Limit.MAX_PORTFOLIO_VAR, value, scope, account))

    def allowed(self, holder: int) -> int:
        state = self.desk.engine.state
        record = state.firm_limits[0] if holder == ACCOUNTS else state.account_limits[holder]
        return int(record["value"][Limit.MAX_PORTFOLIO_VAR])

    def shown(self) -> Shown:
        state = self.desk.engine.state
        each = [account_portfolio(state, account) for account in range(ACCOUNTS)] + [firm_portfolio(state)]
        return Shown([p.value_at_risk for p in each], [p.position_value_at_risk for p in each])

    def any_order(self) -> Command:
        random = self.random
        side = random.choice((BUY, SELL))
        account, symbol = random.randrange(ACCOUNTS), random.randrange(SYMBOLS)
        quantity = random.choice((1, 7, 50, 101, 1_000))
        held = self.desk.position(account, symbol)["quantity"]
        if held and random.random() < 0.4:  # against the position
            side, quantity = (SELL if held > 0 else BUY), random.choice((abs(held), 2 * abs(held), 1))
        flags = OrderFlag.REDUCE_ONLY if random.random() < 0.2 else 0
        if random.random() < 0.2:
            stop = 2 * PRICE if side == BUY else PRICE // 20
            return place(
                account, symbol, side, quantity, 0, type=OrderType.STOP, stop_price=stop, flags=flags
            )
        return place(
            account, symbol, side, quantity, random.choice((PRICE, PRICE // 2, 2 * PRICE)), flags=flags
        )

    def place(self) -> None:
        order = self.any_order()
        found = self.desk.engine.explain(pack([order]), self.desk.ts)
        verdicts = {v.scope: v for v in found if v.code == Code.MAX_PORTFOLIO_VAR}
        event = self.desk.one(order)
        if event.kind == EventKind.ORDER_REJECTED:
            self.refusals += event.code == Code.MAX_PORTFOLIO_VAR
            return
        if not order.stop_price:
            self.desk.send(report(ReportKind.NEW, event.order_id))
        self.open.append(event.order_id)
        shown = self.shown()
        for scope, holder in ((Scope.ACCOUNT, order.account), (Scope.FIRM, ACCOUNTS)):
            reported = verdicts[scope].observed
            assert shown.bounds[holder] - _ROUNDED <= reported <= shown.bounds[holder] + self.allowance()
            self.reported[holder] = reported

    def allowance(self) -> float:
        """How far a check may report above what is shown: a ceiling of each, and its roundings.

        They are of the size of the whole portfolio, also where its parts hedge each other to almost nothing.
        """
        state = self.desk.engine.state
        model = state.risk_model[0]
        size = float(model["deviation_max"]) * float(state.portfolios["measured_max"].max())
        return 2 + 1e-6 * float(model["factor"]) * size

    def amend(self) -> None:
        if not self.open:
            return
        order_id = self.random.choice(self.open)
        order = self.desk.order(order_id)
        before = self.shown()
        price = 0 if order["stop_price"] else PRICE
        quantity = order["filled_quantity"] + self.random.choice((1, 10, 200, 2_000))
        events = self.desk.send(amend(order_id, price, quantity))
        if events[0].kind == EventKind.REPLACE_REQUESTED:
            self.desk.send(report(ReportKind.REPLACED, order_id, price=price, quantity=quantity))
        if events[0].code == Code.MAX_PORTFOLIO_VAR:
            self.refusals += 1
        self.check_limits(order["account"], before, order["side"])
        after = self.shown().bounds
        self.reported = [max(pair) for pair in zip(self.reported, after, strict=True)]

    def check_limits(self, account: int, before: Shown, side: int) -> None:
        """An amend keeps to the limits, but where it only reduces."""
        after = self.shown()
        for position in range(SYMBOLS):
            held = self.desk.position(account, position)["quantity"]
            if held * (1 if side == SELL else -1) > 0:
                return  # it may have reduced
        for holder in (account, ACCOUNTS):
            limited = max(self.allowed(holder), before.bounds[holder])
            assert after.bounds[holder] <= limited + _ROUNDED

    def end(self, order_id: int) -> None:
        self.open.remove(order_id)

    def cancel(self) -> None:
        if self.open:
            order_id = self.random.choice(self.open)
            stop = bool(self.desk.order(order_id)["waiting"])
            self.end(order_id)
            self.desk.send(cancel(order_id))
            if not stop:
                self.desk.send(report(ReportKind.CANCELED, order_id))

    def fill(self) -> None:
        """Whatever fills, of any price: the bound goes down, and holds the positions."""
        working = [i for i in self.open if not self.desk.order(i)["waiting"]]
        if not working:
            return
        order_id = self.random.choice(working)
        order = self.desk.order(order_id)
        left = order["quantity"] - order["filled_quantity"]
        quantity = self.random.choice((left, left, self.random.randint(1, left)))
        before = self.shown()
        self.executions += 1
        events = self.desk.send(trade(order_id, self.executions, quantity, self.random.choice((1, PRICE))))
        if quantity == left:
            self.end(order_id)
        self.fills += 1
        after = self.shown()
        for holder in range(ACCOUNTS + 1):
            assert after.bounds[holder] <= before.bounds[holder] + _ROUNDED
            assert after.positions[holder] <= after.bounds[holder] + _ROUNDED
        for holder in (order["account"], ACCOUNTS):
            assert after.bounds[holder] <= self.reported[holder] + _ROUNDED
        self.trimmed([event.order_id for event in events if event.kind == EventKind.CANCEL_REQUESTED])

    def trimmed(self, order_ids: list[int]) -> None:
        """Reduce-only orders that the position no longer covers."""
        for order_id in order_ids:
            self.desk.send(report(ReportKind.CANCELED, order_id))
        final = [i for i in self.open if not self.desk.order(i)["reserved"]]
        for order_id in final:
            self.end(order_id)

    def step(self) -> None:
        self.random.choice(
            (self.place, self.place, self.place, self.fill, self.fill, self.cancel, self.amend)
        )()


@settings(max_examples=25, deadline=None)
@given(st.randoms(use_true_random=False), st.integers(10, 80))
def test_no_fill_ends_above_what_its_check_reported(random: Random, steps: int) -> None:
    book = Book(random)
    for _ in range(steps):
        book.step()


@pytest.mark.parametrize("seed", range(4))
def test_the_same_at_length(seed: int) -> None:
    book = Book(Random(seed))
    for _ in range(300):
        book.step()
    assert book.fills > 40
    assert book.refusals > 10


@pytest.mark.parametrize("seed", range(8))
def test_no_corner_of_what_may_be_reached_is_above_the_bound(seed: int) -> None:
    """All combinations of which orders fill, of the firm's covariance and positions at random."""
    book = Book(Random(100 + seed))
    for _ in range(60):
        book.step()
    state = book.desk.engine.state
    stride = len(state.scales)
    covariance = state.covariance.reshape(stride, stride)[:SYMBOLS, :SYMBOLS]
    model = state.risk_model[0]
    factor = int(model["z_e9"]) / 1e9 * np.sqrt(int(model["horizon_us"]) / int(model["interval_us"]))
    loose = state.scales[:SYMBOLS] == 0
    for account in range(ACCOUNTS):
        each = [book.desk.position(account, symbol) for symbol in range(SYMBOLS)]
        bound = account_portfolio(state, account).value_at_risk
        for corner in range(1 << SYMBOLS):
            chosen = [p["upper" if corner >> i & 1 else "lower"] for i, p in enumerate(each)]
            w = np.array(chosen, float)
            at_risk = factor * np.sqrt(max(w @ covariance @ w, 0.0)) + np.abs(w[loose]).sum()
            assert at_risk <= bound + _ROUNDED
