"""Random changes of limits, overrides, approvals and policies for `tests.support.engine_commands`."""

from dataclasses import replace
from random import Random

from app.engine.types import CommandKind, Limit, Policy, Scope
from tests.models.engine import EngineTwin
from tests.models.engine_limit_model import limit_key
from tests.models.engine_reference import PLACES
from tests.support import engine as build
from tests.support.engine import Command

ACCOUNTS, SYMBOLS = 3, 2
_LIMITS_MANY = 8  # beyond them hardly an order would pass
# By limit: values that sometimes bind.
_VALUES = {
    Limit.MAX_ORDER_QUANTITY: (50, 400),
    Limit.MAX_ORDER_NOTIONAL: (2_000, 100_000),
    Limit.MAX_OPEN_ORDERS: (2, 12),
    Limit.MAX_POSITION: (50, 800),
    Limit.MAX_GROSS_EXPOSURE: (1_000, 200_000),
    Limit.ORDER_RATE: (0, 5),
    Limit.PRICE_COLLAR_BPS: (100, 2_500),
    Limit.MAX_MARK_AGE: (0, 3_000_000),
    Limit.MAX_PORTFOLIO_VAR: (1_000, 200_000),
    Limit.MAX_CORRELATED_EXPOSURE: (1_000, 200_000),
    Limit.CANCEL_RATE: (0, 3),
    Limit.MAX_REPEATED_ORDERS: (1, 3),
    Limit.PRICE_MOVE_BPS: (100, 2_500),
    Limit.MAX_NET_EXPOSURE: (1_000, 200_000),
    Limit.MAX_LEVERAGE: (5, 2_000),
    Limit.MAX_DAILY_NOTIONAL: (5_000, 200_000),
    Limit.DAILY_LOSS: (10, 5_000),
    Limit.MAX_DRAWDOWN: (10, 20_000),
    Limit.MAX_ORDER_TO_TRADE_RATIO: (1, 4),
    Limit.VENUE_REJECTIONS: (1, 3),
    Limit.MARK_HALT_AGE: (2_000_000, 20_000_000),
    Limit.MAINTENANCE_LEVERAGE: (5, 4_000),
}
# What may not be above another one of the same scope.
_BELOW = {
    int(Limit.MAX_POSITION): Limit.MAX_ORDER_QUANTITY,
    int(Limit.MAX_GROSS_EXPOSURE): Limit.MAX_NET_EXPOSURE,
    int(Limit.MARK_HALT_AGE): Limit.MAX_MARK_AGE,
    int(Limit.MAINTENANCE_LEVERAGE): Limit.MAX_LEVERAGE,
}


