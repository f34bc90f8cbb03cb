"""Value at risk of the firm and of each account, kept so that one more order is checked in O(1).

A portfolio is the vector w of signed exposures in money, one for each symbol: positions with
all open orders at their worst case, signed as that worst case is. With the covariance C,

    variance = w' C w,    value at risk = z sqrt(variance horizon / interval) + not measured,

and `products` holds C w. An exposure more by q in symbol i makes the variance greater by
2 q products(i) + q ** 2 C(i, i), and the products by q times row i of C.

What cannot be measured counts in full: the exposure in symbols without a covariance is added
to value at risk, and they count as correlated with everything. So no limit is evaded by a symbol
about which nothing is known.

A row is of one version of the model. A new sample makes it out of date, and the next check that
needs it makes it anew from the positions, in O(N ** 2); until the sample after that, `follow` keeps
it up to date with positions, orders and marks, in O(N). Where no limit needs it, nothing is done.
"""

import math

from app.engine.capacity import MONEY_MAX
from app.engine.jit import force_inline, inline
from app.engine.state import State

FIRM_ROW = 0


@force_inline
def row_of(account: int) -> int:
    return account + 1


@force_inline
def _add(st: State, row: int, symbol: int, change: float) -> None:
    """Add `change` to the signed exposure in one symbol."""
    stride = len(st.scales)
    first = row * stride
    st.exposures[first + symbol] += change
    if st.scales[symbol] > 0.0:
        at = symbol * stride
        own = st.covariance[at + symbol]
        st.portfolios[row].variance += change * (2.0 * st.products[first + symbol] + change * own)
        products = st.products[first : first + stride]
        covariance = st.covariance[at : at + stride]
        for other in range(st.firm[0].symbols):
            products[other] += change * covariance[other]


@force_inline
def _add_gross(st: State, row: int, symbol: int, change: int) -> None:
    """Add `change` to the exposure, without its sign, in one symbol."""
    if change == 0:
        return
    stride = len(st.scales)
    if st.scales[symbol] > 0.0:
        st.portfolios[row].measured += change
    sums = st.exposures_apart[row * stride : (row + 1) * stride]
    apart = st.apart[symbol * stride : (symbol + 1) * stride]
    for other in range(st.firm[0].symbols):
        sums[other] += change & apart[other]


@inline
def _follow(st: State, row: int, symbol: int, signed: int, gross: int) -> None:
    _add(st, row, symbol, float(signed))
    _add_gross(st, row, symbol, gross)


@force_inline
def follow(st: State, account: int, symbol: int, signed: int, gross: int) -> None:
    """A position's exposure has changed by so much, with sign and without."""
    firm = st.firm[0]
    if signed == 0 and gross == 0:  # a fill of what was open already, mostly
        return
    if firm.portfolio_version == firm.model_version:
        _follow(st, FIRM_ROW, symbol, signed, gross)
    if st.accounts[account].portfolio_version == firm.model_version:
        _follow(st, row_of(account), symbol, signed, gross)


@inline
def _make(st: State, row: int, first: int, last: int) -> None:
    """Make a row from the positions of accounts `first` to `last` - 1."""
    stride = len(st.scales)
    symbols = st.firm[0].symbols
    accounts = len(st.accounts)
    begin = row * stride
    st.portfolios[row].variance = 0.0
    st.portfolios[row].measured = 0
    for symbol in range(symbols):
        st.exposures[begin + symbol] = 0.0
        st.products[begin + symbol] = 0.0
        st.exposures_apart[begin + symbol] = 0
    for symbol in range(symbols):
        signed = 0
        gross = 0
        for account in range(first, last):
            position = st.positions[symbol * accounts + account]
            signed += position.signed_exposure
            gross += position.exposure
        if gross != 0:
            _follow(st, row, symbol, signed, gross)


@inline
def _explaining_row(st: State, account: int) -> int:
    """A row outside the state, made once for all that is explained between two commands."""
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
    """The row of an account, -1: of the firm, as it now is; `explain` makes none in the state."""
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
def _value_at_risk(st: State, variance: float, unmeasured: int) -> int:
    model = st.risk_model[0]
    horizon = model.horizon_us / model.interval_us
    measured = model.z_e9 * 1e-9 * math.sqrt(max(variance, 0.0) * horizon)
    return unmeasured + math.ceil(min(measured, float(MONEY_MAX)))


@force_inline
def value_at_risk_with(
    st: State, row: int, exposure: int, symbol: int, signed: int, gross: int
) -> tuple[int, int]:
    """Value at risk of a portfolio now, and with so much more exposure in a symbol.

    `exposure` is all that the portfolio has now, whether measured or not.
    """
    stride = len(st.scales)
    portfolio = st.portfolios[row]
    unmeasured = exposure - portfolio.measured
    before = _value_at_risk(st, portfolio.variance, unmeasured)
    product = st.products[row * stride + symbol]
    own = st.covariance[symbol * stride + symbol]
    change = float(signed)
    variance = portfolio.variance + change * (2.0 * product + change * own)
    if st.scales[symbol] == 0.0:
        unmeasured += gross
    return before, _value_at_risk(st, variance, unmeasured)


@force_inline
def correlated_exposure(st: State, row: int, exposure: int, symbol: int) -> int:
    """The part of `exposure` in symbols that are not known to be correlated less than the threshold."""
    return exposure - st.exposures_apart[row * len(st.scales) + symbol]
