"""Samples of returns: when they are taken, what they measure, and the parameters of the estimate."""

from dataclasses import replace

import numpy as np
import pytest

from app.engine.capacity import SMALL_CAPACITY
from app.engine.state import RISK_MODEL_DEFAULTS
from app.engine.types import EventKind, RiskParameter, Scope, SeriesStatus
from app.runtime.event_views import RiskModelEvent, SampleEvent, event_as
from tests.support.engine import (
    Desk,
    desk,
    instrument,
    mark,
    risk_model,
    sample_marks,
)
from tests.support.sampled_desk import (
    PRICE,
    SAMPLES,
    SECOND_US,
    covariance,
    moving_prices,
    pass_second,
    sampled_desk,
    statuses,
)


def test_a_point_of_the_grid_is_sampled_once() -> None:
    made = sampled_desk(1)
    before = made.engine.state.sums.copy()
    made.send(mark(0, PRICE + 500))
    assert made.one_as(SampleEvent, sample_marks()).samples == SAMPLES - 1
    assert (made.engine.state.sums == before).all()
    made.ts += SECOND_US
    assert made.one_as(SampleEvent, sample_marks()).samples == SAMPLES


def test_no_return_leads_over_a_gap() -> None:
    made = sampled_desk(1)
    before = made.engine.state.sums.copy()
    made.ts += 2 * SECOND_US
    made.send(mark(0, 2 * PRICE))
    assert made.one_as(SampleEvent, sample_marks()).samples == SAMPLES - 1
    assert (made.engine.state.sums == before).all()
    made.ts += SECOND_US
    made.send(sample_marks())
    # From twice the price to twice the price: the jump in between is in no return.
    assert made.engine.state.sums[0] < before[0]


def test_statuses_say_why_a_symbol_is_not_measured() -> None:
    made = desk(1, 4, PRICE)
    made.send(instrument(4))
    for prices in moving_prices(2, 20):
        pass_second(made, [*prices, PRICE])
    assert statuses(made, 5) == [SeriesStatus.TOO_FEW_SAMPLES] * 4 + [SeriesStatus.NO_MARK]
    for prices in moving_prices(2, 20):
        pass_second(made, [*prices, PRICE])
    # Symbol 3 has had no news since the start: it is stale, and has few samples before that.
    expected = [SeriesStatus.OK, SeriesStatus.OK, SeriesStatus.NO_VARIANCE, SeriesStatus.TOO_FEW_SAMPLES]
    assert statuses(made, 5) == [*expected, SeriesStatus.NO_MARK]
    assert covariance(made, 2, 2) == covariance(made, 0, 3) == 0.0
    for prices in moving_prices(1, 15):
        pass_second(made, prices)
    assert statuses(made, 2) == [SeriesStatus.OK, SeriesStatus.STALE]
    assert covariance(made, 1, 1) > 0
    assert np.isfinite(made.engine.state.covariance).all()


def test_a_symbol_added_later_counts_once_it_has_half_the_weight_of_the_oldest() -> None:
    made = desk(1, 1, PRICE)
    made.send(risk_model(half_life=40))
    for prices in moving_prices(1, 200):
        pass_second(made, prices)
    made.send(instrument(1), mark(1, PRICE))
    needed = 0
    for prices in moving_prices(2, 60, seed=2):
        pass_second(made, prices)
        needed += statuses(made, 2)[1] == SeriesStatus.TOO_FEW_SAMPLES
    assert needed == pytest.approx(40, abs=2)
    assert statuses(made, 2)[1] == SeriesStatus.OK


def test_a_variance_that_has_faded_away_leaves_exact_zeros() -> None:
    made = desk(1, 2, PRICE)
    made.send(risk_model(half_life=1))
    for prices in moving_prices(2, 40):
        pass_second(made, prices)
    for _ in range(150):
        pass_second(made, [PRICE, PRICE])
    assert statuses(made, 2) == [SeriesStatus.NO_VARIANCE] * 2
    assert not made.engine.state.sums.any()


def test_parameters_wait_for_room_for_all_their_events() -> None:
    """Seven events each, and room for sixteen: what does not fit goes on with the next batch, once."""
    made = Desk(replace(SMALL_CAPACITY, events=16))
    changes = [
        risk_model(
            half_life=value,
            interval_us=value * SECOND_US,
            horizon_us=value * 10 * SECOND_US,
            z_e9=value,
            correlation_threshold_ppm=value,
            mark_age_us_max=value,
            samples_min=value,
        )
        for value in (2, 3, 4, 5)
    ]
    events = [event_as(RiskModelEvent, event) for event in made.send(*changes)]
    told = [(event.seq, event.parameter, event.version) for event in events]
    seqs = sorted({seq for seq, _, _ in told})
    assert sorted(told) == [
        (seq, code, version) for version, seq in enumerate(seqs, 1) for code in sorted(RiskParameter)
    ]
    assert len(seqs) == len(changes)


def test_parameters_are_set_all_at_once_or_not_at_all() -> None:
    made = sampled_desk(1)
    model = made.engine.state.risk_model[0]
    version = int(model["version"])
    command = risk_model(horizon_us=10 * SECOND_US, z_e9=1_000_000_000, actor=7)
    events = [event_as(RiskModelEvent, event) for event in made.send(command)]
    assert [(e.parameter, e.old_value, e.new_value) for e in events] == [
        (RiskParameter.HORIZON_US, RISK_MODEL_DEFAULTS["horizon_us"], 10 * SECOND_US),
        (RiskParameter.Z_E9, RISK_MODEL_DEFAULTS["z_e9"], 1_000_000_000),
    ]
    assert {(e.scope, e.version, e.actor) for e in events} == {(Scope.FIRM, version + 1, 7)}
    unchanged = made.one_as(RiskModelEvent, risk_model(horizon_us=10 * SECOND_US, z_e9=1_000_000_000))
    assert unchanged.new_value == unchanged.old_value
    for change in (
        {"half_life": 0},
        {"half_life": 1_000_001},
        {"interval_us": 99_999},
        {"horizon_us": 999_999},
        {"z_e9": 0},
        {"correlation_threshold_ppm": 1_000_001},
        {"correlation_threshold_ppm": -1},
        {"mark_age_us_max": 0},
        {"samples_min": 1},
    ):
        before = state_hash_of_model(made)
        assert made.one(risk_model(**change)).kind == EventKind.COMMAND_REJECTED
        assert state_hash_of_model(made) == before


def state_hash_of_model(made: Desk) -> bytes:
    return bytes(made.engine.state.risk_model.tobytes())


def test_another_interval_starts_the_estimate_anew() -> None:
    made = sampled_desk(2)
    made.send(risk_model(half_life=50))
    assert covariance(made, 0, 1) > 0
    made.send(risk_model(half_life=50, interval_us=2 * SECOND_US))
    assert statuses(made, 2) == [SeriesStatus.TOO_FEW_SAMPLES] * 2
    assert not made.engine.state.sums.any() and not made.engine.state.covariance.any()
