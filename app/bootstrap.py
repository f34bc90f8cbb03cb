"""Bootstrap: the one place where the parts of a server are built and wired together.

A server answers health checks from its first moment. It is ready when the kernels are compiled, the
journal is replayed and the venue has its orders back. The database and the cache start alongside:
the engine does not need them.
"""

import asyncio
import contextlib
import logging
import os
import threading
import time
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from app import __version__, demo
from app.api.auth import KeyStore
from app.api.http.asgi import Receive, Scope, Send
from app.api.http.order_connection import order_connection
from app.api.key_budget import Allowance, KeyBudgets
from app.api.order_entry.desk import OrderDesk
from app.api.routes.system import system_content
from app.api.services import Services
from app.api.template_store import TemplateStore
from app.api.turns import Turns
from app.api.websocket.stream import StreamSocket
from app.commands.administration import set_policy
from app.documents.breaker_alarm import BreakerAlarm
from app.documents.stream_items import Sources, StreamItems
from app.embedded import EmbeddedServers
from app.engine.capacity import DEFAULT_CAPACITY
from app.engine.engine import Engine
from app.engine.types import OrderStatus, Policy
from app.main import create_app
from app.market.feed import SilentFeed, open_feed
from app.market.market_data import MarketData
from app.market.types import Feed
from app.runtime.alarms import Alarms
from app.runtime.clock import SystemClock
from app.runtime.folder_lock import FolderLock
from app.runtime.housekeeping import keep_journal_folder, prune_now
from app.runtime.instrument_watch import InstrumentWatch, followed
from app.runtime.journal import JournalWriter
from app.runtime.loop import EngineLoop
from app.runtime.projections import ProjectionProcess, read_status
from app.runtime.recovery import Recovered, recover
from app.runtime.reference import Reference
from app.runtime.retention import DiskBudget
from app.runtime.risk_log import RiskLog
from app.runtime.snapshots import save_snapshot
from app.runtime.start_times import StartTimes
from app.settings import Settings, SettingsError
from app.store.dependencies import Dependencies
from app.store.history import History
from app.store.hot_projector import hot_projection
from app.store.projector import database_projection
from app.store.trade_handover import TradeHandover
from app.store.writer import PROJECTION
from app.streams.hub import Hub
from app.streams.market import MarketStreams
from app.venues.paper import PaperStepper, PaperVenue
from app.warmup import compile_kernels

logger = logging.getLogger(__name__)

_FEED_RETRY_SECONDS = 5.0
_FIRST_MARKS_SECONDS = 2.0
_SNAPSHOT_COMMANDS_MIN = 500_000  # with less to replay the next start is quick enough
_BY_SYSTEM = 0

Notify = Callable[[str], None]


def _quiet(_message: str) -> None:
    """The default `notify`: drops the text."""


