"""What a live feed must know of an exchange: another one is another file like `app.market.binance`."""

from collections.abc import Sequence
from typing import Protocol

from app.market.messages import DepthSnapshot, Message


class Exchange(Protocol):
    """The public market data of one exchange, for known instruments.

    `connection_s_max`: the exchange closes a connection that is this old, so it is replaced before.
    `message_bytes_max`: a longer message is a fault, and ends the connection.
    """

    name: str
    stream_url: str
    connection_s_max: float
    message_bytes_max: int

    @property
    def parse_errors(self) -> int:
        """Messages of which `decode` could make nothing."""

    def subscriptions(self) -> Sequence[str]:
        """What to send on a new connection, in order."""

    def decode(self, raw: bytes) -> Message | None:
        """The message in `raw`; None where it is of no use. Never raises."""

    def snapshot_url(self, symbol: int) -> str:
        """Where the depth of a symbol is read with GET."""

    def decode_snapshot(self, symbol: int, raw: bytes) -> DepthSnapshot | None:
        """The snapshot of that symbol in an answer. Never raises."""
