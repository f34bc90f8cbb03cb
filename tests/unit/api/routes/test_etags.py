"""Versions as entity tags: what is read comes back as it was, and nothing else is a version."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.api.routes.etags import etag, expected_version, stale_version
from app.documents.problems import Problem


@given(st.integers(0, 10**18 - 1))
def test_a_version_comes_back(version: int) -> None:
    assert expected_version(etag(version)["etag"]) == version


@pytest.mark.parametrize("text", [None, "*", " * "])
def test_any_version(text: str | None) -> None:
    assert expected_version(text) is None


def test_spaces_around_it_are_none_of_it() -> None:
    assert expected_version(' "7"\t') == 7


@pytest.mark.parametrize(
    "text", ["", "7", '""', '"-1"', '"x"', 'W/"7"', '"1", "2"', '"7', '"٣"', '"1.0"', f'"{"1" * 19}"', '"7"*']
)
def test_what_is_no_version(text: str) -> None:
    with pytest.raises(Problem) as caught:
        expected_version(text)
    assert (caught.value.status, caught.value.code) == (400, "INVALID_REQUEST")
    assert caught.value.content["errors"][0]["path"] == "If-Match"


def test_a_version_that_has_passed_names_the_one_that_is_there() -> None:
    problem = stale_version(9)
    assert (problem.status, problem.code, problem.content["version"]) == (412, "STALE_VERSION", 9)
