"""Random commands of clients and market, and of operators, drawn in batches from one seeded generator."""

import numpy as np
from numpy.typing import NDArray

from app.engine.records import COMMAND, REPORT_COMMAND
from app.engine.types import (
    CommandKind,
    Fault,
    OrderFlag,
    OrderType,
    ReportKind,
    TimeInForce,
)
from app.market.types import LEVEL_UPDATE, LevelKind
from tests.models.simulation_rules import RuleBook
from tests.simulation.operators import ACCOUNTS, START_PRICE, SYMBOLS, Operators

Records = NDArray[np.void]

_KINDS = {
    CommandKind.PLACE_ORDER: 0.625,
    CommandKind.CANCEL_ORDER: 0.13,
    CommandKind.AMEND_ORDER: 0.11,
    CommandKind.UPDATE_MARK: 0.04,
    CommandKind.EXECUTION_REPORT: 0.02,
    CommandKind.ADVANCE_TIME: 0.012,
    CommandKind.SET_LIMIT: 0.012,
    CommandKind.TRANSFER_CASH: 0.005,
    CommandKind.SET_TRADING_STATE: 0.006,
    CommandKind.SET_PERMISSION: 0.002,
    CommandKind.SET_POLICY: 0.003,
    CommandKind.SET_OVERRIDE: 0.004,
    CommandKind.END_OVERRIDE: 0.001,
    CommandKind.PROPOSE_LIMIT: 0.004,
    CommandKind.APPROVE_CHANGE: 0.006,
    CommandKind.REJECT_CHANGE: 0.001,
    CommandKind.SET_RISK_MODEL: 0.001,
    CommandKind.SET_INSTRUMENT: 0.002,
    CommandKind.SET_ACCOUNT: 0.002,
    CommandKind.CANCEL_ALL: 0.002,
    CommandKind.NOTE: 0.001,
    CommandKind.SAMPLE_MARKS: 0.004,
    CommandKind.CLOSE_POSITION: 0.005,
    CommandKind.SETTLE_SYMBOL: 0.002,
}
_STOPS = (OrderType.STOP, OrderType.STOP_LIMIT, OrderType.TAKE_PROFIT, OrderType.TAKE_PROFIT_LIMIT)
_UNPRICED = (OrderType.MARKET, OrderType.STOP, OrderType.TAKE_PROFIT)


