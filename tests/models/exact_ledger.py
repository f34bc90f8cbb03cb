"""Accounts by the book: exact fractions of the quote currency, from fills, marks and transfers alone.

Slow and simple on purpose. It knows nothing of ticks, steps and multipliers but what a tick and a step are
worth, and nothing of the engine but its three roundings to 1e-8 of the quote currency (ADR 5): fees up, in
favour of the venue; the entry cost that leaves with a part of a position towards zero.
"""

import math
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from fractions import Fraction

UNIT = Fraction(1, 10**8)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def units(amount: Fraction) -> int:
    """An amount in the engine's money, which must be whole."""
    number = amount / UNIT
    assert number.denominator == 1, amount
    return int(number)


def utc_day(ts: int) -> date:
    return (_EPOCH + timedelta(microseconds=ts)).date()


@dataclass
class Holding:
    """A position: signed quantity, and what was paid for it."""

    quantity: Fraction = Fraction(0)
    cost: Fraction = Fraction(0)
    unrounded_cost: Fraction = Fraction(0)  # as if nothing were ever rounded
    reductions: int = 0  # roundings since it was opened
    paid: Fraction = Fraction(0)  # for all that was ever bought, less what it was sold for
    realised: Fraction = Fraction(0)
    fees: Fraction = Fraction(0)

    def trade(self, signed: Fraction, price: Fraction) -> None:
        self.paid += signed * price
        if self.quantity and (self.quantity > 0) != (signed > 0):
            closed = min(abs(signed), abs(self.quantity))
            self._reduce(closed if self.quantity > 0 else -closed, price)
            signed += closed if signed < 0 else -closed
        self.quantity += signed
        self.cost += signed * price
        self.unrounded_cost += signed * price
        # What has been made, and what is still in the position, is what has been paid.
        assert self.realised == self.cost - self.paid
        assert abs(self.cost - self.unrounded_cost) <= self.reductions * UNIT

    def _reduce(self, closed: Fraction, price: Fraction) -> None:
        """`closed` has the sign of the position."""
        part = closed / self.quantity
        leaving = math.trunc(self.cost * part / UNIT) * UNIT
        self.unrounded_cost -= self.unrounded_cost * part
        self.reductions += 1
        self.realised += closed * price - leaving
        self.cost -= leaving
        self.quantity -= closed
        if self.quantity == 0:
            assert self.cost == 0
            self.unrounded_cost, self.reductions = Fraction(0), 0


@dataclass
class Holder:
    """An account, or the firm."""

    cash: Fraction = Fraction(0)
    transferred: Fraction = Fraction(0)
    peak: Fraction = Fraction(0)
    day_start: Fraction = Fraction(0)
    day_traded: Fraction = Fraction(0)
    day_fills: int = 0

    def move(self, amount: Fraction) -> None:
        """A deposit or withdrawal is no profit."""
        self.transferred += amount
        self.cash += amount
        self.peak += amount
        self.day_start += amount


@dataclass
class Market:
    """An instrument: what a tick and a step are worth, its fees as parts of what is traded, its mark."""

    tick: Fraction
    step: Fraction
    maker_fee: Fraction = Fraction(0)
    taker_fee: Fraction = Fraction(0)
    mark: Fraction = Fraction(0)


@dataclass
class ExactLedger:
    """Tell it everything that happens, in order."""

    markets: dict[int, Market]
    accounts: dict[int, Holder]
    holdings: dict[tuple[int, int], Holding] = field(default_factory=dict)
    firm: Holder = field(default_factory=Holder)
    day: date | None = None

    def holding(self, account: int, symbol: int) -> Holding:
        return self.holdings.setdefault((account, symbol), Holding())

    def value(self, account: int) -> Fraction:
        """Of all positions, at marks."""
        return sum(
            (
                holding.quantity * self.markets[symbol].mark
                for (owner, symbol), holding in self.holdings.items()
                if owner == account
            ),
            Fraction(0),
        )

    def equity(self, account: int | None = None) -> Fraction:
        """Of the firm where it is None."""
        if account is None:
            return sum((self.equity(each) for each in self.accounts), Fraction(0))
        return self.accounts[account].cash + self.value(account)

    def fill(
        self, account: int, symbol: int, buy: bool, steps: int, ticks: int, maker: bool, more: bool = False
    ) -> Fraction:
        """One execution; its fee. `more`: the other side of the trade follows, and no peak is seen before."""
        market = self.markets[symbol]
        quantity, price = steps * market.step, ticks * market.tick
        traded = quantity * price
        fee = math.ceil(traded * (market.maker_fee if maker else market.taker_fee) / UNIT) * UNIT
        holding, holder = self.holding(account, symbol), self.accounts[account]
        holding.trade(quantity if buy else -quantity, price)
        holding.fees += fee
        holder.cash -= (traded if buy else -traded) + fee
        for one in (holder, self.firm):
            one.day_traded += traded
            one.day_fills += 1
        if not more:
            self._new_peaks()
        return fee

    def settle(self, symbol: int, ticks: int) -> int:
        """All positions end at a price, without a fee and without being a trade; how many there were."""
        market = self.markets[symbol]
        price, settled = ticks * market.tick, 0
        for account, holder in self.accounts.items():
            holding = self.holding(account, symbol)
            if holding.quantity:
                holder.cash += holding.quantity * price
                holding.trade(-holding.quantity, price)
                settled += 1
        self._new_peaks()
        return settled

    def mark(self, symbol: int, ticks: int) -> None:
        self.markets[symbol].mark = ticks * self.markets[symbol].tick
        self._new_peaks()

    def transfer(self, account: int, amount: Fraction) -> None:
        self.accounts[account].move(amount)
        self.firm.move(amount)

    def time(self, ts: int) -> None:
        """The day's figures begin anew with the first that is heard of a UTC day."""
        day = utc_day(ts)
        if self.day is not None and day <= self.day:
            return
        self.day = day
        for account, holder in self.accounts.items():
            holder.day_start = self.equity(account)
        self.firm.day_start = self.equity()
        for holder in (self.firm, *self.accounts.values()):
            holder.day_traded, holder.day_fills = Fraction(0), 0

    def _new_peaks(self) -> None:
        for account, holder in self.accounts.items():
            holder.peak = max(holder.peak, self.equity(account))
        self.firm.peak = max(self.firm.peak, self.equity())
