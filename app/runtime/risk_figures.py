"""Risk figures of portfolios, read from the engine's state: exposure, sigma, value at risk, correlation.

The same maths as `app.engine.portfolio`, over all accounts at once and from the positions
themselves, so no row needs to be up to date and none changes. It lacks that module's allowance for
the roundings of many steps: the figures shown are never above those of the checks.
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
    """Money in 1e-8 of the quote currency; open orders count at their worst case unless said otherwise."""

    exposure: int
    net_exposure: int
    unmeasured_exposure: int  # in symbols without a covariance; counts in full
    sigma: int  # bound of the profit and loss' standard deviation over the horizon, of what is measured
    value_at_risk: int  # the bound that MAX_PORTFOLIO_VAR limits: no fill of an open order ends above it
    position_value_at_risk: int  # of what is held, without open orders
    correlated_exposure: int  # the largest, over the symbols held, of what counts as correlated with one


def covariance_of(state: State) -> Floats:
    """[symbol, symbol], of one interval; zero if not measured. A view."""
    stride = len(state.scales)
    symbols = int(state.firm[0]["symbols"])
    return state.covariance.reshape(stride, stride)[:symbols, :symbols]


def correlation_of(state: State) -> Floats:
    """[symbol, symbol]; NaN, which JSON writes as null, if not measured."""
    covariance = covariance_of(state)
    deviation = np.sqrt(np.diag(covariance))
    deviation[deviation == 0.0] = np.nan
    correlation: Floats = covariance / np.outer(deviation, deviation)
    np.clip(correlation, -1.0, 1.0, out=correlation)  # roundings
    return correlation


def statuses_of(state: State) -> list[SeriesStatus]:
    return [SeriesStatus(status) for status in state.statuses[: int(state.firm[0]["symbols"])].tolist()]


def horizon_factor(state: State) -> float:
    """The factor from a standard deviation of one interval to one of the horizon."""
    model = state.risk_model[0]
    return math.sqrt(int(model["horizon_us"]) / int(model["interval_us"]))


def _positions(state: State) -> NDArray[np.void]:
    """[symbol, account]"""
    symbols, accounts = int(state.firm[0]["symbols"]), int(state.firm[0]["accounts"])
    return state.positions.reshape(-1, len(state.accounts))[:symbols, :accounts]


def account_portfolio(state: State, account: int) -> Portfolio:
    (portfolio,) = _portfolios(state, _Held.by_account(_positions(state)[:, account : account + 1]))
    return portfolio


def account_portfolios(state: State) -> list[Portfolio]:
    """Of each account."""
    return _portfolios(state, _Held.by_account(_positions(state)))


def firm_portfolio(state: State) -> Portfolio:
    """All accounts as one: opposite positions net out, except in gross exposure."""
    positions = _positions(state)
    # Most accounts hold nothing in most symbols: what is worth nothing at its worst is left out of the sums.
    symbols, accounts = np.nonzero(positions["exposure"])
    held, begins = np.unique(symbols, return_index=True)  # they are sorted
    columns = []
    for each in _Held.by_account(positions[symbols, accounts]) if len(held) else ():
        column = np.zeros((len(positions), 1), np.int64)
        column[held, 0] = np.add.reduceat(each, begins)
        columns.append(column)
    nothing = [np.zeros((len(positions), 1), np.int64)] * len(_Held._fields)
    (firm,) = _portfolios(state, _Held(*(columns or nothing)))
    return firm


class _Held(NamedTuple):
    """[symbol, portfolio], in money."""

    value: Integers  # of positions
    gross_value: Integers  # without sign
    worst: Integers  # the worst case, with its sign
    exposure: Integers  # and without
    twice_middle: Integers  # of what fills may lead to
    width: Integers

    @classmethod
    def by_account(cls, positions: NDArray[np.void]) -> "_Held":
        value, highest, lowest = positions["value"], positions["upper"], positions["lower"]
        worst = np.where(np.abs(highest) >= np.abs(lowest), highest, lowest)
        exposure = positions["exposure"]
        return cls(value, np.abs(value), worst, exposure, highest + lowest, highest - lowest)


def _deviations(state: State, weights: Floats) -> Floats:
    """Of portfolios [symbol, portfolio], over the horizon."""
    variance = np.einsum("ij,ij->j", weights, covariance_of(state) @ weights)
    deviations: Floats = np.sqrt(np.maximum(variance, 0.0)) * horizon_factor(state)
    return deviations


def _portfolios(state: State, held: _Held) -> list[Portfolio]:
    symbols = len(held.value)
    stride = len(state.scales)
    measured = state.scales[:symbols] > 0.0
    together = state.apart.reshape(stride, stride)[:symbols, :symbols] == 0
    alone = np.sqrt(covariance_of(state).diagonal()) * horizon_factor(state)
    sigma = _deviations(state, held.twice_middle.astype(np.float64) / 2) + alone @ (held.width / 2)
    filled = _deviations(state, held.value.astype(np.float64))
    z = int(state.risk_model[0]["z_e9"]) * 1e-9
    clusters = np.where(held.exposure > 0, together.astype(np.int64) @ held.exposure, 0)
    unmeasured = held.exposure[~measured].sum(axis=0)
    unmeasured_value = held.gross_value[~measured].sum(axis=0)
    return [
        Portfolio(
            exposure=int(held.exposure[:, i].sum()),
            net_exposure=int(held.worst[:, i].sum()),
            unmeasured_exposure=int(unmeasured[i]),
            sigma=_money(sigma[i]),
            value_at_risk=int(unmeasured[i]) + _money(z * sigma[i]),
            position_value_at_risk=int(unmeasured_value[i]) + _money(z * filled[i]),
            correlated_exposure=int(clusters[:, i].max(initial=0)),
        )
        for i in range(held.value.shape[1])
    ]


def _money(value: float) -> int:
    """Rounded up, as the check does."""
    return math.ceil(min(value, float(MONEY_MAX)))
