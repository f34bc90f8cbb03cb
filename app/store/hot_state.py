"""Hot state as Redis commands: all of it, or what a batch has changed."""

from collections.abc import Iterable, Iterator
from typing import Any, Protocol

import numpy as np

from app.engine.state import State
from app.engine.types import EventKind, OrderStatus
from app.runtime.views import EVENT_LAYOUT, EventView
from app.store import hot_keys as keys

RedisCommand = tuple[str | bytes | int, ...]
RawEvent = tuple[Any, ...]

FIELDS_MAX = 1_000  # set by one command; more takes several

_KIND = EventView._fields.index("kind")
_SEQ = EventView._fields.index("seq")
_INDEX = EventView._fields.index("index")
_STATUS = EventView._fields.index("status")
_ACCOUNT = EventView._fields.index("account")
_SYMBOL = EventView._fields.index("symbol")
_ORDER_ID = EventView._fields.index("order_id")
_SCOPE = EventView._fields.index("scope")

_FILLED = int(EventKind.ORDER_FILLED)
_MARK = int(EventKind.MARK_UPDATED)
_INSTRUMENT = int(EventKind.INSTRUMENT_SET)
_STATE = int(EventKind.TRADING_STATE_SET)
_OF_ACCOUNT = frozenset((EventKind.ACCOUNT_SET, EventKind.CASH_TRANSFERRED))
_SETTLED = int(EventKind.POSITION_SETTLED)
_OF_ALL_ACCOUNTS = frozenset((EventKind.DAY_STARTED,))
_FINAL = int(OrderStatus.FILLED)
# They tell of an order that has not changed.
_UNCHANGED = frozenset((EventKind.ORDER_REPLAYED, EventKind.EXECUTION_ANOMALY))
_REFUSED_CHANGES = frozenset((EventKind.CANCEL_REJECTED, EventKind.REPLACE_REJECTED))
_KIND_NAMES = {int(kind): kind.name for kind in EventKind}


class HotContents(Protocol):
    """Documents as JSON; numbers are the engine's."""

    state: State

    def refresh(self) -> None:
        """Reference data has changed."""

    def order(self, event: RawEvent) -> bytes | None:
        """The order that an event shows; None where it shows none or has not changed."""

    def open_order(self, slot: int) -> bytes: ...

    def fill(self, event: RawEvent) -> bytes: ...

    def risk(self, event: RawEvent) -> bytes | None:
        """What an event says about limits, trading states and refusals; None where it says nothing."""

    def account_name(self, account: int) -> str: ...

    def symbol_name(self, symbol: int) -> str: ...

    def account(self, account: int) -> bytes: ...

    def position(self, account: int, symbol: int) -> bytes: ...

    def held(self, account: int) -> list[int]:
        """Symbols in which an account holds, has open orders or ever traded."""

    def holders(self, symbol: int) -> list[int]: ...

    def instrument(self, symbol: int) -> bytes: ...

    def mark(self, symbol: int) -> bytes: ...

    def limits(self) -> Iterator[tuple[str, bytes]]:
        """Of every scope that has any, by its name."""

    def trading_states(self) -> Iterator[tuple[str, str]]:
        """Of every scope whose state is not ACTIVE, and of the firm."""


