"""Portfolio risk: an upper bound on value at risk of the firm and of each account; an order's check is O(1).

An open order need not fill, so it is no hedge. Fills lead the position in symbol i, in money at
mark, to any value between `highest` and `lowest`, which are at most a radius r(i) away from their
middle m(i). Value at risk is a norm: by the triangle inequality no combination of fills ends above

    bound = z sqrt(horizon / interval) (sqrt(m' C m) + sum(r(i) sqrt(C(i, i)))) + not measured

with the covariance C: value at risk of the middles, and of each distance from them by itself.
Without open orders it is value at risk of the positions; in one symbol alone it is the worst case.
A fill leaves less to reach, so it never raises the bound.

`products` holds C m. A middle higher by q in symbol i raises the variance by
2 q products(i) + q ** 2 C(i, i), and the products by q times row i of C.

Unmeasured exposure counts in full: the exposure in symbols without a covariance is added to value
at risk, and they count as correlated with everything. So no limit is evaded by a symbol about which
nothing is known.

A row belongs to one version of the model. A new sample makes it out of date, and the next check
that needs it rebuilds it from the positions, in O(N ** 2); until the next sample, `follow` keeps it
up to date with positions, orders and marks, in O(N). If no limit needs it, nothing is done.

Roundings must not make the bound too small, least of all where much has canceled out. With `size` =
the largest measured exposure since the row was built times the largest deviation, each step can
move a product by a few units in the last place of size sqrt(C(i, i)), the radius of size, the
variance of size ** 2. `drift` and `error` sum that up and are part of the bound.
"""

import math

from app.engine.capacity import MONEY_MAX
from app.engine.jit import force_inline, inline
from app.engine.state import State

FIRM_ROW = 0

ROUNDING = 2.0**-49  # 16 units of 2 ** -53: more than the operations of one step
_WELL_BELOW = 1.0 - 2.0**-32


@force_inline
def row_of(account: int) -> int:
    return account + 1


@force_inline
def _spread(st: State, row: int, symbol: int, middle: float, gross: int) -> None:
    """Propagate changes of one symbol's middle and exposure to the row's figures of each symbol."""
    stride = len(st.scales)
    products = st.products[row * stride : (row + 1) * stride]
    covariance = st.covariance[symbol * stride : (symbol + 1) * stride]
    if gross == 0:  # a fill of what was open already, mostly
        for other in range(st.firm[0].symbols):
            products[other] += middle * covariance[other]
        return
    sums = st.exposures_apart[row * stride : (row + 1) * stride]
    apart = st.apart[symbol * stride : (symbol + 1) * stride]
    for other in range(st.firm[0].symbols):
        products[other] += middle * covariance[other]
        sums[other] += gross & apart[other]


@inline
def _follow(st: State, row: int, symbol: int, twice_middle: int, width: int, gross: int) -> None:
    """Add to the middle, the radius and the exposure of one symbol."""
    stride = len(st.scales)
    middle = 0.5 * float(twice_middle)
    st.exposures[row * stride + symbol] += middle
    if st.scales[symbol] == 0.0:  # not measured, and known to be apart from nothing
        return
    portfolio = st.portfolios[row]
    portfolio.measured += gross
    portfolio.measured_max = max(portfolio.measured_max, portfolio.measured)
    deviation = st.deviations[symbol]
    size = st.risk_model[0].deviation_max * portfolio.measured_max
    portfolio.drift += ROUNDING * size
    portfolio.error += ROUNDING * size * size + 2.0 * abs(middle) * deviation * portfolio.drift
    portfolio.radius += 0.5 * float(width) * deviation
    own = st.covariance[symbol * stride + symbol]
    portfolio.variance += middle * (2.0 * st.products[row * stride + symbol] + middle * own)
    _spread(st, row, symbol, middle, gross)


@force_inline
def follow(st: State, account: int, symbol: int, up: int, down: int, gross: int) -> None:
    """The reach of open orders has changed, in money: the highest, the lowest, and the exposure."""
    if up == 0 and down == 0 and gross == 0:
        return
    firm = st.firm[0]
    if firm.portfolio_version == firm.model_version:
        _follow(st, FIRM_ROW, symbol, up + down, up - down, gross)
    if st.accounts[account].portfolio_version == firm.model_version:
        _follow(st, row_of(account), symbol, up + down, up - down, gross)