class LimitStream:
    """Given what the twin knows of limits."""

    def __init__(self, random: Random, twin: EngineTwin) -> None:
        self.random = random
        self.twin = twin

    def rarely(self, chance: float = 0.04) -> bool:
        return self.random.random() < chance

    def account(self) -> int:
        return (
            self.random.choice([-1, ACCOUNTS, 2**31 - 1])
            if self.rarely(0.01)
            else self.random.randrange(ACCOUNTS)
        )

    def symbol(self) -> int:
        return self.random.choice([-1, SYMBOLS]) if self.rarely(0.01) else self.random.randrange(SYMBOLS)

    def limit(self) -> Command:
        often = (Limit.ORDER_RATE, Limit.ORDER_RATE, Limit.MAX_ORDER_NOTIONAL, Limit.DAILY_LOSS)
        which = self.random.choice([*Limit, *often, Limit.MAX_DRAWDOWN, Limit.MAINTENANCE_LEVERAGE])
        low, high = _VALUES[which]
        value = self.random.randint(low, high)
        if self.rarely():
            value = self.random.choice([-1, 0, 10**6, 10**6 + 1, 10**9, 10**9 + 1, 2**60, 2**60 + 1])
        scope = self.random.choice([*Scope, 9] if self.rarely(0.1) else sorted(PLACES[which]))
        state = int(self.rarely(0.35) or (scope, which) == (Scope.ACCOUNT, Limit.MAX_OPEN_ORDERS))
        code = 40 if self.rarely() else which
        made = build.limit(code, value, scope, self.account(), self.symbol(), state)
        there = [(code, *key) for key, limits in self.twin.books.limits.items() for code in sorted(limits)]
        if len(there) > ACCOUNTS + _LIMITS_MANY and self.random.random() < 0.6:
            gone, in_scope, account, symbol = self.random.choice(there)
            made = build.limit(gone, 0, in_scope, account, symbol, state=0)
        above = [row for row in there if row[0] in _BELOW]
        if above and self.rarely(0.15):
            larger, *key = self.random.choice(above)
            value = self.twin.books.limits[key[0], key[1], key[2]][larger] + self.random.choice([-1, 0, 1])
            made = build.limit(_BELOW[larger], value, key[0], key[1], key[2])
        actor = self.random.choice([0, 0, 1, 2])
        return replace(
            made, expected_version=self.version(made), actor=actor, remaining=int(self.rarely(0.2))
        )

    def version(self, made: Command) -> int:
        """What a change expects: mostly anything, else one more than the right one or another."""
        if not self.rarely(0.2):
            return 0
        key = limit_key(made.scope, made.account, made.symbol)
        return self.twin.books.limit_versions.get(key, 0) + self.random.choice([1, 1, 2])

    def administration(self) -> Command:
        """What needs numbers of what is there; few different limits, so that it meets."""
        random, books = self.random, self.twin.books
        actor = random.randrange(3)
        made = random.randrange(10)
        if made < 5:
            kind = CommandKind.SET_OVERRIDE if made < 2 else CommandKind.PROPOSE_LIMIT
            ends = books.ts + random.choice([-1, 0, 1, 300_000, 1_000_000, 3 * 10**12])
            if kind == CommandKind.PROPOSE_LIMIT and self.rarely(0.8):
                ends = 0
            which = random.choice([Limit.MAX_OPEN_ORDERS, Limit.MAX_ORDER_QUANTITY])
            value = random.randint(*_VALUES[which])
            where = (Scope.ACCOUNT, random.randrange(ACCOUNTS), -1)
            return replace(
                self.limit() if self.rarely(0.1) else build.limit(which, value, *where),
                kind=kind,
                expires_ts=ends,
                actor=actor,
                remaining=int(self.rarely(0.2)),
            )
        if made == 5:
            number = random.choice([0, *books.overrides])
            return build.decision(CommandKind.END_OVERRIDE, number, actor)
        if made < 9:
            pending = [change.request for change in books.changes.values() if change.status == 1]
            number = random.choice([0, *books.changes, *pending * 4])
            kind = random.choice([*[CommandKind.APPROVE_CHANGE] * 3, CommandKind.REJECT_CHANGE])
            return build.decision(kind, number, actor)
        if self.rarely(0.8):
            return build.policy(Policy.MAKER_CHECKER, random.choice([0, 1, 1, 2]))
        return build.policy(random.randrange(6), random.choice([-1, 0, 1, 10**6, 10**12, 2**62]))

    def set_policy(self) -> Command:
        """Each of them, mostly to values that let the rest go on."""
        values = {
            Policy.MAKER_CHECKER: [0, 1],
            Policy.CHANGE_LIFETIME_US: [0, 10**6, 86_400_000_000],
            Policy.COLLAR_WINDOW_US: [0, 10**6, 60_000_000],
            Policy.REPEAT_WINDOW_US: [0, 10**5, 10**6],
            Policy.ORDER_TO_TRADE_FLOOR: [0, 3, 100],
            Policy.CANCEL_INCREASING: [0, 1, 1],
        }
        which = self.random.choice([*Policy, Policy.CANCEL_INCREASING])
        return build.policy(which, self.random.choice(values[which]))
