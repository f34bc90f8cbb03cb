"""Schemas: requests and responses as OpenAPI shows them; the hot routes validate with the same models.

Orders are typed dictionaries: validated they cost less than instances, and a batch has thousands of
them. All models are strict (no coercion) and closed (unknown fields are refused).
"""

from typing import Annotated, Literal, NotRequired

from pydantic import AfterValidator, BaseModel, ConfigDict, FailFast, Field, StringConstraints, with_config
from typing_extensions import TypedDict

from app.engine.types import Limit
from app.runtime.decimals import DecimalInput
from app.runtime.plain_text import NOT_STORABLE_MESSAGE, is_storable

BATCH_ORDERS_MAX = 1_000
ORDERS_PAGE_MAX = 500
SYMBOL_PERMISSIONS_MAX = 256
BOOK_DEPTH_MAX = 1_000
TS_MAX = 1 << 53

CLOSED = ConfigDict(extra="forbid", strict=True, arbitrary_types_allowed=True)

Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9._:-]{1,36}$")]
SymbolName = Annotated[str, StringConstraints(pattern=r"^[A-Z0-9._:-]{1,24}$")]
Currency = Annotated[str, StringConstraints(pattern=r"^[A-Z0-9]{1,8}$")]
ClientOrderId = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9._:/-]{1,36}$")]
Timestamp = Annotated[int, Field(ge=1, le=TS_MAX, description="microseconds since the epoch")]
Decimal = Annotated[str, Field(description="decimal", examples=["50000.10"])]

SideName = Literal["BUY", "SELL"]
OrderTypeName = Literal["MARKET", "LIMIT", "STOP", "STOP_LIMIT", "TAKE_PROFIT", "TAKE_PROFIT_LIMIT"]
TimeInForceName = Literal["GTC", "IOC", "FOK", "GTD"]
SelfTradePreventionName = Literal["CANCEL_NEWEST", "CANCEL_OLDEST", "CANCEL_BOTH", "NONE"]
CancelScope = Literal["firm"]
InstrumentStatusName = Literal["TRADING", "CANCEL_ONLY", "HALTED"]
SpreadBps = Annotated[
    int, Field(ge=0, le=1_000_000, description="no mark is made of a wider book; 0: of any")
]


@with_config(CLOSED)
class PlaceOrder(TypedDict):
    account: Annotated[str, Field(min_length=1, max_length=36)]
    symbol: Annotated[str, Field(min_length=1, max_length=24)]
    side: SideName
    type: OrderTypeName
    quantity: DecimalInput
    price: NotRequired[DecimalInput | None]
    stop_price: NotRequired[DecimalInput | None]
    time_in_force: NotRequired[TimeInForceName]
    expire_at: NotRequired[Timestamp | None]
    post_only: NotRequired[bool]
    reduce_only: NotRequired[bool]
    client_order_id: NotRequired[ClientOrderId | None]
    self_trade_prevention: NotRequired[SelfTradePreventionName]


@with_config(CLOSED)
class PlaceOrders(TypedDict):
    # The first malformed order refuses the whole batch: the others are not read.
    orders: Annotated[list[PlaceOrder], FailFast(), Field(min_length=1, max_length=BATCH_ORDERS_MAX)]


@with_config(CLOSED)
class AmendOrder(TypedDict):
    """Members left out stay as they are. `quantity` is the new total, the filled part included."""

    price: NotRequired[DecimalInput | None]
    stop_price: NotRequired[Annotated[DecimalInput | None, Field(description="of a stop that waits")]]
    quantity: NotRequired[DecimalInput | None]


class Closed(BaseModel):
    model_config = CLOSED


def _storable(text: str) -> str:
    if not is_storable(text):
        raise ValueError(NOT_STORABLE_MESSAGE)
    return text


class NewKey(Closed):
    name: Annotated[str, Field(min_length=1, max_length=100), AfterValidator(_storable)]
    role: Literal["viewer", "trader", "risk", "admin"]
    accounts: Annotated[list[Name], Field(max_length=1_000)] = []


class NewAccount(Closed):
    account: Name
    deposit: DecimalInput = "0"
    leverage: Annotated[int, Field(ge=1, le=1_000)] = 1
    limits: "Limits | None" = Field(None, description="instead of, or beside, those of the template")
    template: Name | None = Field(None, description="a limit template, see /v1/limit-templates")
    reason: "Reason" = "account opened"


class NewInstrument(Closed):
    symbol: SymbolName
    base: Currency
    quote: Currency
    price_tick: DecimalInput
    quantity_step: DecimalInput
    min_quantity: DecimalInput
    max_quantity: DecimalInput
    min_notional: DecimalInput = "0"
    maker_fee_bps: Annotated[str, StringConstraints(pattern=r"^-?[0-9]{1,4}(\.[0-9]{1,2})?$")] = "0"
    taker_fee_bps: Annotated[str, StringConstraints(pattern=r"^[0-9]{1,4}(\.[0-9]{1,2})?$")] = "0"
    mark_spread_max_bps: SpreadBps = 1_000
    status: InstrumentStatusName = "TRADING"


class InstrumentChange(Closed):
    """Members left out stay as they are; tick, step and currencies of an instrument never change."""

    min_quantity: DecimalInput | None = None
    max_quantity: DecimalInput | None = None
    min_notional: DecimalInput | None = None
    maker_fee_bps: Annotated[str, StringConstraints(pattern=r"^-?[0-9]{1,4}(\.[0-9]{1,2})?$")] | None = None
    taker_fee_bps: Annotated[str, StringConstraints(pattern=r"^[0-9]{1,4}(\.[0-9]{1,2})?$")] | None = None
    mark_spread_max_bps: SpreadBps | None = None
    status: InstrumentStatusName | None = None


