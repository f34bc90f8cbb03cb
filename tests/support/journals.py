"""Journals to test with: a small deterministic engine, and the ticks it leaves."""

from collections.abc import Iterator
from pathlib import Path
from threading import Event
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.commands.administration import set_account, transfer_cash
from app.commands.limits import change_limits
from app.commands.records import command, dtype_of
from app.engine.capacity import SMALL_CAPACITY, Capacity
from app.engine.engine import Engine
from app.engine.records import COMMAND, EVENT
from app.engine.state import State, allocate
from app.engine.types import (
    CommandKind,
    EventKind,
    InstrumentStatus,
    Limit,
    Liquidity,
    OrderType,
    ReportKind,
    Side,
)
from app.runtime.journal import JournalWriter

Records = NDArray[np.void]


class SummingEngine:
    """Adds up prices: each event depends on all commands before it, whatever the batches.

    One to three events per command; writes orders and the client id table as the
    real engine does, so that snapshots have something to save.
    """

    def __init__(self, capacity: Capacity = SMALL_CAPACITY) -> None:
        self.state: State = allocate(capacity)

    def process(self, commands: Records) -> Records:
        firm = self.state.firm[0]
        sums = int(firm["exposure"]) + np.cumsum(commands["price"])
        slots = commands["seq"] % len(self.state.orders)
        orders = self.state.orders
        orders["order_id"][slots] = commands["order_id"]
        orders["price"][slots] = sums
        self.state.client_ids[slots * 2] = sums.astype(np.uint64)
        firm["orders_used"] = max(int(firm["orders_used"]), int(slots.max()) + 1)
        firm["exposure"] = sums[-1]
        firm["seq"], firm["ts"] = commands["seq"][-1], commands["ts"][-1]

        counts = 1 + commands["seq"] % 3
        events = np.zeros(int(counts.sum()), EVENT)
        cause = np.repeat(np.arange(len(commands)), counts)
        events["seq"] = commands["seq"][cause]
        events["kind"] = 1
        events["index"] = np.arange(len(events)) - (np.cumsum(counts) - counts)[cause]
        events["observed"] = sums[cause]
        return events


def commands_from(first_seq: int, count: int) -> Records:
    commands = np.zeros(count, COMMAND)
    commands["seq"] = np.arange(first_seq, first_seq + count)
    commands["ts"] = 1_700_000_000_000_000 + commands["seq"]
    commands["kind"] = 1
    commands["order_id"] = commands["seq"] << 21
    commands["price"] = commands["seq"] * 7 % 1_001
    return commands


def write_journal(
    folder: Path,
    ticks: list[int],
    engine: SummingEngine | None = None,
    segment_bytes_max: int = 1 << 20,
) -> SummingEngine:
    """Append ticks of so many commands each."""
    engine = engine or SummingEngine()
    next_seq = int(engine.state.firm[0]["seq"]) + 1
    write_ticks(folder, made_by(engine, ticks, next_seq), next_seq, segment_bytes_max)
    return engine


def made_by(engine: SummingEngine, ticks: list[int], next_seq: int) -> Iterator[tuple[Records, Records]]:
    for count in ticks:
        commands = commands_from(next_seq, count)
        yield commands, engine.process(commands)
        next_seq += count


def write_ticks(
    folder: Path,
    ticks: Iterator[tuple[Records, Records]],
    next_seq: int = 1,
    segment_bytes_max: int = 1 << 20,
) -> int:
    """Append ticks, each as a frame of its own; the sequence number of the last command."""
    durable = Event()
    writer = JournalWriter(
        folder, next_seq, lambda _: durable.set(), fail, segment_bytes_max=segment_bytes_max
    )
    for commands, events in ticks:
        last_seq = next_seq + len(commands) - 1
        durable.clear()
        writer.append(commands.tobytes(), events.tobytes(), next_seq, last_seq)
        assert durable.wait(60)
        next_seq = last_seq + 1
    writer.close()
    return next_seq - 1


def fail(error: OSError) -> None:
    raise AssertionError(f"the journal failed: {error}")


def joined(arrays: list[Records], dtype: np.dtype[Any]) -> Records:
    """End to end with every byte; `np.concatenate` would drop the padding inside a COMMAND."""
    return np.frombuffer(bytearray().join(array.tobytes() for array in arrays), dtype)


def _commands(count: int, kind: CommandKind) -> Records:
    """So many commands of a kind, to be filled in column by column."""
    return np.frombuffer(bytearray(command(kind) * count), dtype_of(kind))


BTC, ACCOUNTS = 0, 4
FIRST_TS = 1_700_000_000_000_000


