"""Risk parameters as shown: decimals in the place of the engine's integers."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.documents.risk_parameters import NORMAL, RiskParameters, parameter_shown, parameters_content
from app.engine.state import RISK_MODEL_DEFAULTS
from app.engine.types import EventKind, RiskParameter
from tests.support.engine import desk, risk_model


def test_the_defaults() -> None:
    content = parameters_content(desk().engine.state)
    assert content == {
        "version": 0,
        "half_life": 600,
        "interval_us": 1_000_000,
        "horizon_us": 86_400_000_000,
        "confidence": "0.99",
        "z": "2.326347874",
        "correlation_threshold": "0.7",
        "mark_age_us_max": 10_000_000,
        "samples_min": 30,
    }
    RiskParameters.model_validate(content)


def test_a_change_is_shown_and_counted() -> None:
    made = desk()
    made.send(risk_model(half_life=40, z_e9=1_644_853_627, correlation_threshold_ppm=1))
    content = parameters_content(made.engine.state)
    assert (content["version"], content["half_life"], content["confidence"]) == (1, 40, "0.95")
    assert content["correlation_threshold"] == "0.000001"


def test_what_history_says_is_what_is_shown() -> None:
    """Each event of a change names its parameter as the document does, with the same value."""
    made = desk()
    changes = {
        "half_life": 41,
        "interval_us": 2_000_000,
        "horizon_us": 3_600_000_000,
        "z_e9": 1_281_551_566,
        "correlation_threshold_ppm": 250_000,
        "mark_age_us_max": 5_000_000,
        "samples_min": 31,
    }
    assert changes.keys() == RISK_MODEL_DEFAULTS.keys()
    events = [event for event in made.send(risk_model(**changes)) if event.kind == EventKind.RISK_MODEL_SET]
    told = dict(parameter_shown(RiskParameter(event.code), event.limit) for event in events)
    content = parameters_content(made.engine.state)
    assert told == {name: content[name] for name in told}
    assert told.keys() == content.keys() - {"version", "z"}


@given(st.integers(500_001, 999_999))
def test_a_confidence_comes_back_from_its_quantile(ppm: int) -> None:
    z_e9 = round(NORMAL.inv_cdf(ppm / 1e6) * 1e9)
    name, text = parameter_shown(RiskParameter.Z_E9, z_e9)
    assert name == "confidence"
    assert Decimal(str(text)) == Decimal(ppm) / 10**6


@pytest.mark.parametrize(("ppm", "text"), [(0, "0"), (1, "0.000001"), (500_000, "0.5"), (10**6, "1")])
def test_thresholds_are_without_zeros_at_the_end(ppm: int, text: str) -> None:
    shown = parameter_shown(RiskParameter.CORRELATION_THRESHOLD_PPM, ppm)
    assert shown == ("correlation_threshold", text)
