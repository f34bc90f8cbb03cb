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
    json_response,
    problems,
    symbol_index,
)
from app.api.errors import forbidden
from app.api.limit_changes import reason_text
from app.api.limit_commands import note_parts
from app.api.outcome_problems import raise_if_refused
from app.api.schemas import BatchItem, KillSwitch
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
    """`orders`: how it ended for each order that was open, as `DELETE /v1/orders` tells it."""

    scope: str
    state: str
    previous: str
    canceled: int
    pending: int
    failed: int
    orders: list[BatchItem]


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
    """Halt, restrict to reducing, or resume; on request cancel what is open in the scope.

    It takes effect between two orders: what is behind it in the same tick meets it already.
    """
    kind, _, name = request.scope.partition(":")
    account = account_index(services, principal, name) if kind == "account" else None
    symbol = symbol_index(services, name) if kind == "symbol" else None
    state = _STATES[request.action]
    notes = note_parts(reason_text(request.reason), principal.number)
    actor = principal.number
    records = [*notes, commands.set_trading_state(account, symbol, state, actor, len(notes))]
    if request.cancel_open_orders:
        records.append(commands.cancel_all(account, symbol, actor))
    outcomes = (await services.loop.submit_batch(b"".join(records)))[len(notes) :]
    raise_if_refused(services, outcomes[0])
    logger.warning("%s of %s by key %d: %s", request.action, request.scope, actor, request.reason)
    counts: dict[str, Any] = desk.all_canceled(outcomes[1:]).content
    return json_response(
        {
            "scope": request.scope,
            "state": state.name,
            "previous": TradingState(outcomes[0].event.observed).name,
            **{name: counts[name] for name in ("canceled", "pending", "failed")},
            "orders": counts["items"],
        }
    )
