"""The firm that the engine is measured with: its orders pass, rest, trade and end as the figures say."""

import asyncio
from pathlib import Path

import numpy as np

from app.engine.capacity import Capacity
from app.engine.engine import Engine
from app.engine.types import EventKind, OrderStatus, ReportKind
from app.runtime.replay import replay
from app.venues.paper.venue import PaperVenue
from loadtests.firm import ACCOUNTS, SYMBOLS, Firm
from loadtests.growth_figures import STEP, Churn
from loadtests.path_figures import displayed_depth
from loadtests.replay_figures import TICK_ORDERS, write_journal


def small_firm() -> Firm:
    capacity = Capacity(
        accounts=ACCOUNTS,
        symbols=SYMBOLS,
        orders=1 << 14,
        open_orders=1 << 13,
        fills=1 << 12,
        commands=1 << 12,
    )
    return Firm(Engine(capacity))
