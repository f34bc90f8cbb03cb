"""The firm's risk: value at risk, correlation, and the parameters of both."""

import logging
from collections.abc import Iterable, Iterator
from statistics import NormalDist
from typing import Annotated, Any, NamedTuple

import orjson
from fastapi import APIRouter, Response
from pydantic import BaseModel, Field

from app.api import commands
from app.api.access import (
    ExactRoute,
    Provided,
    RiskManager,
    Viewer,
    is_refused,
    json_response,
    problems,
)
from app.api.decimals import DecimalInput, JsonNumber, decimal_text, ratio_text
from app.api.errors import Problem, forbidden, invalid_field
from app.api.refusals import refusal
from app.api.schemas import Closed, Decimal
from app.api.services import Services
from app.engine.correlation import Series
from app.engine.limits import UNLIMITED
from app.engine.state import State
from app.engine.types import Limit, TradingState
from app.runtime.reference import money_text
from app.runtime.risk_figures import (
    Portfolio,
    account_portfolios,
    correlation_of,
    covariance_of,
    firm_portfolio,
    horizon_factor,
    statuses_of,
)

logger = logging.getLogger(__name__)

router = APIRouter(prefix="/v1/risk", tags=["risk"], route_class=ExactRoute)

_NORMAL = NormalDist()
_PPM_DECIMALS = 6
_VOLATILITY_DIGITS = 6
_CORRELATION_DECIMALS = 9


class Utilisation(BaseModel):
    """`allowed` and `ratio` are null where there is no limit."""

    limit: str
    used: Decimal
    allowed: Decimal | None
    ratio: Decimal | None


class PortfolioRisk(BaseModel):
    """Money in the quote currency; open orders count at their worst case.

    `sigma` is the standard deviation of the profit and loss over the horizon, `value_at_risk` z times
    that and the whole of `unmeasured_exposure`: what is held in symbols whose returns are not known.
    """

    scope: str
    trading_state: str
    exposure: Decimal
    net_exposure: Decimal
    unmeasured_exposure: Decimal
    sigma: Decimal
    value_at_risk: Decimal
    utilisation: list[Utilisation]


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


class RiskView(BaseModel):
    """Accounts are in the order of their creation; `sampled_ts` is null before the first sample."""

    ts: int
    sampled_ts: int | None
    parameters: RiskParameters
    firm: PortfolioRisk
    accounts: list[PortfolioRisk]
    symbol_trading_states: Annotated[dict[str, str], Field(description="those that are not ACTIVE")]


class SymbolReturns(BaseModel):
    """`volatility` is the standard deviation of the log return over the horizon."""

    symbol: str
    status: Annotated[str, Field(description="OK, STALE, TOO_FEW_SAMPLES, NO_VARIANCE or NO_MARK")]
    samples: int
    volatility: float | None


class Correlation(BaseModel):
    """`matrix[i][j]` belongs to `symbols[i]` and `symbols[j]`; null where either is not measured."""

    as_of_ts: int | None
    samples: int
    half_life: int
    interval_us: int
    symbols: list[SymbolReturns]
    matrix: list[list[float | None]]


class ParameterChange(Closed):
    """What is not given stays. Another interval forgets all samples."""

    half_life: Annotated[int, Field(ge=1, le=1_000_000, description="samples")] | None = None
    interval_us: Annotated[int, Field(ge=100_000, le=3_600_000_000)] | None = None
    horizon_us: Annotated[int, Field(ge=100_000, le=365 * 86_400_000_000)] | None = None
    confidence: Annotated[DecimalInput, Field(description="above 0.5, below 1")] | None = None
    correlation_threshold: Annotated[DecimalInput, Field(description="0 to 1")] | None = None
    mark_age_us_max: Annotated[int, Field(ge=1, le=86_400_000_000)] | None = None
    samples_min: Annotated[int, Field(ge=2, le=1_000_000)] | None = None
    reason: Annotated[str, Field(min_length=1, max_length=500)]


