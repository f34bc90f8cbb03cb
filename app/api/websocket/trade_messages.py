"""Trade messages from clients on `WS /v1/trade`: `{"id", "op", "params"}`, one model for each op."""

from typing import Annotated, Any, Literal, NotRequired

import orjson
from pydantic import Field, StringConstraints, with_config
from typing_extensions import TypedDict

from app.api.http.decoding import VALUES_MAX, decoder, values_in
from app.documents.schemas import CLOSED, AmendOrder, CancelScope, ClientOrderId, PlaceOrder, PlaceOrders

GRACE_MS_MAX = 3_600_000
_AUTH_MEMBERS = frozenset(("op", "key", "id"))
CANCEL_AFTER_MS_MAX = 86_400_000

ID_CHARACTERS_MAX = 64
ID_MAX = 1 << 53
KEY_CHARACTERS_MAX = 512

RequestId = (
    Annotated[str, StringConstraints(max_length=ID_CHARACTERS_MAX)]
    | Annotated[int, Field(ge=-ID_MAX, le=ID_MAX)]
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
    """`account`, or `scope` instead."""

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


decode_request: Any = decoder(TradeRequest, skip=1)  # type: ignore[arg-type]


def key_of_auth(text: str) -> tuple[str | None, str | None]:
    """The key of a first message, None if it is another message; and its first unknown member.

    The message is `{"op": "auth", "key", "id"?}`. Anybody may send it, so it is read and not validated: no
    list of its errors is made.
    """
    try:
        message = orjson.loads(text)
    except orjson.JSONDecodeError:
        return None, None
    if not isinstance(message, dict) or not {"op", "key"} <= message.keys():
        return None, None
    key, identity = message["key"], message.get("id", 0)
    is_auth = message["op"] == "auth" and isinstance(key, str) and len(key) <= KEY_CHARACTERS_MAX
    if not is_auth or not _is_request_id(identity):
        return None, None
    return key, next((name for name in message if name not in _AUTH_MEMBERS), None)


def _is_request_id(found: Any) -> bool:
    if isinstance(found, str):
        return len(found) <= ID_CHARACTERS_MAX
    return type(found) is int and abs(found) <= ID_MAX


def request_id(text: str | bytes) -> str | int | None:
    """The id of an invalid request, for its error reply."""
    if values_in(text) > VALUES_MAX:
        return None
    try:
        message = orjson.loads(text)
    except orjson.JSONDecodeError:
        return None
    found = message.get("id") if isinstance(message, dict) else None
    if isinstance(found, str):
        return found[:ID_CHARACTERS_MAX]
    return found if isinstance(found, int) and not isinstance(found, bool) else None
