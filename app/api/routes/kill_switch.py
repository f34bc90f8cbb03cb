"""Kill switch: trading stopped for the firm, an account or a symbol, and started again."""

import logging
from collections.abc import Iterator
from typing import Annotated, Literal, NamedTuple

from fastapi import APIRouter, Query, Response
from pydantic import BaseModel, Field

from app.api.http.large_response import document, json_list
from app.api.order_entry.mass_cancel import canceled_members
from app.api.routes.access import (
    Desk,
    ExactRoute,
    Provided,
    RiskManager,
    Viewer,
    account_index,
    problems,
    symbol_index,
)
from app.api.routes.risk_history import actor_name
from app.api.services import Services
from app.api.submission import raise_if_refused, reason_text
from app.commands.administration import set_trading_state
from app.commands.orders import cancel_all
from app.documents.content import Content
from app.documents.limits import scope_name
from app.documents.problems import code_name, forbidden
from app.documents.schemas import BatchItem, KillSwitch
from app.engine.types import OrderStatus, Scope, TradingState
from app.runtime.event_views import StateEvent, event_as
from app.runtime.limit_scope import LimitScope
from app.runtime.plain_text import log_text
from app.runtime.state_reader import Record

logger = logging.getLogger(__name__)

router = APIRouter(prefix="/v1/kill-switch", tags=["risk"], route_class=ExactRoute)

_STAY = (OrderStatus.NEW, OrderStatus.PARTIALLY_FILLED, OrderStatus.PENDING_REPLACE)
_STATES = {
    "halt": TradingState.HALTED,
    "reduce_only": TradingState.REDUCING,
    "resume": TradingState.ACTIVE,
}


class _State(NamedTuple):
    """A state as of one moment; units as in the engine's records."""

    scope: LimitScope
    state: int
    ts: int
    actor: int
    cause: int


class ScopeState(BaseModel):
    """The trading state of one scope, since when, by whom and why."""

    scope: str
    state: str
    since_ts: int | None = Field(description="null where it was never set")
    actor: int = Field(description="number of the key; 0 is the system")
    actor_name: str | None = Field(description="whose key; or `breaker`")
    cause: str | None = Field(description="the code of the breaker that tripped")
    reason: str | None = Field(description="as given; null where it is older than the history in memory")


class TradingStates(BaseModel):
    """The firm first, then accounts and symbols."""

    items: list[ScopeState]
    next_cursor: str | None


class KillSwitchResult(BaseModel):
    """`orders`: the result for each order that was asked to end, as `DELETE /v1/orders` gives it."""

    scope: str
    state: str
    previous: str
    canceled: int
    pending: int
    failed: int
    resting: int = Field(description="open orders of the scope that stay; where it is restricted, to reduce")
    orders: list[BatchItem]


def _of_scope(account: int | None, symbol: int | None, record: Record) -> _State:
    return _State(
        LimitScope(account, symbol),
        int(record["trading_state"]),
        int(record["state_ts"]),
        int(record["state_actor"]),
        int(record["state_cause"]),
    )


def _states(services: Services) -> Iterator[_State]:
    state, reference = services.state, services.reference
    yield _of_scope(None, None, state.firm[0])
    for account in range(len(reference.account_names)):
        yield _of_scope(account, None, state.accounts[account])
    for symbol in range(len(reference.instruments)):
        yield _of_scope(None, symbol, state.instruments[symbol])


def _content(services: Services, found: _State) -> Content:
    where = found.scope
    return {
        "scope": scope_name(services.reference, where),
        "state": TradingState(found.state).name,
        "since_ts": found.ts or None,
        "actor": found.actor,
        "actor_name": actor_name(services, found.actor, found.cause),
        "cause": code_name(found.cause),
        "reason": services.risk_log.state_reason(where.kind, *where.indexes, found.ts),
    }


@router.get("", response_model=TradingStates, responses=problems())
async def get_states(
    services: Provided,
    principal: Viewer,
    state: Annotated[
        Literal["restricted", "all"], Query(description="all: also accounts and symbols that are ACTIVE")
    ] = "restricted",
) -> Response:
    """The firm's state, and those that are not ACTIVE: since when, by whom and why."""
    if principal.accounts is not None:
        raise forbidden("a trader may not read the firm's states")
    every = await services.turns.all_of(principal.number, _states(services))
    found = [each for each in every if state == "all" or each.state or each.scope.kind == Scope.FIRM]
    await services.loop.durable()  # then the reasons are in the log
    items = await json_list(services, principal, (_content(services, each) for each in found))
    return document(services, principal, items=items, next_cursor=None)


@router.post("", response_model=KillSwitchResult, responses=problems(404, 413, 422))
async def pull(request: KillSwitch, services: Provided, desk: Desk, principal: RiskManager) -> Response:
    """Halt, restrict to reducing, or resume; on request cancel the open orders of the scope.

    Under a restriction, orders that could increase a position are canceled in any case
    (`BOT4_CANCEL_INCREASING`), and the rest is kept within the position.

    It takes effect between two orders: later orders in the same tick are already subject to it.
    """
    kind, _, name = request.scope.partition(":")
    account = account_index(services, principal, name) if kind == "account" else None
    symbol = symbol_index(services, name) if kind == "symbol" else None
    state = _STATES[request.action]
    actor = principal.number
    records = set_trading_state(account, symbol, state, actor, reason_text(request.reason))
    if request.cancel_open_orders:
        records.append(cancel_all(account, symbol, actor))
    outcomes = await services.loop.submit_batch(b"".join(records))
    raise_if_refused(services, outcomes[0])
    logger.warning("%s of %s by key %d: %s", request.action, request.scope, actor, log_text(request.reason))
    ended = outcomes[0]
    state_set = event_as(StateEvent, ended.event)
    ended.orders = [event for event in ended.orders if event.status not in _STAY]
    members = await canceled_members(services, desk, principal, outcomes, "orders")
    return document(
        services,
        principal,
        scope=request.scope,
        state=state.name,
        previous=TradingState(state_set.old_state).name,
        resting=members["failed"] if request.cancel_open_orders else state_set.resting,
        **members,
    )
