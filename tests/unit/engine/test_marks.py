"""The mark of a window ago: one of that age, or none."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from app.engine.jit import kernel
from app.engine.marks import past_mark_of
from app.engine.state import attach
from app.engine.types import EventKind, Policy
from tests.support.engine import Desk, advance, desk, instrument, mark, policy

MINUTE = 60_000_000


@kernel
def _past_mark(directory: NDArray[np.int64], symbol: int) -> Any:
    return past_mark_of(attach(directory), symbol)


def past_mark(made: Desk, symbol: int = 0) -> tuple[int, int]:
    made.one(advance()) if made.engine.state.firm[0]["day_start_ts"] else made.send(advance())
    price, age = _past_mark(made.engine.directory, symbol)
    return int(price), int(age)


def test_a_young_symbol_has_its_oldest_mark() -> None:
    made = desk(price=1_000)
    assert past_mark(made) == (1_000, 0)
    made.ts += MINUTE // 2
    made.one(mark(0, 1_100))
    assert past_mark(made) == (1_000, MINUTE // 2)


def test_a_minute_ago_is_a_minute_ago_whenever_one_asks() -> None:
    made = desk(price=1_000)
    for second in range(1, 181):
        made.ts += 1_000_000
        made.one(mark(0, 1_000 + second))
    price, age = past_mark(made)
    assert MINUTE <= age <= MINUTE + MINUTE // 8 and price == 1_180 - age // 1_000_000
    made.ts += 30_000_000  # no mark meanwhile: a minute ago is still another moment
    price, age = past_mark(made)
    assert MINUTE <= age <= MINUTE + MINUTE // 8 and price == 1_210 - age // 1_000_000


@pytest.mark.parametrize("minutes", [3, 6, 600])
def test_after_a_silence_it_is_not_known(minutes: int) -> None:
    made = desk(price=1_000)
    made.ts += minutes * MINUTE
    made.one(mark(0, 2_000))
    assert past_mark(made) == (0, minutes * MINUTE)
    made.ts += MINUTE - 1
    made.one(mark(0, 2_100))
    assert past_mark(made)[0] == 0
    made.ts += 1
    assert past_mark(made) == (2_000, MINUTE)


def test_how_old_it_may_have_been() -> None:
    made = desk(price=1_000)
    made.ts += 2 * MINUTE
    made.one(mark(0, 2_000))
    assert past_mark(made) == (1_000, 2 * MINUTE)
    made.ts += 1
    assert past_mark(made) == (0, 2 * MINUTE + 1)


def test_a_silence_that_lasts_makes_it_stale_without_any_command_of_the_symbol() -> None:
    made = desk(price=1_000, symbols=2)
    made.ts += 5 * MINUTE
    made.one(mark(1, 1_000))
    assert past_mark(made)[0] == 0
    assert past_mark(made, 1)[0] == 0


def test_a_symbol_without_a_mark() -> None:
    made = desk()
    made.one(instrument(1))
    assert past_mark(made, 1) == (0, 0)


def test_a_window_of_nothing_is_now() -> None:
    made = desk(price=1_000)
    assert made.one(policy(Policy.COLLAR_WINDOW_US, 0)).kind == EventKind.POLICY_SET
    made.one(mark(0, 1_100))
    made.ts += MINUTE
    assert past_mark(made) == (1_100, MINUTE)
