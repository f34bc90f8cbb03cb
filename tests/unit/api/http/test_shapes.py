"""Large requests of no legal shape are refused before a validator makes something of each value in them."""

from typing import Any

import orjson
import pytest

from app.api.http.shapes import NESTED_MAX
from app.api.order_entry.request_bodies import decode_order, decode_orders
from app.documents.problems import Problem
from tests.support.api import limit_order


def padded(**members: Any) -> dict[str, Any]:
    """More than 2,048 bytes: smaller ones are not looked at."""
    return limit_order("a") | {"client_order_id": "x" * 2_048} | members


@pytest.mark.parametrize("place", ["orders", "params", "member"])
def test_values_in_the_place_of_one(place: str) -> None:
    for count, refused in ((NESTED_MAX, False), (NESTED_MAX + 1, True)):
        order = padded(account=[1] * count, quantity={}, price=[], side=[])
        content = {"orders": [order]} if place == "orders" else order
        content = {"params": content} if place == "params" else content
        with pytest.raises(Problem) as error:
            (decode_orders if place == "orders" else decode_order)(orjson.dumps(content))
        assert ("single values belong" in error.value.content["detail"]) == refused


def test_a_text_may_hold_what_opens_lists() -> None:
    """Only the text looks as if: what is wrong with it is told by its name."""
    with pytest.raises(Problem) as error:
        decode_orders(orjson.dumps({"orders": [padded(account="[{" * 10)]}))
    assert error.value.content["errors"][0]["path"].startswith("orders.0.")


@pytest.mark.parametrize(("opens", "closes"), [(b'{"params":', b"}"), (b"[", b"]"), (b'{"orders":[', b"]}")])
def test_however_deep(opens: bytes, closes: bytes) -> None:
    for depth in (10, 250, 500, 1_000, 5_000):
        with pytest.raises(Problem) as error:
            decode_order(opens * depth + b"1" + closes * depth + b" " * 2_048)
        assert error.value.status == 400
