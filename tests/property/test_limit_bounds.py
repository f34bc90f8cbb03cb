"""What limits are for: no request takes an account, a symbol or the firm further beyond one.

And what they are not for: a request is never refused by a limit that it improves. Both are seen from what
is used of each limit before and after, added up here from positions and open orders.
"""

import math
from collections import Counter, defaultdict
from fractions import Fraction
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.engine.codes import Code
from app.engine.state import State
from app.engine.types import CommandKind, Limit, OrderFlag, OrderStatus, Permission, Scope, Side, TradingState
from tests.models.engine_model import reach
from tests.support import engine as build
from tests.support.engine import Command
from tests.support.limit_worlds import (
    ACCOUNTS,
    KEPT,
    KEPT_VALUE,
    SYMBOLS,
    VALUES,
    Fork,
    Place,
    World,
    any_place,
    places,
    refusal,
)

_PASSED = 10**6
_USED = (
    Limit.MAX_OPEN_ORDERS, Limit.MAX_POSITION, Limit.MAX_GROSS_EXPOSURE, Limit.MAX_NET_EXPOSURE,
    Limit.MAX_LEVERAGE, Limit.MAX_DAILY_NOTIONAL, Limit.MAX_PORTFOLIO_VAR, Limit.MAX_CORRELATED_EXPOSURE,
)  # fmt: skip
# What an order that only makes a position smaller passes however little is allowed.
_FOR_REDUCING = (
    Limit.MAX_POSITION, Limit.MAX_GROSS_EXPOSURE, Limit.MAX_LEVERAGE, Limit.MAX_DAILY_NOTIONAL,
    Limit.DAILY_LOSS, Limit.MAX_DRAWDOWN, Limit.MAX_ORDER_TO_TRADE_RATIO, Limit.MAX_CORRELATED_EXPOSURE,
    Limit.MAX_PORTFOLIO_VAR,
)  # fmt: skip
# What an order that makes one position smaller may make worse: another one was hedged by it, its price and
# fee cost equity, and it is traded.
_NOT_OF_ONE_POSITION = (
    Limit.MAX_DAILY_NOTIONAL, Limit.MAX_NET_EXPOSURE, Limit.MAX_LEVERAGE, Limit.MAX_PORTFOLIO_VAR
)  # fmt: skip
_FLOATS = 1e-9  # how exact value at risk is, relatively

ONE, OTHER = Fork(), Fork()
Used = dict[tuple[Limit, Scope], int | Fraction]