@dataclass
class Server:
    """One server: `start`, then `stop`. `notify` receives progress messages while it starts."""

    settings: Settings
    clock: SystemClock
    keys: KeyStore
    templates: TemplateStore
    folder_lock: FolderLock
    notify: Notify = _quiet
    new_admin_key: str | None = None
    failure: BaseException | None = None
    cut_off: bool = False  # asked to stop while it was starting
    started: asyncio.Event = field(default_factory=asyncio.Event)
    _snapshot_seq: int = 0
    _tasks: list[asyncio.Task[None]] = field(default_factory=list)

    def __post_init__(self) -> None:
        settings = self.settings
        self.engine = Engine(DEFAULT_CAPACITY)
        self.reference = Reference.from_state(self.engine.state)
        self.venue = PaperVenue(self.engine.state, DEFAULT_CAPACITY)
        self.loop = EngineLoop(
            self.engine,
            self.venue,
            PaperStepper(self.engine, self.venue),
            self.reference,
            self.clock,
            settings.mark_interval_ms,
        )
        self.market = MarketData(self.loop, spread_max_bps=self._mark_spread_max_bps)
        self.disk = DiskBudget(
            settings.journal_dir, settings.journal_bytes_max, self.loop.inbox.on_disk_state
        )
        self.risk_log = RiskLog()
        self.embedded = EmbeddedServers(settings.data_dir, settings.database_url, settings.redis_url)
        self.dependencies = Dependencies(self.embedded)
        self.history = History()
        self._feed: Feed = SilentFeed()
        self.services = Services(
            loop=self.loop,
            state=self.engine.state,
            reference=self.reference,
            venue=self.venue,
            market=self.market,
            clock=self.clock,
            keys=self.keys,
            version=__version__,
            started_ts=self.clock.now(),
            body_bytes_max=settings.max_body_bytes,
            disk=self.disk,
            templates=self.templates,
            risk_log=self.risk_log,
            alarms=Alarms(self.clock.now),
            feed=lambda: self._feed,
            dependencies=self.dependencies.status,
            history=self.history,
            turns=Turns(lambda: not self.loop.at_rest),
            budgets=KeyBudgets(Allowance(settings.key_requests_per_second, settings.key_loop_percent)),
        )
        desk = OrderDesk(self.services)
        self.http_protocol = order_connection(self.services, desk)
        items = StreamItems(
            Sources(
                state=self.engine.state,
                reference=self.reference,
                venue=self.venue,
                market=self.market,
                clock=self.clock,
                name_tables=lambda: self.loop.name_tables,
                system=lambda: system_content(self.services),
            )
        )
        self.hub = Hub(self.loop, items, settings.journal_dir, self.clock)
        stream_socket = StreamSocket(self.services, self.hub, settings.allowed_origins or frozenset())
        self._web = create_app(self.services, desk, stream_socket)

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Coroutine[Any, Any, None]:
        """ASGI: the server handles the lifespan itself and passes everything else straight on."""
        if scope["type"] == "lifespan":
            return self._live(receive, send)
        return self._web.application(scope, receive, send)

    async def _live(self, receive: Receive, send: Send) -> None:
        await receive()
        starting = asyncio.ensure_future(self.start())
        starting.add_done_callback(self._note_start)
        await send({"type": "lifespan.startup.complete"})
        await receive()
        starting.cancel()
        await asyncio.gather(starting, return_exceptions=True)
        await self.stop()
        await send({"type": "lifespan.shutdown.complete"})

    def _note_start(self, starting: asyncio.Task[None]) -> None:
        """Keep how the start ended, for whoever runs the server."""
        self.cut_off = starting.cancelled()
        if not self.cut_off:
            self.failure = starting.exception()
        self.started.set()

    async def start(self) -> None:
        """Make ready. Raises what prevents it: RecoveryError, JournalError, OSError."""
        folder = self.settings.journal_dir
        self._spawn(self.dependencies.start())
        described = asyncio.ensure_future(asyncio.to_thread(self._web.describe))
        times = StartTimes()
        recovered = await self._recover(folder)
        times.end("replay")
        times.split("replay", "snapshot and kernels", recovered.snapshot_seconds)
        if recovered.torn_bytes:
            logger.warning("cut an incomplete tail of %d bytes off the journal", recovered.torn_bytes)
        self.loop.seq = recovered.last_seq
        self._snapshot_seq = recovered.snapshot_seq
        self.clock.not_before(recovered.last_ts)
        self.reference.refresh(self.engine.state)
        await asyncio.to_thread(self.risk_log.read_back, folder)
        times.end("history of limits")
        self.loop.observe(self.risk_log.observe)
        self.loop.observe(BreakerAlarm(self.reference).observe)
        self.loop.start(partial(JournalWriter, folder))
        if recovered.last_seq == 0 and self.settings.demo:
            await demo.set_up(self.loop)
        await self._enforce_policies()
        self.loop.resume(self._open_orders())
        await self.loop.durable()
        times.end("venue")
        self._feed = open_feed(self.settings.feed, followed(self.reference.instruments), self._marks())
        self.loop.observe(InstrumentWatch(self.reference, self._feed).on_events)
        self.hub.start()
        self.services.alarms.observe(self.hub.show_system)
        self.market.observe(MarketStreams(self.hub))
        self._spawn(self._follow(self._feed))
        self._spawn(self.market.run())
        await self._await_marks()
        self._spawn(self._write_history(os.environ))
        self._spawn(self._write_hot_state(os.environ))
        self._spawn(keep_journal_folder(folder, self.loop.journal, self.disk, self._passed_seq))
        await described
        self.loop.ready = True
        times.end("market")
        count, seq = recovered.commands, recovered.last_seq
        logger.info("ready after %s: %d commands replayed, seq %d", times.text(), count, seq)

    async def _recover(self, folder: Path) -> Recovered:
        """Bring the engine up to date. A snapshot is loaded while the kernels still compile."""
        compiled = threading.Event()

        def compile_all() -> None:
            try:
                compile_kernels(self.notify)
            finally:
                compiled.set()

        _, recovered = await asyncio.gather(
            asyncio.to_thread(compile_all),
            asyncio.to_thread(recover, folder, self.engine, self._show_recovery(), compiled.wait),
        )
        return recovered

    async def _enforce_policies(self) -> None:
        """Rules of the house are in the journal; a setting that asks for another one changes it there."""
        settings = (
            (Policy.MAKER_CHECKER, self.settings.maker_checker),
            (Policy.CANCEL_INCREASING, self.settings.cancel_increasing),
        )
        for policy, wanted in settings:
            there = bool(self.engine.state.firm[0]["policy"][policy])
            if wanted is not None and wanted != there:
                await self.loop.submit(set_policy(policy, int(wanted), _BY_SYSTEM))
                logger.warning("BOT4_%s=%d from now on", policy.name, wanted)

    async def stop(self) -> None:
        """Finish pending work. Whatever fails, the folder is released and the embedded servers end."""
        try:
            await self._finish()
        finally:
            self.folder_lock.release()
            await self.dependencies.stop()

    async def _finish(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self.hub.stop()
        await self.history.close()
        await self.loop.close()
        if self.loop.seq - self._snapshot_seq >= _SNAPSHOT_COMMANDS_MIN and not self.loop.failed:
            await asyncio.to_thread(save_snapshot, self.engine, self.settings.journal_dir)
            await prune_now(self.settings.journal_dir, self._passed_seq())

    def _passed_seq(self) -> int:
        """The last command that every projection has passed."""
        database = read_status(self.settings.journal_dir, PROJECTION).seq
        return min(self.loop.durable_seq, database)

    async def _write_history(self, environment: Mapping[str, str]) -> None:
        """Keep the database's writer running; the history reader uses the same URL."""
        await self.dependencies.started.wait()
        url = self.dependencies.database_url
        if url is None:
            return
        writer = database_projection(
            self.settings.journal_dir,
            url,
            environment,
            partial(self.dependencies.on_change, "database"),
            timescaledb_required=self.settings.timescaledb_required,
        )
        self._add_projection(writer)
        self.history.url = url
        trades = TradeHandover(writer.hand_over)
        self.market.observe(trades)
        async with asyncio.TaskGroup() as both:  # when cancelled it waits until the child is gone
            both.create_task(writer.run())
            both.create_task(trades.run())

    async def _write_hot_state(self, environment: Mapping[str, str]) -> None:
        """Keep the writer of the hot state running."""
        await self.dependencies.started.wait()
        url = self.dependencies.redis_url
        if url is None:
            return
        writer = hot_projection(
            self.settings.journal_dir, url, environment, partial(self.dependencies.on_change, "redis")
        )
        self._add_projection(writer)
        await writer.run()

    def _add_projection(self, projection: ProjectionProcess) -> None:
        self.services.projections[projection.name] = projection
        projection.on_alarm = partial(self.services.alarms.set, f"{projection.name}-lag")

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.ensure_future(work)
        task.add_done_callback(_log_failure)
        self._tasks.append(task)

    def _show_recovery(self) -> Callable[[int, int], None]:
        shown = time.monotonic()

        def show(done: int, total: int) -> None:
            nonlocal shown
            if time.monotonic() - shown > 1:
                shown = time.monotonic()
                self.notify(f"replaying the journal: {done >> 20} of {total >> 20} MiB")

        return show

    def _open_orders(self) -> np.ndarray[tuple[int], np.dtype[np.void]]:
        orders = self.engine.state.orders[: int(self.engine.state.firm[0]["orders_used"])]
        status = orders["status"]
        found = np.flatnonzero((status > OrderStatus.NONE) & (status < OrderStatus.FILLED))
        # As plain bytes: records with names NumPy would copy field by field, several times as slowly.
        return orders.view(f"V{orders.itemsize}")[found].view(orders.dtype)

    def _mark_spread_max_bps(self, symbol: int) -> int:
        return int(self.engine.state.instruments[symbol]["mark_spread_max_bps"])

    def _marks(self) -> dict[int, int]:
        marks = self.engine.state.instruments["mark"][: len(self.reference.instruments)]
        return {symbol: int(mark) for symbol, mark in enumerate(marks) if mark > 0}

    async def _await_marks(self) -> None:
        """Give the market a moment to appear: the first order after a start should not meet a stale mark."""
        if self.settings.feed == "none":
            return
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self.loop.marked.wait(), _FIRST_MARKS_SECONDS)
        await self.loop.durable()

    async def _follow(self, feed: Feed) -> None:
        """Keep the feed running. If it fails, marks age, and it is started again."""
        while True:
            try:
                await feed.run(self.market)
            except Exception:  # whatever a feed meets, orders must go on without it
                logger.exception("feed %s failed, next try in %g s", feed.name, _FEED_RETRY_SECONDS)
            else:
                logger.info("feed %s has ended", feed.name)
                return
            await asyncio.sleep(_FEED_RETRY_SECONDS)


