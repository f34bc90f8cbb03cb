"""The firm's risk: value at risk, and correlation."""

from collections.abc import Iterable, Iterator
from typing import Annotated, Any, NamedTuple

import orjson
from fastapi import APIRouter, Response
from pydantic import BaseModel, Field

from app.api.http.large_response import document, json_list
from app.api.routes.access import ExactRoute, Provided, Viewer, problems
from app.api.services import Services
from app.documents.problems import forbidden
from app.documents.risk_parameters import RiskParameters, parameters_content
from app.documents.schemas import Decimal
from app.engine.correlation import Series
from app.engine.limits import UNLIMITED
from app.engine.types import Limit, TradingState
from app.runtime.decimals import ratio_text
from app.runtime.reference import money_text
from app.runtime.risk_figures import (
    Portfolio,
    account_portfolio,
    correlation_of,
    covariance_of,
    firm_portfolio,
    horizon_factor,
    statuses_of,
)

router = APIRouter(prefix="/v1/risk", tags=["risk"], route_class=ExactRoute)

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

    `sigma` bounds the standard deviation of the profit and loss over the horizon, whichever open
    orders fill. `value_at_risk` is z times that and the whole of `unmeasured_exposure`: what is held
    in symbols whose returns are not known. `position_value_at_risk` is that of the positions alone.
    """

    scope: str
    trading_state: str
    exposure: Decimal
    net_exposure: Decimal
    unmeasured_exposure: Decimal
    sigma: Decimal
    value_at_risk: Decimal
    position_value_at_risk: Decimal
    utilisation: list[Utilisation]


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


class _Use(NamedTuple):
    limit: Limit
    used: int


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
    names = (
        "exposure",
        "net_exposure",
        "unmeasured_exposure",
        "sigma",
        "value_at_risk",
        "position_value_at_risk",
    )
    return {name: money_text(getattr(figures, name)) for name in names}


def firm_risk_content(services: Services) -> dict[str, Any]:
    state = services.state
    trading_state = int(state.firm[0]["trading_state"])
    return _portfolio("firm", trading_state, state.firm_limits[0], firm_portfolio(state), account=False)


def account_risks(services: Services, accounts: Iterable[int]) -> Iterator[dict[str, Any]]:
    """Of some accounts, computed one by one."""
    state, names = services.state, services.reference.account_names
    for account in accounts:
        yield _portfolio(
            f"account:{names[account]}",
            int(state.accounts[account]["trading_state"]),
            state.account_limits[account],
            account_portfolio(state, account),
            account=True,
        )


def account_risk_contents(services: Services, accounts: Iterable[int]) -> dict[int, dict[str, Any]]:
    """As `account_risks`, by account."""
    wanted = list(accounts)
    return dict(zip(wanted, account_risks(services, wanted), strict=True))


def risk_content(services: Services) -> dict[str, Any]:
    """All but `accounts`, whose place is kept."""
    state, reference = services.state, services.reference
    firm = state.firm[0]
    states = state.instruments["trading_state"][: len(reference.instruments)].tolist()
    return {
        "ts": int(firm["ts"]),
        "sampled_ts": int(state.risk_model[0]["sampled_ts"]) or None,
        "parameters": parameters_content(state),
        "firm": firm_risk_content(services),
        "accounts": [],
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
    await services.turns.take(principal.number)
    accounts = range(len(services.reference.account_names))
    content["accounts"] = await json_list(services, principal, account_risks(services, accounts))
    await services.loop.durable()
    return document(services, principal, **content)


@router.get("/correlation", response_model=Correlation, responses=problems())
async def get_correlation(services: Provided, _principal: Viewer) -> Response:
    content = orjson.dumps(correlation_content(services), option=orjson.OPT_SERIALIZE_NUMPY)
    await services.loop.durable()
    return Response(content, media_type="application/json")
