"""Limit usage: how much of each limit is used now, for limits that measure more than one order."""

from collections.abc import Callable

from app.engine.limits import UNLIMITED
from app.engine.state import State
from app.engine.types import Limit
from app.runtime.risk_figures import account_portfolio, firm_portfolio
from app.runtime.state_reader import equity_of, holder_of, position_of

Usage = Callable[[State, int, int, int], int]  # of state, account, symbol, now; indexes are -1 where none


def _open_orders(state: State, account: int, symbol: int, _now: int) -> int:
    if symbol < 0:
        return int(state.accounts[account]["open_orders"])
    return int(position_of(state, account, symbol)["open_orders"])


def _position(state: State, account: int, symbol: int, _now: int) -> int:
    instrument = state.instruments[symbol]
    worst = (instrument if account < 0 else position_of(state, account, symbol))["worst"]
    return int(worst) * int(instrument["quantity_step_e8"])


def _gross_exposure(state: State, account: int, _symbol: int, _now: int) -> int:
    return int(holder_of(state, account)["exposure"])


def _value_at_risk(state: State, account: int, _symbol: int, _now: int) -> int:
    return (firm_portfolio(state) if account < 0 else account_portfolio(state, account)).value_at_risk


def _correlated_exposure(state: State, account: int, _symbol: int, _now: int) -> int:
    return account_portfolio(state, account).correlated_exposure


def _net_exposure(state: State, account: int, _symbol: int, _now: int) -> int:
    record = holder_of(state, account)
    return max(abs(int(record["upper"])), abs(int(record["lower"])))


def _leverage(state: State, account: int, _symbol: int, _now: int) -> int:
    return _hundredths(int(state.accounts[account]["exposure"]), equity_of(state, account))


def _held_leverage(state: State, account: int, _symbol: int, _now: int) -> int:
    return _hundredths(int(state.accounts[account]["gross_value"]), equity_of(state, account))


def _hundredths(value: int, own: int) -> int:
    """An amount in hundredths of the account's equity, rounded up."""
    return 0 if value <= 0 else UNLIMITED if own <= 0 else -(-value * 100 // own)


def _daily_notional(state: State, account: int, _symbol: int, _now: int) -> int:
    record = holder_of(state, account)
    return int(record["day_traded"]) + int(record["open_notional"])


def _day_loss(state: State, account: int, _symbol: int, _now: int) -> int:
    return max(int(holder_of(state, account)["day_start_equity"]) - equity_of(state, account), 0)


def _drawdown(state: State, account: int, _symbol: int, _now: int) -> int:
    return max(int(holder_of(state, account)["peak_equity"]) - equity_of(state, account), 0)


def _order_to_trade(state: State, account: int, _symbol: int, _now: int) -> int:
    record = state.accounts[account]
    return -(-int(record["messages"]) // max(int(record["day_fills"]), 1))


def _rejections(state: State, account: int, symbol: int, _now: int) -> int:
    return int((state.instruments[symbol] if account < 0 else state.accounts[account])["rejections"])


def _mark_age(state: State, _account: int, symbol: int, now: int) -> int:
    instrument = state.instruments[symbol]
    return max(now - int(instrument["mark_ts"]), 0) if int(instrument["mark"]) else 0


# Limits of single orders and of rates are not here: between two orders nothing of them is in use.
USAGES: dict[Limit, Usage] = {
    Limit.MAX_OPEN_ORDERS: _open_orders,
    Limit.MAX_POSITION: _position,
    Limit.MAX_GROSS_EXPOSURE: _gross_exposure,
    Limit.MAX_PORTFOLIO_VAR: _value_at_risk,
    Limit.MAX_CORRELATED_EXPOSURE: _correlated_exposure,
    Limit.MAX_NET_EXPOSURE: _net_exposure,
    Limit.MAX_LEVERAGE: _leverage,
    Limit.MAX_DAILY_NOTIONAL: _daily_notional,
    Limit.DAILY_LOSS: _day_loss,
    Limit.MAX_DRAWDOWN: _drawdown,
    Limit.MAX_ORDER_TO_TRADE_RATIO: _order_to_trade,
    Limit.VENUE_REJECTIONS: _rejections,
    Limit.MARK_HALT_AGE: _mark_age,
    Limit.MAINTENANCE_LEVERAGE: _held_leverage,
}