class Books:
    """All that is held and open, added up from the orders and the positions' quantities."""

    def __init__(self, state: State) -> None:
        self.state = state
        self.units = [int(i["mark"] * i["multiplier"]) for i in state.instruments[:SYMBOLS]]
        self.held = np.zeros((ACCOUNTS, SYMBOLS), object)
        self.count = self.held.copy()
        # By account, symbol and side: quantities of open orders, and whether they are reduce-only.
        self.open: defaultdict[tuple[int, int, int], list[tuple[int, bool]]] = defaultdict(list)
        self.notional = [0] * ACCOUNTS
        for account in range(ACCOUNTS):
            for symbol in range(SYMBOLS):
                at = symbol * len(state.accounts) + account
                self.held[account, symbol] = int(state.positions[at]["quantity"])
        for order in state.orders[(state.orders["order_id"] > 0) & (state.orders["reserved"] > 0)]:
            assert order["status"] < OrderStatus.FILLED
            account, symbol = int(order["account"]), int(order["symbol"])
            reduces = bool(order["flags"] & OrderFlag.REDUCE_ONLY)
            self.open[account, symbol, int(order["side"])].append((int(order["reserved"]), reduces))
            self.count[account, symbol] += 1
            money = int(order["reserved"] * order["reserved_price"])
            self.notional[account] += money * int(state.instruments[symbol]["multiplier"])

    def reach(self, account: int, symbol: int, side: int) -> int:
        """The position that open orders of a side could make: reduce-only ones first, never through flat."""
        return reach(int(self.held[account, symbol]), side, self.open[account, symbol, side])

    def opens(self, account: int, symbol: int, side: int) -> int:
        """What open orders of a side could make beyond flat."""
        end = self.reach(account, symbol, side)
        return max(end if side == Side.BUY else -end, 0)

    def worst(self, account: int, symbol: int) -> int:
        """With its sign; the long one of two that are as large."""
        long, short = self.reach(account, symbol, Side.BUY), self.reach(account, symbol, Side.SELL)
        return long if abs(long) >= abs(short) else short

    def exposures(self, accounts: list[int]) -> tuple[list[int], list[int]]:
        """By symbol, over some accounts: worst cases in money with their signs, and without."""
        worst = [
            [self.worst(account, symbol) * self.units[symbol] for symbol in range(SYMBOLS)]
            for account in accounts
        ]
        columns = list(zip(*worst, strict=True))
        return [sum(column) for column in columns], [sum(map(abs, column)) for column in columns]

    def net(self, accounts: list[int], side: int) -> int:
        """To the side of the request: what it cannot make worse is not its matter."""
        end = sum(
            self.reach(account, symbol, side) * self.units[symbol]
            for account in accounts
            for symbol in range(SYMBOLS)
        )
        return max(end if side == Side.BUY else -end, 0)

    def value_at_risk(self, accounts: list[int]) -> int:
        """The bound of all that fills may lead to: between all sells filled and all buys."""
        state = self.state
        units = np.array(self.units, float)
        highest, lowest = (
            np.array([sum(self.reach(a, s, side) for a in accounts) for s in range(SYMBOLS)], float)
            for side in (Side.BUY, Side.SELL)
        )
        gross = self.exposures(accounts)[1]
        stride = len(state.scales)
        matrix = state.covariance.reshape(stride, stride)[:SYMBOLS, :SYMBOLS]
        model = state.risk_model[0]
        w = (highest + lowest) / 2 * units
        radii = (highest - lowest) / 2 * units
        deviation = math.sqrt(max(float(w @ matrix @ w), 0.0)) + float(radii @ np.sqrt(matrix.diagonal()))
        deviation *= math.sqrt(float(model["horizon_us"] / model["interval_us"]))
        unmeasured = sum(g for g, scale in zip(gross, state.scales[:SYMBOLS], strict=True) if scale == 0)
        return unmeasured + math.ceil(float(model["z_e9"]) * 1e-9 * deviation)

    def used(self, account: int, symbol: int, side: int) -> Used:
        """Of every limit of `_USED` that an order of this account and symbol could meet."""
        state = self.state
        everyone = list(range(ACCOUNTS))
        holder = state.accounts[account]
        step = int(state.instruments[symbol]["quantity_step_e8"])
        _, gross = self.exposures([account])
        equity = int(holder["cash"] + holder["position_value"] - holder["open_cost"])
        none = 2**62 + sum(gross)  # where there is no equity for it
        leverage = Fraction(sum(gross) * 100, equity) if equity > 0 else none if sum(gross) else 0
        apart = state.apart.reshape(len(state.scales), -1)[symbol, :SYMBOLS]
        everywhere = sum(abs(self.worst(each, symbol)) for each in everyone)
        turnover = int(state.firm[0]["day_traded"]), int(holder["day_traded"])
        return {
            (Limit.MAX_OPEN_ORDERS, Scope.ACCOUNT): sum(self.count[account]),
            (Limit.MAX_OPEN_ORDERS, Scope.ACCOUNT_SYMBOL): self.count[account, symbol],
            (Limit.MAX_POSITION, Scope.ACCOUNT_SYMBOL): self.opens(account, symbol, side) * step,
            (Limit.MAX_POSITION, Scope.SYMBOL): everywhere * step,
            (Limit.MAX_GROSS_EXPOSURE, Scope.FIRM): sum(self.exposures(everyone)[1]),
            (Limit.MAX_GROSS_EXPOSURE, Scope.ACCOUNT): sum(gross),
            (Limit.MAX_NET_EXPOSURE, Scope.FIRM): self.net(everyone, side),
            (Limit.MAX_NET_EXPOSURE, Scope.ACCOUNT): self.net([account], side),
            (Limit.MAX_LEVERAGE, Scope.ACCOUNT): leverage,
            (Limit.MAX_DAILY_NOTIONAL, Scope.FIRM): turnover[0] + sum(self.notional),
            (Limit.MAX_DAILY_NOTIONAL, Scope.ACCOUNT): turnover[1] + self.notional[account],
            (Limit.MAX_PORTFOLIO_VAR, Scope.FIRM): self.value_at_risk(everyone),
            (Limit.MAX_PORTFOLIO_VAR, Scope.ACCOUNT): self.value_at_risk([account]),
            (Limit.MAX_CORRELATED_EXPOSURE, Scope.ACCOUNT): sum(
                money for money, other in zip(gross, apart, strict=True) if not other
            ),
        }


