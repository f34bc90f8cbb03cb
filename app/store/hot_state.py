"""Hot state as Redis commands: all of it, or the changes of a batch."""

from collections.abc import Iterable, Iterator

import numpy as np

from app.documents.raw_events import ACCOUNT, INDEX, KIND, ORDER_ID, SCOPE, SEQ, STATUS, SYMBOL
from app.documents.redis_documents import RedisDocuments
from app.engine.records import EVENT, field_offset
from app.engine.types import EventKind, OrderStatus
from app.runtime.views import EVENT_LAYOUT, RawEvent
from app.store import hot_keys as keys

RedisCommand = tuple[str | bytes | int, ...]

FIELDS_MAX = 1_000  # set by one command; more takes several

_KIND_OFFSET = field_offset(EVENT, "kind")
_FILLED = int(EventKind.ORDER_FILLED)
_MARK = int(EventKind.MARK_UPDATED)
_INSTRUMENT = int(EventKind.INSTRUMENT_SET)
_OF_ACCOUNT = frozenset((EventKind.ACCOUNT_SET, EventKind.CASH_TRANSFERRED))
_SETTLED = int(EventKind.POSITION_SETTLED)
_OF_ALL_ACCOUNTS = frozenset((EventKind.DAY_STARTED,))
_FINAL = int(OrderStatus.FILLED)
# Events of an order that has not changed.
_UNCHANGED = frozenset((EventKind.ORDER_REPLAYED, EventKind.EXECUTION_ANOMALY))
_REFUSED_CHANGES = frozenset((EventKind.CANCEL_REJECTED, EventKind.REPLACE_REJECTED))
_KIND_NAMES = {int(kind): kind.name for kind in EventKind}


