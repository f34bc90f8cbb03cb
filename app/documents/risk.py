"""Documents of risk: value at risk and exposure of the firm and its accounts, and correlation."""

from collections.abc import Iterable, Iterator
from typing import Annotated, NamedTuple

from pydantic import BaseModel, Field

from app.documents.content import Content
from app.documents.risk_parameters import RiskParameters, parameters_content
from app.documents.schemas import Decimal
from app.engine.correlation import Series
from app.engine.limits import UNLIMITED
from app.engine.state import State
from app.engine.types import Limit, TradingState
from app.runtime.decimals import ratio_text
from app.runtime.reference import Reference, money_text
from app.runtime.risk_figures import (
    Portfolio,
    account_portfolio,
    correlation_of,
    covariance_of,
    firm_portfolio,
    horizon_factor,
    statuses_of,
)
from app.runtime.state_reader import Record, limit_value

_VOLATILITY_DIGITS = 6
_CORRELATION_DECIMALS = 9


class Utilisation(BaseModel):
    """`allowed` and `ratio` are null if there is no limit."""

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
    """`matrix[i][j]` belongs to `symbols[i]` and `symbols[j]`; null if either is not measured."""

    as_of_ts: int | None
    samples: int
    half_life: int
    interval_us: int
    symbols: list[SymbolReturns]
    matrix: list[list[float | None]]


class _Use(NamedTuple):
    limit: Limit
    used: int


def _utilisation(limits: Record, uses: tuple[_Use, ...]) -> Iterator[Content]:
    for limit, used in uses:
        allowed = limit_value(limits, limit)
        limited = allowed != UNLIMITED
        yield {
            "limit": limit.name,
            "used": money_text(used),
            "allowed": money_text(allowed) if limited else None,
            "ratio": ratio_text(used, allowed, 4) if limited and allowed else None,
        }


def _portfolio(scope: str, state: int, limits: Record, figures: Portfolio, *, account: bool) -> Content:
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
        "utilisation": list(_utilisation(limits, tuple(uses))),
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


def firm_risk_content(state: State) -> Content:
    trading_state = int(state.firm[0]["trading_state"])
    return _portfolio("firm", trading_state, state.firm_limits[0], firm_portfolio(state), account=False)


def account_risks(state: State, reference: Reference, accounts: Iterable[int]) -> Iterator[Content]:
    """Risk of the given accounts, computed one by one."""
    names = reference.account_names
    for account in accounts:
        yield _portfolio(
            f"account:{names[account]}",
            int(state.accounts[account]["trading_state"]),
            state.account_limits[account],
            account_portfolio(state, account),
            account=True,
        )


def account_risk_contents(state: State, reference: Reference, accounts: Iterable[int]) -> dict[int, Content]:
    """As `account_risks`, keyed by account."""
    wanted = list(accounts)
    return dict(zip(wanted, account_risks(state, reference, wanted), strict=True))


def risk_content(state: State, reference: Reference) -> Content:
    """The firm's document with an empty place for `accounts`."""
    firm = state.firm[0]
    states = state.instruments["trading_state"][: len(reference.instruments)].tolist()
    return {
        "ts": int(firm["ts"]),
        "sampled_ts": int(state.risk_model[0]["sampled_ts"]) or None,
        "parameters": parameters_content(state),
        "firm": firm_risk_content(state),
        "accounts": [],
        "symbol_trading_states": {
            instrument.symbol: TradingState(value).name
            for instrument, value in zip(reference.instruments, states, strict=True)
            if value
        },
    }


def correlation_content(state: State, reference: Reference) -> Content:
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
            reference.instruments, statuses_of(state), counts, volatility, strict=False
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
