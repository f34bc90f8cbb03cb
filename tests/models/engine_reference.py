"""The twin's reference data: instruments, accounts, cash, trading states, marks, the day."""

from struct import unpack
from typing import Any

from app.engine.capacity import SUM_MAX, Capacity
from app.engine.codes import Code
from app.engine.types import EventKind, InstrumentStatus, Limit, OrderStatus, Policy, Scope
from app.runtime.views import EventView
from tests.models.engine_effect import cost
from tests.models.engine_model import MONEY_MAX, Account, Books, Instrument, Order
from tests.support.engine import Command

DAY = 24 * 60 * 60 * 1_000_000
LARGEST = {
    Limit.PRICE_COLLAR_BPS: 10**6,
    Limit.PRICE_MOVE_BPS: 10**6,
    Limit.ORDER_RATE: 10**9,
    Limit.CANCEL_RATE: 10**9,
    Limit.MAX_LEVERAGE: 10**5,
    Limit.MAINTENANCE_LEVERAGE: 10**5,
    Limit.MAX_OPEN_ORDERS: 10**9,
    Limit.MAX_REPEATED_ORDERS: 10**9,
    Limit.MAX_ORDER_TO_TRADE_RATIO: 10**9,
    Limit.VENUE_REJECTIONS: 10**9,
}

_BLANK = EventView(**dict.fromkeys(EventView._fields, 0) | {"client_order_id": bytes(40)})  # type: ignore[arg-type]


