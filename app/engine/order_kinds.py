"""Order kinds: which prices each order type needs, and when a stop fires."""

from app.engine.jit import force_inline
from app.engine.types import OrderType, Side


@force_inline
def needs_price(order_type: int) -> bool:
    return (
        order_type == OrderType.LIMIT
        or order_type == OrderType.STOP_LIMIT
        or order_type == OrderType.TAKE_PROFIT_LIMIT
    )


@force_inline
def needs_stop_price(order_type: int) -> bool:
    return order_type >= OrderType.STOP


@force_inline
def fires_on_rise(order_type: int, side: int) -> bool:
    """Whether a stop waits for the mark to rise to its stop price, rather than to fall."""
    stop = order_type == OrderType.STOP or order_type == OrderType.STOP_LIMIT
    return stop == (side == Side.BUY)
