"""Portfolios kept up to date in O(N) are those computed anew, and orders are refused as the twin says."""

import math
from collections.abc import Sequence
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.engine.capacity import Capacity
from app.engine.codes import Code
from app.engine.engine import Engine
from app.engine.state import RISK_MODEL_DEFAULTS, state_hash
from app.engine.types import EventKind, Limit, ReportKind, Scope, TimeInForce
from tests.models.correlation import History
from tests.support.engine import (
    BUY,
    SELL,
    Command,
    Desk,
    account,
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

CAPACITY = Capacity(accounts=4, symbols=5, orders=256, open_orders=128, fills=256, commands=64, events=256)
ACCOUNTS = 3
PRICE = 10_000
MODEL = {
    "half_life": 15,
    "samples_min": 8,
    "mark_age_us_max": 2_500_000,
    "correlation_threshold_ppm": 300_000,
}
RELATIVE = 1e-9

Orders = dict[tuple[int, int], tuple[int, int]]  # steps bought and sold, by account and symbol


def middles_and_radii(each: list[list[tuple[int, int]]]) -> tuple[list[float], list[float]]:
    """By symbol, of what may be reached: [account][symbol], lowest and highest."""
    symbols = list(zip(*each, strict=True))
    middles = [sum(low + high for low, high in accounts) / 2 for accounts in symbols]
    return middles, [sum(high - low for low, high in accounts) / 2 for accounts in symbols]


class Trading:
    """An engine whose accounts trade at random, a second a step, and its twin."""

    def __init__(self, random: Random) -> None:
        self.random = random
        self.desk = Desk(CAPACITY)
        self.history = History(RISK_MODEL_DEFAULTS | MODEL)
        self.symbols = 3
        self.marks = [0] * CAPACITY.symbols
        self.marked_ts = [0] * CAPACITY.symbols
        self.open: list[int] = []
        self.executions = 0
        self.desk.send(*market(ACCOUNTS - 1, self.symbols, PRICE, cash=10**15), risk_model(**MODEL))
        self.desk.send(account(ACCOUNTS - 1))
        self.decisions = 0
        self.refusals = 0
        for symbol in range(self.symbols):
            self.set_mark(symbol, PRICE)

    @property
    def now(self) -> int:
        return self.desk.ts

    def set_mark(self, symbol: int, price: int) -> None:
        self.marks[symbol], self.marked_ts[symbol] = price, self.now
        self.desk.send(mark(symbol, price))

    def step(self) -> None:
        self.desk.ts += 1_000_000
        common = self.random.randint(-60, 60)
        for symbol in range(self.symbols):
            if self.random.random() < 0.9:
                jump = self.random.choice((1, 1, 1, 1, 1, 1, 1, 1, 1, 50))
                self.set_mark(symbol, (PRICE + common + self.random.randint(-60, 60)) * jump)
        if self.random.random() < 0.02 and self.symbols < CAPACITY.symbols:
            self.desk.send(instrument(self.symbols))
            self.symbols += 1
        if self.random.random() < 0.95:
            self.sample()
        if self.random.random() < 0.04:
            self.set_parameters()
        for _ in range(self.random.randint(0, 3)):
            self.random.choice((self.place, self.place, self.place, self.fill, self.cancel, self.set_limit))()
            self.check_rows()

    def sample(self) -> None:
        self.desk.send(sample_marks())
        age_max = self.history.parameters["mark_age_us_max"]
        fresh = [self.now - ts <= age_max for ts in self.marked_ts]
        pairs = zip(self.marks[: self.symbols], fresh, strict=False)
        self.history.sample(self.now, [price if known else 0 for price, known in pairs])

    def set_parameters(self) -> None:
        """Those that say what is made of the estimate, not how it is made."""
        changes = {
            "horizon_us": self.random.choice((10**7, 10**9, 86_400_000_000)),
            "z_e9": self.random.choice((1_644_853_627, 2_326_347_874)),
            "correlation_threshold_ppm": self.random.choice((0, 300_000, 700_000, 10**6)),
        }
        self.history.parameters.update(changes)
        self.desk.send(risk_model(**MODEL | changes))

    def set_limit(self) -> None:
        which = self.random.choice((Limit.MAX_PORTFOLIO_VAR, Limit.MAX_CORRELATED_EXPOSURE))
        value = int(10 ** self.random.uniform(5, 9))
        if which == Limit.MAX_PORTFOLIO_VAR and self.random.random() < 0.3:
            self.desk.send(limit(which, value, state=self.random.randint(0, 1)))
        else:
            index = self.random.randrange(ACCOUNTS)
            state = self.random.random() < 0.8
            self.desk.send(limit(which, value, Scope.ACCOUNT, index, state=int(state)))

    def place(self) -> None:
        index, symbol = self.random.randrange(ACCOUNTS), self.random.randrange(self.symbols)
        quantity = self.random.choice((1, 10, 100, 1_000, 10_000))
        side = self.random.choice((BUY, SELL))
        order = place(index, symbol, side, quantity, PRICE, time_in_force=TimeInForce.GTC)
        explained = self.desk.engine.explain(pack([order]), self.now)
        expected = self.expected(index, symbol, side, quantity)
        for verdict in explained:
            if verdict.code in (Code.MAX_PORTFOLIO_VAR, Code.MAX_CORRELATED_EXPOSURE):
                assert verdict.observed == pytest.approx(
                    expected[verdict.code, verdict.scope], rel=1e-8, abs=2
                )
        event = self.desk.one(order)
        self.decisions += 1
        if event.kind == EventKind.ORDER_ACCEPTED:
            self.open.append(event.order_id)
            self.desk.send(report(ReportKind.NEW, event.order_id))
            assert all(verdict.passed for verdict in explained)
        else:
            self.refusals += event.code in (Code.MAX_PORTFOLIO_VAR, Code.MAX_CORRELATED_EXPOSURE)
            failed = next(verdict for verdict in explained if not verdict.passed)
            assert (event.code, event.scope, event.limit) == (failed.code, failed.scope, failed.limit)
            # What is explained from the positions is what is decided from the row kept up to date.
            assert event.observed == pytest.approx(failed.observed, rel=1e-8, abs=2)

    def fill(self) -> None:
        if self.open:
            order_id = self.random.choice(self.open)
            order = self.desk.order(order_id)
            quantity = self.random.randint(1, order["quantity"] - order["filled_quantity"])
            self.executions += 1
            self.desk.send(trade(order_id, self.executions, quantity, PRICE, fee=3))
            if quantity == order["quantity"] - order["filled_quantity"]:
                self.open.remove(order_id)

    def cancel(self) -> None:
        if self.open:
            order_id = self.open.pop(self.random.randrange(len(self.open)))
            self.desk.send(cancel(order_id), report(ReportKind.CANCELED, order_id))

    # The twin.

    def reached(self, index: int, more: Orders) -> list[tuple[int, int]]:
        """What fills may lead to in money, by symbol: lowest and highest, with more bought and sold."""
        values = []
        for symbol in range(self.symbols):
            position = self.desk.position(index, symbol)
            buy, sell = more.get((index, symbol), (0, 0))
            lowest = position["quantity"] - position["open_sell"] - sell
            highest = position["quantity"] + position["open_buy"] + buy
            values.append((lowest * self.marks[symbol], highest * self.marks[symbol]))
        return values

    def expected(self, index: int, symbol: int, side: int, quantity: int) -> dict[tuple[Code, Scope], float]:
        """What the checks observe, from positions and history alone."""
        more = {(index, symbol): (quantity, 0) if side == BUY else (0, quantity)}
        matrix = self.history.matrix(self.symbols)
        # A symbol added after the last sample is not measured before the next.
        unmeasured = [matrix[other][other] is None for other in range(self.symbols)]
        each = [self.reached(other, more) for other in range(ACCOUNTS)]
        gross = [[max(abs(low), abs(high)) for low, high in values] for values in each]
        loose = [sum(v for v, u in zip(values, unmeasured, strict=True) if u) for values in gross]
        together = [self.history.together(matrix, symbol, other) for other in range(self.symbols)]

        def bound(accounts: Sequence[int]) -> float:
            middles, radii = middles_and_radii([each[other] for other in accounts])
            return self.history.value_at_risk(matrix, middles, sum(loose[a] for a in accounts), radii)

        return {
            (Code.MAX_PORTFOLIO_VAR, Scope.FIRM): bound(range(ACCOUNTS)),
            (Code.MAX_PORTFOLIO_VAR, Scope.ACCOUNT): bound([index]),
            (Code.MAX_CORRELATED_EXPOSURE, Scope.ACCOUNT): sum(
                value for value, counts in zip(gross[index], together, strict=True) if counts
            ),
        }

    def check_rows(self) -> None:
        """Every row that claims to be up to date equals one made anew."""
        state = self.desk.engine.state
        version = state.firm[0]["model_version"]
        stride = len(state.scales)
        covariance = state.covariance.reshape(stride, stride)[: self.symbols, : self.symbols]
        apart = state.apart.reshape(stride, stride)[: self.symbols, : self.symbols]
        measured = state.scales[: self.symbols] > 0
        rows = {1 + index: [index] for index in range(ACCOUNTS)} | {0: list(range(ACCOUNTS))}
        for row, indexes in rows.items():
            holder = state.firm[0] if row == 0 else state.accounts[row - 1]
            if holder["portfolio_version"] != version:
                continue
            each = [self.reached(index, {}) for index in indexes]
            signed, radii = map(np.array, middles_and_radii(each))
            gross = np.abs(np.array(each, float)).max(axis=2).sum(axis=0)
            span = slice(row * stride, row * stride + self.symbols)
            np.testing.assert_array_equal(state.exposures[span], signed)
            size = math.sqrt(covariance.max(initial=0)) * max(gross.max(), 1.0)
            radius = float(radii @ np.sqrt(np.diag(covariance)))
            assert state.portfolios[row]["radius"] == pytest.approx(radius, rel=RELATIVE, abs=RELATIVE * size)
            assert state.portfolios[row]["measured"] == gross[measured].sum()
            np.testing.assert_array_equal(state.exposures_apart[span], -(apart @ gross))
            np.testing.assert_allclose(
                state.products[span], covariance @ signed, rtol=RELATIVE, atol=RELATIVE * size
            )
            variance = float(signed @ covariance @ signed)
            assert state.portfolios[row]["variance"] == pytest.approx(
                variance, rel=RELATIVE, abs=RELATIVE * size * size
            )


@settings(max_examples=15, deadline=None)
@given(st.randoms(use_true_random=False), st.integers(5, 50))
def test_portfolios_follow_what_is_traded(random: Random, steps: int) -> None:
    trading = Trading(random)
    for _ in range(steps):
        trading.step()


@pytest.mark.parametrize("seed", range(4))
def test_long_trading_is_decided_as_the_twin_says(seed: int) -> None:
    trading = Trading(Random(seed))
    for _ in range(120):
        trading.step()
    assert trading.decisions > 70
    assert trading.refusals > 5


def _replayed(log: list[Command], sizes: list[int]) -> tuple[bytes, str]:
    engine = Engine(CAPACITY)
    records = pack(log)
    events, first, number = b"", 0, 0
    while first < len(records):
        size = sizes[number % len(sizes)]
        events += engine.process(records[first : first + size]).tobytes()
        first, number = first + size, number + 1
    return events, state_hash(engine.state)


@pytest.mark.parametrize("seed", [11, 12])
def test_a_replay_in_any_batches_gives_the_same_bytes(seed: int) -> None:
    trading = Trading(Random(seed))
    for _ in range(60):
        trading.step()
    log = trading.desk.log
    one = _replayed(log, [1])
    assert one == _replayed(log, [7, 64, 3]) == _replayed(log, [len(log)])
    assert one[1] == state_hash(trading.desk.engine.state)
