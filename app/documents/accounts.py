"""Documents of accounts and positions."""

from collections.abc import Iterator
from typing import Annotated

from pydantic import BaseModel, Field

from app.codec.order_json import AVERAGE_PRICE_EXTRA_DECIMALS
from app.documents.content import Content
from app.documents.risk import portfolio_texts
from app.documents.schemas import Decimal
from app.engine.state import State
from app.engine.types import TradingState
from app.runtime.decimals import ratio_text
from app.runtime.reference import Reference, money_text
from app.runtime.risk_figures import account_portfolio
from app.runtime.state_reader import equity_of, held_positions, position_of, positions_of


class Account(BaseModel):
    """Money in the quote currency. `exposure` counts open orders at their worst case.

    `sigma` and `value_at_risk` are over the horizon, `position_value_at_risk` is without open orders;
    `/v1/risk` says more.
    """

    account: str
    leverage: int
    trading_state: str
    cash: Decimal
    equity: Decimal
    initial_margin: Decimal
    reserved_margin: Annotated[
        Decimal, Field(description="with open orders, and what their fills may cost beyond the mark")
    ]
    free_margin: Decimal
    exposure: Decimal
    net_exposure: Decimal
    unmeasured_exposure: Decimal
    sigma: Decimal
    value_at_risk: Decimal
    position_value_at_risk: Decimal
    realised_pnl: Decimal
    unrealised_pnl: Decimal
    fees: Decimal
    peak_equity: Decimal
    day_start_equity: Decimal
    open_orders: int


class Position(BaseModel):
    account: str
    symbol: str
    quantity: Decimal
    entry_price: Decimal | None
    mark: Decimal | None
    value: Decimal
    realised_pnl: Decimal
    unrealised_pnl: Decimal
    fees: Decimal
    open_buy: Decimal
    open_sell: Decimal
    open_orders: int


def account_content(state: State, reference: Reference, account: int) -> Content:
    record = state.accounts[account]
    positions = positions_of(state, account, int(state.firm[0]["symbols"]))
    leverage = int(record["leverage"])
    equity = equity_of(state, account)
    gross = sum(abs(value) for value in positions["value"].tolist())
    unrealised = sum(positions["value"].tolist()) - sum(positions["entry_cost"].tolist())
    reserved = -(-int(record["exposure"]) // leverage) + int(record["open_cost"])
    money = {
        "cash": int(record["cash"]),
        "equity": equity,
        "initial_margin": -(-gross // leverage),
        "reserved_margin": reserved,
        "free_margin": equity - reserved,
        "realised_pnl": int(record["realised"]),
        "unrealised_pnl": unrealised,
        "fees": int(record["fees"]),
        "peak_equity": int(record["peak_equity"]),
        "day_start_equity": int(record["day_start_equity"]),
    }
    return {
        "account": reference.account_names[account],
        "leverage": leverage,
        "trading_state": TradingState(int(record["trading_state"])).name,
        **{name: money_text(value) for name, value in money.items()},
        **portfolio_texts(account_portfolio(state, account)),
        "open_orders": int(record["open_orders"]),
    }


def position_contents(state: State, reference: Reference, account: int) -> Iterator[Content]:
    """The account's positions: all symbols in which it has a position or open orders, or has ever traded."""
    for _, symbol in held_positions(state, reference, account):
        yield position_content(state, reference, account, symbol)


def position_content(state: State, reference: Reference, account: int, symbol: int) -> Content:
    record = position_of(state, account, symbol)
    instrument = reference.instruments[symbol]
    quantity = int(record["quantity"])
    cost = int(record["entry_cost"])
    value = int(record["value"])
    mark = int(state.instruments[symbol]["mark"])
    prices = instrument.prices
    entry_price = None
    if quantity:
        denominator = quantity * instrument.multiplier * 10**prices.decimals
        entry_price = ratio_text(
            cost * prices.unit, denominator, prices.decimals + AVERAGE_PRICE_EXTRA_DECIMALS
        )
    return {
        "account": reference.account_names[account],
        "symbol": instrument.symbol,
        "quantity": instrument.quantity_text(quantity),
        "entry_price": entry_price,
        "mark": prices.text(mark) if mark else None,
        "value": money_text(value),
        "realised_pnl": money_text(int(record["realised"])),
        "unrealised_pnl": money_text(value - cost),
        "fees": money_text(int(record["fees"])),
        "open_buy": instrument.quantity_text(int(record["open_buy"])),
        "open_sell": instrument.quantity_text(int(record["open_sell"])),
        "open_orders": int(record["open_orders"]),
    }
