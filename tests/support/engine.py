"""Commands for the tests of the engine, its events as tuples, and an engine ready to trade.

Money is 1e-8 of the quote currency: 10**8 is one USDT. The instruments here
have a multiplier of 1 (money of one tick x one step) unless told otherwise, so
that figures in tests can be done in the head.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import cache
from typing import Any, TypeVar, cast

import numba
import numpy as np
from numpy.typing import NDArray

from app.commands.records import command as packed
from app.commands.records import dtype_of
from app.engine.capacity import SLOT_BITS, SMALL_CAPACITY, Capacity
from app.engine.engine import Engine
from app.engine.records import COMMAND
from app.engine.state import RISK_MODEL_DEFAULTS
from app.engine.types import (
    CommandKind,
    InstrumentStatus,
    Limit,
    Liquidity,
    OrderType,
    ReportKind,
    Scope,
    Side,
    StateFlag,
    TimeInForce,
)
from app.runtime.event_views import View, event_as
from app.runtime.views import EventView, event_views, field_names

Records = NDArray[np.void]
F = TypeVar("F", bound=Callable[..., Any])

FIRST_TS = 1_700_000_000_000_000
BUY, SELL = Side.BUY, Side.SELL


@dataclass(frozen=True, slots=True)
class Command:
    """The fields of all kinds of command; `pack` writes those that the kind has."""

    kind: int
    account: int = -1
    symbol: int = -1
    seq: int = 0
    ts: int = 0
    side: int = 0
    type: int = 0
    time_in_force: int = 0
    flags: int = 0
    self_trade_prevention: int = 0
    fault: int = 0
    order_id: int = 0
    price: int = 0
    stop_price: int = 0
    quantity: int = 0
    expire_ts: int = 0
    client_order_id: bytes = b""
    code: int = 0
    scope: int = 0
    state: int = 0
    notes: int = 0
    actor: int = 0
    expires_ts: int = 0
    expected_version: int = 0
    number: int = 0
    remaining: int = 0
    length: int = 0
    text: bytes = b""
    report: int = 0
    execution_id: int = 0
    fee: int = 0
    liquidity: int = 0
    value: int = 0
    name: bytes = b""
    base: bytes = b"BASE"
    quote: bytes = b"USDT"
    price_tick_e12: int = 0
    quantity_step_e8: int = 0
    min_quantity: int = 0
    max_quantity: int = 0
    min_notional: int = 0
    maker_fee_ppm: int = 0
    taker_fee_ppm: int = 0
    mark_spread_max_bps: int = 0
    more: int = 0
    leverage: int = 0
    status: int = 0
    half_life: int = 0
    interval_us: int = 0
    horizon_us: int = 0
    z_e9: int = 0
    correlation_threshold_ppm: int = 0
    mark_age_us_max: int = 0
    samples_min: int = 0


def words(text: bytes, size: int) -> NDArray[np.uint64]:
    """Text as the engine stores it: 64-bit words, padded with NUL."""
    return np.frombuffer(text.ljust(size, b"\0"), np.uint64)


@cache
def _fields_of(kind: int) -> tuple[str, ...]:
    return tuple(name for name in field_names(dtype_of(kind)) if name != "kind")


def pack(commands: Iterable[Command]) -> Records:
    """COMMAND records of these commands."""
    records = bytearray()
    for command in commands:
        fields = {name: getattr(command, name) for name in _fields_of(command.kind)}
        records += packed(command.kind, **fields)
    return np.frombuffer(records, COMMAND)


# --- Builders. `more` are fields of `Command`.


def place(account: int, symbol: int, side: int, quantity: int, price: int = 0, **more: Any) -> Command:
    """A new order: LIMIT where it has a price, MARKET where not, unless `type` says otherwise."""
    more.setdefault("type", OrderType.LIMIT if price else OrderType.MARKET)
    return Command(
        CommandKind.PLACE_ORDER, account, symbol, side=side, quantity=quantity, price=price, **more
    )


def cancel(order_id: int) -> Command:
    return Command(CommandKind.CANCEL_ORDER, order_id=order_id)


def amend(order_id: int, price: int = 0, quantity: int = 0, fault: int = 0, stop_price: int = 0) -> Command:
    fields: dict[str, Any] = {"price": price, "quantity": quantity, "fault": fault, "stop_price": stop_price}
    return Command(CommandKind.AMEND_ORDER, order_id=order_id, **fields)


def close_position(account: int, symbol: int, cancel_open: bool = False, **more: Any) -> Command:
    flags = int(StateFlag.CANCEL_OPEN) if cancel_open else 0
    return Command(CommandKind.CLOSE_POSITION, account, symbol, flags=flags, **more)


def cancel_all(scope: int, account: int = -1, symbol: int = -1) -> Command:
    return Command(CommandKind.CANCEL_ALL, account, symbol, scope=scope)


def report(kind: int, order_id: int, **more: Any) -> Command:
    return Command(CommandKind.EXECUTION_REPORT, report=kind, order_id=order_id, **more)


def trade(order_id: int, execution_id: int, quantity: int, price: int, fee: int = 0) -> Command:
    return report(
        ReportKind.TRADE,
        order_id,
        execution_id=execution_id,
        quantity=quantity,
        price=price,
        fee=fee,
        liquidity=Liquidity.TAKER,
    )


def mark(symbol: int, price: int) -> Command:
    return Command(CommandKind.UPDATE_MARK, symbol=symbol, price=price)


def sample_marks() -> Command:
    return Command(CommandKind.SAMPLE_MARKS)


def risk_model(**changes: int) -> Command:
    """All parameters: the defaults but for `changes`."""
    values: dict[str, Any] = RISK_MODEL_DEFAULTS | changes
    return Command(CommandKind.SET_RISK_MODEL, **values)


def advance() -> Command:
    return Command(CommandKind.ADVANCE_TIME)


def transfer(account: int, value: int) -> Command:
    return Command(CommandKind.TRANSFER_CASH, account, value=value)


def settle(symbol: int, price: int, **more: Any) -> Command:
    return Command(CommandKind.SETTLE_SYMBOL, symbol=symbol, value=price, **more)


def limit(
    which: int, value: int, scope: int = Scope.FIRM, account: int = -1, symbol: int = -1, state: int = 1
) -> Command:
    """Set a limit, or remove it with `state` 0."""
    return Command(CommandKind.SET_LIMIT, account, symbol, code=which, value=value, scope=scope, state=state)


def note(text: bytes, actor: int = 0) -> Command:
    """One chunk of a text."""
    return Command(CommandKind.NOTE, text=text, length=len(text), actor=actor)


def override(
    which: int, value: int, expires_ts: int, scope: int, account: int = -1, symbol: int = -1, **more: Any
) -> Command:
    """Let another value of a limit apply for a while."""
    fields: dict[str, Any] = {"code": which, "value": value, "scope": scope, "state": 1} | more
    return Command(CommandKind.SET_OVERRIDE, account, symbol, expires_ts=expires_ts, **fields)


def proposal(which: int, value: int, scope: int, account: int = -1, symbol: int = -1, **more: Any) -> Command:
    """Ask for a limit that another person must approve."""
    fields: dict[str, Any] = {"code": which, "value": value, "scope": scope, "state": 1} | more
    return Command(CommandKind.PROPOSE_LIMIT, account, symbol, **fields)


def decision(kind: CommandKind, number: int, actor: int = 0) -> Command:
    """APPROVE_CHANGE, REJECT_CHANGE or END_OVERRIDE."""
    return Command(kind, number=number, actor=actor)


def policy(which: int, value: int) -> Command:
    return Command(CommandKind.SET_POLICY, code=which, value=value)


def trading_state(state: int, scope: int = Scope.FIRM, account: int = -1, symbol: int = -1) -> Command:
    return Command(CommandKind.SET_TRADING_STATE, account, symbol, state=state, scope=scope)


def instrument(symbol: int, **more: Any) -> Command:
    """An instrument of multiplier 1: tick 1e-8 USDT, step 1."""
    defaults: dict[str, Any] = {
        "name": f"S{symbol}-USDT".encode(),
        "price_tick_e12": 10**4,
        "quantity_step_e8": 10**8,
        "min_quantity": 1,
        "max_quantity": 10**6,
        "status": InstrumentStatus.TRADING,
        "maker_fee_ppm": 100,
        "taker_fee_ppm": 500,
    }
    return Command(CommandKind.SET_INSTRUMENT, symbol=symbol, **(defaults | more))


def account(index: int, leverage: int = 10, name: bytes = b"") -> Command:
    return Command(
        CommandKind.SET_ACCOUNT, index, leverage=leverage, name=name or f"account-{index}".encode()
    )


def market(accounts: int = 2, symbols: int = 1, price: int = 1_000, cash: int = 10**12) -> list[Command]:
    """Instruments with a mark, and accounts with money and a limit that refuses nothing."""
    commands = [instrument(symbol) for symbol in range(symbols)]
    commands += [mark(symbol, price) for symbol in range(symbols)]
    for index in range(accounts):
        commands.append(account(index))
        commands.append(limit(Limit.MAX_OPEN_ORDERS, 10**9, Scope.ACCOUNT, index))
        commands.append(transfer(index, cash))
    return commands


class Desk:
    """An engine with a clock of its own: takes commands, gives events as tuples."""

    def __init__(self, capacity: Capacity = SMALL_CAPACITY) -> None:
        self.engine = Engine(capacity)
        self.seq = 0
        self.ts = FIRST_TS
        self.log: list[Command] = []

    def stamp(self, commands: Iterable[Command]) -> list[Command]:
        """Give commands their numbers; all get the time that it is."""
        stamped = []
        for command in commands:
            self.seq += 1
            stamped.append(replace(command, seq=self.seq, ts=self.ts))
        self.log += stamped
        return stamped

    def send(self, *commands: Command) -> list[EventView]:
        return events_of(self.engine.process(pack(self.stamp(commands))))

    def one(self, command: Command) -> EventView:
        """Send a command that leaves exactly one event."""
        (event,) = self.send(command)
        return event

    def one_as(self, view: type[View], command: Command) -> View:
        """As `one`, by the names of the event's kind."""
        return event_as(view, self.one(command))

    def order(self, order_id: int) -> dict[str, Any]:
        """The fields of an order's record."""
        record = self.engine.state.orders[order_id & ((1 << SLOT_BITS) - 1)]
        assert record["order_id"] == order_id
        return {name: record[name].item() for name in record.dtype.names if not record[name].shape}

    def position(self, account: int, symbol: int) -> dict[str, int]:
        state = self.engine.state
        record = state.positions[symbol * len(state.accounts) + account]
        return {name: int(record[name]) for name in record.dtype.names if not record[name].shape}

    def account(self, index: int) -> dict[str, Any]:
        record = self.engine.state.accounts[index]
        return {name: record[name].item() for name in record.dtype.names if not record[name].shape}

    def equity(self, index: int) -> int:
        record = self.account(index)
        return int(record["cash"] + record["position_value"])


