"""The firm of the simulation, and what its operators do: limits, overrides, approvals, states, parameters."""

import numpy as np
from numpy.typing import NDArray

from app.engine.records import VALUE_COMMAND
from app.engine.types import CommandKind, InstrumentStatus, Limit, Policy, Scope
from tests.models.engine_reference import PLACES
from tests.models.simulation_rules import RuleBook
from tests.support import engine as build

Records = NDArray[np.void]

ACCOUNTS, SYMBOLS = 5, 3
START_PRICE = 1_000
STEPS_E8 = (10**8, 10**9, 10**6)
_TICKS_E12 = (10**4, 5 * 10**4, 10**6)  # multipliers 1, 50, 1
MULTIPLIERS = [tick * step // 10**12 for tick, step in zip(_TICKS_E12, STEPS_E8, strict=True)]

_LIMITS_MANY = 6  # beyond them most orders would be refused
_PERSONS = 4  # 0 is the system
_SECOND_US = 1_000_000
_LIMITING = (CommandKind.SET_LIMIT, CommandKind.SET_OVERRIDE, CommandKind.PROPOSE_LIMIT)
# By limit: the range of values that are sometimes reached.
_VALUES = {
    Limit.MAX_ORDER_QUANTITY: (10**9, 10**12),
    Limit.MAX_ORDER_NOTIONAL: (10**4, 10**7),
    Limit.MAX_OPEN_ORDERS: (5, 400),
    Limit.MAX_POSITION: (10**9, 10**12),
    Limit.MAX_GROSS_EXPOSURE: (10**6, 10**9),
    Limit.ORDER_RATE: (50, 100_000),
    Limit.PRICE_COLLAR_BPS: (100, 20_000),
    Limit.MAX_MARK_AGE: (10**5, 10**8),
    Limit.MAX_PORTFOLIO_VAR: (10**6, 10**9),
    Limit.MAX_CORRELATED_EXPOSURE: (10**6, 10**9),
    Limit.CANCEL_RATE: (50, 100_000),
    Limit.MAX_REPEATED_ORDERS: (1, 4),
    Limit.PRICE_MOVE_BPS: (100, 20_000),
    Limit.MAX_NET_EXPOSURE: (10**6, 10**9),
    Limit.MAX_LEVERAGE: (20, 10**4),
    Limit.MAX_DAILY_NOTIONAL: (10**7, 10**11),
    Limit.DAILY_LOSS: (10**5, 10**8),
    Limit.MAX_DRAWDOWN: (10**6, 10**9),
    Limit.MAX_ORDER_TO_TRADE_RATIO: (2, 100),
    Limit.VENUE_REJECTIONS: (1, 5),
    Limit.MARK_HALT_AGE: (10**5, 10**7),
    Limit.MAINTENANCE_LEVERAGE: (100, 10**4),
}
_NEVER_WIDE = (Limit.MAX_REPEATED_ORDERS, Limit.VENUE_REJECTIONS, Limit.MARK_HALT_AGE, Limit.DAILY_LOSS)
_PLACES = {limit: sorted(PLACES[limit]) for limit in Limit}


def _instrument(symbol: int, status: int = InstrumentStatus.TRADING) -> build.Command:
    return build.instrument(
        symbol,
        price_tick_e12=_TICKS_E12[symbol],
        quantity_step_e8=STEPS_E8[symbol],
        min_notional=100,
        max_quantity=10**4,
        status=status,
        maker_fee_ppm=(-100, 200, 0)[symbol],
        taker_fee_ppm=(500, 700, 0)[symbol],
    )


def opening() -> Records:
    commands = [_instrument(symbol) for symbol in range(SYMBOLS)]
    commands += [build.mark(symbol, START_PRICE) for symbol in range(SYMBOLS)]
    for account in range(ACCOUNTS):
        commands.append(build.account(account, leverage=1 + 4 * account))
        commands.append(build.limit(Limit.MAX_OPEN_ORDERS, 300, Scope.ACCOUNT, account))
        commands.append(build.transfer(account, 10**8))
    return build.pack(commands)


class Operators:
    """Fills in what operators do among the commands of a batch."""

    def __init__(self, random: np.random.Generator) -> None:
        self.random = random

    def fill(self, commands: Records, rules: RuleBook, now: int) -> None:
        self._limits(commands, now)
        self._meet(commands, rules)
        self._decisions(commands, rules)
        self._states(commands, rules)
        self._reference(commands)
        self._requests_of_two(commands)

    def _rows(self, commands: Records, *kinds: CommandKind) -> NDArray[np.int64]:
        return np.flatnonzero(np.isin(commands["kind"], kinds))

    def _limits(self, commands: Records, now: int) -> None:
        random = self.random
        values = commands.view(VALUE_COMMAND)
        for row in self._rows(commands, *_LIMITING):
            record = values[row]
            which = Limit(int(random.integers(len(Limit))))
            anywhere = random.random() < 0.1
            scope = random.integers(1, 5) if anywhere else random.choice(_PLACES[which])
            low, high = np.log(_VALUES[which])
            record["value"], record["code"] = int(np.exp(random.uniform(low, high))), which
            record["scope"], record["actor"] = scope, random.integers(_PERSONS)
            overrides = record["kind"] == CommandKind.SET_OVERRIDE
            if random.random() < 0.5 and which not in _NEVER_WIDE:
                record["value"] *= 100  # wider, so that most orders pass
            kept = scope == Scope.ACCOUNT and which == Limit.MAX_OPEN_ORDERS  # without any it cannot trade
            record["state"] = kept or overrides or random.random() < 0.5
            if overrides or (record["kind"] == CommandKind.PROPOSE_LIMIT and random.random() < 0.2):
                later = [-1, 50_000, 200_000, 200_000, _SECOND_US, _SECOND_US, 10**11]
                record["expires_ts"] = now + int(random.choice(later))
            if random.random() < 0.05:
                record["expected_version"] = random.integers(1, 20)

    def _meet(self, commands: Records, rules: RuleBook) -> None:
        """Whoever removes a limit removes one that there is, with many of them all do; some tighten one."""
        there = [
            (*key, limit) for key, limits in rules.limits.items() for limit in limits
            if (key[0], limit) != (Scope.ACCOUNT, Limit.MAX_OPEN_ORDERS)
        ]  # fmt: skip
        values = commands.view(VALUE_COMMAND)
        for row in self._rows(commands, CommandKind.SET_LIMIT, CommandKind.PROPOSE_LIMIT):
            crowded = len(there) > _LIMITS_MANY and self.random.random() < 0.8
            if there and (crowded or not values["state"][row]):
                removed = there[int(self.random.integers(len(there)))]
                for name, part in zip(("scope", "account", "symbol", "code"), removed, strict=True):
                    values[name][row] = part
                values["state"][row] = 0
                values["expires_ts"][row] = 0
            elif there and self.random.random() < 0.2:
                scope, account, symbol, code = there[int(self.random.integers(len(there)))]
                values["scope"][row], values["account"][row], values["symbol"][row] = scope, account, symbol
                values["code"][row], values["state"][row] = code, 1
                values["value"][row] = max(rules.limits[scope, account, symbol][code] * 9 // 10, 1)

    def _requests_of_two(self, commands: Records) -> None:
        """Sometimes the next command is the second part of the same request."""
        values = commands.view(VALUE_COMMAND)
        for row in self._rows(commands, CommandKind.SET_LIMIT, CommandKind.PROPOSE_LIMIT):
            if row + 1 < len(commands) and self.random.random() < 0.3:
                values[row + 1] = values[row]
                values[row]["remaining"] = 1
                values[row]["code"] = self.random.integers(len(Limit))
                values[row]["state"] = 1

    def _decisions(self, commands: Records, rules: RuleBook) -> None:
        random = self.random
        values = commands.view(VALUE_COMMAND)
        for row in self._rows(commands, CommandKind.APPROVE_CHANGE, CommandKind.REJECT_CHANGE):
            known = list(rules.requests)[-6:]  # older ones may be over
            values["number"][row] = random.choice(known) if known and random.random() < 0.9 else 0
            values["actor"][row] = random.integers(_PERSONS)
        for row in self._rows(commands, CommandKind.END_OVERRIDE):
            known = list(rules.overrides)
            values["number"][row] = random.choice(known) if known and random.random() < 0.9 else 10**6
            values["actor"][row] = random.integers(_PERSONS)
        rows = self._rows(commands, CommandKind.SET_POLICY)
        values["code"][rows] = random.integers(0, 8, len(rows))
        values["value"][rows] = random.choice([0, 1, 100, 10**6, 10**8], len(rows))
        checked = rows[random.random(len(rows)) < 0.5]
        values["code"][checked] = Policy.MAKER_CHECKER
        values["value"][checked] = random.choice([0, 0, 1], len(checked))

    def _states(self, commands: Records, rules: RuleBook) -> None:
        random = self.random
        rows = self._rows(commands, CommandKind.SET_TRADING_STATE)
        commands["state"][rows] = random.choice([0, 1, 2, 7], len(rows), p=[0.85, 0.075, 0.06, 0.015])
        commands["scope"][rows] = random.integers(1, 4, len(rows))
        commands["flags"][rows] = random.random(len(rows)) < 0.1
        stopped = [key for key, state in rules.states.items() if state]
        for row in rows:
            if stopped and random.random() < 0.8:  # mostly somebody resumes
                scope, account, symbol = stopped[int(random.integers(len(stopped)))]
                record = commands[row]
                record["state"], record["scope"] = 0, scope
                record["account"], record["symbol"] = account, symbol
        rows = self._rows(commands, CommandKind.SET_PERMISSION)
        commands["state"][rows] = random.choice([0, 1, 2, 3], len(rows), p=[0.75, 0.15, 0.05, 0.05])

    def _reference(self, commands: Records) -> None:
        random = self.random
        values = commands.view(VALUE_COMMAND)
        rows = self._rows(commands, CommandKind.TRANSFER_CASH)
        values["value"][rows] = random.choice([-(10**6), 10**6, 10**7, -(2**63), 2**60], len(rows))
        for row in self._rows(commands, CommandKind.SET_INSTRUMENT):
            status = InstrumentStatus.TRADING if random.random() < 0.95 else random.integers(0, 5)
            commands[row : row + 1] = build.pack([_instrument(int(random.integers(SYMBOLS)), int(status))])
        for row in self._rows(commands, CommandKind.SETTLE_SYMBOL):
            self._settlement(commands, row)
        for row in self._rows(commands, CommandKind.SET_ACCOUNT):
            account = int(random.integers(ACCOUNTS + 1))
            wrong = b"" if account < ACCOUNTS and random.random() < 0.7 else b"someone else"
            leverage = 0 if account == ACCOUNTS else int(random.integers(0, 30))
            commands[row : row + 1] = build.pack([build.account(account, leverage, wrong)])
        for row in self._rows(commands, CommandKind.SET_RISK_MODEL):
            model = build.risk_model(
                half_life=int(random.choice([0, 1, 20, 600])),
                samples_min=int(random.choice([2, 5, 30])),
                horizon_us=int(random.choice([_SECOND_US, 86_400 * _SECOND_US])),
                correlation_threshold_ppm=int(random.choice([0, 300_000, 10**6, 10**6 + 1])),
            )
            commands[row : row + 1] = build.pack([model])

    def _settlement(self, commands: Records, row: int) -> None:
        """Mostly in the right order: halted, everything canceled, settled, and traded again."""
        symbol = int(commands["symbol"][row]) % SYMBOLS
        settle = build.Command(
            CommandKind.SETTLE_SYMBOL, symbol=symbol, value=int(self.random.integers(800, 1_200))
        )
        whole = [
            _instrument(symbol, InstrumentStatus.HALTED),
            build.cancel_all(Scope.SYMBOL, symbol=symbol),
            settle,
            _instrument(symbol),
        ]
        part = whole if row + len(whole) <= len(commands) and self.random.random() < 0.9 else [settle]
        commands[row : row + len(part)] = build.pack(part)
