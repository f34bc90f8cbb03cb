"""Known names: a route's own parameters and members, each at most once. All others are refused by name.

A name that is silently ignored is a wrong order, a canceled book or somebody else's rows: so a
misspelled `?acount=a` is an error, not a request about everybody.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import parse_qsl

from app.documents.problems import Problem, invalid_request

ERRORS_MAX = 20
NAME_CHARACTERS_MAX = 200

JsonSchema = Mapping[str, Any]


def known_text(known: Sequence[str]) -> str:
    return f"known are {', '.join(known)}" if known else "none is known here"


def query_problem(query: bytes, known: Sequence[str]) -> Problem | None:
    """A 400 that names every parameter that is unknown, empty or given twice; None if there is none.

    No parameter of this API has several values. Values are not repeated: one may be a key in a wrong place.
    """
    if not query:
        return None
    found: dict[str, str] = {}
    seen: set[str] = set()
    for name, value in parse_qsl(query.decode("latin-1"), keep_blank_values=True):
        shown = name[:NAME_CHARACTERS_MAX]
        if name not in known:
            found[shown] = f"unknown parameter; {known_text(known)}"
        elif name in seen:
            found[shown] = "is given more than once"
        elif not value:
            found[shown] = f"is empty: give it a value or leave it out; {known_text(known)}"
        seen.add(name)
    return _problem(found) if found else None


def _problem(found: Mapping[str, str]) -> Problem:
    listed = [{"path": path, "message": message} for path, message in list(found.items())[:ERRORS_MAX]]
    detail = f"{listed[0]['path']}: {listed[0]['message']}"
    if len(found) > 1:
        detail += f" (and {len(found) - 1} more)"
    return invalid_request(detail, listed)


def body_problem() -> Problem:
    """The 400 for a body where none is accepted."""
    message = "this route takes no body"
    return invalid_request(message, [{"path": "body", "message": message}])


def members_known(schema: JsonSchema, location: Sequence[str | int]) -> list[str]:
    """The members of the object at a location, in pydantic's terms: names, indexes and tags of unions."""
    nodes = list(_alternatives(schema, schema))
    for part in location:
        children = [_child(node, part) for node in nodes]
        nodes = [node for child in children for node in _alternatives(schema, child)]
    return list(dict.fromkeys(name for node in nodes for name in node.get("properties", ())))


def _alternatives(schema: JsonSchema, node: JsonSchema) -> Iterator[JsonSchema]:
    """The possible forms of a node, without references; a tagged union stays one: the place has its tag."""
    if "$ref" in node:
        yield from _alternatives(schema, schema["$defs"][node["$ref"].rsplit("/", 1)[-1]])
    elif "discriminator" not in node and ("anyOf" in node or "oneOf" in node):
        for option in node.get("anyOf") or node["oneOf"]:
            yield from _alternatives(schema, option)
    else:
        yield node


def _child(node: JsonSchema, part: str | int) -> JsonSchema:
    child: Any
    if "discriminator" in node:
        child = {"$ref": node["discriminator"]["mapping"].get(part, "")} if part else {}
    elif isinstance(part, int):
        child = node.get("items")
    else:
        child = node.get("properties", {}).get(part) or node.get("additionalProperties")
    return child if isinstance(child, dict) else {}