def build(settings: Settings, notify: Notify = _quiet) -> Server:
    """A server that is ready to start. It holds its folder until it is stopped.

    The lock is taken before anything is written: a second server on the folder leaves nothing behind. Raises
    SettingsError, FolderLocked, KeyFileError, TemplateFileError, OSError.
    """
    _check_feed(settings)
    for folder in (settings.data_dir, settings.journal_dir):
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    lock = FolderLock(settings.journal_dir)
    try:
        clock = SystemClock()
        keys, new_admin_key = KeyStore.open(settings.data_dir, settings.admin_key, clock.now)
        templates = TemplateStore.open(settings.data_dir / "limit-templates.json", clock.now)
        return Server(settings, clock, keys, templates, lock, notify, new_admin_key)
    except BaseException:  # whatever it is, it is raised again
        lock.release()
        raise


def _log_failure(task: asyncio.Task[None]) -> None:
    """Log the failure of a background task at once: nobody awaits it before the server ends."""
    if not task.cancelled() and (error := task.exception()) is not None:
        logger.critical("a task beside the engine has failed and is gone: %s", error, exc_info=error)


def _check_feed(settings: Settings) -> None:
    """Raises SettingsError now, before anything else has started."""
    try:
        open_feed(settings.feed, ())
    except ValueError as error:
        raise SettingsError(f"BOT4_FEED={settings.feed!r} is not allowed: {error}") from None
