"""What a limit lets through only because it reduces may only reduce from then on, whichever limit it is."""

import pytest

from app.engine.codes import Code
from app.engine.types import EventKind, Limit, OrderFlag, OrderType, Scope
from tests.support.engine import SELL, bought, close_position, desk, limit, place

# Of an account, and lower than what it holds.
_EXCEEDED = (
    Limit.MAX_GROSS_EXPOSURE, Limit.MAX_LEVERAGE, Limit.MAX_PORTFOLIO_VAR, Limit.MAX_CORRELATED_EXPOSURE,
)  # fmt: skip


@pytest.mark.parametrize("which", _EXCEEDED)
def test_a_sell_of_what_is_held(which: Limit) -> None:
    made = desk(cash=100_000)
    bought(made, 10, 1_000)
    plain = made.one(place(0, 0, SELL, 4, 1_000))
    assert not plain.flags & OrderFlag.REDUCE_ONLY
    made.one(limit(which, 1, Scope.ACCOUNT, 0))
    event = made.one(place(0, 0, SELL, 4, 1_000))
    assert event.kind == EventKind.ORDER_ACCEPTED and event.flags & OrderFlag.REDUCE_ONLY


def test_a_stop_that_a_close_makes_reduce_only_has_changed() -> None:
    made = desk()
    bought(made, 10, 1_000)
    stop = made.one(place(0, 0, SELL, 5, type=OrderType.STOP, stop_price=950)).order_id
    made.ts += 5
    *_, event = made.send(close_position(0, 0, cancel_open=True))
    assert (event.kind, event.order_id, event.code) == (EventKind.ORDER_REPLACED, stop, Code.REDUCE_ONLY)
    order = made.order(stop)
    assert order["flags"] & OrderFlag.REDUCE_ONLY
    assert (order["seq"], order["updated_ts"]) == (made.seq, made.ts)