class Settlement(Closed):
    price: DecimalInput
    reason: "Reason"


Count = Annotated[int, Field(ge=0, le=1_000_000_000)]


class Limits(Closed):
    """Limits of one scope: a value sets, null removes, a member left out stays as it is."""

    MAX_ORDER_QUANTITY: DecimalInput | None = Field(None, description="base currency")
    MAX_ORDER_NOTIONAL: DecimalInput | None = Field(None, description="quote currency")
    MAX_OPEN_ORDERS: Count | None = None
    MAX_POSITION: DecimalInput | None = Field(None, description="base currency")
    MAX_GROSS_EXPOSURE: DecimalInput | None = Field(None, description="quote currency")
    ORDER_RATE: Count | None = Field(None, description="orders per second")
    PRICE_COLLAR_BPS: Count | None = Field(None, description="basis points from the mark")
    MAX_MARK_AGE: Count | None = Field(None, description="microseconds")
    MAX_PORTFOLIO_VAR: DecimalInput | None = Field(None, description="quote currency; firm and account")
    MAX_CORRELATED_EXPOSURE: DecimalInput | None = Field(None, description="quote currency; account")
    CANCEL_RATE: Count | None = Field(None, description="cancels per second; firm and account")
    MAX_REPEATED_ORDERS: Count | None = Field(None, description="like orders in a window; account")
    PRICE_MOVE_BPS: Count | None = Field(None, description="basis points from the mark a window ago")
    MAX_NET_EXPOSURE: DecimalInput | None = Field(None, description="quote currency; firm and account")
    MAX_LEVERAGE: Count | None = Field(None, description="hundredths of the equity; account")
    MAX_DAILY_NOTIONAL: DecimalInput | None = Field(None, description="quote currency; firm and account")
    DAILY_LOSS: DecimalInput | None = Field(None, description="quote currency; firm and account")
    MAX_DRAWDOWN: DecimalInput | None = Field(None, description="quote currency; firm and account")
    MAX_ORDER_TO_TRADE_RATIO: Count | None = Field(None, description="messages for each fill; account")
    VENUE_REJECTIONS: Count | None = Field(None, description="in a row; account and symbol")
    MARK_HALT_AGE: Annotated[int, Field(ge=1, le=1 << 60)] | None = Field(
        None, description="microseconds after which a symbol without a new mark halts; symbol"
    )
    MAINTENANCE_LEVERAGE: Annotated[int, Field(ge=1, le=100_000)] | None = Field(
        None, description="hundredths of positions over equity beyond which only reducing is left; account"
    )


LimitName = Annotated[str, Field(json_schema_extra={"enum": [limit.name for limit in Limit]})]
Reason = Annotated[
    str,
    StringConstraints(min_length=1, max_length=500, pattern=r"\S"),
    AfterValidator(_storable),
    Field(description="why, for those who ask later; kept with the change", examples=["bigger basket today"]),
]


class ChangeLimits(Closed):
    limits: Limits
    reason: Reason


class NewOverride(Closed):
    limit: LimitName
    value: DecimalInput
    expires_at: Timestamp
    reason: Reason


class Decision(Closed):
    reason: Reason


class KillSwitch(Closed):
    scope: Annotated[str, StringConstraints(pattern=r"^(firm|(account|symbol):[A-Za-z0-9._:-]{1,36})$")]
    action: Literal["halt", "reduce_only", "resume"]
    cancel_open_orders: bool = False
    reason: Reason


class Fill(BaseModel):
    fill_id: Annotated[str, Field(description="the venue's execution id, unique per symbol")]
    price: Decimal
    quantity: Decimal
    fee: Decimal
    liquidity: Literal["MAKER", "TAKER"] | None
    ts: int


class Order(BaseModel):
    order_id: Annotated[str, Field(description="a 64-bit integer as text")]
    client_order_id: str | None
    account: str | None
    symbol: str | None
    side: SideName
    type: OrderTypeName
    time_in_force: TimeInForceName
    price: Decimal | None
    stop_price: Decimal | None
    quantity: Annotated[Decimal | None, Field(description="null where the symbol is unknown")]
    filled_quantity: Decimal
    average_price: Decimal | None
    status: str
    code: str | None
    post_only: bool
    reduce_only: Annotated[bool, Field(description="also where the order was taken only because it reduces")]
    triggered: Annotated[bool, Field(description="a stop whose price has been reached")]
    expire_at: Annotated[int | None, Field(description="microseconds since the epoch; of GTD orders")]
    created_ts: int
    updated_ts: int
    seq: int
    fills: list[Fill] | None = None


class ProblemDocument(BaseModel):
    """RFC 9457, with a stable `code`; refusals by risk also carry the members at the end."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    errors: list[dict[str, str]] | None = None
    order_id: str | None = None
    limit: str | int | None = None
    observed: str | int | None = None
    scope: str | None = None


class BatchItem(BaseModel):
    status: int
    order: Order | None = None
    error: ProblemDocument | None = None


class BatchResults(BaseModel):
    results: list[BatchItem]


class OrderPage(BaseModel):
    items: list[Order]
    next_cursor: str | None


class CanceledOrders(BaseModel):
    """The result of a mass cancel for each order; PENDING_CANCEL if the venue has not reported yet."""

    items: list[BatchItem]
    canceled: int
    pending: int
    failed: int
