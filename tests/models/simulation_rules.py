"""What the events say of limits, overrides, proposals and trading states; what no event may contradict.

Kept independently of the engine, and compared with its arrays after each batch.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from app.engine.capacity import SLOT_BITS
from app.engine.codes import Code
from app.engine.state import State
from app.engine.types import (
    CommandKind,
    EventKind,
    Limit,
    OrderFlag,
    OrderType,
    OverrideEnd,
    Policy,
    Scope,
    TradingState,
)
from app.runtime.event_views import (
    CHANGE_KINDS,
    BreakerEvent,
    ChangeEvent,
    LimitEvent,
    PermissionEvent,
    PolicyEvent,
    ProposalEvent,
    StateEvent,
    event_as,
)
from app.runtime.views import EventView

Key = tuple[int, int, int]  # scope, account, symbol

E = EventKind
_NONE = -1  # instead of a value: the scope says nothing


def key_of(scope: int, account: int, symbol: int) -> Key:
    own_account = scope in (Scope.ACCOUNT, Scope.ACCOUNT_SYMBOL)
    own_symbol = scope in (Scope.SYMBOL, Scope.ACCOUNT_SYMBOL)
    return int(scope), account if own_account else -1, symbol if own_symbol else -1


@dataclass
class Override:
    key: Key
    limit: int
    value: int
    expires_ts: int


@dataclass
class RuleBook:
    """Feed it every event, with the kind of command that caused it."""

    steps_e8: tuple[int, ...]
    limits: dict[Key, dict[int, int]] = field(default_factory=dict)
    versions: Counter[Key] = field(default_factory=Counter)
    overrides: dict[int, Override] = field(default_factory=dict)
    requests: dict[int, int] = field(default_factory=dict)  # pending ones: who has proposed
    states: dict[Key, int] = field(default_factory=dict)
    permissions: dict[tuple[int, int], int] = field(default_factory=dict)
    policies: dict[int, int] = field(default_factory=dict)
    seen: Counter[str] = field(default_factory=Counter)
    _changed_seq: int = 0

    def take(self, events: Iterable[EventView], command_kinds: dict[int, int]) -> None:
        for event in events:
            if event.kind in (E.ORDER_ACCEPTED, E.ORDER_OPENED):
                self._accepted(event)
            elif event.kind in CHANGE_KINDS:
                self._changed(event_as(ChangeEvent, event), CommandKind(command_kinds[event.seq]))

    def _changed(self, event: ChangeEvent, cause: CommandKind) -> None:
        match event:
            case LimitEvent(kind=E.LIMIT_SET):
                self._limit(event, cause)
            case LimitEvent():
                self._override(event)
            case ProposalEvent():
                self._proposal(event)
            case BreakerEvent():
                self._breaker(event)
            case StateEvent():
                self._state(event)
            case PermissionEvent():
                place = (event.account, event.symbol)
                assert event.old_permission == self.permissions.get(place, 0)
                self.permissions[place] = event.permission
            case PolicyEvent():
                assert event.old_value == self.policies.get(event.policy, event.old_value)
                self.policies[event.policy] = event.new_value

    def _breaker(self, event: BreakerEvent) -> None:
        key = key_of(event.scope, event.account, event.symbol)
        assert event.state > event.old_state == self.states.get(key, 0)
        self.seen[f"tripped by {Code(event.cause).name}"] += 1

    def _state(self, event: StateEvent) -> None:
        key = key_of(event.scope, event.account, event.symbol)
        old = self.states.get(key, 0)
        assert event.old_state == old
        by_breaker = event.cause != 0
        assert not by_breaker or event.state > old, "a breaker never resumes"
        self.seen["resumed"] += event.state < old
        self.states[key] = event.state

    # --- Limits.

    def effective(self, key: Key) -> dict[int, int]:
        own = dict(self.limits.get(key, {}))
        return own | {o.limit: o.value for o in self.overrides.values() if o.key == key}

    def _limit(self, event: LimitEvent, cause: CommandKind) -> None:
        key = key_of(event.scope, event.account, event.symbol)
        own = self.limits.setdefault(key, {})
        old = own.get(event.limit_number, _NONE)
        if event.seq == self._changed_seq:
            self.seen["limits set together"] += 1
        else:  # one request is one version
            self.versions[key] += 1
            self._changed_seq = event.seq
        assert event.version == self.versions[key]
        alone = cause != CommandKind.APPROVE_CHANGE and event.actor != 0
        if self.policies.get(Policy.MAKER_CHECKER) and alone and event.old_value != _NONE:
            assert _NONE < event.new_value <= event.old_value, "loosened without a second person"
            self.seen["tightened alone"] += 1
        assert event.old_value == old
        own[event.limit_number] = event.new_value
        if event.new_value == _NONE:
            del own[event.limit_number]

    def _override(self, event: LimitEvent) -> None:
        key = key_of(event.scope, event.account, event.symbol)
        self.versions[key] += 1
        assert event.version == self.versions[key]
        limit = event.limit_number
        own = self.limits.get(key, {}).get(limit, _NONE)
        if event.kind == E.OVERRIDE_SET:
            assert event.old_value == own and event.expires_ts > event.ts
            assert all((o.key, o.limit) != (key, limit) for o in self.overrides.values())
            self.overrides[event.override_id] = Override(key, limit, event.new_value, event.expires_ts)
            return
        override = self.overrides.pop(event.override_id)
        assert (event.new_value, event.old_value) == (own, override.value)
        expired = event.end == OverrideEnd.EXPIRED
        assert not expired or override.expires_ts <= event.ts
        self.seen["override expired" if expired else "override removed"] += 1

    def _proposal(self, event: ProposalEvent) -> None:
        request, actor = event.request_id, event.actor
        if event.kind == E.CHANGE_PROPOSED:
            assert actor != 0 and self.requests.setdefault(request, actor) == actor
            return
        maker = self.requests.pop(request)
        assert event.kind == E.CHANGE_REJECTED or actor != maker, "approved by its maker"

    # --- Orders.

    def _accepted(self, event: EventView) -> None:
        """What must hold of an order when it is taken."""
        if event.order_id >> SLOT_BITS != event.seq:
            return
        account, symbol = event.account, event.symbol
        scopes = [(Scope.FIRM, -1, -1), (Scope.ACCOUNT, account, -1), (Scope.SYMBOL, -1, symbol)]
        keys = [key_of(*scope) for scope in scopes]
        assert all(self.states.get(key, 0) < TradingState.HALTED for key in keys), "taken while halted"
        for key in (*keys, key_of(Scope.ACCOUNT_SYMBOL, account, symbol)):
            limits = self.effective(key) if key in self.versions else {}
            if event.type == OrderType.MARKET and event.flags & OrderFlag.REDUCE_ONLY:
                continue  # what closes a position has no size
            most = limits.get(Limit.MAX_ORDER_QUANTITY)
            assert most is None or event.quantity * self.steps_e8[symbol] <= most, "more than allowed"

    # --- Comparison.

    def check(self, state: State) -> None:
        for key, record in _limit_records(state):
            values, mask = record["value"].tolist(), int(record["set_mask"])
            assert {n: values[n] for n in range(len(Limit)) if mask >> n & 1} == self.effective(key), key
            assert int(record["version"]) == self.versions[key]
            held = sum(1 << o.limit for o in self.overrides.values() if o.key == key)
            assert int(record["override_mask"]) == held
        firm = state.firm[0]
        holders: dict[Key, Any] = {key_of(Scope.FIRM, -1, -1): firm}
        for account in range(int(firm["accounts"])):
            holders[key_of(Scope.ACCOUNT, account, -1)] = state.accounts[account]
        for symbol in range(int(firm["symbols"])):
            holders[key_of(Scope.SYMBOL, -1, symbol)] = state.instruments[symbol]
        for key, holder in holders.items():
            assert int(holder["trading_state"]) == self.states.get(key, 0), key
        assert set(state.overrides["number"].tolist()) - {0} == set(self.overrides)


def _limit_records(state: State) -> Iterator[tuple[Key, Any]]:
    accounts, symbols = int(state.firm[0]["accounts"]), int(state.firm[0]["symbols"])
    yield key_of(Scope.FIRM, -1, -1), state.firm_limits[0]
    for account in range(accounts):
        yield key_of(Scope.ACCOUNT, account, -1), state.account_limits[account]
        for symbol in range(symbols):
            at = symbol * len(state.accounts) + account
            yield key_of(Scope.ACCOUNT_SYMBOL, account, symbol), state.account_symbol_limits[at]
    for symbol in range(symbols):
        yield key_of(Scope.SYMBOL, -1, symbol), state.symbol_limits[symbol]
