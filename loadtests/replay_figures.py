"""Replay figures: the replay rate of a journal written by the real writer."""

import tempfile
from pathlib import Path
from statistics import median
from threading import Event

import numpy as np

from app.engine.types import EventKind
from app.runtime.journal import JournalWriter
from app.runtime.replay import replay
from app.venues.paper.venue import PaperVenue
from loadtests.engine_figures import SHAPE
from loadtests.figures import AT_LEAST, Figure
from loadtests.firm import Firm, Records
from loadtests.path_figures import displayed_depth

TICK_ORDERS = 256  # what 64 connections may bring in one tick of a busy server
ORDERS = 300_000


class _RecordingFirm(Firm):
    """Keeps the commands and events of the tick that is under way."""

    def __init__(self) -> None:
        self.commands: list[bytes] = []
        self.events: list[bytes] = []
        super().__init__()

    def apply(self, commands: Records) -> Records:
        events = super().apply(commands)
        self.commands.append(commands.tobytes())
        self.events.append(events.tobytes())
        return events


def write_journal(folder: Path, orders: int) -> int:
    """Place, fill and cancel in ticks like a server's; the number of commands written."""
    firm = _RecordingFirm()
    venue = PaperVenue(firm.engine.state, firm.engine.capacity)
    for batch in venue.apply_levels(displayed_depth()):
        firm.apply(batch)
    written = Event()
    failures: list[OSError] = []

    def fail(error: OSError) -> None:
        failures.append(error)
        written.set()

    journal = JournalWriter(folder, 1, lambda _seq: written.set(), fail)
    first_seq = 1
    open_ids: Records | None = None
    for _ in range(orders // TICK_ORDERS):
        if open_ids is not None:
            _carry_out(firm, venue, firm.cancels(open_ids["order_id"]))
        _carry_out(firm, venue, firm.orders_that_trade(TICK_ORDERS // 2))
        opened = _carry_out(firm, venue, firm.orders(TICK_ORDERS // 2, distance=(30, 400)))
        open_ids = opened[opened["kind"] == EventKind.ORDER_ACCEPTED][: TICK_ORDERS // 4]
        while journal.full:
            written.clear()
            written.wait(1)
        journal.append(b"".join(firm.commands), b"".join(firm.events), first_seq, firm.seq)
        firm.commands.clear()
        firm.events.clear()
        first_seq = firm.seq + 1
    journal.close()
    if failures:
        raise failures[0]
    return firm.seq


def _carry_out(firm: Firm, venue: PaperVenue, commands: Records) -> Records:
    """As the server's loop: the venue is given all events, those of its own reports too."""
    events = firm.apply(commands).copy()
    caused = [events]
    while caused:
        caused = [firm.apply(batch).copy() for batch in venue.execute(np.concatenate(caused))]
    return events


def measure_replay(rounds: int) -> list[Figure]:
    rates, events = [], 0
    with tempfile.TemporaryDirectory(prefix="bot4-bench-") as name:
        folder = Path(name)
        commands = write_journal(folder, ORDERS)
        hashes = set()
        for _ in range(rounds):
            result = replay(folder)
            rates.append(result.rate)
            events = result.events
            hashes.add((result.state_hash, result.events_hash))
    if len(hashes) != 1 or result.commands != commands:
        raise RuntimeError("replays of one journal differ")
    load = (
        f"{commands} commands and {events} events in ticks of about {TICK_ORDERS * 2}, {SHAPE}; half of the "
        "orders fill, half of the others are canceled; reading, CRC, engine and comparison of every event"
    )
    return [
        Figure(
            part="replay",
            claim="journal replayed and every event compared",
            measured=median(rates),
            unit="commands/s",
            target=1_000_000,
            bound=AT_LEAST,
            details={"load": load, "rounds": rates, "state_hash": result.state_hash},
        )
    ]