class _Use(NamedTuple):
    limit: Limit
    used: int


def parameters_content(state: State) -> dict[str, Any]:
    model = state.risk_model[0]
    z_e9 = int(model["z_e9"])
    confidence_ppm = round(_NORMAL.cdf(z_e9 / 1e9) * 1e6)
    threshold_ppm = int(model["correlation_threshold_ppm"])
    plain = ("version", "half_life", "interval_us", "horizon_us", "mark_age_us_max", "samples_min")
    return {
        **{name: int(model[name]) for name in plain},
        "confidence": ratio_text(confidence_ppm, 10**6, _PPM_DECIMALS),
        "z": ratio_text(z_e9, 10**9, 9),
        "correlation_threshold": ratio_text(threshold_ppm, 10**6, _PPM_DECIMALS),
    }


def _utilisation(record: Any, uses: tuple[_Use, ...]) -> Iterator[dict[str, Any]]:
    for limit, used in uses:
        allowed = int(record["value"][limit]) if int(record["set_mask"]) >> limit & 1 else UNLIMITED
        limited = allowed != UNLIMITED
        yield {
            "limit": limit.name,
            "used": money_text(used),
            "allowed": money_text(allowed) if limited else None,
            "ratio": ratio_text(used, allowed, 4) if limited and allowed else None,
        }


def _portfolio(scope: str, state: int, record: Any, figures: Portfolio, *, account: bool) -> dict[str, Any]:
    uses = [
        _Use(Limit.MAX_GROSS_EXPOSURE, figures.exposure),
        _Use(Limit.MAX_PORTFOLIO_VAR, figures.value_at_risk),
    ]
    if account:
        uses.append(_Use(Limit.MAX_CORRELATED_EXPOSURE, figures.correlated_exposure))
    return {
        "scope": scope,
        "trading_state": TradingState(state).name,
        **portfolio_texts(figures),
        "utilisation": list(_utilisation(record, tuple(uses))),
    }


def portfolio_texts(figures: Portfolio) -> dict[str, str]:
    names = ("exposure", "net_exposure", "unmeasured_exposure", "sigma", "value_at_risk")
    return {name: money_text(getattr(figures, name)) for name in names}


def firm_risk_content(services: Services) -> dict[str, Any]:
    state = services.state
    trading_state = int(state.firm[0]["trading_state"])
    return _portfolio("firm", trading_state, state.firm_limits[0], firm_portfolio(state), account=False)


def account_risk_contents(services: Services, accounts: Iterable[int]) -> dict[int, dict[str, Any]]:
    """Of some accounts; the figures are computed for all at once."""
    state, names = services.state, services.reference.account_names
    figures = account_portfolios(state)
    return {
        account: _portfolio(
            f"account:{names[account]}",
            int(state.accounts[account]["trading_state"]),
            state.account_limits[account],
            figures[account],
            account=True,
        )
        for account in accounts
    }


def risk_content(services: Services) -> dict[str, Any]:
    state, reference = services.state, services.reference
    firm = state.firm[0]
    accounts = list(account_risk_contents(services, range(len(reference.account_names))).values())
    states = state.instruments["trading_state"][: len(reference.instruments)].tolist()
    return {
        "ts": int(firm["ts"]),
        "sampled_ts": int(state.risk_model[0]["sampled_ts"]) or None,
        "parameters": parameters_content(state),
        "firm": firm_risk_content(services),
        "accounts": accounts,
        "symbol_trading_states": {
            instrument.symbol: TradingState(value).name
            for instrument, value in zip(reference.instruments, states, strict=True)
            if value
        },
    }


