"""Engine and paper venue against the exact ledger, over days, symbols and accounts: equal to the unit."""

from collections import Counter
from collections.abc import Callable, Iterator
from fractions import Fraction
from random import Random
from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from app.engine.capacity import Capacity
from app.engine.codes import Code
from app.engine.engine import Engine
from app.engine.records import EVENT, REPORT_COMMAND
from app.engine.types import (
    EventKind,
    InstrumentStatus,
    Limit,
    Liquidity,
    ReportKind,
    Scope,
    Side,
    TimeInForce,
)
from app.market.types import LEVEL_UPDATE, LevelKind
from app.runtime.views import event_views
from app.venues.paper import PaperVenue
from tests.models.exact_ledger import ExactLedger, Holder, Market, units
from tests.support import engine as build
from tests.support.engine import Command, pack

Records = NDArray[np.void]

CAPACITY = Capacity(
    accounts=4, symbols=4, orders=1 << 12, open_orders=1 << 11, fills=1 << 12, commands=256, events=512
)
ACCOUNTS = 3
FIRST_TS = 1_709_200_800_000_000  # 2024-02-29, ten in the morning
HOUR_US = 3_600_000_000
_FEES_PPM = (-250, -1, 0, 1, 7, 100, 333, 1_000)


class Grid(NamedTuple):
    """An instrument, its prices and its quantities."""

    tick_e12: int
    step_e8: int
    price: int  # ticks
    quantity_max: int  # steps


GRIDS = (
    Grid(10**10, 10**3, 5_000_000, 10**7),  # bitcoin: a hundredth of a dollar, a hundred-thousandth
    Grid(10**4, 10**8, 1_000, 60),  # one unit of money: fees and roundings are as large as they get
    Grid(3 * 10**6, 10**6, 700, 10**4),  # three
)


