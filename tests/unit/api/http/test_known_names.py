"""What a request may say: every name that is unknown, given twice or empty is refused by name."""

from typing import Annotated, Literal
from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field, TypeAdapter
from typing_extensions import TypedDict

from app.api.http.known_names import (
    ERRORS_MAX,
    NAME_CHARACTERS_MAX,
    body_problem,
    known_text,
    members_known,
    query_problem,
)
from app.documents.problems import Problem

KNOWN = ("account", "limit")


def paths(problem: Problem | None) -> dict[str, str]:
    assert problem is not None
    assert (problem.status, problem.code) == (400, "INVALID_REQUEST")
    return {error["path"]: error["message"] for error in problem.content["errors"]}


@pytest.mark.parametrize("query", [b"", b"account=a", b"account=a&limit=5", b"limit=%20", b"account=a%26b"])
def test_what_is_known_passes(query: bytes) -> None:
    assert query_problem(query, KNOWN) is None


@pytest.mark.parametrize(
    ("query", "name", "message"),
    [
        (b"acount=a", "acount", "unknown parameter; known are account, limit"),
        (b"account=a&account=a", "account", "is given more than once"),
        (b"account=", "account", "is empty"),
        (b"account", "account", "is empty"),
        (b"=a", "", "unknown parameter"),
        (b"ACCOUNT=a", "ACCOUNT", "unknown parameter"),
        (b"%ff=1", "\N{REPLACEMENT CHARACTER}", "unknown parameter"),
    ],
)
def test_what_is_wrong_is_named(query: bytes, name: str, message: str) -> None:
    (found,) = paths(query_problem(query, KNOWN)).items()
    assert found[0] == name
    assert found[1].startswith(message)


@given(st.dictionaries(st.text(max_size=10), st.text(min_size=1, max_size=5), max_size=8))
def test_exactly_what_is_unknown_is_refused(query: dict[str, str]) -> None:
    problem = query_problem(urlencode(query).encode(), KNOWN)
    unknown = query.keys() - set(KNOWN)
    assert (set(paths(problem)) if problem else set()) == unknown


def test_values_are_not_repeated() -> None:
    problem = query_problem(b"key=hunter2&acount=hunter2", KNOWN)
    assert problem is not None
    assert b"hunter2" not in problem.body()


def test_no_more_is_told_than_anybody_reads() -> None:
    count = ERRORS_MAX + 5
    query = "&".join(f"{'x' * 1_000}{number}=1" for number in range(3))
    query += "&" + "&".join(f"n{number}=1" for number in range(count - 1))
    problem = query_problem(query.encode(), ())
    found = paths(problem)
    assert len(found) == ERRORS_MAX
    assert max(map(len, found)) == NAME_CHARACTERS_MAX
    assert problem is not None
    assert problem.content["detail"].endswith(f"(and {count - 1} more)")


def test_what_is_known_in_words() -> None:
    assert known_text(["a", "b"]) == "known are a, b"
    assert known_text([]) == "none is known here"


def test_a_body_where_none_is_known() -> None:
    assert paths(body_problem()) == {"body": "this route takes no body"}


class Leaf(TypedDict):
    number: int


class Cat(TypedDict):
    name: Literal["cat"]
    lives: int


class Dog(TypedDict):
    name: Literal["dog"]
    leaf: Leaf | None


class Tree(TypedDict):
    leaves: list[Leaf]
    by_name: dict[str, Leaf]
    pets: list[Annotated[Cat | Dog, Field(discriminator="name")]]
    either: Leaf | Cat


SCHEMA = TypeAdapter(Tree).json_schema()


@pytest.mark.parametrize(
    ("location", "members"),
    [
        ((), ["leaves", "by_name", "pets", "either"]),
        (("leaves", 0), ["number"]),
        (("by_name", "any"), ["number"]),
        (("pets", 3, "cat"), ["name", "lives"]),
        (("pets", 3, "dog"), ["name", "leaf"]),
        (("pets", 3, "dog", "leaf"), ["number"]),
        (("either",), ["number", "name", "lives"]),
        (("nowhere", 1, "x"), []),
    ],
    ids=str,
)
def test_members_at_a_place(location: tuple[str | int, ...], members: list[str]) -> None:
    assert members_known(SCHEMA, location) == members
