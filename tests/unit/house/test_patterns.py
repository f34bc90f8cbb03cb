"""No regular expression of the product takes longer than what it reads is long.

A pattern is linear where a repetition never has a choice: no character that may go on
with it may also begin what follows it. Then giving back what it took never helps, and
the first attempt is the last. A pattern that is searched for begins with what its own
repetitions cannot take, so that no run is read once for each of its characters.
"""

import ast
import importlib
import pkgutil
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.routing import APIRoute

import app
from app.api.http import head_reader
from app.main import ROUTERS

sre: Any = importlib.import_module("re._parser")

CHARACTERS = [chr(code) for code in range(0x250)]
# Methods that take a pattern, and whether it is tried at one place only.
_ANCHORED = {"fullmatch": True, "match": True, "compile": True, "search": False, "finditer": False}

Source = tuple[str, str | bytes, bool]


def _modules() -> Iterator[Any]:
    for module in pkgutil.walk_packages(app.__path__, "app."):
        if not module.name.endswith("__main__"):
            yield importlib.import_module(module.name)


def _patterns_of(module: Any) -> Iterator[Source]:
    """Patterns as they are written in calls of `re`, and for strings of models."""
    tree = ast.parse(Path(module.__file__).read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            called, found = node.func, None
            anchored = True
            if isinstance(called, ast.Attribute) and getattr(called.value, "id", "") == "re":
                found = node.args[0]
                anchored = _ANCHORED[called.attr]
            for keyword in node.keywords:
                if keyword.arg == "pattern":
                    found = keyword.value
            if found is not None:
                text = eval(compile(ast.Expression(found), "pattern", "eval"), vars(module))
                yield f"{module.__name__}:{node.lineno}", text, anchored


def _all_patterns() -> list[Source]:
    found = [source for module in _modules() for source in _patterns_of(module)]
    for router in ROUTERS:
        routes = [route for route in router.router.routes if isinstance(route, APIRoute)]
        found += [(route.path, route.path_regex.pattern, True) for route in routes]
    return found


class Ambiguous(Exception):
    """A repetition has a choice."""


def _characters(operation: Any, argument: Any) -> frozenset[str]:
    """What one item that stands for one character may be."""
    name = str(operation)
    if name == "LITERAL":
        return frozenset(chr(argument))
    if name == "NOT_LITERAL":
        return frozenset(CHARACTERS) - {chr(argument)}
    if name == "ANY":
        return frozenset(CHARACTERS)
    assert name == "IN", name
    found: set[str] = set()
    negated = False
    for kind, value in argument:
        if str(kind) == "NEGATE":
            negated = True
        elif str(kind) == "LITERAL":
            found.add(chr(value))
        elif str(kind) == "RANGE":
            found |= {chr(code) for code in range(value[0], value[1] + 1)}
        else:
            classes = {"CATEGORY_DIGIT": r"\d", "CATEGORY_SPACE": r"\s", "CATEGORY_NOT_SPACE": r"\S"}
            found |= {each for each in CHARACTERS if re.match(classes[str(value)], each)}
    return frozenset(CHARACTERS) - found if negated else frozenset(found)


def check(items: Any, after: frozenset[str]) -> tuple[frozenset[str], bool]:
    """What a sequence may begin with, where `after` may follow it, and whether it may be empty.

    Raises Ambiguous.
    """
    begins, empty = after, True
    for operation, argument in reversed(list(items)):
        name = str(operation)
        if name == "AT":
            continue
        if name in ("MAX_REPEAT", "MIN_REPEAT"):
            low, high, body = argument
            first, body_empty = check(body, frozenset() if high > 1 else begins)
            if high > 1:
                if body_empty:
                    raise Ambiguous(f"a repetition of nothing: {body}")
                if high != low and first & begins:
                    raise Ambiguous(f"{sorted(first & begins)[:5]} may go on or follow")
                check(body, first | begins)
            begins, empty = (first | begins, empty) if low == 0 else (first, False)
        elif name == "SUBPATTERN":
            begins, inner = check(argument[3], begins)
            empty = empty and inner
        elif name == "BRANCH":
            found = [check(branch, begins) for branch in argument[1]]
            begins = frozenset().union(*(first for first, _ in found))
            empty = empty and any(inner for _, inner in found)
        else:
            begins, empty = _characters(operation, argument), False
    return begins, empty


def _repeated(items: Any) -> frozenset[str]:
    """All that repetitions without a small bound may take."""
    found: frozenset[str] = frozenset()
    for operation, argument in items:
        if str(operation) in ("MAX_REPEAT", "MIN_REPEAT"):
            found |= check(argument[2], frozenset())[0]
        elif str(operation) == "SUBPATTERN":
            found |= _repeated(argument[3])
        elif str(operation) == "BRANCH":
            found = found.union(*(_repeated(branch) for branch in argument[1]))
    return found


def assert_linear(pattern: str | bytes, anchored: bool) -> None:
    text = pattern if isinstance(pattern, str) else pattern.decode("latin-1")
    parsed = sre.parse(text)
    first, _ = check(parsed, frozenset())
    if not anchored and first & _repeated(parsed):
        raise Ambiguous("a run is read once for each of its characters")


def test_every_pattern_is_linear() -> None:
    patterns = _all_patterns()
    assert len(patterns) > 20
    for place, pattern, anchored in patterns:
        try:
            assert_linear(pattern, anchored)
        except Ambiguous as error:
            pytest.fail(f"{place}: {pattern!r}: {error}")


@pytest.mark.parametrize(
    ("pattern", "anchored"),
    [
        (r"a[ \t]*([!-~]([ -~]*[!-~])?)?[ \t]*", True),
        (r"(a+)+", True),
        (r"(a|aa)+b*b", True),
        (r"[0-9]*[1-9]*x", True),
        (r"(a*)*", True),
        (r".*=.*", True),
        (r"[0-9]+x", False),
    ],
)
def test_what_is_not_linear_is_found(pattern: str, anchored: bool) -> None:
    with pytest.raises(Ambiguous):
        assert_linear(pattern, anchored)


def _seconds(call: Callable[[], object]) -> float:
    best = float("inf")
    for _ in range(5):
        started = time.perf_counter()
        call()
        best = min(best, time.perf_counter() - started)
    return best


@pytest.mark.parametrize(
    "head",
    [
        lambda size: b"a:%b\x80" % (b" " * size),
        lambda size: b"a:%b" % (b" \t" * (size // 2)),
        lambda size: b"a: x%bx\x7f" % (b" " * size),
        lambda size: b"%b\x80:" % (b"a" * size),
        lambda size: b"a:%b\x80" % (b"x " * (size // 2)),
    ],
)
def test_the_time_of_a_head_grows_with_its_length(
    head: Callable[[int], bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sixteen times the bytes: some sixteen times the time, and not two hundred and fifty-six."""
    monkeypatch.setattr(head_reader, "PLAIN_HEAD_BYTES_MAX", 1 << 20)

    def read(size: int) -> float:
        raw = b"POST /v1/orders HTTP/1.1\r\n%b\r\ncontent-length: x\r\n\r\n" % head(size)
        return _seconds(lambda: head_reader.read_head(raw))

    assert read(16 << 14) < 80 * read(1 << 14)