class ReplyMatcher:
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
    Limit.MAINTENANCE_LEVERAGE: {Scope.ACCOUNT},
    Limit.MAX_REPEATED_ORDERS: {Scope.ACCOUNT},
    Limit.MAX_ORDER_TO_TRADE_RATIO: {Scope.ACCOUNT},
    Limit.MAX_CORRELATED_EXPOSURE: {Scope.ACCOUNT},
}
_SMALLEST = {
    Limit.MAX_REPEATED_ORDERS, Limit.MAX_ORDER_TO_TRADE_RATIO, Limit.VENUE_REJECTIONS, Limit.MARK_HALT_AGE,
    Limit.MAINTENANCE_LEVERAGE,
}  # fmt: skip
# The first may not be above the second.
_PAIRS = (
    (Limit.MAX_ORDER_QUANTITY, Limit.MAX_POSITION),
    (Limit.MAX_ORDER_NOTIONAL, Limit.MAX_GROSS_EXPOSURE),
    (Limit.MAX_NET_EXPOSURE, Limit.MAX_GROSS_EXPOSURE),
    (Limit.MAX_MARK_AGE, Limit.MARK_HALT_AGE),
    (Limit.MAX_LEVERAGE, Limit.MAINTENANCE_LEVERAGE),
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


def past_mark_of(books: Books, instrument: Instrument) -> tuple[int, int]:
    """The mark that stood a window ago, 0 where that is not known, and how old it is."""
    window = books.policies[Policy.COLLAR_WINDOW_US]
    if not instrument.marks:
        return 0, 0
    old = [mark for mark in instrument.marks if mark[0] <= books.ts - window]
    ts, price = old[-1] if old else instrument.marks[0]
    return (0 if window and books.ts - ts > 2 * window else price), books.ts - ts


class ReferenceTwin(ReplyMatcher):
    group_open = False  # the next command belongs with the last one

    def _can_be_held(self, c: Command) -> bool:
        tick, step = c.price_tick_e12, c.quantity_step_e8
        if tick <= 0 or step <= 0 or tick * step % 10**12:
            return False
        multiplier = tick * step // 10**12
        return (
            multiplier <= MONEY_MAX
            and 0 < c.min_quantity <= c.max_quantity
            and c.max_quantity * step <= 2**62
            and c.max_quantity * multiplier <= MONEY_MAX
            and 0 <= c.min_notional <= MONEY_MAX
            and 0 <= c.mark_spread_max_bps <= 10**6
            and InstrumentStatus.TRADING <= c.status <= InstrumentStatus.HALTED
        )

    def _instrument_refusal(self, c: Command) -> tuple[int, dict[str, Any]]:
        """A code, and what the event says besides."""
        known = self.books.instruments
        if not 0 <= c.symbol <= len(known) or not c.name:
            return Code.INVALID_VALUE, {}
        if c.symbol >= self.capacity.symbols:
            return Code.SYMBOL_CAPACITY, {}
        if not self._can_be_held(c):
            return Code.INVALID_VALUE, {}
        if known and c.quote != self.books.settlement:
            letters = self.books.settlement, c.quote
            limit, observed = (int.from_bytes(each.ljust(8, b"\0"), "little") for each in letters)
            return Code.QUOTE_NOT_SETTLED, {"limit": limit, "observed": observed}
        if c.symbol == len(known):
            return Code.NONE, {}
        old = known[c.symbol]
        if (old.price_tick_e12, old.quantity_step_e8, old.name) != (
            c.price_tick_e12,
            c.quantity_step_e8,
            c.name,
        ):
            return Code.INVALID_VALUE, {}
        found = self._in_the_way(c, old)
        return (Code.INSTRUMENT_IN_USE, found) if found else (Code.NONE, {})

    def _in_the_way(self, c: Command, old: Instrument) -> dict[str, Any]:
        """The mark, or the first open order, that a change would leave out of bounds; {} if none."""
        highest = min(MONEY_MAX // (c.max_quantity * old.multiplier), 2**55)
        if old.mark > highest:
            return {"limit": highest, "observed": old.mark, "price": highest}
        for order in self.books.open_orders():
            if order.symbol != c.symbol:
                continue
            asked = order.status == OrderStatus.PENDING_REPLACE
            quantities = [order.quantity, *([order.replace_quantity] if asked else [])]
            price = max(order.price, order.stop_price, order.replace_price if asked else 0)
            where = {"execution_id": order.order_id}
            if highest < old.max_price and price > highest:
                return where | {"limit": highest, "observed": price, "price": highest}
            if c.max_quantity < old.max_quantity and max(quantities) > c.max_quantity:
                most = c.max_quantity
                return where | {"limit": most, "observed": max(quantities), "quantity": most}
            least = c.min_quantity
            if least > old.min_quantity and min(quantities) < least and not order.reduce_only:
                return where | {"limit": least, "observed": min(quantities), "quantity": least}
        return {}

    def set_instrument(self, c: Command) -> None:
        code, found = self._instrument_refusal(c)
        if code != Code.NONE:
            self.reject(c, code, **found)
            return
        if not self.books.instruments:
            self.books.settlement = c.quote
        if c.symbol == len(self.books.instruments):
            self.books.instruments.append(Instrument(c.name, c.price_tick_e12, c.quantity_step_e8))
        instrument = self.books.instruments[c.symbol]
        instrument.min_quantity, instrument.max_quantity = c.min_quantity, c.max_quantity
        instrument.min_notional, instrument.status = c.min_notional, c.status
        instrument.quote, instrument.mark_spread_max_bps = c.quote, c.mark_spread_max_bps
        before = max(instrument.maker_fee_ppm, instrument.taker_fee_ppm, 0)
        instrument.maker_fee_ppm, instrument.taker_fee_ppm = c.maker_fee_ppm, c.taker_fee_ppm
        if max(c.maker_fee_ppm, c.taker_fee_ppm, 0) > before:
            for account in self.books.accounts:
                for order in account.open.values():
                    if order.symbol == c.symbol:
                        dearer = max(order.reserved_cost, cost(self.books, order, order.reserved))
                        order.reserve(order.reserved, order.reserved_price, dearer)
        instrument.stops_due = True  # they may have been reached while it did not trade
        self.say(EventKind.INSTRUMENT_SET, symbol=c.symbol, status=c.status, limit=instrument.max_price)

    def _for_margin(self, account: int) -> int:
        """Equity, less what fills of open orders may cost beyond their marks."""
        orders = self.books.accounts[account].open.values()
        return self.books.equity(account) - sum(order.reserved_cost for order in orders)

    def _margin(self, account: int, leverage: int) -> int:
        return -(-self.books.exposure(account) // leverage)

    def set_account(self, c: Command) -> None:
        accounts = self.books.accounts
        known = 0 <= c.account < len(accounts)
        if not 0 <= c.account <= len(accounts) or not c.name or not 1 <= c.leverage <= 1_000:
            self.reject(c, Code.INVALID_VALUE)
            return
        if c.account >= self.capacity.accounts:
            self.reject(c, Code.ACCOUNT_CAPACITY)
            return
        if known and accounts[c.account].name != c.name:
            self.reject(c, Code.INVALID_VALUE)
            return
        old = accounts[c.account].leverage if known else 0
        if known and c.leverage < old:
            margin, there = self._margin(c.account, c.leverage), self._for_margin(c.account)
            if margin > max(there, 0):
                self.reject(c, Code.INSUFFICIENT_MARGIN, limit=there, observed=margin)
                return
        if not known:
            accounts.append(Account(c.name, c.leverage))
        accounts[c.account].leverage = c.leverage
        who = {"scope": Scope.ACCOUNT, "fee": c.actor, "notes": c.notes}
        self.say(EventKind.ACCOUNT_SET, account=c.account, limit=c.leverage, observed=old, **who)

    def _rooms(self, index: int, sign: int) -> list[int]:
        """By how much each sum may still grow in a direction."""
        books, account = self.books, self.books.accounts[index]
        sums = [account.peak_equity, account.day_start_equity]
        sums += [books.firm_equity(), books.peak_equity, books.day_start_equity]
        rooms = [MONEY_MAX - sign * each for each in (account.cash, account.transferred)]
        return rooms + [SUM_MAX - sign * each for each in sums]

    def transfer_cash(self, c: Command) -> None:
        if not 0 <= c.account < len(self.books.accounts):
            self.reject(c, Code.UNKNOWN_ACCOUNT)
            return
        account = self.books.accounts[c.account]
        rooms = self._rooms(c.account, 1 if c.value > 0 else -1)
        # What is beyond already may come back, but not go further.
        beyond = abs(c.value) > MONEY_MAX or any(abs(c.value) > room for room in rooms)
        if beyond:
            most = max(min(*rooms, MONEY_MAX), 0)
            self.reject(c, Code.VALUE_RANGE, limit=most, observed=self._asked(c.value))
            return
        spare = self._for_margin(c.account) - self._margin(c.account, account.leverage)
        if c.value < 0 and -c.value > spare:
            self.reject(c, Code.INSUFFICIENT_MARGIN, limit=max(spare, 0), observed=-c.value)
            return
        account.cash += c.value
        account.transferred += c.value
        account.peak_equity += c.value
        account.day_start_equity += c.value
        self.books.peak_equity += c.value
        self.books.day_start_equity += c.value
        account.peak_equity = max(account.peak_equity, self.books.equity(c.account))
        self.books.peak_equity = max(self.books.peak_equity, self.books.firm_equity())
        who = {"scope": Scope.ACCOUNT, "fee": c.actor, "notes": c.notes}
        self.say(EventKind.CASH_TRANSFERRED, account=c.account, limit=c.value, **who)

    @staticmethod
    def _asked(value: int) -> int:
        return value if value > -MONEY_MAX else min(-value, SUM_MAX)

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
            self.reject(c, Code.INVALID_VALUE, limit=instrument.max_price, observed=c.price)
            return False
        if self._mark_leaves_range(c.symbol, c.price):
            self.reject(c, Code.VALUE_RANGE, limit=SUM_MAX, observed=SUM_MAX + 1)
            return False
        if instrument.mark != c.price:
            holders = range(len(self.books.accounts))
            self.books.moved |= {each for each in holders if self.books.position(each, c.symbol).quantity}
        instrument.mark, instrument.mark_ts = c.price, self.books.ts
        self.remember_mark(instrument)
        self.say(EventKind.MARK_UPDATED, symbol=c.symbol, price=c.price)
        return True

    def _mark_leaves_range(self, symbol: int, price: int) -> bool:
        """Whether the firm's exposure, or its equity, would be more than the engine counts to."""
        books = self.books
        change = (price - books.instruments[symbol].mark) * books.instruments[symbol].multiplier
        everyone = range(len(books.accounts))
        worst = sum(books.worst(account, symbol) for account in everyone)
        exposure = sum(books.exposure(account) for account in everyone) + worst * change
        gained = sum(books.position(account, symbol).quantity for account in everyone) * change
        before, after = books.firm_equity(), books.firm_equity() + gained
        return (change > 0 and exposure > SUM_MAX) or (abs(after) > SUM_MAX and abs(after) > abs(before))

    def remember_mark(self, instrument: Instrument) -> None:
        """Sixteen marks, two windows' worth or more."""
        now, window = self.books.ts, self.books.policies[Policy.COLLAR_WINDOW_US]
        marks = instrument.marks
        if not marks or now - marks[-1][0] >= window // 8:
            marks.append((now, instrument.mark))
            del marks[:-16]

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
