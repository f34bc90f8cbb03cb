"""Exchange protocol: what a live feed needs of an exchange. `app.market.binance` is one."""

from collections.abc import Iterable, Sequence
from typing import Protocol

from app.market.messages import DepthSnapshot, Message
from app.market.types import MarketInstrument


class Exchange(Protocol):
    """The public market data of one exchange, for known instruments.

    `connection_seconds_max`: the exchange closes a connection that is this old, so it is replaced before.
    `message_bytes_max`: a longer message is a fault, and ends the connection.
    """

    name: str
    stream_url: str
    connection_seconds_max: float
    message_bytes_max: int

    @property
    def parse_errors(self) -> int:
        """Messages of which `decode` could make nothing."""

    def add(self, instruments: Iterable[MarketInstrument]) -> None:
        """Add known instruments."""

    def remove(self, symbols: Iterable[int]) -> None:
        """Remove instruments: their late messages are ignored, and are no fault."""

    def subscriptions(self) -> Sequence[str]:
        """What to send on a new connection, in order."""

    def subscribe(self, symbols: Iterable[int]) -> Sequence[str]:
        """What to send on an open connection for more symbols. To ask twice must do no harm."""

    def unsubscribe(self, names: Iterable[str]) -> Sequence[str]:
        """What to send for fewer; `names` as `stream_names` gave them before they were removed."""

    def stream_names(self, symbol: int) -> Sequence[str]:
        """What is subscribed to for a symbol."""

    def decode(self, raw: bytes) -> Message | None:
        """The message in `raw`; None if it is of no use. Never raises."""

    def snapshot_url(self, symbol: int) -> str:
        """The URL at which the depth of a symbol is read with GET."""

    def decode_snapshot(self, symbol: int, raw: bytes) -> DepthSnapshot | None:
        """The snapshot of that symbol in a response. Never raises."""
