"""Feed pacer: sends touches of one symbol to one client, each at its own moment: `feed_pacer RATE COUNT`.

It prints on stdout its address, then when the first touch is due, by the machine's monotonic clock.
The bid of touch number n is BID_TICKS + 2 n, so a mark identifies its touch.
"""

import sys
import time
from http import HTTPStatus
from threading import Event, Thread
from typing import Any

import orjson
from websockets.datastructures import Headers
from websockets.frames import Frame, Opcode
from websockets.http11 import Request, Response
from websockets.sync.server import ServerConnection, serve

BID_TICKS = 1_000_000  # of 0.01
SYMBOL = "BTCUSDT"
LEAD_SECONDS = 0.5
DEPTH_EVERY = 1_000  # 100 ms at 10,000 a second


def _price(ticks: int) -> str:
    return f"{ticks // 100}.{ticks % 100:02}000000"


def _frame(stream: str, data: dict[str, Any]) -> bytes:
    message = orjson.dumps({"stream": f"{SYMBOL.lower()}@{stream}", "data": data | {"s": SYMBOL}})
    return Frame(Opcode.TEXT, message).serialize(mask=False)


def frames(count: int) -> list[bytes]:
    """With each DEPTH_EVERY-th touch comes a depth update with the same content."""
    messages = []
    for number in range(count):
        bid, ask = BID_TICKS + 2 * number, BID_TICKS + 2 * number + 2
        texts = {"b": _price(bid), "B": "1.50000000", "a": _price(ask), "A": "2.50000000"}
        message = _frame("bookTicker", {"u": 2 + number, **texts})
        if number % DEPTH_EVERY == DEPTH_EVERY - 1:
            before, gone = 2 * DEPTH_EVERY, "0.00000000"
            bids = [[_price(bid - before), gone], [_price(bid), "1.50000000"]]
            asks = [[_price(ask - before), gone], [_price(ask), "2.50000000"]]
            ids = {"U": 3 + number - DEPTH_EVERY, "u": 2 + number}
            message += _frame("depth@100ms", {"e": "depthUpdate", "E": 1, **ids, "b": bids, "a": asks})
        messages.append(message)
    return messages


def main() -> int:
    rate, count = int(sys.argv[1]), int(sys.argv[2])
    messages = frames(count)
    done = Event()

    def answer(_socket: ServerConnection, request: Request) -> Response | None:
        if request.path.startswith("/stream"):
            return None
        levels = [[_price(BID_TICKS // 2), "1.00000000"]], [[_price(BID_TICKS * 4), "1.00000000"]]
        body = orjson.dumps({"lastUpdateId": 1, "bids": levels[0], "asks": levels[1]})
        headers = Headers([("Content-Length", str(len(body))), ("Connection", "close")])
        return Response(HTTPStatus.OK, "OK", headers, body)

    def send(socket: ServerConnection) -> None:
        socket.recv()  # its subscription
        nothing: dict[str, Any] = {"e": "depthUpdate", "E": 1, "U": 1, "u": 1, "b": [], "a": []}
        socket.socket.sendall(_frame("depth@100ms", nothing))
        time.sleep(LEAD_SECONDS)  # the client has its snapshot by then
        start_ns = time.monotonic_ns() + 1_000_000
        print(start_ns, flush=True)
        for number, frame in enumerate(messages):
            due_ns = start_ns + number * 1_000_000_000 // rate
            while time.monotonic_ns() < due_ns:
                pass
            socket.socket.sendall(frame)
        time.sleep(LEAD_SECONDS)
        done.set()

    with serve(send, "127.0.0.1", 0, process_request=answer, compression=None) as server:
        print(server.socket.getsockname()[1], flush=True)
        Thread(target=server.serve_forever, daemon=True).start()
        done.wait(60)
    return 0


if __name__ == "__main__":
    sys.exit(main())
