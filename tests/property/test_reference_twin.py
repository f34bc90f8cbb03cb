"""Reference data, cash, marks and settlement against the plain-Python twin: the same events and sums."""

from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from app.engine.capacity import Capacity
from app.engine.types import CommandKind, EventKind, InstrumentStatus, Limit, Scope
from tests.models.engine import EngineTwin
from tests.support import engine as build
from tests.support.engine import Command, Desk

CAPACITY = Capacity(
    accounts=4, symbols=4, orders=64, open_orders=40, fills=16, commands=64, events=256, repeats=16
)
_TICKS = (1, 10**4, 25 * 10**10, 10**12, 10**16, 2**59)
_STEPS = (1, 10**3, 10**8, 3 * 10**10, 2**59)
_MONEY = (0, 1, 10**6, 2**59, 2**60, 2**60 + 1, 2**63 - 1)


class Pair:
    """What trading does is another twin's: nobody has a position or an order here but by the first fills."""

    def __init__(self, random: Random) -> None:
        self.random = random
        self.desk = Desk(CAPACITY)
        self.twin = EngineTwin(CAPACITY)
        self.kinds: set[int] = set()

    def both(self, command: Command) -> None:
        (stamped,) = self.desk.stamp([command])
        expected = [event for event in self.twin.apply(stamped) if event.kind not in _OF_OTHERS]
        events = build.events_of(self.desk.engine.process(build.pack([stamped])))
        shown = [event for event in events if event.kind not in _OF_OTHERS]
        assert shown == expected
        self.kinds.update(event.code or event.kind for event in shown)

    def step(self) -> None:
        random, symbols = self.random, len(self.twin.books.instruments)
        makers = [self.instrument, self.account, self.transfer, self.mark, self.settle]
        (made,) = random.choices(makers, [3, 1, 2, 2, 1])
        command = made(random.randint(-1, symbols))
        self.desk.ts += random.choice([0, 1, 5_000_000, 70_000_000])
        self.both(command)

    def instrument(self, symbol: int) -> Command:
        random = self.random
        grid = {"price_tick_e12": random.choice(_TICKS), "quantity_step_e8": random.choice(_STEPS)}
        return build.instrument(
            symbol,
            quote=random.choice([*[b"USDT"] * 6, b"BTC", b"USD"]),
            min_quantity=random.choice([0, *[1] * 6, 9]),
            max_quantity=random.choice([1, 10, 10**6, 2**35, 2**60]),
            mark_spread_max_bps=random.choice([0, 250, 250, 10**6, 10**6 + 1]),
            status=random.choice([InstrumentStatus.HALTED, *InstrumentStatus]),
            **(grid if random.random() < 0.3 else {}),
        )

    def account(self, _symbol: int) -> Command:
        number = self.random.randint(-1, len(self.twin.books.accounts))
        return build.account(number, self.random.choice([0, 1, 5, 1_000, 1_001]))

    def transfer(self, _symbol: int) -> Command:
        number = self.random.randint(-1, len(self.twin.books.accounts))
        return build.transfer(number, self.random.choice([1, -1]) * self.random.choice(_MONEY))

    def mark(self, symbol: int) -> Command:
        return build.mark(symbol, self.random.choice([-1, 0, 1, 1_000, 2**30, 2**50, 2**55, 2**62]))

    def settle(self, symbol: int) -> Command:
        return build.settle(symbol, self.random.choice([0, 1, 900, 2**55, 2**62]), actor=3)

    def check(self) -> None:
        books, state = self.twin.books, self.desk.engine.state
        assert int(state.firm[0]["equity"]) == books.firm_equity()
        for index, account in enumerate(books.accounts):
            record = state.accounts[index]
            for name in ("cash", "transferred", "day_start_equity", "leverage"):
                assert int(record[name]) == getattr(account, name), name
        for number, instrument in enumerate(books.instruments):
            for name in ("multiplier", "max_price", "mark", "mark_ts", "mark_spread_max_bps", "status"):
                assert int(state.instruments[number][name]) == getattr(instrument, name), name


_OF_OTHERS = (EventKind.BREAKER_TRIPPED, EventKind.TRADING_STATE_SET)


@settings(max_examples=60, deadline=None)
@given(st.randoms(use_true_random=False), st.integers(1, 60))
def test_reference_data(random: Random, steps: int) -> None:
    pair = Pair(random)
    for _ in range(steps):
        pair.step()
        pair.check()


def hold(pair: Pair, account: int, quantity: int) -> None:
    """A position of which both know, at a cost of 1,000 a step."""
    position, twin = pair.twin.books.position(account, 0), pair.twin.books
    build.bought(pair.desk, quantity, 1_000, account=account)
    position.quantity, position.entry_cost = quantity, 1_000 * quantity
    twin.accounts[account].cash -= 1_000 * quantity


@settings(max_examples=40, deadline=None)
@given(st.integers(-50, 50), st.integers(-50, 50), st.integers(1, 3_000), st.integers(500, 2_000))
def test_settlements_with_positions(first: int, second: int, price: int, mark: int) -> None:
    pair = Pair(Random(0))
    for command in build.market(accounts=2, cash=10**9):
        if command.kind != CommandKind.SET_LIMIT:
            pair.both(command)
    for index, quantity in enumerate((first, second)):
        pair.desk.send(build.limit(Limit.MAX_OPEN_ORDERS, 10**9, Scope.ACCOUNT, index))
        if quantity:
            hold(pair, index, quantity)
    pair.both(build.mark(0, mark))
    pair.both(build.settle(0, price))
    pair.both(build.instrument(0, status=InstrumentStatus.HALTED))
    pair.both(build.transfer(0, -(10**9)))
    pair.both(build.settle(0, price))
    pair.check()
    for index in range(2):
        position = pair.desk.position(index, 0)
        assert (position["quantity"], position["realised"]) == (
            0,
            pair.twin.books.position(index, 0).realised,
        )


def test_the_streams_reach_what_is_refused() -> None:
    seen: set[int] = set()
    for seed in range(30):
        pair = Pair(Random(seed))
        for _ in range(60):
            pair.step()
        seen |= pair.kinds
    assert {
        112,
        125,
        126,
        128,
        EventKind.CASH_TRANSFERRED,
        EventKind.SYMBOL_SETTLED,
        EventKind.MARK_UPDATED,
    } <= seen
