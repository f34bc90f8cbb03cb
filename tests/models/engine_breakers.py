"""The twin's trading states, and the breakers that set them."""

from typing import Any

from app.engine.codes import Code
from app.engine.types import EventKind, Limit, Permission, Scope, StateFlag, TradingState
from tests.models.engine_holdings import leverage_of
from tests.models.engine_model import UNLIMITED, Account, Books, Instrument
from tests.models.engine_repeats import forget_repeats
from tests.models.engine_steps import OrderSteps
from tests.support.engine import Command


class BreakerTwin(OrderSteps):
    alarm = False  # a breaker may have to trip

    def holder(self, scope: int, account: int, symbol: int) -> Books | Account | Instrument | None:
        books = self.books
        if scope == Scope.FIRM:
            return books
        if scope == Scope.ACCOUNT and 0 <= account < len(books.accounts):
            return books.accounts[account]
        if scope == Scope.SYMBOL and 0 <= symbol < len(books.instruments):
            return books.instruments[symbol]
        return None

    def enter(self, scope: int, account: int, symbol: int, state: int, cause: int, actor: int) -> int:
        """Put a scope into a state; the old one."""
        holder = self.holder(scope, account, symbol)
        assert holder is not None
        old, holder.state = holder.state, state
        holder.state_cause, holder.state_ts, holder.state_actor = cause, self.books.ts, actor
        if state == TradingState.ACTIVE and not isinstance(holder, Books):
            holder.rejections = 0
            if isinstance(holder, Account):
                forget_repeats(self.books, holder)
        if old == TradingState.HALTED != state:
            self.look_again(holder)
        return old

    def look_again(self, holder: Books | Account | Instrument) -> None:
        """A halt has ended: stops may have been reached meanwhile."""
        if isinstance(holder, Account):
            for order in holder.open.values():
                order.waiting = min(order.waiting, 1)
        for instrument in [holder] if isinstance(holder, Instrument) else self.books.instruments:
            instrument.stops_due = True

    def counts(self, scope: int, account: int, symbol: int) -> dict[str, int]:
        """How many open orders of a scope rest, and how many are asked to end."""
        orders = [order for mine in self.in_scope(scope, account, symbol) for order in mine]
        ending = sum(self.ends(order) for order in orders)
        return {"quantity": len(orders) - ending, "last_quantity": ending}

    def tell_state(
        self, where: tuple[int, int, int], old: int, state: int, cause: int, actor: int = 0, notes: int = 0
    ) -> None:
        scope, account, symbol = where
        self.say(
            EventKind.TRADING_STATE_SET,
            account=account,
            symbol=symbol,
            scope=scope,
            code=cause,
            limit=state,
            observed=old,
            fee=actor,
            notes=notes,
            **self.counts(*where),
        )

    def set_trading_state(self, c: Command) -> None:
        where = (c.scope, c.account, c.symbol)
        if self.holder(*where) is None or c.state > TradingState.HALTED:
            self.reject(c, Code.INVALID_VALUE)
            return
        old = self.enter(*where, c.state, Code.NONE, c.actor)
        self.tell_state(where, old, c.state, Code.NONE, c.actor, c.notes)
        if c.flags & StateFlag.CANCEL_OPEN:
            self.cancel_scope(c)
        elif c.state != TradingState.ACTIVE:
            self.trim(*where)

    def cancel_scope(self, command: Command) -> None:
        raise NotImplementedError

    def trip(self, scope: int, account: int, symbol: int, state: int, cause: int, **facts: Any) -> None:
        where = (scope, account, symbol)
        old = self.enter(*where, state, cause, 0)
        self.say(
            EventKind.BREAKER_TRIPPED,
            account=account,
            symbol=symbol,
            scope=scope,
            code=cause,
            status=state,
            liquidity=old,
            **facts,
            **self.counts(*where),
        )
        self.tell_state(where, old, state, cause)
        self.trim(*where)

    # --- Breakers.

    def broken(self, account: int) -> tuple[int, int, int] | None:
        """Code, limit, observed of what is broken of an active account; of the firm where it is -1."""
        books = self.books
        scope = Scope.FIRM if account < 0 else Scope.ACCOUNT
        if (books if account < 0 else books.accounts[account]).state != TradingState.ACTIVE:
            return None
        for code, limit, observed in (
            (Code.DAILY_LOSS, Limit.DAILY_LOSS, books.day_loss(account)),
            (Code.MAX_DRAWDOWN, Limit.MAX_DRAWDOWN, books.drawdown(account)),
        ):
            allowed = books.limit_at(limit, scope, account)
            if observed > allowed:
                return code, allowed, observed
        return None if account < 0 else self.broken_margin(account)

    def broken_margin(self, account: int) -> tuple[int, int, int] | None:
        books = self.books
        equity = books.equity(account)
        if equity < 0:
            return Code.NEGATIVE_EQUITY, 0, equity
        allowed = books.limit_at(Limit.MAINTENANCE_LEVERAGE, Scope.ACCOUNT, account)
        if allowed == UNLIMITED:  # equity is half of the margin that opening takes
            allowed = 200 * books.accounts[account].leverage
        leverage = leverage_of(books.gross_value(account), equity)
        return (Code.MAINTENANCE_LEVERAGE, allowed, leverage) if leverage > allowed else None

    def look_at_equity(self) -> None:
        """All that belongs together is booked: peaks, and whether a breaker has to trip."""
        books = self.books
        if not books.moved:
            return
        for account in books.moved:
            holder = books.accounts[account]
            holder.peak_equity = max(holder.peak_equity, books.equity(account))
        books.peak_equity = max(books.peak_equity, books.firm_equity())
        self.alarm |= any(self.broken(account) is not None for account in (-1, *books.moved))
        books.moved = set()

    def trip_all(self) -> None:
        """After an alarm all are looked at; each that trips changes orders, so from the beginning again."""
        while self.alarm:
            self.alarm = self.trip_one()

    def trip_one(self) -> bool:
        books = self.books
        for account in range(-1, len(books.accounts)):
            where = (Scope.FIRM, -1, -1) if account < 0 else (Scope.ACCOUNT, account, -1)
            if account >= 0 and self.trip_rejections(where):
                return True
            broken = self.broken(account)
            if broken is not None:
                code, allowed, observed = broken
                self.trip(*where, TradingState.REDUCING, code, limit=allowed, observed=observed)
                return True
        return any(self.trip_rejections((Scope.SYMBOL, -1, n)) for n in range(len(books.instruments)))

    def too_many_rejections(self, where: tuple[int, int, int]) -> bool:
        holder = self.holder(*where)
        assert isinstance(holder, Account | Instrument)
        return holder.rejections >= self.books.limit_at(Limit.VENUE_REJECTIONS, *where)

    def trip_rejections(self, where: tuple[int, int, int]) -> bool:
        holder = self.holder(*where)
        assert isinstance(holder, Account | Instrument)
        if holder.state == TradingState.HALTED or not self.too_many_rejections(where):
            return False
        facts = {
            "limit": self.books.limit_at(Limit.VENUE_REJECTIONS, *where), "observed": holder.rejections
        }  # fmt: skip
        self.trip(*where, TradingState.HALTED, Code.VENUE_REJECTIONS, **facts)
        return True

    def count_rejection(self, account: int, symbol: int) -> None:
        for where in ((Scope.ACCOUNT, account, -1), (Scope.SYMBOL, -1, symbol)):
            holder = self.holder(*where)
            assert isinstance(holder, Account | Instrument)
            holder.rejections += 1
            self.alarm |= self.too_many_rejections(where)

    def finish_consequences(self) -> None:
        raise NotImplementedError

    def halt_overdue(self) -> None:
        books = self.books
        for symbol, instrument in enumerate(books.instruments):
            self.finish_consequences()  # what follows from the one before
            allowed = books.limit_at(Limit.MARK_HALT_AGE, Scope.SYMBOL, -1, symbol)
            age = books.ts - instrument.mark_ts
            if allowed == UNLIMITED or not instrument.mark or instrument.state == TradingState.HALTED:
                continue
            if age > allowed:
                facts = {"limit": allowed, "observed": age}
                self.trip(Scope.SYMBOL, -1, symbol, TradingState.HALTED, Code.MARKET_DATA_STALE, **facts)
        self.finish_consequences()

    # --- Permissions.

    def set_permission(self, c: Command) -> None:
        books = self.books
        known = 0 <= c.account < len(books.accounts) and -1 <= c.symbol < len(books.instruments)
        if not known or c.state > Permission.DENIED:
            self.reject(c, Code.INVALID_VALUE)
            return
        old = books.permissions.get((c.account, c.symbol), Permission.DEFAULT)
        books.permissions[c.account, c.symbol] = c.state
        self.say(
            EventKind.PERMISSION_SET,
            account=c.account,
            symbol=c.symbol,
            scope=Scope.ACCOUNT if c.symbol < 0 else Scope.ACCOUNT_SYMBOL,
            limit=c.state,
            observed=old,
            fee=c.actor,
            notes=c.notes,
        )
        self.trim(Scope.ACCOUNT if c.symbol < 0 else Scope.ACCOUNT_SYMBOL, c.account, c.symbol)
