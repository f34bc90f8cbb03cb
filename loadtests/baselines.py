"""Baseline servers that do nothing, under the same uvicorn as Bot4: the cost of the transport alone.

`python -m loadtests.baselines bare|framework|echo|fanout BYTES` prints its port and serves until it
is stopped. Responses are as long as Bot4's.
"""

import asyncio
import gc
import socket
import sys
import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Annotated, Any, Literal

import orjson
import uvicorn
import uvloop
from fastapi import FastAPI, Response
from pydantic import BaseModel, Field

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]


class Order(BaseModel):
    account: Annotated[str, Field(min_length=1, max_length=36)]
    symbol: Annotated[str, Field(min_length=1, max_length=24)]
    side: Literal["BUY", "SELL"]
    type: Literal["MARKET", "LIMIT", "STOP", "STOP_LIMIT", "TAKE_PROFIT", "TAKE_PROFIT_LIMIT"]
    quantity: str
    price: str | None = None
    stop_price: str | None = None
    time_in_force: Literal["GTC", "IOC", "FOK", "GTD"] = "GTC"
    post_only: bool = False
    reduce_only: bool = False
    client_order_id: str | None = None


def answer(size: int) -> bytes:
    """A JSON document of this many bytes."""
    return orjson.dumps({"padding": "x" * max(size - len('{"padding":""}'), 0)})


async def _live(receive: Receive, send: Send) -> None:
    await receive()
    await send({"type": "lifespan.startup.complete"})
    await receive()
    await send({"type": "lifespan.shutdown.complete"})


def bare(size: int) -> Application:
    """Plain ASGI: takes the body, parses nothing, answers the same every time."""
    body = answer(size)
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    start = {"type": "http.response.start", "status": 201, "headers": headers}
    end = {"type": "http.response.body", "body": body}

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            return await _live(receive, send)
        await receive()
        await send(start)
        return await send(end)

    return application


def framework(size: int) -> Application:
    """FastAPI with a pydantic model, whose answer is made in advance."""
    body = answer(size)
    app = FastAPI(openapi_url=None)

    @app.post("/v1/orders")
    async def place(order: Order) -> Response:
        return Response(body, 201, media_type="application/json")

    return app


def echo(_size: int) -> Application:
    """A WebSocket that sends back what it is sent."""

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            return await _live(receive, send)
        await receive()
        await send({"type": "websocket.accept"})
        while (message := await receive())["type"] == "websocket.receive":
            await send({"type": "websocket.send", "text": message["text"]})
        return None

    return application


def fanout(size: int) -> Application:
    """Sends each message on `/v1/trade` to all watchers, twice, and replies to it."""
    watchers: set[Send] = set()
    padding = "x" * max(size - 60, 0)

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            return await _live(receive, send)
        await receive()
        await send({"type": "websocket.accept"})
        watches = scope["path"] == "/v1/stream"
        if watches:
            watchers.add(send)
        while (message := await receive())["type"] == "websocket.receive":
            if watches:
                continue
            number = orjson.loads(message["text"])["id"]
            await send({"type": "websocket.send", "text": f'{{"id":{number},"status":201}}'})
            text = f'{{"type":"update","ts":{time.time_ns() // 1_000},"data":"{padding}"}}'
            for each in (*watchers, *watchers):
                await each({"type": "websocket.send", "text": text})
        watchers.discard(send)
        return None

    return application


APPLICATIONS: dict[str, Any] = {"bare": bare, "framework": framework, "echo": echo, "fanout": fanout}


async def _serve(application: Application) -> None:
    config = uvicorn.Config(
        application,
        loop="uvloop",
        http="httptools",
        ws="websockets-sansio",
        ws_per_message_deflate=False,
        access_log=False,
        log_level="warning",
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=2,
    )
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    print(f"http://127.0.0.1:{listener.getsockname()[1]}", flush=True)
    # As Bot4 does once it is ready.
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 100)
    await uvicorn.Server(config).serve([listener])


def main() -> None:
    application = APPLICATIONS[sys.argv[1]](int(sys.argv[2]))
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(application))


if __name__ == "__main__":
    main()