def desk(
    accounts: int = 2,
    symbols: int = 1,
    price: int = 1_000,
    cash: int = 10**12,
    capacity: Capacity = SMALL_CAPACITY,
) -> Desk:
    """A desk whose engine is ready to trade (see `market`)."""
    made = Desk(capacity)
    made.send(*market(accounts, symbols, price, cash))
    return made


def working(made: Desk, command: Command) -> int:
    """Place an order and let the venue acknowledge it; its id."""
    order_id = made.one(command).order_id
    made.one(report(ReportKind.NEW, order_id))
    return order_id


def bought(made: Desk, quantity: int, price: int, account: int = 0, symbol: int = 0) -> None:
    """Let an account hold a position, bought (or, of a negative quantity, sold) at a price."""
    side = BUY if quantity > 0 else SELL
    order = made.one(place(account, symbol, side, abs(quantity), price, time_in_force=TimeInForce.IOC))
    made.send(trade(order.order_id, 10**12 + made.seq, abs(quantity), price))


def for_python(function: F) -> F:
    """A function that kernels call, made callable from here: `inline` makes no entry for Python."""
    return cast(F, numba.njit(error_model="numpy")(function.py_func))  # type: ignore[attr-defined]


def events_of(records: Records) -> list[EventView]:
    return list(event_views(records.tobytes()))
