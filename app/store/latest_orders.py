"""Latest orders: the row of `orders` that the events of a batch leave for each."""

import numpy as np
from numpy.typing import NDArray

from app.engine.types import EventKind, OrderStatus

Array = NDArray[np.void]

_ENDS = (EventKind.ORDER_FILLED, EventKind.ORDER_CANCELED, EventKind.ORDER_EXPIRED, EventKind.ORDER_REJECTED)
_OF_THE_END = ("code", "scope", "limit", "observed")


def latest_orders(events: Array) -> Array:
    """Each order as its last event shows it, from the events of orders; a copy.

    After an order has ended, only refusals and anomalies follow, which do not change it. While it is open it
    has no code, as in the engine: the code of a refused request is in that request's event.
    """
    events = events[(events["status"] > OrderStatus.NONE) & (events["order_id"] > 0)]
    events = events[(events["status"] < OrderStatus.FILLED) | np.isin(events["kind"], _ENDS)]
    # The last event of each order: in reverse, the first one that has its id.
    _, newest = np.unique(events["order_id"][::-1], return_index=True)
    latest: Array = events[len(events) - 1 - newest]
    is_open = latest["status"] < OrderStatus.FILLED
    for name in _OF_THE_END:
        latest[name][is_open] = 0
    return latest
