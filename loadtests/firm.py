"""An engine to measure: accounts and symbols with every limit set in every scope, and flows of orders."""

import itertools
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.commands.administration import set_account, transfer_cash
from app.commands.orders import cancel_all
from app.commands.records import command, dtype_of
from app.engine.engine import Engine
from app.engine.records import COMMAND
from app.engine.types import (
    CommandKind,
    EventKind,
    InstrumentStatus,
    Limit,
    Liquidity,
    OrderType,
    ReportKind,
    Scope,
    Side,
    TimeInForce,
)

Records = NDArray[np.void]
Ids = NDArray[np.int64]

ACCOUNTS = 64
SYMBOLS = 64
MARK = 10_000  # ticks, of every symbol
FIRST_TS = 1_750_000_000_000_000
QUANTITY_MAX = 100  # steps, of one order of a flow
RESTING_SHARE = 0.5

_HOUR_US = 3_600_000_000
_CASH = 10**16
# Wide enough that no order of a flow is refused: each check is made, none ends it early. They are
# set in every scope that may carry them.
LIMITS = {
    Limit.MAX_ORDER_QUANTITY: 10**12,
    Limit.MAX_ORDER_NOTIONAL: 10**15,
    Limit.MAX_OPEN_ORDERS: 10**9,
    Limit.MAX_POSITION: 10**17,
    Limit.MAX_GROSS_EXPOSURE: 10**18,
    Limit.ORDER_RATE: 10**9,
    Limit.PRICE_COLLAR_BPS: 1_000,
    Limit.MAX_MARK_AGE: 24 * _HOUR_US,
    Limit.MAX_PORTFOLIO_VAR: 10**18,
    Limit.MAX_CORRELATED_EXPOSURE: 10**18,
    Limit.CANCEL_RATE: 10**9,
    Limit.MAX_REPEATED_ORDERS: 10**9,
    Limit.PRICE_MOVE_BPS: 1_000,
    Limit.MAX_NET_EXPOSURE: 10**18,
    Limit.MAX_LEVERAGE: 10**5,
    Limit.MAX_DAILY_NOTIONAL: 10**18,
    Limit.DAILY_LOSS: 10**17,
    Limit.MAX_DRAWDOWN: 10**17,
    Limit.MAX_ORDER_TO_TRADE_RATIO: 10**9,
    Limit.VENUE_REJECTIONS: 10**9,
    Limit.MARK_HALT_AGE: 25 * _HOUR_US,
    Limit.MAINTENANCE_LEVERAGE: 10**5,
}
# What an account in one symbol may carry; what another scope may not carry is refused there.
_OF_PAIRS = (
    Limit.MAX_ORDER_QUANTITY,
    Limit.MAX_ORDER_NOTIONAL,
    Limit.MAX_OPEN_ORDERS,
    Limit.MAX_POSITION,
    Limit.PRICE_COLLAR_BPS,
    Limit.PRICE_MOVE_BPS,
    Limit.MAX_MARK_AGE,
)
_SAMPLES = 40  # more than a covariance needs


