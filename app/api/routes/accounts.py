"""Accounts and positions."""

from collections.abc import Iterator
from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Response
from pydantic import BaseModel, Field

from app.api.auth import Principal
from app.api.http.large_response import document, json_list
from app.api.routes.access import (
    ExactRoute,
    Provided,
    Viewer,
    account_index,
    json_response,
    problems,
)
from app.api.routes.risk import portfolio_texts
from app.api.services import Services
from app.codec.order_json import AVERAGE_PRICE_EXTRA_DECIMALS
from app.documents.schemas import Decimal
from app.engine.types import TradingState
from app.runtime.decimals import ratio_text
from app.runtime.reference import money_text
from app.runtime.risk_figures import account_portfolio

router = APIRouter(prefix="/v1", tags=["accounts"], route_class=ExactRoute)


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


class NewAccountOpened(Account):
    limit_change_id: str | None


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


class Accounts(BaseModel):
    items: list[Account]
    next_cursor: str | None


class Positions(BaseModel):
    items: list[Position]
    next_cursor: str | None


def account_content(services: Services, account: int) -> dict[str, Any]:
    state = services.state
    record = state.accounts[account]
    symbols = int(state.firm[0]["symbols"])
    positions = state.positions[account :: len(state.accounts)][:symbols]
    leverage = int(record["leverage"])
    equity = int(record["cash"]) + int(record["position_value"])
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
        "account": services.reference.account_names[account],
        "leverage": leverage,
        "trading_state": TradingState(int(record["trading_state"])).name,
        **{name: money_text(value) for name, value in money.items()},
        **portfolio_texts(account_portfolio(state, account)),
        "open_orders": int(record["open_orders"]),
    }


def position_contents(services: Services, account: int) -> Iterator[dict[str, Any]]:
    """The account's positions: all symbols in which it holds, has open orders or ever traded."""
    state = services.state
    instruments = services.reference.instruments
    records = state.positions[account :: len(state.accounts)][: len(instruments)]
    used = (records["quantity"] != 0) | (records["open_orders"] != 0) | (records["realised"] != 0)
    used |= records["fees"] != 0
    for symbol in used.nonzero()[0]:
        yield position_content(services, account, int(symbol), records[symbol])


def position_content(services: Services, account: int, symbol: int, record: Any) -> dict[str, Any]:
    instrument = services.reference.instruments[symbol]
    quantity = int(record["quantity"])
    cost = int(record["entry_cost"])
    value = int(record["value"])
    mark = int(services.state.instruments[symbol]["mark"])
    prices = instrument.prices
    entry_price = None
    if quantity:
        denominator = quantity * instrument.multiplier * 10**prices.decimals
        entry_price = ratio_text(
            cost * prices.unit, denominator, prices.decimals + AVERAGE_PRICE_EXTRA_DECIMALS
        )
    return {
        "account": services.reference.account_names[account],
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


def _readable(services: Services, principal: Principal) -> list[int]:
    names = services.reference.account_names
    return [index for index, name in enumerate(names) if principal.may_read(name)]


@router.get("/accounts", response_model=Accounts, responses=problems())
async def list_accounts(services: Provided, principal: Viewer) -> Response:
    accounts = _readable(services, principal)
    items = await json_list(services, principal, (account_content(services, account) for account in accounts))
    await services.loop.durable()
    return document(services, principal, items=items, next_cursor=None)


@router.get("/accounts/{account}", response_model=Account, responses=problems(404))
async def get_account(account: str, services: Provided, principal: Viewer) -> Response:
    content = account_content(services, account_index(services, principal, account))
    await services.loop.durable()
    return json_response(content)


@router.get("/accounts/{account}/positions", response_model=Positions, responses=problems(404))
async def get_positions(account: str, services: Provided, principal: Viewer) -> Response:
    positions = position_contents(services, account_index(services, principal, account))
    items = await json_list(services, principal, positions)
    await services.loop.durable()
    return document(services, principal, items=items, next_cursor=None)


@router.get("/positions", response_model=Positions, responses=problems())
async def list_positions(services: Provided, principal: Viewer) -> Response:
    # By account: looking for positions where there are none takes time, too.
    of_accounts = await services.turns.all_of(
        principal.number,
        (
            [orjson.dumps(position) for position in position_contents(services, account)]
            for account in _readable(services, principal)
        ),
    )
    items = [b"[", b",".join(b",".join(part) for part in of_accounts if part), b"]"]
    await services.loop.durable()
    return document(services, principal, items=items, next_cursor=None)
