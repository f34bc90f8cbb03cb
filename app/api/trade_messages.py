"""What clients send on `WS /v1/trade`: `{"id", "op", "params"}`, one model for each op."""

from typing import Annotated, Any, Literal, NotRequired

import orjson
from pydantic import Field, StringConstraints, with_config
from typing_extensions import TypedDict

from app.api.decoding import decoder
from app.api.schemas import CLOSED, AmendOrder, CancelScope, ClientOrderId, PlaceOrder, PlaceOrders
from app.api.shapes import has_few_values

GRACE_MS_MAX = 3_600_000
CANCEL_AFTER_MS_MAX = 86_400_000

RequestId = (
    Annotated[str, StringConstraints(max_length=64)] | Annotated[int, Field(ge=-(1 << 53), le=1 << 53)]
)
OrderId = Annotated[str, StringConstraints(max_length=20)]
AccountName = Annotated[str, StringConstraints(max_length=36)]
SymbolName = Annotated[str, StringConstraints(max_length=24)]


@with_config(CLOSED)
class Empty(TypedDict):
    pass


@with_config(CLOSED)
class CancelParams(TypedDict):
    """`order_id`, or `account` and `client_order_id`."""

    order_id: NotRequired[OrderId]
    account: NotRequired[AccountName]
    client_order_id: NotRequired[ClientOrderId]


class AmendParams(AmendOrder):
    """As CancelParams."""

    order_id: NotRequired[OrderId]
    account: NotRequired[AccountName]
    client_order_id: NotRequired[ClientOrderId]


@with_config(CLOSED)
class CancelAllParams(TypedDict):
    """`account`, or the scope in its place."""

    account: NotRequired[AccountName | None]
    symbol: NotRequired[SymbolName | None]
    scope: NotRequired[CancelScope | None]


@with_config(CLOSED)
class CancelOnDisconnectParams(TypedDict):
    """Without `account`: the accounts of a trader's key; other keys must name one."""

    enabled: bool
    grace_ms: NotRequired[Annotated[int, Field(ge=0, le=GRACE_MS_MAX)]]
    account: NotRequired[AccountName | None]


@with_config(CLOSED)
class CancelAfterParams(TypedDict):
    """`timeout_ms` of 0 disarms."""

    timeout_ms: Annotated[int, Field(ge=0, le=CANCEL_AFTER_MS_MAX)]
    account: NotRequired[AccountName | None]


@with_config(CLOSED)
class PlaceRequest(TypedDict):
    id: RequestId
    op: Literal["order.place"]
    params: PlaceOrder


@with_config(CLOSED)
class PlaceBatchRequest(TypedDict):
    id: RequestId
    op: Literal["order.place_batch"]
    params: PlaceOrders


@with_config(CLOSED)
class CancelRequest(TypedDict):
    id: RequestId
    op: Literal["order.cancel"]
    params: CancelParams


@with_config(CLOSED)
class AmendRequest(TypedDict):
    id: RequestId
    op: Literal["order.amend"]
    params: AmendParams


@with_config(CLOSED)
class CancelAllRequest(TypedDict):
    id: RequestId
    op: Literal["order.cancel_all"]
    params: NotRequired[CancelAllParams]


@with_config(CLOSED)
class CancelOnDisconnectRequest(TypedDict):
    id: RequestId
    op: Literal["session.cancel_on_disconnect"]
    params: CancelOnDisconnectParams


@with_config(CLOSED)
class CancelAfterRequest(TypedDict):
    id: RequestId
    op: Literal["session.cancel_all_after"]
    params: CancelAfterParams


@with_config(CLOSED)
class PingRequest(TypedDict):
    id: RequestId
    op: Literal["ping"]
    params: NotRequired[Empty]


OtherRequest = (
    PlaceBatchRequest
    | CancelRequest
    | AmendRequest
    | CancelAllRequest
    | CancelOnDisconnectRequest
    | CancelAfterRequest
    | PingRequest
)
TradeRequest = Annotated[PlaceRequest | OtherRequest, Field(discriminator="op")]


@with_config(CLOSED)
class AuthRequest(TypedDict):
    op: Literal["auth"]
    key: Annotated[str, StringConstraints(max_length=512)]
    id: NotRequired[RequestId]


decode_request: Any = decoder(TradeRequest, skip=1)  # type: ignore[arg-type]
decode_auth = decoder(AuthRequest)


def request_id(text: str | bytes) -> str | int | None:
    """The id of a message that is no valid request, for the error that answers it; None in one too large."""
    if not has_few_values(text):
        return None
    try:
        message = orjson.loads(text)
    except orjson.JSONDecodeError:
        return None
    found = message.get("id") if isinstance(message, dict) else None
    if isinstance(found, str):
        return found[:64]
    return found if isinstance(found, int) and not isinstance(found, bool) else None
