"""Warm-up: every kernel compiled, or loaded from the cache, before the first order needs it."""

import threading
import time
from collections.abc import Callable

import numpy as np

from app.codec.match_replies import AWAITED, Scratch
from app.codec.names import name_tables
from app.codec.stream_json import StreamWriter
from app.engine.capacity import Capacity
from app.engine.engine import Engine, stamp
from app.engine.records import COMMAND, EVENT
from app.engine.state_records import ORDER
from app.engine.types import CommandKind, EventKind
from app.market.types import LEVEL_UPDATE
from app.venues.paper import PaperStepper, PaperVenue

_CAPACITY = Capacity(
    accounts=2, symbols=2, orders=1 << 6, open_orders=1 << 5, fills=1 << 6, commands=1 << 10, events=1 << 10
)
_PATIENCE_SECONDS = 2.0


def compile_kernels(notify: Callable[[str], None]) -> None:
    """Run each kernel once on a separate engine. Reports by `notify` when that takes long."""
    began = time.monotonic()
    done = threading.Event()

    def report() -> None:
        pause = _PATIENCE_SECONDS
        while not done.wait(pause):
            pause = 10.0
            seconds = time.monotonic() - began
            notify(f"compiling the engine's kernels, once for this version: {seconds:.0f} s")

    reporter = threading.Thread(target=report, name="warmup", daemon=True)
    reporter.start()
    try:
        _run_all()
    finally:
        done.set()
        reporter.join()


def _run_all() -> None:
    engine = Engine(_CAPACITY)
    venue = PaperVenue(engine.state, _CAPACITY)
    command = np.zeros(1, COMMAND)
    stamp(command, 1, 1)
    command["kind"] = CommandKind.ADVANCE_TIME
    events = engine.process(command).copy()
    PaperStepper(engine, venue).step(command.tobytes(), 2, 2)
    engine.explain(command, 1)
    for _ in venue.execute(events):
        pass
    restriction = np.zeros(1, EVENT)
    restriction["kind"] = EventKind.TRADING_STATE_SET
    venue.note(restriction.tobytes())
    for _ in venue.apply_levels(np.zeros(0, LEVEL_UPDATE)):
        pass
    for _ in venue.resume(np.zeros(0, ORDER)):
        pass
    venue.depth(0, 1)
    tables = name_tables((), ())
    Scratch().match(
        np.zeros(1, EVENT), np.zeros(1, np.int64), np.zeros(1, np.uint8), np.zeros(1, AWAITED), tables
    )
    StreamWriter().write(np.zeros(1, EVENT).tobytes(), np.zeros(1, np.uint8), tables)
