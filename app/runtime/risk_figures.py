"""Risk figures of portfolios, read from the engine's state: exposure, sigma, value at risk, correlation.

The same maths as `app.engine.portfolio`, over all accounts at once and from the positions
themselves, so it needs no row to be up to date and changes none.
"""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from app.engine.capacity import MONEY_MAX
from app.engine.state import State
from app.engine.types import SeriesStatus

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


class Portfolio(NamedTuple):
    """Money in 1e-8 of the quote currency; open orders count at their worst case."""

    exposure: int
    net_exposure: int
    unmeasured_exposure: int  # in symbols without a covariance; counts in full
    sigma: int  # standard deviation of the profit and loss over the horizon, of what is measured
    value_at_risk: int
    correlated_exposure: int  # the largest, over the symbols held, of what counts as correlated with one


def covariance_of(state: State) -> Floats:
    """[symbol, symbol], of one interval; zero where not measured. A view."""
    stride = len(state.scales)
    symbols = int(state.firm[0]["symbols"])
    return state.covariance.reshape(stride, stride)[:symbols, :symbols]


def correlation_of(state: State) -> Floats:
    """[symbol, symbol]; NaN, which JSON writes as null, where not measured."""
    covariance = covariance_of(state)
    deviation = np.sqrt(np.diag(covariance))
    deviation[deviation == 0.0] = np.nan
    correlation: Floats = covariance / np.outer(deviation, deviation)
    np.clip(correlation, -1.0, 1.0, out=correlation)  # roundings
    return correlation


def statuses_of(state: State) -> list[SeriesStatus]:
    return [SeriesStatus(status) for status in state.statuses[: int(state.firm[0]["symbols"])].tolist()]


def horizon_factor(state: State) -> float:
    """What makes a standard deviation of one interval one of the horizon."""
    model = state.risk_model[0]
    return math.sqrt(int(model["horizon_us"]) / int(model["interval_us"]))


def _exposures(state: State) -> tuple[Integers, Integers]:
    """[symbol, account]: signed, and without sign."""
    symbols, accounts = int(state.firm[0]["symbols"]), int(state.firm[0]["accounts"])
    positions = state.positions.reshape(-1, len(state.accounts))[:symbols, :accounts]
    return positions["signed_exposure"], positions["exposure"]


def account_portfolio(state: State, account: int) -> Portfolio:
    signed, gross = _exposures(state)
    (portfolio,) = _portfolios(state, signed[:, account : account + 1], gross[:, account : account + 1])
    return portfolio


def account_portfolios(state: State) -> list[Portfolio]:
    """Of each account."""
    return _portfolios(state, *_exposures(state))


def firm_portfolio(state: State) -> Portfolio:
    """All accounts as one: what they hold against each other cancels out, but for gross exposure."""
    signed, gross = _exposures(state)
    (firm,) = _portfolios(state, signed.sum(axis=1, keepdims=True), gross.sum(axis=1, keepdims=True))
    return firm


def _portfolios(state: State, signed: Integers, gross: Integers) -> list[Portfolio]:
    symbols = len(signed)
    stride = len(state.scales)
    measured = state.scales[:symbols] > 0.0
    together = state.apart.reshape(stride, stride)[:symbols, :symbols] == 0
    weights = signed.astype(np.float64)
    variance = np.einsum("ij,ij->j", weights, covariance_of(state) @ weights)
    sigma = np.sqrt(np.maximum(variance, 0.0)) * horizon_factor(state)
    value_at_risk = sigma * (int(state.risk_model[0]["z_e9"]) * 1e-9)
    unmeasured = gross[~measured].sum(axis=0).tolist()
    clusters = np.where(gross > 0, together.astype(np.int64) @ gross, 0)
    largest = clusters.max(axis=0, initial=0).tolist()
    sums = zip(gross.sum(axis=0).tolist(), signed.sum(axis=0).tolist(), strict=True)
    return [
        Portfolio(exposure, net, loose, _money(deviation), loose + _money(value), correlated)
        for (exposure, net), loose, deviation, value, correlated in zip(
            sums, unmeasured, sigma.tolist(), value_at_risk.tolist(), largest, strict=True
        )
    ]


def _money(value: float) -> int:
    """Rounded up, as the check does."""
    return math.ceil(min(value, float(MONEY_MAX)))
