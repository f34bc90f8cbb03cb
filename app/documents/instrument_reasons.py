"""Instrument reasons: why an instrument is refused: which product exceeds which bound, and what would fit.

The rules are those of `app.engine.instrument_rules`, computed with Python's unbounded integers. A
test holds the two against each other.
"""

from fractions import Fraction
from math import gcd

from app.engine.capacity import MONEY_MAX
from app.engine.instrument_rules import MONEY_PER_TICK_STEP, QUANTITY_MAX, SPREAD_BPS_MAX
from app.runtime.reference import QUANTITY_DIGITS, Grid, InstrumentView, money_text

_DIGITS_OF_PRODUCT = 20  # 12 of a tick, 8 of a step
_MOST = money_text(MONEY_MAX)


def _exact_text(numerator: int, digits: int) -> str:
    return Grid(1, digits).text(numerator).rstrip("0").rstrip(".")


def _product_reason(view: InstrumentView) -> str | None:
    tick, step = view.price_tick_e12, view.quantity_step_e8
    worth = Fraction(tick * step, MONEY_PER_TICK_STEP)
    product = f"price_tick {view.price_text(1)} x quantity_step {view.quantity_text(1)} is "
    product += _exact_text(tick * step, _DIGITS_OF_PRODUCT)
    if worth.denominator != 1:
        least = MONEY_PER_TICK_STEP // gcd(tick, MONEY_PER_TICK_STEP)
        return (
            f"{product}, which is no whole multiple of 0.00000001: with this price_tick the quantity_step "
            f"must be a multiple of {_exact_text(least, QUANTITY_DIGITS)}"
        )
    if worth > MONEY_MAX:
        return f"{product}, more than {_MOST}, the most that the engine counts to: take smaller ones"
    return None


def _quantity_reason(view: InstrumentView) -> str | None:
    smallest, largest = view.min_quantity, view.max_quantity
    if smallest <= 0:
        return f"min_quantity must be more than 0: at least {view.quantity_text(1)}"
    if largest < smallest:
        texts = view.quantity_text(largest), view.quantity_text(smallest)
        return f"max_quantity {texts[0]} is below min_quantity {texts[1]}"
    counted = QUANTITY_MAX // view.quantity_step_e8
    worth = view.price_tick_e12 * view.quantity_step_e8 // MONEY_PER_TICK_STEP
    valued = MONEY_MAX // worth
    if largest <= min(counted, valued):
        return None
    at_most = f"max_quantity may be at most {view.quantity_text(min(counted, valued))}"
    if valued <= counted:
        return (
            f"{at_most}: at a price of one tick, {view.price_text(1)}, an order of "
            f"{view.quantity_text(largest)} is worth {money_text(largest * worth)}, more than {_MOST}, "
            "the most that the engine counts to"
        )
    return f"{at_most}, the most that the engine counts to"


def instrument_reason(view: InstrumentView) -> str | None:
    """Why these numbers are refused with INVALID_VALUE; None if the instrument is possible."""
    reason = _product_reason(view) or _quantity_reason(view)
    if reason is None and view.min_notional > MONEY_MAX:
        reason = f"min_notional may be at most {_MOST}"
    if reason is None and not 0 <= view.mark_spread_max_bps <= SPREAD_BPS_MAX:
        reason = f"mark_spread_max_bps must be from 0 to {SPREAD_BPS_MAX}"
    return reason
