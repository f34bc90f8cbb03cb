"""Documents of the server. Decimals are text; `Decimal(order["price"])` is exact. Times are microseconds."""

from typing import Any, Literal, NotRequired, TypedDict

Side = Literal["BUY", "SELL"]
OrderType = Literal["MARKET", "LIMIT", "STOP", "STOP_LIMIT", "TAKE_PROFIT", "TAKE_PROFIT_LIMIT"]
TimeInForce = Literal["GTC", "IOC", "FOK", "GTD"]
CancelScope = Literal["firm"]

FINAL = frozenset(("FILLED", "CANCELED", "REJECTED", "EXPIRED"))


class Fill(TypedDict):
    """On the stream with the order it belongs to; inside an order without."""

    fill_id: str
    price: str
    quantity: str
    fee: str
    liquidity: str
    ts: int
    order_id: NotRequired[str]
    client_order_id: NotRequired[str | None]
    account: NotRequired[str]
    symbol: NotRequired[str]
    side: NotRequired[Side]


class Order(TypedDict):
    order_id: str
    client_order_id: str | None
    account: str
    symbol: str
    side: Side
    type: OrderType
    time_in_force: TimeInForce
    price: str | None
    stop_price: str | None
    quantity: str
    filled_quantity: str
    average_price: str | None
    status: str
    code: str | None
    post_only: bool
    reduce_only: bool
    triggered: bool
    expire_at: int | None
    created_ts: int
    updated_ts: int
    seq: int
    fills: NotRequired[list[Fill]]


class Position(TypedDict):
    account: str
    symbol: str
    quantity: str
    entry_price: str | None
    mark: str | None
    value: str
    realised_pnl: str
    unrealised_pnl: str
    fees: str
    open_buy: str
    open_sell: str
    open_orders: int


class Account(TypedDict):
    account: str
    leverage: int
    trading_state: str
    cash: str
    equity: str
    initial_margin: str
    reserved_margin: str
    free_margin: str
    exposure: str
    realised_pnl: str
    unrealised_pnl: str
    fees: str
    peak_equity: str
    day_start_equity: str
    open_orders: int


class CanceledOrders(TypedDict):
    items: list[dict[str, Any]]
    canceled: int
    pending: int
    failed: int
