"""Risk check, or what-if: every pre-trade check of an order that is not placed, and its largest size."""

import numpy as np
from fastapi import APIRouter, Response
from numpy.typing import NDArray
from pydantic import BaseModel, Field

from app.api.auth import Principal
from app.api.routes.access import ExactRoute, Provided, Viewer, json_response, problems
from app.api.services import Services
from app.commands.orders import place_order
from app.documents.content import Content
from app.documents.problems import code_name, forbidden
from app.documents.refusals import UNITS, Measure, Unit, is_shared, measure, shown
from app.documents.schemas import PlaceOrder
from app.engine.capacity import MONEY_MAX
from app.engine.codes import Code
from app.engine.engine import Verdict
from app.engine.limits import UNLIMITED
from app.engine.records import COMMAND

router = APIRouter(prefix="/v1/risk", tags=["risk"], route_class=ExactRoute)

# Checks whose `limit` is a minimum; that of all others is a maximum.
_LEAST = frozenset((Code.QUANTITY_MIN, Code.NOTIONAL_MIN))
# Checks whose limit is no amount to stay within: a grid, a point in time, a reference price.
_NO_HEADROOM = frozenset(
    (
        Code.PRICE_TICK,
        Code.QUANTITY_STEP,
        Code.STOP_PRICE_INVALID,
        Code.EXPIRE_TIME_INVALID,
        Code.TRADING_HALTED,
        Code.REDUCING_ONLY,
        Code.ORDER_RATE,
    )
)


class Check(BaseModel):
    """`headroom`: how much more `observed` may become; negative if the check fails, null if unlimited."""

    code: str
    passed: bool
    limit: str | int | None
    observed: str | int | None
    headroom: str | int | None
    scope: str | None


class RiskVerdict(BaseModel):
    passed: bool
    code: str | None = Field(description="the refusal that the order would get: the first check that fails")
    checks: list[Check] = Field(description="in order of precedence")
    max_quantity: str | None = Field(
        description="the largest quantity with which this order would pass now; null where none would"
    )


def _unlimited_left_out(verdict: Verdict, found: Measure) -> Measure:
    """The engine's stand-in for "no limit" is not shown."""
    if verdict.passed and verdict.limit >= MONEY_MAX:
        found = found._replace(limit=None)
    if verdict.passed and verdict.code == Code.ORDER_RATE:  # it says whether there is a token, not how many
        found = found._replace(observed=None)
    return found


def _headroom(services: Services, verdict: Verdict, symbol: int) -> str | int | None:
    if UNITS.get(verdict.code, Unit.NONE) is Unit.NONE or verdict.code in _NO_HEADROOM:
        return None
    if verdict.limit >= MONEY_MAX or verdict.observed >= UNLIMITED:
        return None
    room = verdict.limit - verdict.observed
    return shown(services.reference, verdict.code, symbol, -room if verdict.code in _LEAST else room)


def _largest_quantity(services: Services, command: NDArray[np.void]) -> int:
    """In steps; 0 if no quantity passes.

    The passing quantities are an interval: the minimum sizes bound it below, and every other check that fails
    at one quantity also fails at any larger one.
    """
    record = np.frombuffer(bytearray(command.tobytes()), COMMAND)
    record[0]["fault"] = 0
    record[0]["client_order_id"] = 0  # a repeat does not depend on size
    low, high = 0, int(services.state.instruments[int(record[0]["symbol"])]["max_quantity"]) + 1
    while high - low > 1:
        middle = (low + high) // 2
        record[0]["quantity"] = middle
        code = services.loop.first_refusal(record)
        if code == Code.NONE or code in _LEAST:
            low = middle
        else:
            high = middle
    record[0]["quantity"] = low
    return low if low and services.loop.first_refusal(record) == Code.NONE else 0


def verdict_content(services: Services, command: NDArray[np.void], principal: Principal) -> Content:
    """The verdicts of the checks on a PLACE_ORDER command now.

    A check whose numbers belong to a wider scope than the key may read shows only whether it passed, and the
    scope's kind.
    """
    account, symbol = int(command[0]["account"]), int(command[0]["symbol"])
    checks = []
    for verdict in services.loop.explain(command):
        found = measure(
            services.reference,
            verdict.code,
            account,
            symbol,
            verdict.scope,
            verdict.limit,
            verdict.observed,
        )
        shows = principal.sees_all or not is_shared(verdict.code, verdict.scope)
        found = _unlimited_left_out(verdict, found)
        checks.append(
            {
                "code": code_name(verdict.code),
                "passed": verdict.passed,
                "limit": found.limit if shows else None,
                "observed": found.observed if shows else None,
                "headroom": _headroom(services, verdict, symbol) if shows else None,
                "scope": found.scope,
            }
        )
    largest = 0
    if account >= 0 and symbol >= 0:
        largest = _largest_quantity(services, command)
    failed = next((check["code"] for check in checks if not check["passed"]), None)
    return {
        "passed": failed is None,
        "code": failed,
        "checks": checks,
        "max_quantity": services.reference.instruments[symbol].quantity_text(largest) if largest else None,
    }


@router.post("/check", response_model=RiskVerdict, responses=problems(413))
async def check_order(order: PlaceOrder, services: Provided, principal: Viewer) -> Response:
    """The verdict of every pre-trade check on this order now; nothing is placed, no rate is used up."""
    if not principal.may_read(order["account"]):
        raise forbidden(f"this key may not read account {order['account']!r}")
    command = np.frombuffer(place_order(services.reference, order, principal.number), COMMAND)
    content = verdict_content(services, command, principal)
    await services.loop.durable()
    return json_response(content)
