"""A refusal is a breach in the log, on the stream and in the database alike, or in none of them."""

from itertools import product

import numpy as np

from app.documents.risk_items import RiskItems
from app.engine.capacity import DEFAULT_CAPACITY
from app.engine.codes import Code
from app.engine.records import COMMAND, EVENT
from app.engine.types import EventKind
from app.runtime.breaches import REFUSED_REQUESTS, are_breaches, is_breach
from app.runtime.follower import JournalBatch
from app.runtime.reference import Reference
from app.runtime.risk_log import RiskLog
from app.runtime.views import EVENT_LAYOUT
from app.store import projection
from tests.support.copy_rows import values
from tests.support.engine import desk

PAIRS = list(product(sorted(REFUSED_REQUESTS), Code))


def refusals() -> np.ndarray[tuple[int], np.dtype[np.void]]:
    """An event for each kind of refused request with each code; its order's id is its place."""
    events = np.zeros(len(PAIRS), EVENT)
    events["seq"] = np.arange(1, len(PAIRS) + 1)
    events["ts"] = 1_700_000_000_000_000
    events["order_id"] = np.arange(1, len(PAIRS) + 1)
    events["kind"] = [kind for kind, _ in PAIRS]
    events["code"] = [code for _, code in PAIRS]
    return events


def expected() -> list[int]:
    return [place for place, pair in enumerate(PAIRS, 1) if is_breach(*pair)]


# Written out: what a risk manager is to see, by its name, whatever numbers the codes have.
BREACHES = """
    TRADING_HALTED REDUCING_ONLY LIMITS_NOT_SET SYMBOL_RESTRICTED REDUCE_ONLY
    ORDER_RATE CANCEL_RATE REPEATED_ORDER MARKET_DATA_STALE PRICE_COLLAR MAX_ORDER_QUANTITY
    MAX_ORDER_NOTIONAL MAX_OPEN_ORDERS MAX_POSITION MAX_GROSS_EXPOSURE MAX_NET_EXPOSURE MAX_LEVERAGE
    INSUFFICIENT_MARGIN MAX_DAILY_NOTIONAL DAILY_LOSS MAX_DRAWDOWN MAX_ORDER_TO_TRADE_RATIO
    MAX_PORTFOLIO_VAR MAX_CORRELATED_EXPOSURE VENUE_REJECTIONS MAINTENANCE_LEVERAGE NEGATIVE_EQUITY
""".split()


def test_breaches_are_of_limits_states_and_permissions() -> None:
    assert {"ORDER_REJECTED", "REPLACE_REJECTED", "CANCEL_REJECTED"} == {
        kind.name for kind in REFUSED_REQUESTS
    }
    for kind in REFUSED_REQUESTS:
        assert {code.name for code in Code if is_breach(kind, code)} == set(BREACHES)
    assert not any(is_breach(kind, code) for kind, code in product(set(EventKind) - REFUSED_REQUESTS, Code))


def test_many_at_once_are_judged_as_one_by_one() -> None:
    pairs = list(product(EventKind, Code))
    kinds = np.array([kind for kind, _ in pairs], np.uint8)
    codes = np.array([code for _, code in pairs], np.uint16)
    assert are_breaches(kinds, codes).tolist() == [is_breach(*pair) for pair in pairs]


def test_log_stream_and_database_show_the_same() -> None:
    events = refusals()
    log = RiskLog()
    log.observe(events.tobytes())
    assert [event.order_id for event in log.refusals()] == expected()[::-1]
    assert sum(log.day(int(events["ts"][0])).counts.values()) == len(expected())

    made = desk(capacity=DEFAULT_CAPACITY)
    items = RiskItems(Reference.from_state(made.engine.state))
    shown = [EVENT_LAYOUT.unpack(event.tobytes()) for event in events]
    told = [place for place, raw in enumerate(shown, 1) if items.item(raw, shows_shared=True) is not None]
    assert told == expected()

    commands = np.zeros(len(events), COMMAND)
    commands["seq"] = events["seq"]
    rows = projection._administration(JournalBatch(commands, events, 1, len(events)))
    [risk] = [each for each in rows if each is not None and each.table == "risk_events"]
    assert [row["order_id"] for row in values(risk)] == expected()
