"""Decoding: from bytes to validated requests, and from validation errors to a 400.

The fast path is one call into pydantic. It sees JSON numbers with a fraction as floats, which a
decimal must not pass through: if one was refused for being a float, the request is read again with
the numbers' text kept. A name that appears twice in an object counts with its last value, as in
JavaScript.

Errors are searched within bounds: a text with more values than any request has is not validated, a
list is left at its first wrong item, and if there are more errors than anybody reads, only their
number is reported.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from app.api.http.known_names import JsonSchema, known_text, members_known
from app.api.http.shapes import check_shape
from app.documents.problems import Problem, invalid_request
from app.runtime.decimals import DECIMAL_MESSAGE, JsonNumber

T = TypeVar("T")

Schema = Callable[[], JsonSchema]

# In one text. A batch of 1,000 orders, each with every member, has some 14,000.
VALUES_MAX = 16_384
# Of all other bodies.
VALUES_MAX_SMALL = 2_048
# A text of at most this many bytes has few values in any case.
_UNCOUNTED_BYTES = 1 << 14

ERRORS_MAX = 20
# With more errors than this none is named.
ERRORS_READ_MAX = 64
MESSAGE_CHARACTERS_MAX = 200

_UNION_MEMBERS = ("constrained-str", "constrained-int", "is-instance[JsonNumber]")


def exact_json(body: bytes | str, values_max: int = VALUES_MAX_SMALL) -> Any:
    """JSON with the text of fractions kept. Raises ValueError."""
    if values_in(body) > values_max:
        raise ValueError(_too_many(values_max))
    try:
        return json.loads(body, parse_float=JsonNumber.parse, parse_constant=_no_constant)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def values_in(body: bytes | str) -> int:
    """An upper bound on the number of values in a JSON text."""
    if isinstance(body, str):
        return body.count(",") + body.count("[") + body.count("{")
    return body.count(b",") + body.count(b"[") + body.count(b"{")


def _too_many(values_max: int) -> str:
    return f"a request has at most {values_max} values"


def _errors(error: ValidationError) -> list[ErrorDetails]:
    """Each error by itself. Raises Problem if there are too many to name."""
    count = error.error_count()
    if count > ERRORS_READ_MAX:
        raise invalid_request(f"{count} fields are wrong; up to {ERRORS_READ_MAX} would be looked at")
    return error.errors(include_url=False, include_context=False)


def decoder(model: type[T], skip: int = 0) -> Callable[[bytes | str], T]:
    """A function from JSON to a validated `model`; it raises a 400 `Problem`.

    `skip` leading parts of an error's location are not shown: the tag of a union.
    """
    adapter = TypeAdapter(model)
    validator = adapter.validator
    validate_json = validator.validate_json
    schema: Schema = cache(adapter.json_schema)

    def decode(body: bytes | str) -> T:
        if len(body) > _UNCOUNTED_BYTES and values_in(body) > VALUES_MAX:
            raise invalid_request(_too_many(VALUES_MAX))
        check_shape(body, flat=True)
        try:
            return validate_json(body)  # type: ignore[no-any-return]
        except ValidationError as error:
            errors = _errors(error)
        if not any(type(item["input"]) is float for item in errors):
            raise invalid_problem(errors, skip, schema)
        try:
            return validator.validate_python(exact_json(body, VALUES_MAX))  # type: ignore[no-any-return]
        except ValidationError as error:
            errors = _errors(error)
        except ValueError:
            pass  # a number that is no plain decimal: pydantic's error stands
        raise invalid_problem(errors, skip, schema)

    return decode


def invalid_problem(
    errors: Sequence[Mapping[str, Any]], skip: int = 0, schema: Schema | None = None, schema_at: int = 0
) -> Problem:
    """A 400 that names each wrong field once; `skip` leading parts of each location are left out.

    With `schema`, which describes the value `schema_at` parts down, an unknown field's error lists the known
    ones.
    """
    found: dict[str, str] = {}
    for item in errors:
        path = ".".join(str(part) for part in item["loc"][skip:] if part not in _UNION_MEMBERS)
        path = path[:MESSAGE_CHARACTERS_MAX]
        is_decimal = any(part in _UNION_MEMBERS for part in item["loc"])
        message = DECIMAL_MESSAGE if is_decimal else _sentence(item, schema, schema_at)
        found.setdefault(path, message)
    listed = [{"path": path, "message": message} for path, message in list(found.items())[:ERRORS_MAX]]
    first = listed[0]
    detail = f"{first['path']}: {first['message']}" if first["path"] else first["message"]
    if len(found) > 1:
        detail += f" (and {len(found) - 1} more)"
    return invalid_request(detail, listed)


def _sentence(item: Mapping[str, Any], schema: Schema | None, schema_at: int) -> str:
    if item["type"] == "extra_forbidden":
        known = [] if schema is None else members_known(schema(), item["loc"][schema_at:-1])
        return f"unknown field; {known_text(known)}"
    if item["type"] == "json_invalid" and "error" in item.get("ctx", ()):
        return f"{item['msg']}: {item['ctx']['error']}"[:MESSAGE_CHARACTERS_MAX]
    return str(item["msg"])[:MESSAGE_CHARACTERS_MAX]  # it may repeat what was sent
