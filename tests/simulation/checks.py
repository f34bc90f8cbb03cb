"""The engine's and the venue's arrays against the ledger, after each batch."""

import numpy as np

from app.engine.state import NO_SLOT, State
from app.engine.types import OrderStatus, Side
from app.venues.paper import PaperVenue
from tests.models.simulation_ledger import Ledger, Money, Order, Position

_WORKING = (OrderStatus.NEW, OrderStatus.PARTIALLY_FILLED)

_POSITION = (
    "quantity", "entry_cost", "realised", "fees", "value", "worst", "exposure", "open_buy", "open_sell",
    "reduce_buy", "reduce_sell", "open_orders",
)  # fmt: skip


def _reach(held: int, row: list[int]) -> tuple[int, int]:
    """The highest and lowest position that open orders may lead to: reduce-only ones first, up to flat."""
    buys, sells, reduce_buys, reduce_sells, _ = row
    highest = min(held + reduce_buys, 0) if held < 0 else held
    lowest = max(held - reduce_sells, 0) if held > 0 else held
    return highest + buys - reduce_buys, lowest - sells + reduce_sells


def check_engine(state: State, ledger: Ledger) -> None:
    _check_open_orders(state, ledger)
    reserved = ledger.reserved()
    accounts, symbols = int(state.firm[0]["accounts"]), int(state.firm[0]["symbols"])
    firm_exposure = 0
    worst_by_symbol = [0] * symbols
    for account in range(accounts):
        exposure = value = cost = realised = fees = count = 0
        for symbol in range(symbols):
            position = ledger.positions.get((account, symbol), Position())
            row = reserved.get((account, symbol), [0, 0, 0, 0, 0])
            record = state.positions[symbol * len(state.accounts) + account]
            unit = ledger.marks.get(symbol, 0) * ledger.multipliers[symbol]
            highest, lowest = _reach(position.quantity, row)
            worst = max(abs(highest), abs(lowest))
            expected = (
                position.quantity, position.cost, position.realised, position.fees,
                position.quantity * unit, worst, worst * unit, *row,
            )  # fmt: skip
            assert tuple(int(record[name]) for name in _POSITION) == expected
            assert (int(record["upper"]), int(record["lower"])) == (highest * unit, lowest * unit)
            exposure += worst * unit
            value += position.quantity * unit
            cost += position.cost
            realised += position.realised
            fees += position.fees
            count += row[4]
            worst_by_symbol[symbol] += worst
        money = ledger.money.get(account, Money())
        record = state.accounts[account]
        assert int(record["cash"]) == money.cash == money.transferred - cost + realised - fees
        assert (int(record["position_value"]), int(record["exposure"])) == (value, exposure)
        assert (int(record["realised"]), int(record["fees"])) == (realised, fees)
        assert (int(record["transferred"]), int(record["open_orders"])) == (money.transferred, count)
        assert int(record["peak_equity"]) >= money.cash + value
        firm_exposure += exposure
    assert int(state.firm[0]["exposure"]) == firm_exposure
    assert state.instruments["worst"][:symbols].tolist() == worst_by_symbol


def _check_open_orders(state: State, ledger: Ledger) -> None:
    """The lists of open orders, forwards and backwards, hold exactly those that the events left open."""
    ids, following = state.orders["order_id"].tolist(), state.orders["next"].tolist()
    before = state.orders["previous"].tolist()
    found: list[int] = []
    for account in state.accounts[: int(state.firm[0]["accounts"])]:
        slot, last = int(account["first_open"]), NO_SLOT
        while slot != NO_SLOT:
            assert before[slot] == last
            found.append(ids[slot])
            slot, last = following[slot], slot
        assert int(account["last_open"]) == last
    assert sorted(found) == sorted(ledger.open)
    assert int(state.firm[0]["open_orders"]) == len(found)


def check_venue(venue: PaperVenue, ledger: Ledger) -> None:
    """Nothing is left hanging, the book holds what is open, and no two resting orders cross."""
    best: dict[tuple[int, int], Order] = {}
    expected: dict[int, int] = {}
    for order in ledger.open.values():
        if order.waiting:
            assert order.status == OrderStatus.NEW
            continue
        assert order.status in _WORKING, order
        assert order.reserved == order.left
        expected[order.order_id] = order.left
        key = (order.symbol, order.side)
        better = max if order.side == Side.BUY else min
        best[key] = better(best.get(key, order), order, key=lambda each: each.price)
    resting = venue.state.resting[np.flatnonzero(venue.state.resting["order_id"] > 0)]
    assert dict(zip(resting["order_id"].tolist(), resting["remaining"].tolist(), strict=True)) == expected
    for (symbol, side), bid in best.items():
        ask = best.get((symbol, Side.SELL))
        if side == Side.BUY and ask is not None:
            assert bid.price < ask.price, f"crossed: {bid} {ask}"
