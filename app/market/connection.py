"""Feed connection: one WebSocket to an exchange's stream, from its opening to its end."""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, WebSocketException

from app.market.exchange import Exchange
from app.market.tls import client_context

logger = logging.getLogger(__name__)

# Decode for this long before everything else on the event loop gets its turn.
SLICE_SECONDS_MAX = 0.001
# Frames kept for us; with more the connection is not read from until there are fewer.
QUEUED_FRAMES_MAX = 512


class ConnectionFailed(OSError):
    """A connection could not be opened, or has ended."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionLimits:
    """A connection is given up if it does not open, stays silent, or answers no ping for this long."""

    open_seconds: float = 10.0
    idle_seconds: float = 10.0
    ping_seconds: float = 5.0
    pong_seconds: float = 5.0


class FeedConnection:
    """`heard_seconds`: by the event loop's clock, when the newest message came."""

    def __init__(self, exchange: Exchange, limits: ConnectionLimits) -> None:
        self._exchange = exchange
        self._limits = limits
        self._socket: ClientConnection | None = None
        self._idle = False
        self.opened_seconds = self.heard_seconds = 0.0

    async def open(self) -> None:
        """Connect and subscribe. Raises ConnectionFailed."""
        limits = self._limits
        try:
            self._socket = await connect(
                self._exchange.stream_url,
                ssl=await client_context() if self._exchange.stream_url.startswith("wss:") else None,
                compression=None,
                proxy=None,
                user_agent_header="bot4",
                open_timeout=limits.open_seconds,
                ping_interval=limits.ping_seconds,
                ping_timeout=limits.pong_seconds,
                close_timeout=1.0,
                max_size=self._exchange.message_bytes_max,
                max_queue=QUEUED_FRAMES_MAX,
            )
            sent: Sequence[str] = ()
            while (wanted := self._exchange.subscriptions()) != sent:  # more may come meanwhile
                for request in wanted:
                    await self._socket.send(request)
                sent = wanted
        except (OSError, WebSocketException) as error:  # OSError: TimeoutError and TLS too
            self.abort()
            raise ConnectionFailed(
                f"{self._exchange.stream_url}: {str(error) or type(error).__name__}"
            ) from error
        except BaseException:
            self.abort()
            raise
        self.opened_seconds = self.heard_seconds = asyncio.get_running_loop().time()

    async def send(self, requests: Sequence[str]) -> None:
        """Send requests. If that fails the connection has ended, and `read` reports it."""
        assert self._socket is not None
        with contextlib.suppress(WebSocketException, OSError):
            for request in requests:
                await self._socket.send(request)

    async def read(self, receive: Callable[[bytes], None]) -> None:
        """Pass on each message until the connection ends: raises ConnectionFailed with the reason."""
        socket = self._socket
        assert socket is not None
        time_seconds = asyncio.get_running_loop().time
        pause_seconds = 0.0
        try:
            while True:
                raw = await socket.recv(decode=False)
                now_seconds = self.heard_seconds = time_seconds()
                receive(raw)
                if now_seconds >= pause_seconds:
                    await asyncio.sleep(0)
                    pause_seconds = time_seconds() + SLICE_SECONDS_MAX
        except ConnectionClosed as error:
            reason = f"nothing heard for {self._limits.idle_seconds:g} s" if self._idle else str(error)
            raise ConnectionFailed(reason) from error
        finally:
            self.abort()

    def drop_if_idle(self, now_seconds: float) -> None:
        if now_seconds - self.heard_seconds > self._limits.idle_seconds:
            self._idle = True
            self.abort()

    def abort(self) -> None:
        """Drop the connection at once, without a closing handshake."""
        if self._socket is not None:
            self._socket.transport.abort()

    async def close(self) -> None:
        """Close with a short handshake."""
        if self._socket is not None:
            with contextlib.suppress(WebSocketException, OSError):
                await self._socket.close()