class World:
    """Accounts that trade with one another and with what is displayed."""

    def __init__(self, random: Random) -> None:
        self.random = random
        self.engine = Engine(CAPACITY)
        self.venue = PaperVenue(self.engine.state, CAPACITY)
        self.seq, self.ts = 0, FIRST_TS
        self.sides: dict[int, int] = {}  # of orders, by id
        self.seen: Counter[str] = Counter()
        self.middle = [grid.price for grid in GRIDS]
        markets = {
            number: Market(Fraction(grid.tick_e12, 10**12), Fraction(grid.step_e8, 10**8))
            for number, grid in enumerate(GRIDS)
        }
        self.ledger = ExactLedger(markets, {account: Holder() for account in range(ACCOUNTS)})
        for symbol in range(len(GRIDS)):
            self.set_fees(symbol)
            self.set_mark(symbol)
        for account in range(ACCOUNTS):
            self.send(build.account(account, 100))
            self.send(build.limit(Limit.MAX_OPEN_ORDERS, 10**6, Scope.ACCOUNT, account))
            self.transfer(account, 10**17)

    # --- The engine, the venue, and what the ledger is told.

    def send(self, *commands: Command) -> None:
        self.reported(self.venue.execute(self.apply(pack(commands))))

    def apply(self, commands: Records) -> Records:
        commands["seq"] = np.arange(self.seq + 1, self.seq + 1 + len(commands))
        commands["ts"] = self.ts
        self.seq += len(commands)
        self.tell_fills(commands.view(REPORT_COMMAND))
        events = self.engine.process(commands).tobytes()
        self.venue.note(events)
        for event in event_views(events):
            assert event.kind not in (EventKind.EXECUTION_ANOMALY, EventKind.COMMAND_REJECTED), event
            if event.kind == EventKind.ORDER_ACCEPTED:
                self.sides[event.order_id] = event.side
            if event.kind == EventKind.ORDER_REJECTED:
                self.seen[f"refused {Code(event.code).name}"] += 1
        return np.frombuffer(bytearray(events), EVENT)

    def tell_fills(self, reports: Any) -> None:
        trades = (reports["kind"] == 5) & (reports["report"] == ReportKind.TRADE)
        for row in reports[trades]:
            account, symbol = int(row["account"]), int(row["symbol"])
            buy = self.sides[int(row["order_id"])] == Side.BUY
            maker = row["liquidity"] == Liquidity.MAKER
            before = self.ledger.holding(account, symbol).quantity
            terms = buy, int(row["quantity"]), int(row["price"]), maker, bool(row["more"])
            fee = self.ledger.fill(account, symbol, *terms)
            assert units(fee) == row["fee"]
            after = self.ledger.holding(account, symbol).quantity
            self.seen["flips"] += before * after < 0
            self.seen["reductions"] += 0 < abs(after) < abs(before) and before * after > 0
            self.seen["closings"] += before != 0 and after == 0
            self.seen["rebates"] += fee < 0
            self.seen["maker" if maker else "taker"] += 1

    def reported(self, reports: Iterator[Records]) -> None:
        while True:
            caused = [self.apply(batch) for batch in reports]
            if not caused:
                return
            reports = self.venue.execute(np.concatenate(caused))

    # --- What happens.

    def step(self) -> None:
        random = self.random
        symbol, account = random.randrange(len(GRIDS)), random.randrange(ACCOUNTS)
        makers: list[Callable[[], None]] = [
            lambda: self.order(account, symbol),
            lambda: self.close_out(account, symbol),
            lambda: self.display(symbol),
            lambda: self.set_mark(symbol),
            lambda: self.transfer(account, random.randint(-(10**12), 10**12)),
            self.wait,
            lambda: self.set_fees(symbol),
            lambda: self.cancel(symbol),
            lambda: self.settle(symbol),
        ]
        random.choices(makers, [12, 4, 3, 3, 1, 2, 1, 1, 1])[0]()

    def order(self, account: int, symbol: int, side: int | None = None, quantity: int = 0) -> None:
        random, grid = self.random, GRIDS[symbol]
        price = 0 if random.random() < 0.2 else self.near(symbol)
        self.send(
            build.place(
                account, symbol, random.randrange(2) if side is None else side,
                quantity or random.choice([1, random.randint(1, grid.quantity_max)]), price,
                time_in_force=random.choice([TimeInForce.GTC, TimeInForce.GTC, TimeInForce.IOC]),
            )
        )  # fmt: skip

    def close_out(self, account: int, symbol: int) -> None:
        """The rest of a position, or rather more than that."""
        held = int(self.engine.state.positions[symbol * CAPACITY.accounts + account]["quantity"])
        if held:
            quantity = min(abs(held) * self.random.choice([1, 1, 2]), GRIDS[symbol].quantity_max)
            self.order(account, symbol, Side.SELL if held > 0 else Side.BUY, quantity)

    def near(self, symbol: int) -> int:
        return max(self.middle[symbol] + self.random.randint(-6, 6), 1)

    def display(self, symbol: int) -> None:
        rows = np.zeros(3, LEVEL_UPDATE)
        rows["symbol"], rows["kind"][0] = symbol, LevelKind.CLEAR
        for row, side in zip(rows[1:], Side, strict=True):
            away = self.random.randint(1, 4)
            row["side"], row["price"] = side, self.middle[symbol] + (-away if side == Side.BUY else away)
            row["quantity"] = self.random.randint(1, GRIDS[symbol].quantity_max)
        self.reported(self.venue.apply_levels(rows))

    def set_mark(self, symbol: int) -> None:
        price = self.middle[symbol] = max(self.near(symbol), 100)
        self.ledger.mark(symbol, price)
        self.send(build.mark(symbol, price))

    def transfer(self, account: int, value: int) -> None:
        self.ledger.transfer(account, Fraction(value, 10**8))
        self.send(build.transfer(account, value))

    def wait(self) -> None:
        """Up to three days; mostly less than one."""
        self.ts += self.random.choice([1, HOUR_US, 7 * HOUR_US, 13 * HOUR_US, 24 * HOUR_US, 71 * HOUR_US])
        self.seen["days"] -= self.ledger.day is None
        before = self.ledger.day
        self.ledger.time(self.ts)
        self.seen["days"] += before != self.ledger.day
        self.send(build.advance())

    def settle(self, symbol: int) -> None:
        """Halted, without open orders, at a price that a person states; then it trades again."""
        self.set_fees(symbol, InstrumentStatus.HALTED)
        self.cancel(symbol)
        price = self.near(symbol)
        self.seen["settled"] += self.ledger.settle(symbol, price)
        self.send(build.settle(symbol, price))
        self.set_fees(symbol)

    def set_fees(self, symbol: int, status: InstrumentStatus = InstrumentStatus.TRADING) -> None:
        maker, taker = self.random.choice(_FEES_PPM), self.random.choice(_FEES_PPM)
        market, grid = self.ledger.markets[symbol], GRIDS[symbol]
        market.maker_fee, market.taker_fee = Fraction(maker, 10**6), Fraction(taker, 10**6)
        self.send(
            build.instrument(
                symbol, price_tick_e12=grid.tick_e12, quantity_step_e8=grid.step_e8,
                max_quantity=grid.quantity_max, maker_fee_ppm=maker, taker_fee_ppm=taker, status=status,
            )
        )  # fmt: skip

    def cancel(self, symbol: int) -> None:
        self.send(build.cancel_all(Scope.SYMBOL, symbol=symbol))

    # --- Comparison.

    def check(self) -> None:
        for account in range(ACCOUNTS):
            self.check_account(account)
        firm, record = self.ledger.firm, self.engine.state.firm[0]
        expected = [self.ledger.equity(), firm.peak, firm.day_start, firm.day_traded]
        names = ("equity", "peak_equity", "day_start_equity", "day_traded")
        assert [int(record[name]) for name in names] == [units(each) for each in expected]

    def check_account(self, account: int) -> None:
        ledger, state = self.ledger, self.engine.state
        holder, record = ledger.accounts[account], state.accounts[account]
        mine = [ledger.holding(account, symbol) for symbol in range(len(GRIDS))]
        expected = {
            "cash": holder.cash,
            "transferred": holder.transferred,
            "position_value": ledger.value(account),
            "realised": sum((each.realised for each in mine), Fraction(0)),
            "fees": sum((each.fees for each in mine), Fraction(0)),
            "peak_equity": holder.peak,
            "day_start_equity": holder.day_start,
            "day_traded": holder.day_traded,
        }
        assert {name: int(record[name]) for name in expected} == {n: units(v) for n, v in expected.items()}
        assert record["day_fills"] == holder.day_fills
        for symbol, holding in enumerate(mine):
            market, position = ledger.markets[symbol], state.positions[symbol * CAPACITY.accounts + account]
            assert int(position["quantity"]) == holding.quantity / market.step
            worth = holding.quantity * market.mark
            expected_units = [units(x) for x in (holding.cost, holding.realised, holding.fees, worth)]
            names = ("entry_cost", "realised", "fees", "value")
            assert [int(position[name]) for name in names] == expected_units

    def check_losses(self) -> None:
        """Day's loss and drawdown, as the checks of an order see them."""
        order = pack([build.place(0, 0, Side.BUY, 1, self.middle[0])])
        for account in range(ACCOUNTS):
            order["account"] = account
            seen = {(v.code, v.scope): v.observed for v in self.engine.explain(order, self.ts)}
            for scope, holder, equity in (
                (Scope.FIRM, self.ledger.firm, self.ledger.equity()),
                (Scope.ACCOUNT, self.ledger.accounts[account], self.ledger.equity(account)),
            ):
                assert seen[Code.DAILY_LOSS, scope] == units(holder.day_start - equity)
                assert seen[Code.MAX_DRAWDOWN, scope] == units(holder.peak - equity)


def run(random: Random, steps: int) -> Counter[str]:
    world = World(random)
    for _ in range(steps):
        world.step()
        world.check()
    world.check_losses()
    return world.seen


@settings(max_examples=25, deadline=None)
@given(st.randoms(use_true_random=False), st.integers(1, 40))
def test_short_trading(random: Random, steps: int) -> None:
    run(random, steps)


def test_a_while() -> None:
    seen = run(Random(1), 300)
    wanted = ("flips", "reductions", "closings", "rebates", "maker", "taker", "days", "settled")
    assert min(seen[name] for name in wanted) > 5, seen


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(100, 110))
def test_months(seed: int) -> None:
    run(Random(seed), 4_000)
