"""Mark rule: the books from which a mark is made.

A mark decides stops, margin and breakers. One order far away from the market, or an empty side,
moves the middle of a book without a trade: such a middle is no price, so the mark before it is kept
and ages instead. `Limit.MAX_MARK_AGE` and `Limit.MARK_HALT_AGE` bound its age.
"""

from enum import StrEnum

ANY_SPREAD = 0  # as a bound: none
_BPS = 10_000


class NoMark(StrEnum):
    """Why a book gives no mark."""

    ONE_SIDED = "ONE_SIDED"  # nobody bids, or nobody asks
    CROSSED = "CROSSED"  # the best bid is not below the best ask
    TOO_WIDE = "TOO_WIDE"  # the spread over the middle is above the instrument's bound


def why_no_mark(bid: int, ask: int, spread_max_bps: int) -> NoMark | None:
    """The reason for the best bid and ask in ticks, 0 if a side is empty; None if they make a mark.

    spread_max_bps: in 1e-4 of the middle; ANY_SPREAD is no bound.
    """
    if bid <= 0 or ask <= 0:
        return NoMark.ONE_SIDED
    if bid >= ask:
        return NoMark.CROSSED
    # Whole numbers: (ask - bid) / ((ask + bid) / 2) > bound / 10,000.
    if spread_max_bps != ANY_SPREAD and 2 * _BPS * (ask - bid) > spread_max_bps * (ask + bid):
        return NoMark.TOO_WIDE
    return None


def any_spread(_symbol: int) -> int:
    """The bound of a market without one."""
    return ANY_SPREAD
