"""What the type of an order says of it, for all types and sides."""

import pytest

from app.engine import order_kinds
from app.engine.types import OrderType, Side
from tests.support.engine import for_python

needs_price = for_python(order_kinds.needs_price)
needs_stop_price = for_python(order_kinds.needs_stop_price)
fires_on_rise = for_python(order_kinds.fires_on_rise)


@pytest.mark.parametrize("order_type", OrderType)
def test_prices_are_as_the_name_says(order_type: OrderType) -> None:
    assert needs_price(order_type) == ("LIMIT" in order_type.name)
    assert needs_stop_price(order_type) == order_type.name.startswith(("STOP", "TAKE_PROFIT"))


@pytest.mark.parametrize("order_type", [each for each in OrderType if each.name.startswith("STOP")])
def test_a_stop_follows_the_market_and_a_take_profit_goes_against_it(order_type: OrderType) -> None:
    take_profit = OrderType[order_type.name.replace("STOP", "TAKE_PROFIT")]
    assert fires_on_rise(order_type, Side.BUY) and fires_on_rise(take_profit, Side.SELL)
    assert not fires_on_rise(order_type, Side.SELL) and not fires_on_rise(take_profit, Side.BUY)