class Firm:
    """An engine with 64 accounts, 64 symbols and all limits, that numbers and times its commands.

    Every command takes one microsecond of its clock. Marks have been sampled often enough for
    value at risk to be measured.
    """

    def __init__(self, engine: Engine | None = None, seed: int = 1, first_ts: int = FIRST_TS) -> None:
        self._first_ts = first_ts
        self.engine = engine or Engine()
        self.random = np.random.default_rng(seed)
        self.seq = 0
        self._execution_id = 0
        self._client_number = 0
        self._offsets = np.arange(1 << 16, dtype=np.int64)
        self._paused_us = 0
        self.apply(commands_of(_reference_data()))
        self.set_limits(LIMITS)
        for _ in range(_SAMPLES):
            self.set_marks(self.random.integers(-20, 20, SYMBOLS))
            self.sample_marks()
        self.set_marks()

    def stamp(self, commands: Records) -> Records:
        first = self.seq + 1
        commands["seq"] = self._offsets[: len(commands)] + first
        commands["ts"] = commands["seq"] + (self._first_ts + self._paused_us)
        self.seq += len(commands)
        return commands

    @property
    def now(self) -> int:
        """When the next command comes."""
        return self._first_ts + self._paused_us + self.seq + 1

    def apply(self, commands: Records) -> Records:
        """Stamp and apply; the events are valid until the next call."""
        return self.engine.process(self.stamp(commands))

    def sample_marks(self) -> None:
        """A second passes, and marks are sampled."""
        self._paused_us += 1_000_000
        self.apply(_commands(1, CommandKind.SAMPLE_MARKS))

    def set_marks(self, distance: NDArray[np.int64] | int = 0) -> None:
        """Set the marks this many ticks away from their usual place."""
        commands = _commands(SYMBOLS, CommandKind.UPDATE_MARK)
        commands["symbol"] = np.arange(SYMBOLS)
        commands["price"] = MARK + distance
        self.apply(commands)

    def set_limits(self, limits: Iterable[Limit], *, remove: bool = False) -> None:
        commands = commands_of(_limit_commands(limits, remove=remove))
        for first in range(0, len(commands), len(self._offsets)):
            self.apply(commands[first : first + len(self._offsets)])

    def orders(self, count: int, *, distance: tuple[int, int] = (10, 400)) -> Records:
        """PLACE_ORDER of limit orders that rest: this many ticks away from the mark, on their own side."""
        random = self.random
        commands = _commands(count, CommandKind.PLACE_ORDER)
        commands["account"] = random.integers(0, ACCOUNTS, count)
        commands["symbol"] = random.integers(0, SYMBOLS, count)
        side = random.integers(0, 2, count)
        away = random.integers(*distance, count)
        commands["side"] = side
        commands["type"] = OrderType.LIMIT
        commands["price"] = np.where(side == Side.BUY, MARK - away, MARK + away)
        commands["quantity"] = random.integers(1, QUANTITY_MAX, count)
        numbers = np.arange(self._client_number + 1, self._client_number + 1 + count)
        commands["client_order_id"][:, 0] = 0x2D72_6564_726F  # "order-", then a number
        commands["client_order_id"][:, 1] = numbers
        self._client_number += count
        return commands

    def orders_that_trade(self, count: int) -> Records:
        """PLACE_ORDER of IOC limit orders that reach ten ticks beyond the mark."""
        commands = self.orders(count, distance=(-10, -9))
        commands["time_in_force"] = TimeInForce.IOC
        return commands

    def reports(self, routed: Records, kinds: NDArray[Any] | ReportKind) -> Records:
        """EXECUTION_REPORTs to route events; a TRADE fills the whole order at its price."""
        reports = _commands(len(routed), CommandKind.EXECUTION_REPORT)
        reports["report"] = kinds
        for name in ("account", "symbol", "order_id"):
            reports[name] = routed[name]
        trades = reports["report"] == ReportKind.TRADE
        reports["price"] = np.where(trades, routed["price"], 0)
        reports["quantity"] = np.where(trades, routed["quantity"], 0)
        reports["liquidity"] = trades * Liquidity.TAKER
        reports["fee"] = trades * 7
        reports["execution_id"] = np.where(trades, self._execution_id + np.cumsum(trades), 0)
        self._execution_id += int(trades.sum())
        return reports.view(COMMAND)

    def cancels(self, order_ids: Ids) -> Records:
        commands = _commands(len(order_ids), CommandKind.CANCEL_ORDER)
        commands["order_id"] = order_ids
        return commands

    def cancel_everything(self) -> None:
        """Cancel what is open, with the venue's reports."""
        events = self.apply(commands_of([cancel_all(None, None, actor=0)]))
        routed = events[events["kind"] == EventKind.CANCEL_REQUESTED].copy()
        for first in range(0, len(routed), len(self._offsets)):
            self.apply(self.reports(routed[first : first + len(self._offsets)], ReportKind.CANCELED))


def commands_of(records: Iterable[bytes]) -> Records:
    """Commands that were packed one by one."""
    return np.frombuffer(bytearray().join(records), COMMAND)


def _commands(count: int, kind: CommandKind) -> Records:
    """This many commands of a kind, to be filled in column by column."""
    return np.frombuffer(bytearray(command(kind) * count), dtype_of(kind))


def _reference_data() -> Iterator[bytes]:
    for symbol in range(SYMBOLS):
        yield command(
            CommandKind.SET_INSTRUMENT,
            symbol=symbol,
            status=InstrumentStatus.TRADING,
            name=f"B{symbol:02}-USDT".encode(),
            base=b"BASE",
            quote=b"USDT",
            price_tick_e12=10**10,
            quantity_step_e8=10**4,
            min_quantity=1,
            max_quantity=10**9,
            min_notional=1,
            maker_fee_ppm=200,
            taker_fee_ppm=500,
        )
    for account in range(ACCOUNTS):
        yield from set_account(account, f"account-{account:02}", leverage=10, actor=0)
        yield from transfer_cash(account, _CASH, actor=0)


def _limit_commands(limits: Iterable[Limit], *, remove: bool) -> Iterator[bytes]:
    """Set, or remove, limits in every scope that may carry them."""
    everywhere = [(Scope.FIRM, -1, -1)]
    everywhere += [(Scope.ACCOUNT, account, -1) for account in range(ACCOUNTS)]
    everywhere += [(Scope.SYMBOL, -1, symbol) for symbol in range(SYMBOLS)]
    everywhere += [
        (Scope.ACCOUNT_SYMBOL, *pair) for pair in itertools.product(range(ACCOUNTS), range(SYMBOLS))
    ]
    for scope, account, symbol in everywhere:
        for limit in limits:
            if scope != Scope.ACCOUNT_SYMBOL or limit in _OF_PAIRS:
                yield command(
                    CommandKind.SET_LIMIT,
                    scope=scope,
                    account=account,
                    symbol=symbol,
                    code=limit,
                    value=LIMITS[limit],
                    state=not remove,
                )
