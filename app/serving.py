"""Serving: the server's socket, the web server around it, signals, and the greeting in the terminal."""

import asyncio
import contextlib
import gc
import logging
import os
import signal
import socket
from collections.abc import AsyncIterator

import uvicorn
import uvloop

from app import __version__
from app.api.websocket.connection import WebSocketConnection
from app.bootstrap import Notify, Server, build
from app.settings import Settings

_SHUTDOWN_SECONDS = 10
_YOUNG_OBJECTS = 20_000

logger = logging.getLogger(__name__)


def _listen(settings: Settings) -> socket.socket:
    """A bound socket. Raises OSError, which names the address."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    listener = socket.socket(family)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((settings.host, settings.port))
    except OSError as error:
        listener.close()
        reason = error.strerror or error
        raise OSError(f"cannot listen on {settings.host}:{settings.port}: {reason}") from error
    return listener


def _url_of(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


class _HttpServer(uvicorn.Server):
    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        try:
            await super().shutdown(sockets)
        except Exception:  # whatever is open: the journal is closed and the embedded servers are stopped
            logger.exception("connections could not all be ended")
            await self.lifespan.shutdown()


def _http_server(server: Server) -> uvicorn.Server:
    config = uvicorn.Config(
        server,
        interface="asgi3",
        loop="uvloop",
        http=server.http_protocol,
        ws=WebSocketConnection,
        ws_max_size=server.settings.max_body_bytes,
        ws_per_message_deflate=False,
        lifespan="on",
        access_log=False,
        log_level="warning",
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=_SHUTDOWN_SECONDS,
    )
    return _HttpServer(config)


def _prepare(settings: Settings, *notify: Notify) -> tuple[Server, socket.socket]:
    """A server and the socket that it will listen on. If one cannot be had, the other is released."""
    listener = _listen(settings)
    try:
        return build(settings, *notify), listener
    except BaseException:  # whatever it is, it is raised again
        listener.close()
        raise


@contextlib.asynccontextmanager
async def running_server(settings: Settings) -> AsyncIterator[tuple[Server, str]]:
    """A ready server on a real socket in this event loop, and its URL; for tests."""
    server, listener = _prepare(settings)
    http = _http_server(server)
    serving = asyncio.ensure_future(http.serve([listener]))
    try:
        await server.started.wait()
        if server.failure is not None:
            raise server.failure
        yield server, _url_of(listener)
    finally:
        http.should_exit = True
        await serving


def serve(settings: Settings) -> None:
    """Run a server until it is stopped. Raises what keeps it from starting."""
    logging.basicConfig(level=settings.log_level, format="%(asctime)s %(levelname)-7s %(name)s: %(message)s")
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(settings))


async def _serve(settings: Settings) -> None:
    server, listener = _prepare(settings, _say)
    http = _http_server(server)
    # The web server passes a signal on once it has shut down: ours then has no more to do.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: setattr(http, "should_exit", True))
    greeting = asyncio.ensure_future(_greet(server, http, _url_of(listener)))
    try:
        await http.serve([listener])
    finally:
        greeting.cancel()
    if server.failure is not None:
        raise server.failure
    if server.cut_off:
        # Kernels compile in a thread that cannot be stopped, for a minute maybe. All is closed: do not wait.
        logging.shutdown()
        os._exit(0)


async def _greet(server: Server, http: uvicorn.Server, url: str) -> None:
    """Print the address, and a new admin key, once the server is ready; end it if it cannot become ready."""
    _say(f"bot4 {__version__} starting on {url}, data in {server.settings.data_dir}")
    await server.started.wait()
    if server.failure is not None or server.cut_off:
        http.should_exit = True
        return
    # From here on garbage is mostly short-lived: collect young objects less often, old ones never.
    gc.collect()
    gc.freeze()
    gc.set_threshold(_YOUNG_OBJECTS, 20, 100)
    _say(f"bot4 is ready: {url}")
    key_file = server.settings.data_dir / "admin.key"
    if server.new_admin_key is not None:
        _say(f"admin key, shown only now and kept in {key_file}:\n  {server.new_admin_key}")
    shown = "$BOT4_ADMIN_KEY" if server.settings.admin_key else f"$(cat {key_file})"
    _say(
        f'place an order:\n  curl -s {url}/v1/orders -H "Authorization: Bearer {shown}" -d \''
        '{"account":"alpha","symbol":"BTC-USDT","side":"BUY","type":"MARKET","quantity":"0.01"}\''
    )


def _say(message: str) -> None:
    print(message, flush=True)
