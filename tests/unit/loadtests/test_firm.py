"""The firm that the engine is measured with: its orders pass, rest, trade and end as the figures say."""

from pathlib import Path

import numpy as np
import pytest

from app.engine.types import EventKind, OrderStatus, ReportKind
from app.runtime.replay import replay
from app.venues.paper.venue import PaperVenue
from loadtests.firm import ACCOUNTS, SYMBOLS, Firm
from loadtests.growth_figures import STEP, Churn
from loadtests.path_figures import displayed_depth
from loadtests.replay_figures import TICK_ORDERS, write_journal


def statuses(firm: Firm) -> dict[int, int]:
    orders = firm.engine.state.orders[: int(firm.engine.state.firm[0]["orders_used"])]
    values, counts = np.unique(orders["status"], return_counts=True)
    return dict(zip(values.tolist(), counts.tolist(), strict=True))


def open_orders(firm: Firm) -> int:
    return int(firm.engine.state.firm[0]["open_orders"])


def test_every_order_passes_every_check_and_reports_end_it() -> None:
    firm = Firm()
    assert int(firm.engine.state.firm[0]["accounts"]) == ACCOUNTS
    assert int(firm.engine.state.firm[0]["symbols"]) == SYMBOLS
    for limits, count in (("firm_limits", 13), ("account_limits", 20), ("account_symbol_limits", 7)):
        assert int(getattr(firm.engine.state, limits)[0]["set_mask"]).bit_count() == count
    accepted = firm.apply(firm.orders(1_000)).copy()
    assert (accepted["kind"] == EventKind.ORDER_ACCEPTED).all()
    assert len(np.unique(accepted["account"])) == ACCOUNTS
    kinds = np.where(np.arange(1_000) % 2 == 0, ReportKind.TRADE, ReportKind.NEW)
    events = firm.apply(firm.reports(accepted, kinds))
    assert (
        events["kind"] == np.where(kinds == ReportKind.TRADE, EventKind.ORDER_FILLED, EventKind.ORDER_OPENED)
    ).all()
    assert statuses(firm) == {OrderStatus.FILLED: 500, OrderStatus.NEW: 500}
    firm.cancel_everything()
    assert statuses(firm) == {OrderStatus.FILLED: 500, OrderStatus.CANCELED: 500}
    assert open_orders(firm) == 0


def test_against_displayed_depth_takers_fill_and_the_others_rest() -> None:
    firm = Firm()
    venue = PaperVenue(firm.engine.state, firm.engine.capacity)
    for batch in venue.apply_levels(displayed_depth()):
        firm.apply(batch)
    for commands in (firm.orders_that_trade(300), firm.orders(200, distance=(30, 400))):
        routed = firm.apply(commands).copy()
        for batch in venue.execute(routed):
            firm.apply(batch)
    assert statuses(firm) == {OrderStatus.FILLED: 300, OrderStatus.NEW: 200}


@pytest.mark.parametrize("venue", [False, True])
def test_churn_keeps_the_number_of_open_orders(venue: bool) -> None:
    churn = Churn(3 * STEP, venue=venue)
    before = statuses(churn.firm)
    assert before == {OrderStatus.NEW: 3 * STEP}
    for _ in range(4):
        churn.step()
    assert open_orders(churn.firm) == 3 * STEP
    assert statuses(churn.firm) == {OrderStatus.NEW: 3 * STEP, OrderStatus.CANCELED: 4 * STEP}
    assert churn.orders == 7 * STEP


def test_the_journal_to_replay_is_one_that_replays(tmp_path: Path) -> None:
    commands = write_journal(tmp_path, 3 * TICK_ORDERS)
    result = replay(tmp_path)
    assert result.commands == commands
    assert result.events >= result.commands