class Traffic:
    def __init__(self, seed: int) -> None:
        self.random = np.random.default_rng(seed)
        self.middle = np.full(SYMBOLS, START_PRICE, np.int64)
        self.names = 0
        self.operators = Operators(self.random)

    def levels(self) -> Records:
        """The displayed book of one symbol has moved a little; sometimes a new picture of it."""
        random = self.random
        symbol = int(random.integers(SYMBOLS))
        self.middle[symbol] = np.clip(self.middle[symbol] + random.integers(-4, 5), 800, 1_250)
        rows = np.zeros(int(random.integers(1, 9)), LEVEL_UPDATE)
        rows["symbol"] = symbol
        rows["side"] = random.integers(0, 2, len(rows))
        away = random.integers(0, 12, len(rows))
        rows["price"] = self.middle[symbol] + np.where(rows["side"] == 0, -1 - away, 1 + away)
        rows["quantity"] = random.integers(0, 150, len(rows)) * (random.random(len(rows)) < 0.8)
        if random.random() < 0.03:
            rows["kind"][0] = LevelKind.CLEAR
        return rows

    def commands(
        self,
        count: int,
        open_ids: list[int],
        fills: list[tuple[int, int, int, int]],
        rules: RuleBook,
        now: int,
    ) -> Records:
        """So many commands, all kinds of them. `fills`: (order, execution, price, quantity) to repeat."""
        random = self.random
        commands = np.zeros(count, COMMAND)
        commands["kind"] = random.choice(list(_KINDS), count, p=list(_KINDS.values()))
        commands["account"] = random.integers(0, ACCOUNTS, count)
        commands["symbol"] = random.integers(0, SYMBOLS, count)
        strange = random.random(count) < 0.004
        commands["account"][strange] = random.choice([-1, ACCOUNTS, 2**31 - 1], int(strange.sum()))
        strange = random.random(count) < 0.004
        commands["symbol"][strange] = random.choice([-1, SYMBOLS, 2**31 - 1], int(strange.sum()))
        self._orders(commands, now)
        self._requests(commands, open_ids)
        self._market(commands)
        self._reports(commands, open_ids, fills)
        self.operators.fill(commands, rules, now)
        return commands

    def _rows(self, commands: Records, kind: CommandKind) -> NDArray[np.int64]:
        return np.flatnonzero(commands["kind"] == kind)

    def _near(self, commands: Records, spread: float) -> NDArray[np.int64]:
        away = np.rint(self.random.normal(0, spread, len(commands))).astype(np.int64)
        prices: NDArray[np.int64] = np.maximum(self.middle[commands["symbol"] % SYMBOLS] + away, 1)
        return prices

    def _orders(self, commands: Records, now: int) -> None:
        random = self.random
        rows = self._rows(commands, CommandKind.PLACE_ORDER)
        part, count = commands[rows], len(rows)
        part["side"] = random.integers(0, 2, count)
        part["type"] = random.choice(list(OrderType), count, p=[0.1, 0.7, 0.05, 0.05, 0.05, 0.05])
        part["time_in_force"] = random.choice(list(TimeInForce), count, p=[0.7, 0.1, 0.1, 0.1])
        part["price"] = np.where(np.isin(part["type"], _UNPRICED), 0, self._near(part, 12))
        stops = np.isin(part["type"], _STOPS)
        rises = np.isin(part["type"], (OrderType.STOP, OrderType.STOP_LIMIT)) == (part["side"] == 0)
        distance = random.integers(1, 40, count) * np.where(rises, 1, -1)
        part["stop_price"] = np.where(stops, self.middle[part["symbol"] % SYMBOLS] + distance, 0)
        part["quantity"] = random.integers(1, 120, count)
        odd = random.random(count) < 0.01
        part["quantity"][odd] = random.choice([0, -1, 10**4, 10**4 + 1, 2**63 - 1], int(odd.sum()))
        part["flags"] = random.choice(
            [0, OrderFlag.POST_ONLY, OrderFlag.REDUCE_ONLY, 3], count, p=[0.8, 0.1, 0.09, 0.01]
        )
        part["self_trade_prevention"] = random.integers(0, 4, count)
        expires = part["time_in_force"] == TimeInForce.GTD
        part["expire_ts"] = np.where(expires, now + random.integers(0, 4_000_000, count), 0)
        part["client_order_id"][:, 0] = np.where(
            random.random(count) < 0.5, 0, self.names + np.arange(count) + 1
        )
        again = (part["client_order_id"][:, 0] != 0) & (random.random(count) < 0.05)
        part["client_order_id"][again, 0] = random.integers(1, self.names + 2, int(again.sum()))
        self.names += count
        if count > 1 and random.random() < 0.5:
            part[-1] = part[0]  # the very same request again
        if count > 8 and random.random() < 0.15:
            part[-6:-1] = part[0]  # a client that has run wild
            part["client_order_id"][-6:-1] = 0
        commands[rows] = part

    def _requests(self, commands: Records, open_ids: list[int]) -> None:
        random = self.random
        rows = np.flatnonzero(np.isin(commands["kind"], (CommandKind.CANCEL_ORDER, CommandKind.AMEND_ORDER)))
        part, count = commands[rows], len(rows)
        if open_ids:
            # Mostly among the newest ones, so that requests to one order meet in a batch.
            part["order_id"] = random.choice(open_ids[-400:], count)
        odd = random.random(count) < 0.03
        part["order_id"][odd] = random.choice([0, -1, 77, 2**62], int(odd.sum()))
        amends = part["kind"] == CommandKind.AMEND_ORDER
        part["price"] = np.where(amends & (random.random(count) < 0.5), self._near(part, 12), 0)
        part["quantity"] = np.where(amends & (random.random(count) < 0.6), random.integers(1, 150, count), 0)
        moved = amends & (random.random(count) < 0.15)
        part["stop_price"] = np.where(moved, self._near(part, 12), 0)
        part["fault"] = np.where(amends & (random.random(count) < 0.01), Fault.QUANTITY_ZERO, 0)
        commands[rows] = part
        rows = self._rows(commands, CommandKind.CLOSE_POSITION)
        commands["flags"][rows] = random.integers(0, 2, len(rows))
        named = random.random(len(rows)) < 0.3
        commands["client_order_id"][rows, 0] = np.where(named, random.integers(1, 40, len(rows)), 0)
        rows = self._rows(commands, CommandKind.CANCEL_ALL)
        commands["scope"][rows] = random.choice([0, 1, 2, 3, 4, 4, 4, 9], len(rows))

    def _market(self, commands: Records) -> None:
        rows = self._rows(commands, CommandKind.UPDATE_MARK)
        commands["price"][rows] = self._near(commands[rows], 6)
        odd = rows[self.random.random(len(rows)) < 0.02]
        commands["price"][odd] = self.random.choice([0, -1, 2**62], len(odd))

    def _reports(
        self, commands: Records, open_ids: list[int], fills: list[tuple[int, int, int, int]]
    ) -> None:
        """What a venue must not say: executions again, and more than an order has."""
        random = self.random
        reports = commands.view(REPORT_COMMAND)
        for row in self._rows(commands, CommandKind.EXECUTION_REPORT):
            reports["report"][row] = ReportKind.TRADE
            reports["price"][row], reports["quantity"][row] = 1_000, 2**40
            reports["execution_id"][row] = 2**50 + int(random.integers(2**40))
            if open_ids:
                reports["order_id"][row] = open_ids[int(random.integers(len(open_ids)))]
            if fills and random.random() < 0.6:
                fill = fills[-1 - int(random.integers(min(len(fills), 500)))]
                for name, value in zip(("order_id", "execution_id", "price", "quantity"), fill, strict=True):
                    reports[name][row] = value
