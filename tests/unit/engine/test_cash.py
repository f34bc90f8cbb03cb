"""Cash and leverage: what the margin does not cover is refused, and a transfer is no profit and no loss."""

import pytest

from app.engine.codes import Code
from app.engine.types import CommandKind, EventKind, OrderStatus
from app.runtime.event_views import AccountEvent, TransferEvent, event_as
from app.runtime.views import EventView
from tests.support.engine import (
    BUY,
    SELL,
    Command,
    Desk,
    account,
    bought,
    cancel,
    desk,
    instrument,
    mark,
    note,
    place,
    report,
    transfer,
    working,
)

CASH = 1_000_000


def rich(leverage: int = 10) -> Desk:
    made = desk(cash=CASH)
    made.send(instrument(0, maker_fee_ppm=0, taker_fee_ppm=0), account(0, leverage))
    return made


def refused(event: EventView, limit: int, observed: int) -> None:
    assert (event.kind, event.code) == (EventKind.COMMAND_REJECTED, Code.INSUFFICIENT_MARGIN)
    assert (event.account, event.limit, event.observed) == (0, limit, observed)


@pytest.mark.parametrize("quantity", [300, -300])
def test_a_withdrawal_leaves_the_margin_of_a_position(quantity: int) -> None:
    made = rich(3)
    bought(made, quantity, 1_000)
    refused(made.one(transfer(0, -900_001)), 900_000, 900_001)
    assert made.one_as(TransferEvent, transfer(0, -900_000)).amount == -900_000
    refused(made.one(transfer(0, -1)), 0, 1)


def test_open_orders_need_margin_too() -> None:
    made = rich(3)
    order_id = working(made, place(0, 0, BUY, 301, 1_000))
    refused(made.one(transfer(0, -899_667)), 899_666, 899_667)  # of 100,333.3 what is begun counts
    made.send(cancel(order_id), report(3, order_id))
    assert made.order(order_id)["status"] == OrderStatus.CANCELED
    assert made.one(transfer(0, -CASH)).kind == EventKind.CASH_TRANSFERRED
    refused(made.one(transfer(0, -1)), 0, 1)
    assert made.equity(0) == 0


def test_what_fills_may_cost_beyond_the_mark_is_kept() -> None:
    made = rich(1)
    made.engine.state.accounts[0]["open_cost"] = 400_000
    refused(made.one(transfer(0, -600_001)), 600_000, 600_001)
    assert made.one(transfer(0, -600_000)).kind == EventKind.CASH_TRANSFERRED


def test_profit_that_is_not_realised_can_be_withdrawn_as_far_as_margin_goes() -> None:
    made = rich(2)
    bought(made, 100, 1_000)
    made.one(mark(0, 2_000))  # equity 1,100,000, margin 100,000
    assert made.one(transfer(0, -CASH)).kind == EventKind.CASH_TRANSFERRED
    made.send(mark(0, 900))  # equity -10,000
    refused(made.one(transfer(0, -1)), 0, 1)
    assert made.one(transfer(0, 10_000)).kind == EventKind.CASH_TRANSFERRED


def test_a_transfer_is_no_profit_and_frees_no_drawdown() -> None:
    made = rich()
    bought(made, 100, 1_000)
    made.one(mark(0, 900))
    before = made.account(0)
    firm = made.engine.state.firm[0]
    losses = [int(firm[name]) - int(firm["equity"]) for name in ("peak_equity", "day_start_equity")]
    for _ in range(5):
        made.send(transfer(0, -900_000), transfer(0, 950_000), transfer(0, -50_000))
    assert made.account(0) == before
    made.one(transfer(0, -500_000))
    after = made.account(0)
    for name in ("peak_equity", "day_start_equity"):
        assert after[name] - made.equity(0) == before[name] - (before["cash"] + before["position_value"])
    assert losses == [int(firm[name]) - int(firm["equity"]) for name in ("peak_equity", "day_start_equity")]


def test_who_transferred_and_why() -> None:
    made = rich()
    command = Command(CommandKind.TRANSFER_CASH, 0, value=5, notes=1, actor=7)
    told, event = made.send(note(b"wire 5"), command)
    assert told.kind == EventKind.NOTE_RECORDED
    done = event_as(TransferEvent, event)
    assert (done.amount, done.notes, done.actor) == (5, 1, 7)


# --- Leverage.


@pytest.mark.parametrize("side", [BUY, SELL])
def test_less_leverage_needs_more_margin(side: int) -> None:
    made = rich(10)
    working(made, place(0, 0, side, 4_000, 1_000))
    refused(made.one(account(0, 3)), CASH, 1_333_334)
    assert made.one_as(AccountEvent, account(0, 4)).leverage == 4
    refused(made.one(account(0, 3)), CASH, 1_333_334)
    assert made.account(0)["leverage"] == 4


def test_more_leverage_is_never_refused() -> None:
    made = rich(2)
    bought(made, 1_500, 1_000)
    made.send(mark(0, 100))  # equity -350,000
    assert made.one(account(0, 2)).kind == EventKind.ACCOUNT_SET
    assert made.one(account(0, 3)).kind == EventKind.ACCOUNT_SET
    refused(made.one(account(0, 2)), -350_000, 75_000)


def test_what_open_orders_may_cost_is_no_margin() -> None:
    made = rich(10)
    working(made, place(0, 0, BUY, 1_000, 1_000))
    made.engine.state.accounts[0]["open_cost"] = 600_000
    refused(made.one(account(0, 2)), 400_000, 500_000)
    assert made.one(account(0, 3)).kind == EventKind.ACCOUNT_SET


def test_an_account_without_exposure_takes_any_leverage() -> None:
    made = rich(10)
    made.one(transfer(0, -CASH))
    command = Command(CommandKind.SET_ACCOUNT, 0, name=b"account-0", leverage=1, notes=1, actor=7)
    _, event = made.send(note(b"less"), command)
    done = event_as(AccountEvent, event)
    assert (done.leverage, done.old_leverage) == (1, 10)
    assert (done.notes, done.actor) == (1, 7)
