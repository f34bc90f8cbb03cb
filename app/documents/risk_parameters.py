"""Documents of the parameters of covariance and value at risk."""

from statistics import NormalDist
from typing import Annotated, Any

from pydantic import BaseModel, Field

from app.documents.schemas import Decimal
from app.engine.state import State
from app.engine.types import RiskParameter
from app.runtime.decimals import ratio_text

NORMAL = NormalDist()
PPM_DECIMALS = 6


class RiskParameters(BaseModel):
    """`version` counts changes; `z` follows from `confidence`."""

    version: int
    half_life: Annotated[int, Field(description="samples")]
    interval_us: int
    horizon_us: int
    confidence: Decimal
    z: Decimal
    correlation_threshold: Decimal
    mark_age_us_max: int
    samples_min: int


def parameters_content(state: State) -> dict[str, Any]:
    model = state.risk_model[0]
    plain = ("version", "half_life", "interval_us", "horizon_us", "mark_age_us_max", "samples_min")
    z_e9 = int(model["z_e9"])
    threshold_ppm = int(model["correlation_threshold_ppm"])
    return {
        **{name: int(model[name]) for name in plain},
        "confidence": _confidence_text(z_e9),
        "z": ratio_text(z_e9, 10**9, 9),
        "correlation_threshold": ratio_text(threshold_ppm, 10**6, PPM_DECIMALS),
    }


def _confidence_text(z_e9: int) -> str:
    return ratio_text(round(NORMAL.cdf(z_e9 / 1e9) * 1e6), 10**6, PPM_DECIMALS)


def parameter_shown(parameter: RiskParameter, value: int) -> tuple[str, str | int]:
    """Name and value of an engine parameter, as the API shows them."""
    if parameter == RiskParameter.Z_E9:
        return "confidence", _confidence_text(value)
    if parameter == RiskParameter.CORRELATION_THRESHOLD_PPM:
        return "correlation_threshold", ratio_text(value, 10**6, PPM_DECIMALS)
    return parameter.name.lower(), value
