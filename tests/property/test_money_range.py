"""Sums of huge numbers: what the engine adds never leaves 64 bits, and equals Python's integers."""

from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.engine.capacity import MONEY_MAX, SUM_MAX, Capacity
from app.engine.codes import Code
from app.engine.types import EventKind, InstrumentStatus, Limit, Scope
from tests.support.engine import (
    BUY,
    SELL,
    Desk,
    account,
    bought,
    instrument,
    limit,
    mark,
    settle,
    transfer,
)

ACCOUNTS, SYMBOLS = 6, 3
CAPACITY = Capacity(
    accounts=8,
    symbols=4,
    orders=1 << 10,
    open_orders=1 << 9,
    fills=1 << 6,
    commands=64,
    events=256,
    repeats=16,
)
HUGE = 11_500_000_000 * 10**8  # eleven and a half billion


class Ledger:
    """Cash and positions in Python's integers; every sum is made anew."""

    def __init__(self, random: Random) -> None:
        self.random = random
        self.made = Desk(CAPACITY)
        self.cash = [0] * ACCOUNTS
        self.held = [[0] * SYMBOLS for _ in range(ACCOUNTS)]
        self.marks = [1] * SYMBOLS
        # Multipliers of 1, 100 and a million.
        for symbol, tick in enumerate((10**4, 10**6, 10**10)):
            self.made.send(
                instrument(symbol, price_tick_e12=tick, max_quantity=10**6, name=b"S%d" % symbol),
                mark(symbol, 1),
            )
        for index in range(ACCOUNTS):
            self.made.send(account(index, 1_000), limit(Limit.MAX_OPEN_ORDERS, 10**9, Scope.ACCOUNT, index))
        self.units = [int(each["multiplier"]) for each in self.made.engine.state.instruments[:SYMBOLS]]

    def values(self, index: int) -> list[int]:
        return [self.held[index][s] * self.marks[s] * self.units[s] for s in range(SYMBOLS)]

    def equity(self, index: int) -> int:
        return self.cash[index] + sum(self.values(index))

    def transfer(self) -> None:
        index = self.random.randrange(ACCOUNTS)
        value = self.random.choice(
            [HUGE, -HUGE, MONEY_MAX, -MONEY_MAX, MONEY_MAX + 1, 2**63 - 1, -(2**63), 10**15, -(10**15),
             self.random.randint(-MONEY_MAX, MONEY_MAX)]
        )  # fmt: skip
        event = self.made.one(transfer(index, value))
        if event.kind == EventKind.CASH_TRANSFERRED:
            self.cash[index] += value
            return
        assert event.code in (Code.VALUE_RANGE, Code.INSUFFICIENT_MARGIN)
        assert 0 <= event.limit <= MONEY_MAX and event.observed > event.limit
        if event.limit:  # what it says could be transferred can be
            sign = 1 if value > 0 else -1
            again = self.made.one(transfer(index, sign * event.limit))
            if event.code == Code.INSUFFICIENT_MARGIN or sign > 0:
                assert again.kind == EventKind.CASH_TRANSFERRED, again
            if again.kind == EventKind.CASH_TRANSFERRED:
                self.cash[index] += sign * event.limit

    def mark(self) -> None:
        symbol = self.random.randrange(SYMBOLS)
        highest = int(self.made.engine.state.instruments[symbol]["max_price"])
        price = self.random.choice([1, 2, highest, highest // 2, self.random.randint(1, highest)])
        event = self.made.send(mark(symbol, price))[0]
        if event.kind == EventKind.MARK_UPDATED:
            self.marks[symbol] = price
        else:
            assert event.code == Code.VALUE_RANGE
            assert price > self.marks[symbol] or self._equity_if(symbol, price) > SUM_MAX

    def _equity_if(self, symbol: int, price: int) -> int:
        change = (price - self.marks[symbol]) * self.units[symbol]
        return abs(sum(self.equity(index) + self.held[index][symbol] * change for index in range(ACCOUNTS)))

    def fill(self) -> None:
        index, symbol = self.random.randrange(ACCOUNTS), self.random.randrange(SYMBOLS)
        quantity = self.random.choice([1, -1, 1_000, -1_000, 10**6, -(10**6)])
        before = self.made.position(index, symbol)["quantity"]
        try:
            bought(self.made, quantity, self.marks[symbol], account=index, symbol=symbol)
        except (AssertionError, ValueError):
            pass
        moved = self.made.position(index, symbol)["quantity"] - before
        self.held[index][symbol] += moved
        self.cash[index] -= moved * self.marks[symbol] * self.units[symbol]

    def settle(self) -> None:
        symbol = self.random.randrange(SYMBOLS)
        terms = {"price_tick_e12": (10**4, 10**6, 10**10)[symbol], "name": b"S%d" % symbol}
        self.made.send(instrument(symbol, status=InstrumentStatus.HALTED, **terms))
        highest = int(self.made.engine.state.instruments[symbol]["max_price"])
        price = self.random.choice([1, self.marks[symbol], highest])
        answers = (EventKind.SYMBOL_SETTLED, EventKind.COMMAND_REJECTED)
        done = next(event for event in self.made.send(settle(symbol, price)) if event.kind in answers)
        if done.kind == EventKind.SYMBOL_SETTLED:
            for index in range(ACCOUNTS):
                self.cash[index] += self.held[index][symbol] * price * self.units[symbol]
                self.held[index][symbol] = 0
        else:
            assert done.code in (Code.VALUE_RANGE, Code.INSTRUMENT_IN_USE)
        self.made.send(instrument(symbol, **terms))

    def check(self) -> None:
        state = self.made.engine.state
        for index in range(ACCOUNTS):
            record = self.made.account(index)
            assert record["cash"] == self.cash[index]
            assert record["position_value"] == sum(self.values(index))
            assert abs(self.equity(index)) <= 2 * SUM_MAX
            assert record["peak_equity"] - self.equity(index) < 2**63
        firm = state.firm[0]
        assert int(firm["equity"]) == sum(map(self.equity, range(ACCOUNTS)))
        assert 0 <= int(firm["exposure"]) <= SUM_MAX
        gross = sum(abs(value) for index in range(ACCOUNTS) for value in self.values(index))
        assert int(firm["exposure"]) >= gross


@settings(max_examples=25, deadline=None)
@given(st.randoms(use_true_random=False), st.integers(1, 60))
def test_huge_numbers(random: Random, steps: int) -> None:
    ledger = Ledger(random)
    for _ in range(steps):
        random.choice([ledger.transfer, ledger.mark, ledger.mark, ledger.fill, ledger.fill, ledger.settle])()
        ledger.check()


def test_nine_deposits() -> None:
    """Of eleven and a half billion each: the firm's sum ends where it ends, and says so."""
    ledger = Ledger(Random(1))
    events = [ledger.made.one(transfer(index % ACCOUNTS, HUGE)) for index in range(9)]
    taken = [event for event in events if event.kind == EventKind.CASH_TRANSFERRED]
    assert len(taken) == SUM_MAX // HUGE == 2
    for event in events[len(taken) :]:
        assert (event.code, event.limit, event.observed) == (
            Code.VALUE_RANGE, SUM_MAX - 2 * HUGE if event.account > 1 else MONEY_MAX - HUGE, HUGE
        )  # fmt: skip
    assert int(ledger.made.engine.state.firm[0]["equity"]) == 2 * HUGE


@pytest.mark.parametrize("side", [BUY, SELL])
def test_a_mark_that_would_carry_values_away_is_refused(side: int) -> None:
    ledger = Ledger(Random(1))
    made = ledger.made
    for index in range(ACCOUNTS):
        made.send(transfer(index, 10**14))
    sign = 1 if side == BUY else -1
    for index in range(ACCOUNTS):
        bought(made, sign * 10**6, 1, account=index)
    highest = int(made.engine.state.instruments[0]["max_price"])
    event = made.one(mark(0, highest))
    assert (event.kind, event.code, event.symbol) == (EventKind.COMMAND_REJECTED, Code.VALUE_RANGE, 0)
    assert (event.limit, event.observed) == (SUM_MAX, SUM_MAX + 1)
    assert int(made.engine.state.instruments[0]["mark"]) == 1
    largest = SUM_MAX // (ACCOUNTS * 10**6)
    assert made.one(mark(0, largest + 1)).code == Code.VALUE_RANGE
    if side == SELL:
        assert made.send(mark(0, largest // 2))[0].kind == EventKind.MARK_UPDATED
        assert int(made.engine.state.accounts[0]["position_value"]) == -(10**6) * (largest // 2)
    made.ts += 5
    assert made.send(mark(0, 3))[0].kind == EventKind.MARK_UPDATED, "one that fits is taken"
