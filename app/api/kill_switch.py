"""Stopping trading, for the firm, an account or a symbol, and starting it again."""

import logging
from typing import Any

from fastapi import APIRouter, Response
from pydantic import BaseModel

from app.api import commands
from app.api.access import (
    Desk,
    ExactRoute,
    Provided,
    RiskManager,
    Viewer,
    account_index,
    is_refused,
    json_response,
    problems,
    symbol_index,
)
from app.api.errors import Problem, forbidden
from app.api.refusals import refusal
from app.api.schemas import KillSwitch
from app.engine.types import TradingState

logger = logging.getLogger(__name__)

router = APIRouter(prefix="/v1/kill-switch", tags=["risk"], route_class=ExactRoute)

_STATES = {
    "halt": TradingState.HALTED,
    "reduce_only": TradingState.REDUCING,
    "resume": TradingState.ACTIVE,
}


class TradingStates(BaseModel):
    """The states that are not ACTIVE, by scope, and the firm's."""

    firm: str
    scopes: dict[str, str]


class KillSwitchResult(BaseModel):
    scope: str
    state: str
    canceled: int
    pending: int
    failed: int


@router.get("", response_model=TradingStates, responses=problems())
async def get_states(services: Provided, principal: Viewer) -> Response:
    if principal.accounts is not None:
        raise forbidden("a trader may not read the firm's states")
    state = services.state
    reference = services.reference
    scopes: dict[str, str] = {}
    accounts = state.accounts["trading_state"][: len(reference.account_names)].tolist()
    for name, value in zip(reference.account_names, accounts, strict=True):
        if value:
            scopes[f"account:{name}"] = TradingState(value).name
    symbols = state.instruments["trading_state"][: len(reference.instruments)].tolist()
    for instrument, value in zip(reference.instruments, symbols, strict=True):
        if value:
            scopes[f"symbol:{instrument.symbol}"] = TradingState(value).name
    content = {"firm": TradingState(int(state.firm[0]["trading_state"])).name, "scopes": scopes}
    await services.loop.durable()
    return json_response(content)


@router.post("", response_model=KillSwitchResult, responses=problems(404, 413, 422))
async def pull(request: KillSwitch, services: Provided, desk: Desk, principal: RiskManager) -> Response:
    """Halt, restrict to reducing, or resume; on request cancel what is open in the scope."""
    kind, _, name = request.scope.partition(":")
    account = account_index(services, principal, name) if kind == "account" else None
    symbol = symbol_index(services, name) if kind == "symbol" else None
    state = _STATES[request.action]
    records = bytearray(commands.set_trading_state(account, symbol, state, principal.number))
    if request.cancel_open_orders:
        records += commands.cancel_all(account, symbol, principal.number)
    outcomes = await services.loop.submit_batch(records)
    if is_refused(outcomes[0]):
        content = refusal(services.reference, outcomes[0].event)
        raise Problem(422, content["code"], content["detail"])
    logger.warning("%s of %s by key %d: %s", request.action, request.scope, principal.number, request.reason)
    counts: dict[str, Any] = desk.all_canceled(outcomes[1:]).content
    return json_response(
        {
            "scope": request.scope,
            "state": state.name,
            **{name: counts[name] for name in ("canceled", "pending", "failed")},
        }
    )