@inline
def _clear(st: State, row: int) -> None:
    begin = row * len(st.scales)
    portfolio = st.portfolios[row]
    portfolio.variance = portfolio.radius = portfolio.drift = portfolio.error = 0.0
    portfolio.measured = portfolio.measured_max = 0
    for symbol in range(st.firm[0].symbols):
        st.exposures[begin + symbol] = 0.0
        st.products[begin + symbol] = 0.0
        st.exposures_apart[begin + symbol] = 0


@inline
def _make(st: State, row: int, first: int, last: int) -> None:
    """Build a row from the positions of accounts `first` to `last` - 1."""
    accounts = len(st.accounts)
    _clear(st, row)
    for symbol in range(st.firm[0].symbols):
        twice_middle = 0
        width = 0
        gross = 0
        for account in range(first, last):
            position = st.positions[symbol * accounts + account]  # `position_index` imports this module
            twice_middle += position.upper + position.lower
            width += position.upper - position.lower
            gross += position.exposure
        if gross != 0:
            _follow(st, row, symbol, twice_middle, width, gross)


@inline
def _explaining_row(st: State, account: int) -> int:
    """A row outside the state, built once for all explanations between two commands."""
    row = len(st.portfolios) - (2 if account < 0 else 1)
    portfolio = st.portfolios[row]
    stands_for = FIRM_ROW if account < 0 else row_of(account)
    if portfolio.made_seq != st.firm[0].seq or portfolio.made_for != stands_for:
        _make(st, row, max(account, 0), st.firm[0].accounts if account < 0 else account + 1)
        portfolio.made_seq = st.firm[0].seq
        portfolio.made_for = stands_for
    return row


@inline
def ready_row(st: State, account: int, explain: bool) -> int:
    """The up-to-date row of an account, -1: of the firm; `explain` builds none in the state."""
    firm = st.firm[0]
    version = firm.portfolio_version if account < 0 else st.accounts[account].portfolio_version
    row = FIRM_ROW if account < 0 else row_of(account)
    if version == firm.model_version:
        return row
    if explain:
        return _explaining_row(st, account)
    if account < 0:
        firm.portfolio_version = firm.model_version
        _make(st, row, 0, firm.accounts)
    else:
        st.accounts[account].portfolio_version = firm.model_version
        _make(st, row, account, account + 1)
    return row


@force_inline
def _parts_with(
    st: State, row: int, symbol: int, middle: float, radius: float, gross: int
) -> tuple[float, float]:
    """Parts of the bound, in money, of one interval: variance of the middles, and the addend to its root."""
    stride = len(st.scales)
    portfolio = st.portfolios[row]
    own = st.covariance[symbol * stride + symbol]
    deviation = st.deviations[symbol]
    size = st.risk_model[0].deviation_max * max(portfolio.measured_max, portfolio.measured + gross)
    drift = portfolio.drift + ROUNDING * size
    error = portfolio.error + ROUNDING * size * size + 2.0 * abs(middle) * deviation * drift
    product = st.products[row * stride + symbol]
    variance = portfolio.variance + middle * (2.0 * product + middle * own)
    return variance + error, portfolio.radius + radius * deviation + drift


@force_inline
def value_at_risk_with(
    st: State, row: int, exposure: int, symbol: int, up: int, down: int, gross: int, enough: int
) -> int:
    """The bound of a portfolio with a larger reach in one symbol.

    `exposure` is the portfolio's current exposure, measured or not. `up` and `down` are changes, in money, of
    the highest and the lowest, `gross` of the exposure. A bound that is clearly below `enough`, with far more
    to spare than roundings, is returned as `enough`: most are, and a comparison of squares is cheaper than a
    root.
    """
    unmeasured = exposure - st.portfolios[row].measured
    if st.scales[symbol] == 0.0:  # nothing of the change is measured
        unmeasured += gross
        up = down = gross = 0
    middle, radius = 0.5 * float(up + down), 0.5 * float(up - down)
    variance, more = _parts_with(st, row, symbol, middle, radius, gross)
    factor = st.risk_model[0].factor
    room = _WELL_BELOW * float(enough - unmeasured) / factor - more
    if room > 0.0 and variance < _WELL_BELOW * room * room:
        return enough
    deviation = math.sqrt(max(variance, 0.0)) + more
    return unmeasured + math.ceil(min(factor * deviation, float(MONEY_MAX)))


@force_inline
def correlated_exposure(st: State, row: int, exposure: int, symbol: int) -> int:
    """The part of `exposure` in symbols not known to be correlated less than the threshold."""
    return exposure - st.exposures_apart[row * len(st.scales) + symbol]