def place_of(scope: int, account: int, symbol: int) -> Place:
    own_account = scope in (Scope.ACCOUNT, Scope.ACCOUNT_SYMBOL)
    own_symbol = scope in (Scope.SYMBOL, Scope.ACCOUNT_SYMBOL)
    return Place(scope, account if own_account else -1, symbol if own_symbol else -1)


def above(which: Limit, after: int | Fraction, bound: int | Fraction) -> bool:
    if which == Limit.MAX_PORTFOLIO_VAR:
        return after > bound + 2 + _FLOATS * float(bound)
    return after > bound


class Case:
    """A world with a few limits, and a request that is decided in it."""

    def __init__(self, random: Random, which: Limit) -> None:
        self.world = world = World(random)
        world.trade(random.randint(0, 15))
        world.desk.send(build.limit(which, random.randint(*VALUES[which]), *any_place(random, which)))
        for _ in range(random.choice([0, 1, 3])):
            another = random.choice(_USED)
            at = any_place(random, another)
            world.desk.send(build.limit(another, random.randint(*VALUES[another]), *at))
        world.trade(random.randint(0, 15))
        self.asked = self.reducing() if random.random() < 0.3 else random.choice([world.new, world.amend])()
        state = world.desk.engine.state
        self.account, self.symbol, self.side = self.asked.account, self.asked.symbol, self.asked.side
        if self.asked.order_id:
            (order,) = state.orders[state.orders["order_id"] == self.asked.order_id]
            self.account, self.symbol = int(order["account"]), int(order["symbol"])
            self.side = int(order["side"])
        self.before = Books(state).used(self.account, self.symbol, self.side)
        self.opened = self.opened_without()

    def reducing(self) -> Command:
        """An order against a position, that all open orders of its side leave room for; else any order."""
        books = Books(self.world.desk.engine.state)
        for account in range(ACCOUNTS):
            for symbol in range(SYMBOLS):
                held = int(books.held[account, symbol])
                side = Side.SELL if held > 0 else Side.BUY
                room = abs(held) - sum(quantity for quantity, _ in books.open[account, symbol, side])
                if room > 0:
                    quantity = self.world.random.randint(1, room)
                    price = self.world.random.choice([0, self.world.random.randint(930, 1_070)])
                    return build.place(account, symbol, side, quantity, price)
        return self.world.new()

    def is_reducing(self) -> bool:
        """Whether all that is open on the request's side, and it, only make the position smaller."""
        books = Books(self.world.desk.engine.state)
        held = int(books.held[self.account, self.symbol])
        parts = list(books.open[self.account, self.symbol, self.side])
        more, flags = self.asked.quantity, self.asked.flags
        if self.asked.order_id:
            order = self.world.desk.order(self.asked.order_id)
            more, flags = (
                (self.asked.quantity or order["quantity"]) - order["filled_quantity"],
                order["flags"],
            )
            parts.remove((order["reserved"], bool(flags & OrderFlag.REDUCE_ONLY)))
        room = -held if self.side == Side.BUY else held
        return sum(quantity for quantity, _ in parts) + more <= room

    def opened_without(self) -> int:
        """What the request's side opens beyond flat without the order that it is about."""
        books = Books(self.world.desk.engine.state)
        if self.asked.order_id:
            order = self.world.desk.order(self.asked.order_id)
            part = (order["reserved"], bool(order["flags"] & OrderFlag.REDUCE_ONLY))
            if order["reserved"] > 0:
                books.open[self.account, self.symbol, self.side].remove(part)
        return books.opens(self.account, self.symbol, self.side)

    def only_reduced(self, fork: Fork) -> bool:
        """Whether what passed may open nothing: it was accepted as reduce-only, or leads to flat at most."""
        orders = fork.engine.state.orders
        number = self.asked.order_id or int(orders["order_id"].max())
        (order,) = orders[orders["order_id"] == number]
        opens = Books(fork.engine.state).opens(self.account, self.symbol, self.side)
        return bool(order["flags"] & OrderFlag.REDUCE_ONLY) or opens <= self.opened

    def after(self, fork: Fork) -> Used:
        return Books(fork.engine.state).used(self.account, self.symbol, self.side)


