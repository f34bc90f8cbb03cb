"""Topics: the channels that can be watched, and the keys that divide them."""

from enum import StrEnum
from typing import NamedTuple


class Channel(StrEnum):
    ORDERS = "orders"
    FILLS = "fills"
    POSITIONS = "positions"
    ACCOUNTS = "accounts"
    RISK = "risk"
    BOOK = "book"
    TRADES = "trades"
    MARKS = "marks"
    CANDLES = "candles"
    SYSTEM = "system"


# Made of events, one message for each command: never conflated, and resumed by `from_seq`.
LOGS = frozenset((Channel.ORDERS, Channel.FILLS, Channel.RISK))
OF_ACCOUNTS = LOGS | {Channel.POSITIONS, Channel.ACCOUNTS}

EVERY = "*"


class Topic(NamedTuple):
    """A channel and one of its keys: an account, a symbol, or all of them.

    `index`: the engine's number of the account or symbol, EVERY_INDEX for all. `interval`: of candles.
    """

    channel: Channel
    key: str
    index: int  # type: ignore[assignment]  # tuple.index is not used
    interval: str = ""
