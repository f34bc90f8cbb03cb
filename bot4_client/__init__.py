"""Client for a Bot4 trading engine: orders, live streams, and a replica of what the server knows."""

from bot4_client.client import Client
from bot4_client.errors import Bot4Error, Forbidden, OutcomeUnknown, Refused, Unauthorized, Unavailable
from bot4_client.replica import LiveReplica, Replica
from bot4_client.stream import Channel, Message, Stream
from bot4_client.trade import BatchResult, Trade
from bot4_client.types import Account, CanceledOrders, Fill, Order, Position

__all__ = [
    "Account",
    "BatchResult",
    "Bot4Error",
    "CanceledOrders",
    "Channel",
    "Client",
    "Fill",
    "Forbidden",
    "LiveReplica",
    "Message",
    "Order",
    "OutcomeUnknown",
    "Position",
    "Refused",
    "Replica",
    "Stream",
    "Trade",
    "Unauthorized",
    "Unavailable",
]