class TradingHistory:
    """The real engine under a made-up market: orders, fills, cancels and stops, by a seed.

    The venue answers every order that is routed to it in the same tick, as the
    paper venue does: it fills half of them and lets the others rest.
    """

    def __init__(self, engine: Engine, seed: int = 0, tick_us: int = 0) -> None:
        """`tick_us`: how much time passes from one tick to the next, beside a microsecond a command."""
        self.engine = engine
        self._tick_us = tick_us
        self._passed_us = 0
        self._random = np.random.default_rng(seed)
        self._seq = 0
        self._execution_id = 0
        self._open: list[int] = []

    def reference_data(self) -> tuple[Records, Records]:
        """One instrument, accounts with money and a limit, a first mark."""
        records = [
            command(
                CommandKind.SET_INSTRUMENT,
                symbol=BTC,
                status=InstrumentStatus.TRADING,
                name=b"BTC-USDT",
                base=b"BTC",
                quote=b"USDT",
                price_tick_e12=10**10,
                quantity_step_e8=10**3,
                min_quantity=1,
                max_quantity=10**6,
            ),
            command(CommandKind.UPDATE_MARK, symbol=BTC, price=10_000),
        ]
        for account in range(ACCOUNTS):
            records += set_account(account, f"account-{account}", leverage=10, actor=0)
            limits: dict[Limit, int | None] = {Limit.MAX_OPEN_ORDERS: 10**9}
            records += change_limits(CommandKind.SET_LIMIT, account, None, limits, actor=0, reason="")
            records += transfer_cash(account, 10**16, actor=0)
        return self._tick(np.frombuffer(bytearray().join(records), COMMAND))

    def tick(self, count: int) -> tuple[Records, Records]:
        """So many commands of clients, one mark, and what the venue reports."""
        random = self._random
        commands = _commands(count + 1, CommandKind.PLACE_ORDER)
        commands["symbol"] = BTC
        commands["account"] = random.integers(0, ACCOUNTS, count + 1)
        commands["side"] = random.integers(0, 2, count + 1)
        commands["type"] = random.choice([OrderType.LIMIT, OrderType.LIMIT, OrderType.STOP], count + 1)
        commands["price"] = random.integers(9_500, 10_500, count + 1)
        commands["price"][commands["type"] == OrderType.STOP] = 0
        stops = np.where(commands["side"] == Side.BUY, 10_100, 9_900)
        commands["stop_price"] = np.where(commands["type"] == OrderType.STOP, stops, 0)
        commands["quantity"] = random.integers(1, 100, count + 1)
        commands["client_order_id"][:, 0] = random.integers(1, 1 << 40, count + 1)
        commands["kind"][-1], commands["price"][-1] = CommandKind.UPDATE_MARK, random.integers(9_850, 10_150)
        canceled = min(len(self._open), count // 3)
        commands["kind"][:canceled] = CommandKind.CANCEL_ORDER
        commands["order_id"][:canceled] = self._open[:canceled]
        del self._open[:canceled]
        return self._tick(commands)

    def _tick(self, commands: Records) -> tuple[Records, Records]:
        all_commands, all_events = [], []
        self._passed_us += self._tick_us
        while len(commands):
            self._stamp(commands)
            events = self.engine.process(commands).copy()
            all_commands.append(commands)
            all_events.append(events)
            commands = self._reports(events)
        return joined(all_commands, COMMAND), joined(all_events, EVENT)

    def _stamp(self, commands: Records) -> None:
        commands["seq"] = np.arange(self._seq + 1, self._seq + 1 + len(commands))
        commands["ts"] = FIRST_TS + self._passed_us + commands["seq"]
        self._seq += len(commands)

    def _reports(self, events: Records) -> Records:
        """An acknowledgement or a complete fill of each new order; each cancel is granted."""
        cancels = events["kind"] == EventKind.CANCEL_REQUESTED
        news = (events["kind"] == EventKind.ORDER_ACCEPTED) | (events["kind"] == EventKind.ORDER_TRIGGERED)
        routed = events[cancels | news]
        fills = (routed["kind"] != EventKind.CANCEL_REQUESTED) & (routed["order_id"] >> 21) % 2 == 1
        reports = _commands(len(routed), CommandKind.EXECUTION_REPORT)
        reports["report"] = np.where(
            routed["kind"] == EventKind.CANCEL_REQUESTED,
            ReportKind.CANCELED,
            np.where(fills, ReportKind.TRADE, ReportKind.NEW),
        )
        for name in ("account", "symbol", "order_id"):
            reports[name] = routed[name]
        reports["price"] = np.where(fills, 10_000, 0)
        reports["quantity"] = np.where(fills, routed["quantity"], 0)
        reports["fee"] = fills * 7
        reports["liquidity"] = fills * Liquidity.TAKER
        reports["execution_id"] = np.where(fills, self._execution_id + np.cumsum(fills), 0)
        self._execution_id += int(fills.sum())
        self._open += routed["order_id"][reports["report"] == ReportKind.NEW].tolist()
        return reports.view(COMMAND)


class Journaled:
    """A writer with what its callbacks said."""

    def __init__(self, folder: Path, next_seq: int = 1, **limits: int) -> None:
        self.durable: list[int] = []
        self.errors: list[OSError] = []
        self.engine = SummingEngine()
        self.next_seq = next_seq
        self.writer = JournalWriter(folder, next_seq, self.durable.append, self.errors.append, **limits)

    def tick(self, count: int = 3) -> tuple[bytes, bytes]:
        commands = commands_from(self.next_seq, count)
        records = commands.tobytes(), self.engine.process(commands).tobytes()
        self.writer.append(*records, self.next_seq, self.next_seq + count - 1)
        self.next_seq += count
        return records
