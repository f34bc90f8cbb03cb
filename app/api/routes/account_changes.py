"""Account changes by people: cash in and out, and leverage; each with a reason.

A client transfer id makes a transfer repeatable. It is kept with the reason, so it is as durable as
the transfer; repeats are recognised as far as `app.runtime.risk_log` goes back.
"""

import re
from typing import Annotated, NamedTuple

from fastapi import APIRouter, Response
from pydantic import BaseModel, Field, StringConstraints

from app.api.routes.access import ExactRoute, Provided, RiskManager, account_index, json_response, problems
from app.api.services import Services
from app.api.submission import reason_text, submit
from app.commands.administration import set_account, transfer_cash
from app.documents.accounts import Account, account_content
from app.documents.content import Content
from app.documents.problems import Problem, invalid_field
from app.documents.schemas import Closed, Decimal, Reason
from app.engine.types import EventKind
from app.runtime.decimals import SignedDecimalInput, decimal_text
from app.runtime.event_views import TransferEvent, event_as
from app.runtime.reference import MONEY, money_text

router = APIRouter(prefix="/v1/accounts", tags=["accounts"], route_class=ExactRoute)

LEVERAGE_MAX = 1_000

_CLIENT_ID = r"[A-Za-z0-9._:/-]{1,36}"
_ID_MARK = " [client_transfer_id: "


class NewTransfer(Closed):
    amount: Annotated[
        SignedDecimalInput, Field(description="settlement currency: positive in, negative (as text) out")
    ]
    reason: Reason
    client_transfer_id: (
        Annotated[
            str,
            StringConstraints(pattern=rf"^{_CLIENT_ID}$"),
            Field(description="with it the request may be sent again: it moves money once"),
        ]
        | None
    ) = None


class Transfer(BaseModel):
    """`cash` and `equity` are those of the account when this reply was made."""

    transfer_id: Annotated[str, Field(description="the `seq` of its command, as text")]
    client_transfer_id: str | None
    account: str
    amount: Decimal
    reason: str | None
    cash: Decimal
    equity: Decimal
    ts: int


class AccountChange(Closed):
    leverage: Annotated[int, Field(ge=1, le=LEVERAGE_MAX)]
    reason: Reason


class TransferReason(NamedTuple):
    reason: str
    client_transfer_id: str | None


def split_reason(text: str) -> TransferReason:
    """A transfer's reason as given, and its client transfer id."""
    reason, mark, rest = text.rpartition(_ID_MARK)
    if not mark or not rest.endswith("]") or not re.fullmatch(_CLIENT_ID, rest[:-1]):
        return TransferReason(text, None)
    return TransferReason(reason, rest[:-1])


def check_reason(reason: str | None) -> None:
    """Raises Problem: a reason that looks as if it had an id would make a later transfer a repeat of this."""
    if reason is not None and split_reason(reason).client_transfer_id is not None:
        raise invalid_field("reason", f"must not end as an id is kept: '{_ID_MARK.strip()} ...]'")


def _amount(request: NewTransfer) -> int:
    """In 1e-8 of the settlement currency. Raises Problem."""
    try:
        amount = MONEY.parse(decimal_text(request.amount))
    except ValueError:
        raise invalid_field("amount", "must have at most 8 decimals and fit") from None
    if not amount:
        raise invalid_field("amount", "must not be zero: positive is a deposit, negative a withdrawal")
    return amount


def _earlier(services: Services, account: int, client_transfer_id: str) -> tuple[TransferEvent, str] | None:
    """The account's earlier transfer with this id, and its reason."""
    for event, text in services.risk_log.changes_of_kind(EventKind.CASH_TRANSFERRED):
        given = split_reason(text)
        if event.account == account and given.client_transfer_id == client_transfer_id:
            assert isinstance(event, TransferEvent)
            return event, given.reason
    return None


def _content(services: Services, event: TransferEvent, given: TransferReason) -> Content:
    record = services.state.accounts[event.account]
    return {
        "transfer_id": str(event.seq),
        "client_transfer_id": given.client_transfer_id,
        "account": services.reference.account_names[event.account],
        "amount": money_text(event.amount),
        "reason": given.reason or None,
        "cash": money_text(int(record["cash"])),
        "equity": money_text(int(record["cash"]) + int(record["position_value"])),
        "ts": event.ts,
    }


@router.post(
    "/{account}/transfers",
    status_code=201,
    response_model=Transfer,
    responses={
        200: {
            "model": Transfer,
            "description": "the first transfer again; header `Idempotency-Replayed: true`",
        },
        **problems(404, 409, 413, 422),
    },
)
async def transfer(
    account: str, request: NewTransfer, services: Provided, principal: RiskManager
) -> Response:
    """Pay into an account, or out of it: neither profit nor loss.

    An amount that the account's margin does not cover is not paid out (INSUFFICIENT_MARGIN).
    """
    index = account_index(services, principal, account)
    amount = _amount(request)
    check_reason(request.reason)
    given = TransferReason(request.reason, request.client_transfer_id)
    text = given.reason
    if given.client_transfer_id is not None:
        text = f"{given.reason} [client_transfer_id: {given.client_transfer_id}]"
    text = reason_text(text)
    async with services.reference_lock:  # the same request may come twice at once
        earlier = None
        if given.client_transfer_id is not None:
            earlier = _earlier(services, index, given.client_transfer_id)
        if earlier is None:
            outcome = await submit(services, transfer_cash(index, amount, principal.number, text))
            event = event_as(TransferEvent, outcome.event)
        elif earlier[0].amount == amount:
            event, reason = earlier
            given = TransferReason(reason, given.client_transfer_id)
        else:
            raise Problem(
                409, "DUPLICATE_CLIENT_TRANSFER_ID", "this client transfer id was used for another amount"
            )
    content = _content(services, event, given)
    await services.loop.durable()
    response = json_response(content, 201 if earlier is None else 200)
    if earlier is not None:
        response.headers["idempotency-replayed"] = "true"
    return response


@router.patch("/{account}", response_model=Account, responses=problems(404, 413, 422))
async def change_account(
    account: str, change: AccountChange, services: Provided, principal: RiskManager
) -> Response:
    """Set the leverage: the account's largest exposure as a multiple of its equity."""
    index = account_index(services, principal, account)
    reason = reason_text(change.reason)
    async with services.reference_lock:
        await submit(services, set_account(index, account, change.leverage, principal.number, reason))
    content = account_content(services.state, services.reference, index)
    await services.loop.durable()
    return json_response(content)
