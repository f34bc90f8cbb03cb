"""Risk parameters of covariance and value at risk: shown, and changed with a reason."""

import logging
from typing import Annotated

from fastapi import APIRouter, Response
from pydantic import Field

from app.api.routes.access import ExactRoute, Provided, RiskManager, Viewer, json_response, problems
from app.api.submission import reason_text, submit
from app.commands.administration import RISK_MODEL_FIELDS, set_risk_model
from app.documents.problems import invalid_field
from app.documents.risk_parameters import NORMAL, PPM_DECIMALS, RiskParameters, parameters_content
from app.documents.schemas import Closed, Reason
from app.engine.state import State
from app.runtime.decimals import DecimalInput, JsonNumber, decimal_text
from app.runtime.plain_text import log_text

logger = logging.getLogger(__name__)

router = APIRouter(prefix="/v1/risk", tags=["risk"], route_class=ExactRoute)


class ParameterChange(Closed):
    """Members left out stay as they are. A new interval discards all samples."""

    half_life: Annotated[int, Field(ge=1, le=1_000_000, description="samples")] | None = None
    interval_us: Annotated[int, Field(ge=100_000, le=3_600_000_000)] | None = None
    horizon_us: Annotated[int, Field(ge=100_000, le=365 * 86_400_000_000)] | None = None
    confidence: Annotated[DecimalInput, Field(description="above 0.5, below 1")] | None = None
    correlation_threshold: Annotated[DecimalInput, Field(description="0 to 1")] | None = None
    mark_age_us_max: Annotated[int, Field(ge=1, le=86_400_000_000)] | None = None
    samples_min: Annotated[int, Field(ge=2, le=1_000_000)] | None = None
    reason: Reason


@router.get("/parameters", response_model=RiskParameters, responses=problems())
async def get_parameters(services: Provided, _principal: Viewer) -> Response:
    content = parameters_content(services.state)
    await services.loop.durable()
    return json_response(content)


def _ppm(name: str, value: str | int | JsonNumber) -> int:
    """A decimal from 0 to 1 in millionths. Raises Problem."""
    whole, _, fraction = decimal_text(value).partition(".")
    if len(fraction) > PPM_DECIMALS or len(whole) > 1 or int(whole) > 1:
        raise invalid_field(name, "must be from 0 to 1, with at most 6 decimals")
    ppm = int(whole) * 10**6 + int(fraction.ljust(PPM_DECIMALS, "0"))
    if ppm > 10**6:
        raise invalid_field(name, "must be from 0 to 1, with at most 6 decimals")
    return ppm


def _changed(state: State, change: ParameterChange) -> dict[str, int]:
    """All parameters of the engine's command. Raises Problem."""
    given = change.model_fields_set - {"reason"}
    if not given:
        raise invalid_field("body", "name at least one parameter")
    model = state.risk_model[0]
    values = {name: int(model[name]) for name in RISK_MODEL_FIELDS}
    for name in given:
        value = getattr(change, name)
        if value is None:
            raise invalid_field(name, "must not be null")
        if name in values:
            values[name] = value
    if change.confidence is not None:
        confidence = _ppm("confidence", change.confidence) / 1e6
        if not 0.5 < confidence < 1:
            raise invalid_field("confidence", "must be above 0.5 and below 1")
        values["z_e9"] = round(NORMAL.inv_cdf(confidence) * 1e9)
    if change.correlation_threshold is not None:
        values["correlation_threshold_ppm"] = _ppm("correlation_threshold", change.correlation_threshold)
    if values["horizon_us"] < values["interval_us"]:
        raise invalid_field("horizon_us", "must not be shorter than the interval")
    return values


@router.patch("/parameters", response_model=RiskParameters, responses=problems(413, 422))
async def change_parameters(change: ParameterChange, services: Provided, principal: RiskManager) -> Response:
    """Takes effect between two orders, like a limit; who, why, old and new are in the firm's history."""
    reason = reason_text(change.reason)
    async with services.reference_lock:  # members left out must not change before the command applies
        values = _changed(services.state, change)
        await submit(services, set_risk_model(values, principal.number, reason))
    logger.warning(
        "risk parameters set by key %d to %s: %s", principal.number, values, log_text(change.reason)
    )
    content = parameters_content(services.state)
    await services.loop.durable()
    return json_response(content)
