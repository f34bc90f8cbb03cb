"""The twin's reference data: instruments, accounts, cash, trading states, marks, the day."""

from struct import unpack
from typing import Any

from app.engine.capacity import Capacity
from app.engine.codes import Code
from app.engine.types import EventKind, InstrumentStatus, Limit, Policy, Scope
from app.runtime.views import EventView
from tests.engine_support import Command
from tests.twins.engine_model import MONEY_MAX, Account, Books, Instrument, Order

DAY = 24 * 60 * 60 * 1_000_000
LARGEST = {
    Limit.PRICE_COLLAR_BPS: 10**6,
    Limit.PRICE_MOVE_BPS: 10**6,
    Limit.ORDER_RATE: 10**9,
    Limit.CANCEL_RATE: 10**9,
    Limit.MAX_LEVERAGE: 10**5,
    Limit.MAX_OPEN_ORDERS: 10**9,
    Limit.MAX_REPEATED_ORDERS: 10**9,
    Limit.MAX_ORDER_TO_TRADE_RATIO: 10**9,
    Limit.VENUE_REJECTIONS: 10**9,
}

_BLANK = EventView(**dict.fromkeys(EventView._fields, 0) | {"client_order_id": bytes(40)})  # type: ignore[arg-type]


class Teller:
    """Writes events."""

    books: Books
    capacity: Capacity
    out: list[EventView]

    def say(self, kind: int, **fields: Any) -> None:
        given = {"account": -1, "symbol": -1} | fields
        self.out.append(
            _BLANK._replace(
                seq=self.books.seq, ts=self.books.ts, kind=int(kind), index=len(self.out), **given
            )
        )

    def reject(self, command: Command, code: int, **more: Any) -> None:
        self.say(
            EventKind.COMMAND_REJECTED, account=command.account, symbol=command.symbol, code=code, **more
        )

    def show(self, kind: int, order: Order, **fields: Any) -> None:
        """An event with the whole order as it now is."""
        shown: dict[str, Any] = {
            name: getattr(order, name)
            for name in (
                "account", "symbol", "status", "side", "type", "time_in_force", "flags",
                "self_trade_prevention", "code", "scope", "order_id", "price", "stop_price", "quantity",
                "filled_quantity", "filled_notional", "created_ts", "expire_ts", "limit", "observed",
            )
        }  # fmt: skip
        shown["client_order_id"] = order.client_order_id.ljust(40, b"\0")
        self.say(kind, **(shown | fields))


_EVERY = {Scope.FIRM, Scope.ACCOUNT, Scope.SYMBOL, Scope.ACCOUNT_SYMBOL}
PLACES = {
    **{limit: {Scope.FIRM, Scope.ACCOUNT} for limit in Limit},
    Limit.MAX_ORDER_QUANTITY: _EVERY,
    Limit.MAX_ORDER_NOTIONAL: _EVERY,
    Limit.PRICE_COLLAR_BPS: _EVERY,
    Limit.PRICE_MOVE_BPS: _EVERY,
    Limit.MAX_MARK_AGE: _EVERY,
    Limit.MAX_OPEN_ORDERS: {Scope.ACCOUNT, Scope.ACCOUNT_SYMBOL},
    Limit.MAX_POSITION: {Scope.SYMBOL, Scope.ACCOUNT_SYMBOL},
    Limit.VENUE_REJECTIONS: {Scope.ACCOUNT, Scope.SYMBOL},
    Limit.MARK_HALT_AGE: {Scope.SYMBOL},
    Limit.MAX_LEVERAGE: {Scope.ACCOUNT},
    Limit.MAX_REPEATED_ORDERS: {Scope.ACCOUNT},
    Limit.MAX_ORDER_TO_TRADE_RATIO: {Scope.ACCOUNT},
    Limit.MAX_CORRELATED_EXPOSURE: {Scope.ACCOUNT},
}
_SMALLEST = {
    Limit.MAX_REPEATED_ORDERS, Limit.MAX_ORDER_TO_TRADE_RATIO, Limit.VENUE_REJECTIONS, Limit.MARK_HALT_AGE
}  # fmt: skip
# The first may not be above the second.
_PAIRS = (
    (Limit.MAX_ORDER_QUANTITY, Limit.MAX_POSITION),
    (Limit.MAX_ORDER_NOTIONAL, Limit.MAX_GROSS_EXPOSURE),
    (Limit.MAX_NET_EXPOSURE, Limit.MAX_GROSS_EXPOSURE),
    (Limit.MAX_MARK_AGE, Limit.MARK_HALT_AGE),
)


def rule_code(scope: int, limit: Limit, value: int) -> int:
    """Why a scope cannot carry this value by itself."""
    if not (limit in _SMALLEST) <= value <= LARGEST.get(limit, MONEY_MAX):
        return Code.INVALID_VALUE
    return Code.NONE if scope in PLACES[limit] else Code.WRONG_SCOPE


def contradicts(limits: dict[int, int], limit: int) -> bool:
    """Whether a scope's limits contradict each other, one of them being `limit`."""
    return any(
        limit in pair and pair[0] in limits and 0 < limits.get(pair[1], 0) < limits[pair[0]]
        for pair in _PAIRS
    )


