"""Valuation: the worth of an order, and what its fills may cost beyond the mark.

A buy is worth its limit; one without a limit the edge of its price collar, which is the worst price
at which it may trade. A sell can trade at more than its limit, so it is worth the higher of that
and the mark. While a stop waits, its stop price stands for the mark: it trades when the mark is
there.

Equity is at mark, so a fill at a worse price loses the difference at once, and it pays a fee. Both
are the order's cost: part of the margin that it needs, and reserved for as long as it is open.
"""

from typing import Any

from app.engine.arithmetic import basis_points_of
from app.engine.jit import force_inline
from app.engine.limits import UNLIMITED, tightest
from app.engine.order_kinds import needs_price
from app.engine.state import State
from app.engine.types import Limit, Side

_PPM = 1_000_000
_SMALL_NOTIONAL = 1 << 46
_SMALL_PPM = 1 << 16


@force_inline
def collar_of(st: State, account: int, symbol: int, reference: int) -> tuple[int, int]:
    """How far, in ticks, a price may be from `reference`, and the limit's scope; UNLIMITED without one."""
    basis_points, scope = tightest(st, Limit.PRICE_COLLAR_BPS, account, symbol)
    if basis_points == UNLIMITED:
        return UNLIMITED, scope
    return basis_points_of(reference, basis_points), scope


@force_inline
def reference_of(st: State, order: Any) -> int:
    """The mark, or its value when a waiting stop fires, in ticks."""
    return order.stop_price if order.waiting else st.instruments[order.symbol].mark


@force_inline
def protection_price(st: State, order: Any) -> int:
    """The worst price at which an order without a limit may trade: its collar's edge; 0 without a collar."""
    reference = reference_of(st, order)
    distance, _ = collar_of(st, order.account, order.symbol, reference)
    if needs_price(order.type) or distance == UNLIMITED:
        return 0
    if order.side == Side.BUY:
        return min(reference + distance, st.instruments[order.symbol].max_price)
    return max(reference - distance, 1)


@force_inline
def _worst_price(st: State, order: Any) -> int:
    """The worst price at which an order is expected to trade, in ticks."""
    if needs_price(order.type):
        return order.price
    edge = protection_price(st, order)
    return edge if edge > 0 else reference_of(st, order)


@force_inline
def worth_of(st: State, order: Any) -> int:
    """The worth of a step of an order, in ticks."""
    price = _worst_price(st, order)
    if order.side == Side.BUY:
        return price
    if order.waiting:
        price = max(price, order.stop_price)
    return max(price, st.instruments[order.symbol].mark)


@force_inline
def fee_ppm_of(instrument: Any) -> int:
    """The highest fee of a fill; 0 if it always gets a rebate."""
    return max(instrument.taker_fee_ppm, instrument.maker_fee_ppm, 0)


@force_inline
def _fee_of(notional: int, ppm: int) -> int:
    """Rounded up."""
    if notional < _SMALL_NOTIONAL and ppm < _SMALL_PPM:  # the product fits: one quotient is enough
        return (notional * ppm + _PPM - 1) // _PPM
    return notional // _PPM * ppm + (notional % _PPM * ppm + _PPM - 1) // _PPM


@force_inline
def cost_of(st: State, order: Any, quantity: int) -> int:
    """Money that fills of `quantity` steps may cost: the loss against the mark, and the fee."""
    instrument = st.instruments[order.symbol]
    reference = reference_of(st, order)
    price = _worst_price(st, order)
    lost = max(price - reference if order.side == Side.BUY else reference - price, 0)
    fee = _fee_of(worth_of(st, order) * quantity * instrument.multiplier, fee_ppm_of(instrument))
    return lost * quantity * instrument.multiplier + fee
