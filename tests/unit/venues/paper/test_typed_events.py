"""A kernel reads a record of an array by the names of its kind, and no record of another size."""

from typing import Any

import numba
import numpy as np
import pytest

from app.engine.records import COMMAND, EVENT, REPLACE_EVENT
from app.venues.paper.typed_events import as_replace


def _replaced(events: Any, index: int) -> Any:
    event = as_replace(events[index])
    return event.order_id, event.replace_price, event.replace_quantity


replaced = numba.njit(_replaced)


def test_the_bytes_are_the_event_s() -> None:
    events = np.zeros(3, EVENT)
    request = events.view(REPLACE_EVENT)[1]
    request["order_id"], request["replace_price"], request["replace_quantity"] = 7, 1_100, 4
    assert replaced(events, 1) == (7, 1_100, 4)
    assert (events["last_price"][1], events["last_quantity"][1]) == (1_100, 4)


def test_a_record_of_another_size_is_no_event() -> None:
    with pytest.raises(AssertionError):
        replaced(np.zeros(3, COMMAND), 1)