def check_bounds(case: Case, fork: Fork) -> str:
    """That what passes keeps within the limits, and what is refused would not have."""
    fork.reset(case.world.desk)
    code = refusal(fork.send([case.asked]))
    if code == _PASSED:
        for (which, scope), used in case.after(fork).items():
            limit = fork.limit(which, place_of(scope, case.account, case.symbol))
            bound = max(case.before[which, scope], limit if limit is not None else used)
            # What reduces may have been a hedge.
            exempt = which in _NOT_OF_ONE_POSITION and case.only_reduced(fork)
            assert exempt or not above(which, used, bound), f"{which.name} {scope}: {used} > {bound}"
        return "passed"
    refused = [(which, scope) for which, scope in case.before if Code[which.name] == code]
    if not refused:
        return "other"
    fork.reset(case.world.desk)
    for which in _USED:
        for scope in places(which):
            kept = KEPT_VALUE if scope == Scope.ACCOUNT and which in KEPT else None
            fork.put(which, kept, place_of(scope, case.account, case.symbol), "set")
    if refusal(fork.send([case.asked])) != _PASSED:
        return "other"
    after = case.after(fork)
    # Beyond flat limits apply also to a position that is no larger than the one on the other side was, and to
    # an amended order as to a new one.
    opens = Books(fork.engine.state).opens(case.account, case.symbol, case.side) > case.opened
    worse = any(after[key] > case.before[key] for key in refused)
    assert worse or opens, f"{Code(code).name} is not made worse"
    return "refused"


@settings(max_examples=80, deadline=None)
@given(st.randoms(use_true_random=False), st.sampled_from(_USED))
def test_what_passes_is_within_and_what_improves_passes(random: Random, which: Limit) -> None:
    check_bounds(Case(random, which), ONE)


@pytest.mark.slow
@pytest.mark.parametrize("which", _USED)
def test_the_same_at_length(which: Limit) -> None:
    found = Counter(check_bounds(Case(Random(seed), which), ONE) for seed in range(1_500))
    assert min(found["passed"], found["refused"]) > 50, found


def check_reducing(case: Case) -> bool:
    """That a request which only reduces passes where nothing else is allowed; False: it does not reduce.

    Each limit is as narrow as can be, every scope is REDUCING, and the symbol is denied to the account.
    """
    if not case.is_reducing():
        return False
    ONE.reset(case.world.desk)
    OTHER.reset(case.world.desk)
    for which in Limit:
        for scope in places(which):
            place = place_of(scope, case.account, case.symbol)
            kept = KEPT_VALUE if scope == Scope.ACCOUNT and which in KEPT else None
            ONE.put(which, kept, place, "set")
            if which in _FOR_REDUCING:
                least = int(which == Limit.MAX_ORDER_TO_TRADE_RATIO)
                OTHER.put(which, least, place, "set")
                assert OTHER.limit(which, place) == least
            else:
                OTHER.put(which, kept, place, "set")
    for scope in (Scope.FIRM, Scope.ACCOUNT, Scope.SYMBOL):
        OTHER.send([build.trading_state(TradingState.REDUCING, *place_of(scope, case.account, case.symbol))])
    denied = Command(CommandKind.SET_PERMISSION, case.account, case.symbol, state=Permission.DENIED)
    OTHER.send([denied])
    without, within = refusal(ONE.send([case.asked])), refusal(OTHER.send([case.asked]))
    assert within == without, f"refused with {Code(within).name}"
    return within == _PASSED


@settings(max_examples=40, deadline=None)
@given(st.randoms(use_true_random=False))
def test_what_only_reduces_passes_where_nothing_is_allowed(random: Random) -> None:
    check_reducing(Case(random, Limit.MAX_POSITION))


def test_reducing_requests_occur() -> None:
    found = Counter(check_reducing(Case(Random(seed), Limit.MAX_POSITION)) for seed in range(80))
    assert found[True] > 8, found
