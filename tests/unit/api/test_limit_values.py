"""What contradicts what: the engine decides, the API says it beforehand, and neither may say more."""

from itertools import permutations, product
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from app.api.routes.limit_values import check_contradictions
from app.documents.problems import Problem
from app.engine.limit_rules import CONTRADICTIONS, contradicts
from app.engine.state_records import LIMITS
from app.engine.types import Limit
from tests.models import engine_reference as twin
from tests.support.engine import for_python

engine_contradicts = for_python(contradicts)

Values = dict[Limit, int | None]  # None: not set


def record_of(values: Values) -> NDArray[Any]:
    record = np.zeros(1, LIMITS)
    for limit, value in values.items():
        if value is not None:
            record["set_mask"] |= 1 << limit
            record["value"][0, limit] = value
    return record


def api_refuses(before: Values, change: Values) -> bool:
    try:
        check_contradictions(record_of(before)[0], change)
    except Problem as problem:
        return problem.code == "LIMIT_CONTRADICTION"
    return False


def test_engine_and_api_know_the_same_contradictions() -> None:
    found = set()
    for one, other in permutations(Limit, 2):
        for value, beside in product((None, 0, 1, 5, 6), repeat=2):
            after: Values = {one: value, other: beside}
            refused = api_refuses({other: beside}, {one: value})
            assert engine_contradicts(record_of(after), int(one)) == refused, after
            numbers = {int(limit): number for limit, number in after.items() if number is not None}
            assert twin.contradicts(numbers, one) == refused, after
            if refused:
                found.add(frozenset((one, other)))
    assert found == set(map(frozenset, CONTRADICTIONS))


@pytest.mark.parametrize(("smaller", "larger"), CONTRADICTIONS)
def test_limits_beside_a_pair_change_nothing(smaller: Limit, larger: Limit) -> None:
    for third in set(Limit) - {smaller, larger}:
        for low, high, refused in ((5, 5, False), (6, 5, True), (6, 0, False), (6, None, False)):
            after: Values = {smaller: low, larger: high, third: 5}
            assert engine_contradicts(record_of(after), int(smaller)) == refused, after
            assert api_refuses({smaller: low, third: 5}, {larger: high}) == refused, after