class HotState:
    """Reads `contents` as they are right after the events that it is given."""

    def __init__(self, contents: HotContents) -> None:
        self._contents = contents
        self._revalued: set[int] = set()

    # All of it.

    def everything(self) -> Iterator[list[RedisCommand]]:
        """In pieces, each for one round trip; the keys are not there yet."""
        contents, state = self._contents, self._contents.state
        contents.refresh()
        self._revalued.clear()
        symbols = range(int(state.firm[0]["symbols"]))
        accounts = range(int(state.firm[0]["accounts"]))
        named = [contents.symbol_name(symbol) for symbol in symbols]
        yield _set(keys.INSTRUMENTS, ((named[symbol], contents.instrument(symbol)) for symbol in symbols))
        marked = [symbol for symbol in symbols if int(state.instruments[symbol]["mark"])]
        yield _set(keys.MARKS, ((named[symbol], contents.mark(symbol)) for symbol in marked))
        yield self._limits() + self._states()
        yield _set(
            keys.ACCOUNTS, ((contents.account_name(each), contents.account(each)) for each in accounts)
        )
        for account in accounts:
            held = ((named[symbol], contents.position(account, symbol)) for symbol in contents.held(account))
            yield _set(keys.positions(contents.account_name(account)), held)
        yield from self._open_orders()

    def _open_orders(self) -> Iterator[list[RedisCommand]]:
        contents, state = self._contents, self._contents.state
        orders = state.orders[: int(state.firm[0]["orders_used"])]
        status = orders["status"]
        slots = np.flatnonzero((status > OrderStatus.NONE) & (status < OrderStatus.FILLED))
        for first in range(0, len(slots), FIELDS_MAX):
            some = slots[first : first + FIELDS_MAX].tolist()
            by_account: dict[int, list[tuple[str, bytes]]] = {}
            for slot in some:
                item = (str(int(orders[slot]["order_id"])), contents.open_order(slot))
                by_account.setdefault(int(orders[slot]["account"]), []).append(item)
            yield [
                command
                for account, items in by_account.items()
                for command in _set(keys.orders(contents.account_name(account)), items)
            ]

    # What has changed.

    def changes(self, events: bytes) -> list[RedisCommand]:
        """What EVENT records of commands that have been applied change, and the events themselves."""
        orders: dict[int, RawEvent] = {}
        pairs: set[tuple[int, int]] = set()
        accounts: set[int] = set()
        marks: set[int] = set()
        kinds: set[int] = set()
        entries: list[RawEvent] = []
        for event in EVENT_LAYOUT.iter_unpack(events):
            kind = event[_KIND]
            kinds.add(kind)
            if event[_ORDER_ID]:
                if kind in _UNCHANGED:
                    continue
                if kind not in _REFUSED_CHANGES or self._contents.order(event) is not None:
                    orders[event[_ORDER_ID]] = event
                if event[_ACCOUNT] >= 0 and event[_SYMBOL] >= 0:
                    pairs.add((event[_ACCOUNT], event[_SYMBOL]))
                    accounts.add(event[_ACCOUNT])
                entries.append(event)
            elif kind == _MARK:
                marks.add(event[_SYMBOL])
            elif kind == _SETTLED:
                pairs.add((event[_ACCOUNT], event[_SYMBOL]))
                accounts.add(event[_ACCOUNT])
            elif kind in _OF_ACCOUNT:
                accounts.add(event[_ACCOUNT])
            elif kind in _OF_ALL_ACCOUNTS:
                accounts.update(range(int(self._contents.state.firm[0]["accounts"])))
            elif event[_SCOPE]:
                entries.append(event)
                if event[_ACCOUNT] >= 0:
                    accounts.add(event[_ACCOUNT])
        if kinds & _OF_ACCOUNT or _INSTRUMENT in kinds:
            self._contents.refresh()
        commands = self._entries(entries[-keys.EVENTS_KEPT :])
        commands += self._orders(orders)
        commands += self._positions(pairs) + self._accounts(accounts)
        commands += self._marks(marks)
        if _INSTRUMENT in kinds:
            commands += self._instruments()
        if any(event[_SCOPE] and not event[_ORDER_ID] for event in entries):
            commands += self._limits() + self._states()
        return commands

    def revalued(self) -> list[RedisCommand]:
        """Accounts and positions that marks have revalued since the last call."""
        revalued, self._revalued = self._revalued, set()
        pairs = {(account, symbol) for account in revalued for symbol in self._contents.held(account)}
        return self._positions(pairs) + self._accounts(revalued)

    def _entries(self, events: list[RawEvent]) -> list[RedisCommand]:
        contents = self._contents
        commands: list[RedisCommand] = []
        for event in events:
            if event[_KIND] == _FILLED:
                data: bytes | None = contents.fill(event)
            elif event[_ORDER_ID]:
                data = contents.order(event)
            else:
                data = contents.risk(event)
            if data is not None:
                # The number of an entry is that of its event: none is ever added twice.
                identity = f"{event[_SEQ]}-{event[_INDEX]}"
                limit = ("MAXLEN", "~", keys.EVENTS_KEPT)
                name = _KIND_NAMES[event[_KIND]]
                commands.append(("XADD", keys.EVENTS, *limit, identity, "kind", name, "data", data))
        return commands

    def _orders(self, newest: dict[int, RawEvent]) -> list[RedisCommand]:
        contents = self._contents
        opened: dict[int, list[tuple[str, bytes]]] = {}
        ended: dict[int, list[str]] = {}
        for order_id, event in newest.items():
            account = event[_ACCOUNT]
            if account < 0:
                continue
            if event[_STATUS] >= _FINAL:
                ended.setdefault(account, []).append(str(order_id))
                continue
            document = contents.order(event)
            if document is not None:
                opened.setdefault(account, []).append((str(order_id), document))
        commands = [
            command
            for account, items in opened.items()
            for command in _set(keys.orders(contents.account_name(account)), items)
        ]
        for account, ids in ended.items():
            key = keys.orders(contents.account_name(account))
            commands += [("HDEL", key, *ids[at : at + FIELDS_MAX]) for at in range(0, len(ids), FIELDS_MAX)]
        return commands

    def _positions(self, pairs: Iterable[tuple[int, int]]) -> list[RedisCommand]:
        contents = self._contents
        by_account: dict[int, list[tuple[str, bytes]]] = {}
        for account, symbol in pairs:
            item = (contents.symbol_name(symbol), contents.position(account, symbol))
            by_account.setdefault(account, []).append(item)
        return [
            command
            for account, items in by_account.items()
            for command in _set(keys.positions(contents.account_name(account)), items)
        ]

    def _accounts(self, accounts: Iterable[int]) -> list[RedisCommand]:
        contents = self._contents
        return _set(
            keys.ACCOUNTS, ((contents.account_name(each), contents.account(each)) for each in accounts)
        )

    def _marks(self, symbols: set[int]) -> list[RedisCommand]:
        contents = self._contents
        for symbol in symbols:
            self._revalued.update(contents.holders(symbol))
        return _set(keys.MARKS, ((contents.symbol_name(each), contents.mark(each)) for each in symbols))

    def _instruments(self) -> list[RedisCommand]:
        contents = self._contents
        symbols = range(int(contents.state.firm[0]["symbols"]))
        return _set(
            keys.INSTRUMENTS, ((contents.symbol_name(each), contents.instrument(each)) for each in symbols)
        )

    def _limits(self) -> list[RedisCommand]:
        return [("DEL", keys.LIMITS), *_set(keys.LIMITS, self._contents.limits())]

    def _states(self) -> list[RedisCommand]:
        states = ((scope, value.encode()) for scope, value in self._contents.trading_states())
        return [("DEL", keys.TRADING_STATES), *_set(keys.TRADING_STATES, states)]


def _set(key: str, items: Iterable[tuple[str, bytes]]) -> list[RedisCommand]:
    """HSET, several where there are many fields, none where there are none."""
    flat: list[str | bytes] = []
    commands: list[RedisCommand] = []
    for name, content in items:
        flat += (name, content)
        if len(flat) >= 2 * FIELDS_MAX:
            commands.append(("HSET", key, *flat))
            flat = []
    if flat:
        commands.append(("HSET", key, *flat))
    return commands
