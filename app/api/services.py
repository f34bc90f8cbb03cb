"""Services: the parts of the server that the edges use, put together once by `app.bootstrap`."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from app.api.auth import KeyStore
from app.api.failed_keys import FailedKeys
from app.api.key_budget import KeyBudgets
from app.api.template_store import TemplateStore
from app.api.turns import Turns
from app.engine.state import State
from app.market.feed import SilentFeed
from app.market.market_data import MarketData
from app.market.types import Feed
from app.runtime.alarms import Alarms
from app.runtime.clock import Clock
from app.runtime.loop import EngineLoop
from app.runtime.projections import ProjectionProcess
from app.runtime.reference import Reference
from app.runtime.retention import DiskBudget
from app.runtime.risk_log import RiskLog
from app.store.history import History
from app.venues.base import Venue


@dataclass(frozen=True, slots=True)
class Services:
    """`state` is for reading only; await `loop.durable()` before showing what was read."""

    loop: EngineLoop
    state: State
    reference: Reference
    venue: Venue
    market: MarketData
    clock: Clock
    keys: KeyStore
    disk: DiskBudget
    templates: TemplateStore
    risk_log: RiskLog
    alarms: Alarms
    version: str
    started_ts: int
    body_bytes_max: int
    feed: Callable[[], Feed] = SilentFeed  # another one once the server knows its instruments
    # Dependencies that the engine can do without, with their state: {"database": "up"}.
    dependencies: Mapping[str, str] = field(default_factory=dict)
    # The projections, by name.
    projections: dict[str, ProjectionProcess] = field(default_factory=dict)
    history: History = field(default_factory=History)
    turns: Turns = field(default_factory=Turns)
    budgets: KeyBudgets = field(default_factory=KeyBudgets)
    failed_keys: FailedKeys = field(default_factory=FailedKeys)
    # Held while reference data changes: indexes are given to names one after the other.
    reference_lock: asyncio.Lock = field(default_factory=asyncio.Lock)