class HotState:
    """Reads `documents` as of the events that it is given."""

    def __init__(self, documents: RedisDocuments) -> None:
        self._documents = documents
        self._revalued: set[int] = set()

    # All of it.

    def everything(self) -> Iterator[list[RedisCommand]]:
        """All of it, in parts of one round trip each; the keys do not exist yet."""
        documents, state = self._documents, self._documents.state
        documents.refresh()
        self._revalued.clear()
        symbols = range(int(state.firm[0]["symbols"]))
        accounts = range(int(state.firm[0]["accounts"]))
        named = [documents.symbol_name(symbol) for symbol in symbols]
        yield _set(keys.INSTRUMENTS, ((named[symbol], documents.instrument(symbol)) for symbol in symbols))
        marked = [symbol for symbol in symbols if int(state.instruments[symbol]["mark"])]
        yield _set(keys.MARKS, ((named[symbol], documents.mark(symbol)) for symbol in marked))
        yield self._limits() + self._states()
        yield _set(
            keys.ACCOUNTS, ((documents.account_name(each), documents.account(each)) for each in accounts)
        )
        for account in accounts:
            held = (
                (named[symbol], documents.position(account, symbol)) for symbol in documents.held(account)
            )
            yield _set(keys.positions(documents.account_name(account)), held)
        yield from self._open_orders()

    def _open_orders(self) -> Iterator[list[RedisCommand]]:
        documents, state = self._documents, self._documents.state
        orders = state.orders[: int(state.firm[0]["orders_used"])]
        status = orders["status"]
        slots = np.flatnonzero((status > OrderStatus.NONE) & (status < OrderStatus.FILLED))
        for first in range(0, len(slots), FIELDS_MAX):
            some = slots[first : first + FIELDS_MAX].tolist()
            by_account: dict[int, list[tuple[str, bytes]]] = {}
            for slot in some:
                item = (str(int(orders[slot]["order_id"])), documents.open_order(slot))
                by_account.setdefault(int(orders[slot]["account"]), []).append(item)
            yield [
                command
                for account, items in by_account.items()
                for command in _set(keys.orders(documents.account_name(account)), items)
            ]

    # What has changed.

    def changes(self, events: bytes) -> list[RedisCommand]:
        """The changes by EVENT records of applied commands, and the events themselves."""
        orders: dict[int, RawEvent] = {}
        pairs: set[tuple[int, int]] = set()
        accounts: set[int] = set()
        marks: set[int] = set()
        kinds = set(events[_KIND_OFFSET :: EVENT.itemsize])
        entries: list[RawEvent] = []
        if kinds & _OF_ACCOUNT or _INSTRUMENT in kinds:
            self._documents.refresh()  # before any event of who is new is shown
        for event in EVENT_LAYOUT.iter_unpack(events):
            kind = event[KIND]
            if event[ORDER_ID]:
                if kind in _UNCHANGED:
                    continue
                if kind not in _REFUSED_CHANGES or self._documents.order(event) is not None:
                    orders[event[ORDER_ID]] = event
                if event[ACCOUNT] >= 0 and event[SYMBOL] >= 0:
                    pairs.add((event[ACCOUNT], event[SYMBOL]))
                    accounts.add(event[ACCOUNT])
                entries.append(event)
            elif kind == _MARK:
                marks.add(event[SYMBOL])
            elif kind == _SETTLED:
                pairs.add((event[ACCOUNT], event[SYMBOL]))
                accounts.add(event[ACCOUNT])
            elif kind in _OF_ACCOUNT:
                accounts.add(event[ACCOUNT])
            elif kind in _OF_ALL_ACCOUNTS:
                accounts.update(range(int(self._documents.state.firm[0]["accounts"])))
            elif event[SCOPE]:
                entries.append(event)
                if event[ACCOUNT] >= 0:
                    accounts.add(event[ACCOUNT])
        commands = self._entries(entries[-keys.EVENTS_KEPT :])
        commands += self._orders(orders)
        commands += self._positions(pairs) + self._accounts(accounts)
        commands += self._marks(marks)
        if _INSTRUMENT in kinds:
            commands += self._instruments()
        if any(event[SCOPE] and not event[ORDER_ID] for event in entries):
            commands += self._limits() + self._states()
        return commands

    def revalued(self) -> list[RedisCommand]:
        """Accounts and positions that marks have revalued since the last call."""
        revalued, self._revalued = self._revalued, set()
        pairs = {(account, symbol) for account in revalued for symbol in self._documents.held(account)}
        return self._positions(pairs) + self._accounts(revalued)

    def _entries(self, events: list[RawEvent]) -> list[RedisCommand]:
        documents = self._documents
        commands: list[RedisCommand] = []
        for event in events:
            if event[KIND] == _FILLED:
                data: bytes | None = documents.fill(event)
            elif event[ORDER_ID]:
                data = documents.order(event)
            else:
                data = documents.risk(event)
            if data is not None:
                # The number of an entry is that of its event: none is ever added twice.
                identity = f"{event[SEQ]}-{event[INDEX]}"
                limit = ("MAXLEN", "~", keys.EVENTS_KEPT)
                name = _KIND_NAMES[event[KIND]]
                commands.append(("XADD", keys.EVENTS, *limit, identity, "kind", name, "data", data))
        return commands

    def _orders(self, newest: dict[int, RawEvent]) -> list[RedisCommand]:
        documents = self._documents
        opened: dict[int, list[tuple[str, bytes]]] = {}
        ended: dict[int, list[str]] = {}
        for order_id, event in newest.items():
            account = event[ACCOUNT]
            if account < 0:
                continue
            if event[STATUS] >= _FINAL:
                ended.setdefault(account, []).append(str(order_id))
                continue
            document = documents.order(event)
            if document is not None:
                opened.setdefault(account, []).append((str(order_id), document))
        commands = [
            command
            for account, items in opened.items()
            for command in _set(keys.orders(documents.account_name(account)), items)
        ]
        for account, ids in ended.items():
            key = keys.orders(documents.account_name(account))
            commands += [("HDEL", key, *ids[at : at + FIELDS_MAX]) for at in range(0, len(ids), FIELDS_MAX)]
        return commands

    def _positions(self, pairs: Iterable[tuple[int, int]]) -> list[RedisCommand]:
        documents = self._documents
        by_account: dict[int, list[tuple[str, bytes]]] = {}
        for account, symbol in pairs:
            item = (documents.symbol_name(symbol), documents.position(account, symbol))
            by_account.setdefault(account, []).append(item)
        return [
            command
            for account, items in by_account.items()
            for command in _set(keys.positions(documents.account_name(account)), items)
        ]

    def _accounts(self, accounts: Iterable[int]) -> list[RedisCommand]:
        documents = self._documents
        return _set(
            keys.ACCOUNTS, ((documents.account_name(each), documents.account(each)) for each in accounts)
        )

    def _marks(self, symbols: set[int]) -> list[RedisCommand]:
        documents = self._documents
        for symbol in symbols:
            self._revalued.update(documents.holders(symbol))
        return _set(keys.MARKS, ((documents.symbol_name(each), documents.mark(each)) for each in symbols))

    def _instruments(self) -> list[RedisCommand]:
        documents = self._documents
        symbols = range(int(documents.state.firm[0]["symbols"]))
        return _set(
            keys.INSTRUMENTS, ((documents.symbol_name(each), documents.instrument(each)) for each in symbols)
        )

    def _limits(self) -> list[RedisCommand]:
        return [("DEL", keys.LIMITS), *_set(keys.LIMITS, self._documents.limits())]

    def _states(self) -> list[RedisCommand]:
        states = ((scope, value.encode()) for scope, value in self._documents.trading_states())
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
