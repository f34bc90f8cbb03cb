"""Records of the paper venue's twin: reports, what rests, what is displayed, what comes in."""

from dataclasses import dataclass
from typing import NamedTuple

from app.commands.records import command
from app.engine.types import (
    CommandKind,
    OrderType,
    TimeInForce,
)


class Report(NamedTuple):
    report: int
    order_id: int
    account: int
    symbol: int
    price: int = 0
    quantity: int = 0
    execution_id: int = 0
    fee: int = 0
    code: int = 0
    liquidity: int = 0
    more: int = 0


def report_bytes(reports: list[Report]) -> bytes:
    return b"".join(command(CommandKind.EXECUTION_REPORT, **report._asdict()) for report in reports)


@dataclass
class Resting:
    order_id: int
    account: int
    symbol: int
    side: int
    price: int
    quantity: int
    remaining: int
    entry: int  # place in time
    flags: int = 0


@dataclass
class Displayed:
    quantity: int
    consumed: int = 0


@dataclass
class Incoming:
    order_id: int
    account: int
    symbol: int
    side: int
    price: int  # to rest at
    worst: int  # 0: any
    quantity: int
    remaining: int
    mode: int
    immediate: bool = False
    market: bool = False
    fresh: bool = False
    acknowledged: bool = False
    flags: int = 0


@dataclass
class Event:
    """What a venue looks at of an event, by the names of all kinds."""

    kind: int
    order_id: int
    account: int = 0
    symbol: int = 0
    side: int = 0
    type: int = OrderType.LIMIT
    time_in_force: int = TimeInForce.GTC
    flags: int = 0
    self_trade_prevention: int = 0
    price: int = 0
    quantity: int = 0
    filled_quantity: int = 0
    protection_price: int = 0
    replace_price: int = 0
    replace_quantity: int = 0
    code: int = 0
    scope: int = 0
    status: int = 0
    state: int = 0
    permission: int = 0
    max_price: int = 0


def fee_of(price: int, quantity: int, multiplier: int, ppm: int) -> int:
    return -(-(price * quantity * multiplier * ppm) // 1_000_000)