def correlation_content(services: Services) -> dict[str, Any]:
    state = services.state
    model = state.risk_model[0]
    stride = len(state.scales)
    counts = state.series.reshape(-1, stride)[Series.COUNT].tolist()
    volatility = (covariance_of(state).diagonal() ** 0.5 * horizon_factor(state)).tolist()
    symbols = [
        {
            "symbol": instrument.symbol,
            "status": status.name,
            "samples": int(count),
            "volatility": round(value, _VOLATILITY_DIGITS) if value else None,
        }
        for instrument, status, count, value in zip(
            services.reference.instruments, statuses_of(state), counts, volatility, strict=False
        )
    ]
    return {
        "as_of_ts": int(model["sampled_ts"]) or None,
        "samples": int(model["samples"]),
        "half_life": int(model["half_life"]),
        "interval_us": int(model["interval_us"]),
        "symbols": symbols,
        "matrix": correlation_of(state).round(_CORRELATION_DECIMALS),
    }


@router.get("", response_model=RiskView, responses=problems())
async def get_risk(services: Provided, principal: Viewer) -> Response:
    if principal.accounts is not None:
        raise forbidden("a trader may not read the firm's risk")
    content = risk_content(services)
    await services.loop.durable()
    return json_response(content)


@router.get("/correlation", response_model=Correlation, responses=problems())
async def get_correlation(services: Provided, _principal: Viewer) -> Response:
    content = orjson.dumps(correlation_content(services), option=orjson.OPT_SERIALIZE_NUMPY)
    await services.loop.durable()
    return Response(content, media_type="application/json")


@router.get("/parameters", response_model=RiskParameters, responses=problems())
async def get_parameters(services: Provided, _principal: Viewer) -> Response:
    content = parameters_content(services.state)
    await services.loop.durable()
    return json_response(content)


def _ppm(name: str, value: str | int | JsonNumber) -> int:
    """A decimal from 0 to 1 in millionths. Raises Problem."""
    whole, _, fraction = decimal_text(value).partition(".")
    if len(fraction) > _PPM_DECIMALS or len(whole) > 1 or int(whole) > 1:
        raise invalid_field(name, "must be from 0 to 1, with at most 6 decimals")
    ppm = int(whole) * 10**6 + int(fraction.ljust(_PPM_DECIMALS, "0"))
    if ppm > 10**6:
        raise invalid_field(name, "must be from 0 to 1, with at most 6 decimals")
    return ppm


def _changed(state: State, change: ParameterChange) -> dict[str, int]:
    """All parameters of the engine's command. Raises Problem."""
    model = state.risk_model[0]
    values = {name: int(model[name]) for name in commands.RISK_MODEL_FIELDS}
    for name in change.model_fields_set & set(values):
        value = getattr(change, name)
        if value is None:
            raise invalid_field(name, "must not be null")
        values[name] = value
    if change.confidence is not None:
        confidence = _ppm("confidence", change.confidence) / 1e6
        if not 0.5 < confidence < 1:
            raise invalid_field("confidence", "must be above 0.5 and below 1")
        values["z_e9"] = round(_NORMAL.inv_cdf(confidence) * 1e9)
    if change.correlation_threshold is not None:
        values["correlation_threshold_ppm"] = _ppm("correlation_threshold", change.correlation_threshold)
    if values["horizon_us"] < values["interval_us"]:
        raise invalid_field("horizon_us", "must not be shorter than the interval")
    return values


@router.patch("/parameters", response_model=RiskParameters, responses=problems(413, 422))
async def change_parameters(change: ParameterChange, services: Provided, principal: RiskManager) -> Response:
    """Takes effect between two orders, like a limit."""
    async with services.reference_lock:  # what is not given must still be so when the command applies
        values = _changed(services.state, change)
        outcome = await services.loop.submit(commands.set_risk_model(values, principal.number))
    if is_refused(outcome):
        content = refusal(services.reference, outcome.event)
        raise Problem(422, content["code"], content["detail"])
    logger.warning("risk parameters set by key %d to %s: %s", principal.number, values, change.reason)
    content = parameters_content(services.state)
    await services.loop.durable()
    return json_response(content)
