"""Command `bot4 feed-server`: a feed server run from the command line's options."""

import argparse
import asyncio
import contextlib
import math
import signal
import tempfile
from pathlib import Path

import uvloop

from app.feed_server.faults import FaultError, Faults
from app.feed_server.generated import DemoMarketInstrument, write_recordings
from app.feed_server.recorded_market import RecordedMarket, RecordingError, load
from app.feed_server.server import FeedServer
from app.market.demo_instruments import DEMO_INSTRUMENTS
from app.market.playback_clock import MAX_SPEED

MADE_UP_SECONDS = 60  # over and over again
SPEED_MAX = 1e6


class UsageError(ValueError):
    """An option or a recording that cannot be used; one line that says why."""


def run(options: argparse.Namespace) -> None:
    """Serve until stopped. Raises UsageError, OSError."""
    speed = _speed(options.speed)
    faults = _faults(options.fault)
    if options.passes < 0:
        raise UsageError("--passes must be 0 or more")
    if not 0 <= options.port <= 65_535:
        raise UsageError("--port must be from 0 to 65535")
    for path in options.files:
        if not path.is_file():
            raise UsageError(f"there is no file {path}")
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(options, speed, faults))


async def _serve(options: argparse.Namespace, speed: float, faults: Faults) -> None:
    try:
        market = await _market(options)
    except RecordingError as error:
        raise UsageError(str(error)) from None
    server = FeedServer(market, speed=speed, passes=options.passes, faults=faults, seed=options.seed)
    try:
        port = await server.listen(options.host, options.port)
    except OSError as error:
        raise OSError(f"cannot listen on {options.host}:{options.port}: {error.strerror or error}") from error
    place = f"[{options.host}]:{port}" if ":" in options.host else f"{options.host}:{port}"
    print(f"seed {options.seed}; follow it with BOT4_FEED='binance;ws=ws://{place};rest=http://{place}'")
    print(f"feed server is ready: http://{place}", flush=True)
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    playing = asyncio.ensure_future(server.play())
    stopping = asyncio.ensure_future(stop.wait())
    playing.add_done_callback(lambda done: stop.set() if not done.cancelled() and done.exception() else None)
    await stopping
    playing.cancel()
    await server.close()
    with contextlib.suppress(asyncio.CancelledError):
        await playing


async def _market(options: argparse.Namespace) -> RecordedMarket:
    """Raises RecordingError, OSError."""
    times_now = options.times == "now"
    if options.files:
        return await load(options.files, times_now=times_now)
    instruments = [DemoMarketInstrument(index) for index in range(len(DEMO_INSTRUMENTS))]
    with tempfile.TemporaryDirectory(prefix="bot4-feed-server-") as name:
        return await load(
            write_recordings(Path(name), instruments, MADE_UP_SECONDS, options.seed), times_now=times_now
        )


def _speed(text: str) -> float:
    if text == "max":
        return MAX_SPEED
    try:
        speed = float(text)
    except ValueError:
        speed = math.nan
    if not 0 < speed <= SPEED_MAX:
        raise UsageError(f"--speed must be a number above 0, up to {SPEED_MAX:g}, or max, not {text!r}")
    return speed


def _faults(assignments: list[str]) -> Faults:
    values = dict(each.partition("=")[::2] for each in assignments)
    try:
        return Faults().changed(values)
    except FaultError as error:
        raise UsageError(f"--fault: {error}") from None
