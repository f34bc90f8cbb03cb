"""The twin's trading states, and the breakers that set them."""

from typing import Any

from app.engine.codes import Code
from app.engine.types import EventKind, Limit, Permission, Scope, StateFlag, TradingState
from tests.engine_support import Command
from tests.twins.engine_model import UNLIMITED, Account, Books, Instrument
from tests.twins.engine_reference import ReferenceTwin
from tests.twins.engine_repeats import forget_repeats


class BreakerTwin(ReferenceTwin):
    def holder(self, scope: int, account: int, symbol: int) -> Books | Account | Instrument | None:
        books = self.books
        if scope == Scope.FIRM:
            return books
        if scope == Scope.ACCOUNT and 0 <= account < len(books.accounts):
            return books.accounts[account]
        if scope == Scope.SYMBOL and 0 <= symbol < len(books.instruments):
            return books.instruments[symbol]
        return None

    def put_state(
        self,
        scope: int,
        account: int,
        symbol: int,
        state: int,
        cause: int = 0,
        actor: int = 0,
        notes: int = 0,
    ) -> None:
        holder = self.holder(scope, account, symbol)
        assert holder is not None
        old, holder.state = holder.state, state
        holder.state_cause, holder.state_ts, holder.state_actor = cause, self.books.ts, actor
        if state == TradingState.ACTIVE and not isinstance(holder, Books):
            holder.rejections = 0
            if isinstance(holder, Account):
                forget_repeats(self.books, holder)
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
        )

    def set_trading_state(self, c: Command) -> None:
        if self.holder(c.scope, c.account, c.symbol) is None or c.state > TradingState.HALTED:
            self.reject(c, Code.INVALID_VALUE)
            return
        self.put_state(c.scope, c.account, c.symbol, c.state, actor=c.actor, notes=c.notes)
        if c.flags & StateFlag.CANCEL_OPEN:
            self.cancel_scope(c)

    def cancel_scope(self, command: Command) -> None:
        raise NotImplementedError

    def trip(self, scope: int, account: int, symbol: int, state: int, cause: int, **facts: Any) -> None:
        holder = self.holder(scope, account, symbol)
        assert holder is not None
        self.say(
            EventKind.BREAKER_TRIPPED,
            account=account,
            symbol=symbol,
            scope=scope,
            code=cause,
            status=state,
            liquidity=holder.state,
            **facts,
        )
        self.put_state(scope, account, symbol, state, cause)

    # --- Breakers.

    def broken_loss(self, account: int) -> tuple[int, int, int] | None:
        """Code, limit, observed of the loss that is too large; of the firm where account is -1."""
        books = self.books
        scope = Scope.FIRM if account < 0 else Scope.ACCOUNT
        for code, limit, observed in (
            (Code.DAILY_LOSS, Limit.DAILY_LOSS, books.day_loss(account)),
            (Code.MAX_DRAWDOWN, Limit.MAX_DRAWDOWN, books.drawdown(account)),
        ):
            allowed = books.limit_at(limit, scope, account)
            if observed > allowed:
                return code, allowed, observed
        return None

    def watch(self, accounts: list[int]) -> None:
        """After what moves the equity of these: if one of them or the firm has lost too much, judge all."""
        for account in [-1, *accounts]:
            holder = self.books if account < 0 else self.books.accounts[account]
            if holder.state == TradingState.ACTIVE and self.broken_loss(account) is not None:
                self.judge_all()
                return

    def judge_all(self) -> None:
        books = self.books
        broken = self.broken_loss(-1)
        if books.state == TradingState.ACTIVE and broken is not None:
            code, allowed, observed = broken
            self.trip(Scope.FIRM, -1, -1, TradingState.REDUCING, code, limit=allowed, observed=observed)
        for index, account in enumerate(books.accounts):
            allowed = books.limit_at(Limit.VENUE_REJECTIONS, Scope.ACCOUNT, index)
            broken = self.broken_loss(index)
            if account.rejections >= allowed and account.state < TradingState.HALTED:
                facts = {"limit": allowed, "observed": account.rejections}
                self.trip(Scope.ACCOUNT, index, -1, TradingState.HALTED, Code.VENUE_REJECTIONS, **facts)
            elif account.state == TradingState.ACTIVE and broken is not None:
                code, allowed, observed = broken
                facts = {"limit": allowed, "observed": observed}
                self.trip(Scope.ACCOUNT, index, -1, TradingState.REDUCING, code, **facts)
        for index, instrument in enumerate(books.instruments):
            allowed = books.limit_at(Limit.VENUE_REJECTIONS, Scope.SYMBOL, -1, index)
            if instrument.rejections >= allowed and instrument.state < TradingState.HALTED:
                facts = {"limit": allowed, "observed": instrument.rejections}
                self.trip(Scope.SYMBOL, -1, index, TradingState.HALTED, Code.VENUE_REJECTIONS, **facts)

    def count_rejection(self, account: int, symbol: int) -> None:
        """Counted before the order's event, judged after it."""
        self.books.accounts[account].rejections += 1
        self.books.instruments[symbol].rejections += 1

    def judge_rejections(self, account: int, symbol: int) -> None:
        books = self.books
        of_account = books.limit_at(Limit.VENUE_REJECTIONS, Scope.ACCOUNT, account)
        of_symbol = books.limit_at(Limit.VENUE_REJECTIONS, Scope.SYMBOL, -1, symbol)
        if (
            books.accounts[account].rejections >= of_account
            or books.instruments[symbol].rejections >= of_symbol
        ):
            self.judge_all()

    def halt_overdue(self) -> None:
        books = self.books
        for symbol, instrument in enumerate(books.instruments):
            allowed = books.limit_at(Limit.MARK_HALT_AGE, Scope.SYMBOL, -1, symbol)
            age = books.ts - instrument.mark_ts
            if allowed == UNLIMITED or not instrument.mark or instrument.state == TradingState.HALTED:
                continue
            if age > allowed:
                facts = {"limit": allowed, "observed": age}
                self.trip(Scope.SYMBOL, -1, symbol, TradingState.HALTED, Code.MARKET_DATA_STALE, **facts)

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
