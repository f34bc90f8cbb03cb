"""Shape of a large request, checked before every wrong member of it is.

A validator lists all errors, and a megabyte can have a hundred thousand of them. So a large request
is first checked quickly: how many members its objects have, how many values there are in all, and
how many of them inside of what should be one value. What passes has few enough for any validator.
"""

from typing import Any

import orjson

from app.api.http.known_names import known_text
from app.documents.problems import invalid_field, invalid_request
from app.documents.schemas import BATCH_ORDERS_MAX, SYMBOL_PERMISSIONS_MAX, PlaceOrder

# Smaller requests cannot be wrong in many places.
SMALL_BYTES_MAX = 2_048
ORDER_MEMBERS = frozenset(PlaceOrder.__annotations__)
# A legal one has at most this many, and room for what a name may contain.
COMMAS_MAX = BATCH_ORDERS_MAX * (len(ORDER_MEMBERS) + 3)
MEMBERS_MAX = SYMBOL_PERMISSIONS_MAX + 8
ITEMS_MAX = BATCH_ORDERS_MAX
_DEPTH = 3  # of a batch in a message: message, params, orders
_LISTS = frozenset(("orders", "channels"))
# Objects and lists of a request besides those of its orders or channels: message, params, the list.
_CONTAINERS_MAX = 4
NESTED_MAX = 64
_NESTED_DEPTH = 8


def has_few_values(body: bytes | str) -> bool:
    """Whether a body parses quickly: no more values than a legal one has."""
    return (body.count(",") if isinstance(body, str) else body.count(b",")) <= COMMAS_MAX


def check_shape(body: bytes | str, *, flat: bool = False) -> None:
    """Raises Problem (400) if a large request has a shape that no request has.

    `flat`: of a request with orders or channels, in which nothing else is made of several values.
    """
    if len(body) <= SMALL_BYTES_MAX:
        return
    if not has_few_values(body):
        raise invalid_request(f"it has more values than any request may have ({COMMAS_MAX})")
    try:
        content = orjson.loads(body)
    except orjson.JSONDecodeError:
        return  # the validator reports the error and its place
    _check(content, "", _DEPTH)
    if flat and _has_more_containers(body, content) and _nested(content) > NESTED_MAX:
        raise invalid_request("it has lists and objects where single values belong")


def _has_more_containers(body: bytes | str, content: Any) -> bool:
    """Whether there may be more objects and lists than a flat request has; a quick scan of the text."""
    opened = (
        body.count("{") + body.count("[") if isinstance(body, str) else body.count(b"{") + body.count(b"[")
    )
    inner = content.get("params", content) if isinstance(content, dict) else content
    lists = [inner.get(name) for name in _LISTS] if isinstance(inner, dict) else []
    return opened > _CONTAINERS_MAX + sum(len(each) for each in lists if isinstance(each, list))


def _nested(content: Any, in_params: bool = False) -> int:
    """The number of values inside of what should be one value."""
    if not isinstance(content, dict):
        return _size(content, _NESTED_DEPTH)
    found = 0
    for name, value in content.items():
        if name == "params" and not in_params:
            found += _nested(value, in_params=True)
        elif name in _LISTS and isinstance(value, list):
            items = [item.values() if isinstance(item, dict) else (item,) for item in value]
            found += sum(_size(each, _NESTED_DEPTH) for values in items for each in values)
        else:
            found += _size(value, _NESTED_DEPTH)
    return found


def _size(value: Any, depth: int) -> int:
    if not isinstance(value, dict | list):
        return 0
    inside = value.values() if isinstance(value, dict) else value
    return len(value) + (sum(_size(each, depth - 1) for each in inside) if depth else 0)


def _check(content: Any, path: str, depth: int) -> None:
    if isinstance(content, dict):
        if len(content) > MEMBERS_MAX:
            raise invalid_field(path or "body", f"an object has at most {MEMBERS_MAX} members")
        if depth:
            for name, value in content.items():
                if isinstance(value, dict | list):
                    _check(value, f"{path}.{name}"[:64].lstrip("."), depth - 1)
    elif isinstance(content, list):
        if len(content) > ITEMS_MAX:
            raise invalid_field(path or "body", f"a list has at most {ITEMS_MAX} items")
        if path in ("orders", "params.orders"):
            _check_orders(content, path)


def _check_orders(orders: list[Any], path: str) -> None:
    for place, order in enumerate(orders):
        if isinstance(order, dict) and not order.keys() <= ORDER_MEMBERS:
            name = next(iter(order.keys() - ORDER_MEMBERS))
            raise invalid_field(
                f"{path}.{place}.{name[:64]}", f"unknown field; {known_text(sorted(ORDER_MEMBERS))}"
            )