class ReferenceTwin(Teller):
    mark_moved = False

    def _instrument_refusal(self, c: Command) -> int:
        known = self.books.instruments
        if not 0 <= c.symbol <= len(known) or not c.name:
            return Code.INVALID_VALUE
        if c.symbol >= self.capacity.symbols:
            return Code.SYMBOL_CAPACITY
        tick, step = c.price_tick_e12, c.quantity_step_e8
        sound = (
            tick > 0
            and step > 0
            and tick * step <= MONEY_MAX
            and tick * step % 10**12 == 0
            and 0 < c.min_quantity <= c.max_quantity
            and c.max_quantity * step <= 2**62
            and c.max_quantity * (tick * step // 10**12) <= MONEY_MAX
            and 0 <= c.min_notional <= MONEY_MAX
            and InstrumentStatus.TRADING <= c.status <= InstrumentStatus.HALTED
        )
        if sound and c.symbol < len(known):
            old = known[c.symbol]
            sound = (old.price_tick_e12, old.quantity_step_e8, old.name) == (tick, step, c.name)
            largest = c.max_quantity * (tick * step // 10**12)
            sound = sound and old.mark <= min(MONEY_MAX // largest, 2**55)
        return Code.NONE if sound else Code.INVALID_VALUE

    def set_instrument(self, c: Command) -> None:
        code = self._instrument_refusal(c)
        if code != Code.NONE:
            self.reject(c, code)
            return
        if c.symbol == len(self.books.instruments):
            self.books.instruments.append(Instrument(c.name, c.price_tick_e12, c.quantity_step_e8))
        instrument = self.books.instruments[c.symbol]
        instrument.min_quantity, instrument.max_quantity = c.min_quantity, c.max_quantity
        instrument.min_notional, instrument.status = c.min_notional, c.status
        self.say(EventKind.INSTRUMENT_SET, symbol=c.symbol, status=c.status)

    def set_account(self, c: Command) -> None:
        accounts = self.books.accounts
        if not 0 <= c.account <= len(accounts) or not c.name or not 1 <= c.leverage <= 1_000:
            self.reject(c, Code.INVALID_VALUE)
        elif c.account >= self.capacity.accounts:
            self.reject(c, Code.ACCOUNT_CAPACITY)
        elif c.account < len(accounts) and accounts[c.account].name != c.name:
            self.reject(c, Code.INVALID_VALUE)
        else:
            old = 0
            if c.account == len(accounts):
                accounts.append(Account(c.name, c.leverage))
            else:
                old = accounts[c.account].leverage
            accounts[c.account].leverage = c.leverage
            who = {"scope": Scope.ACCOUNT, "fee": c.actor, "notes": c.notes}
            self.say(EventKind.ACCOUNT_SET, account=c.account, limit=c.leverage, observed=old, **who)

    def transfer_cash(self, c: Command) -> None:
        if not 0 <= c.account < len(self.books.accounts):
            self.reject(c, Code.UNKNOWN_ACCOUNT)
            return
        account = self.books.accounts[c.account]
        if abs(c.value) > MONEY_MAX or abs(account.cash + c.value) > MONEY_MAX:
            self.reject(c, Code.INVALID_VALUE)
            return
        account.cash += c.value
        account.transferred += c.value
        account.peak_equity += c.value
        account.day_start_equity += c.value
        self.books.peak_equity += c.value
        self.books.day_start_equity += c.value
        who = {"scope": Scope.ACCOUNT, "fee": c.actor, "notes": c.notes}
        self.say(EventKind.CASH_TRANSFERRED, account=c.account, limit=c.value, **who)

    def note(self, c: Command) -> None:
        """The text lies in the eleven words from the price on, the actor in the word behind it."""
        names = EventView._fields
        words = names[names.index("price") : names.index("limit")]
        text = c.text.ljust(8 * len(words), b"\0")
        shown = dict(zip(words, unpack(f"<{len(words)}q", text), strict=True))
        self.say(EventKind.NOTE_RECORDED, status=min(c.length, 88), limit=c.actor, **shown)

    def take_mark(self, c: Command) -> bool:
        if not 0 <= c.symbol < len(self.books.instruments):
            self.reject(c, Code.UNKNOWN_SYMBOL)
            return False
        instrument = self.books.instruments[c.symbol]
        if not 0 < c.price <= instrument.max_price:
            self.reject(c, Code.INVALID_VALUE)
            return False
        self.mark_moved = instrument.mark != c.price
        instrument.mark, instrument.mark_ts = c.price, self.books.ts
        self.remember_mark(instrument)
        self.say(EventKind.MARK_UPDATED, symbol=c.symbol, price=c.price)
        return True

    def remember_mark(self, instrument: Instrument) -> None:
        """Sixteen marks, two windows' worth or more, and the newest of them that is a window old."""
        now, window = self.books.ts, self.books.policies[Policy.COLLAR_WINDOW_US]
        marks = instrument.marks
        if not marks or now - marks[-1][0] >= window // 8:
            marks.append((now, instrument.mark))
            del marks[:-16]
        old = [price for ts, price in marks if ts <= now - window]
        instrument.past_mark = old[-1] if old else marks[0][1]

    def start_day(self) -> None:
        day = self.books.ts // DAY * DAY
        if day > self.books.day_start_ts:
            self.books.day_start_ts = day
            self.books.day_start_equity = self.books.firm_equity()
            self.books.day_traded = 0
            for index, account in enumerate(self.books.accounts):
                account.day_start_equity = self.books.equity(index)
                account.day_traded = account.day_fills = account.messages = 0
            self.say(EventKind.DAY_STARTED)
