"""Stream messages from clients on `WS /v1/stream`: `{"op", "id", ...}`, one model for each op."""

from typing import Annotated, Any, Literal, NotRequired

from pydantic import FailFast, Field, with_config
from typing_extensions import TypedDict

from app.api.http.decoding import decoder
from app.api.websocket.trade_messages import AccountName, RequestId, SymbolName
from app.documents.schemas import CLOSED

CHANNELS_MAX = 256  # in one request

FromSeq = Annotated[int, Field(ge=0, le=1 << 53)]


@with_config(CLOSED)
class AccountChannel(TypedDict):
    """Without `account`: all accounts, or for a trader those of its key."""

    name: Literal["orders", "fills", "positions", "accounts", "risk"]
    account: NotRequired[AccountName | None]
    from_seq: NotRequired[FromSeq | None]


@with_config(CLOSED)
class SymbolChannel(TypedDict):
    name: Literal["book", "trades"]
    symbol: SymbolName


@with_config(CLOSED)
class MarksChannel(TypedDict):
    """Without `symbol`: all symbols."""

    name: Literal["marks"]
    symbol: NotRequired[SymbolName | None]


@with_config(CLOSED)
class CandlesChannel(TypedDict):
    name: Literal["candles"]
    symbol: SymbolName
    interval: Literal["1s", "1m"]


@with_config(CLOSED)
class SystemChannel(TypedDict):
    name: Literal["system"]


ChannelRequest = Annotated[
    AccountChannel | SymbolChannel | MarksChannel | CandlesChannel | SystemChannel,
    Field(discriminator="name"),
]
Channels = Annotated[list[ChannelRequest], Field(min_length=1, max_length=CHANNELS_MAX), FailFast()]


@with_config(CLOSED)
class SubscribeRequest(TypedDict):
    """`from_seq` applies to every channel without one of its own."""

    op: Literal["subscribe"]
    id: RequestId
    channels: Channels
    from_seq: NotRequired[FromSeq | None]
    batch: NotRequired[bool]


@with_config(CLOSED)
class UnsubscribeRequest(TypedDict):
    op: Literal["unsubscribe"]
    id: RequestId
    channels: Channels


@with_config(CLOSED)
class StreamPingRequest(TypedDict):
    op: Literal["ping"]
    id: RequestId


StreamRequest = Annotated[
    SubscribeRequest | UnsubscribeRequest | StreamPingRequest, Field(discriminator="op")
]

decode_request: Any = decoder(StreamRequest, skip=1)  # type: ignore[arg-type]
