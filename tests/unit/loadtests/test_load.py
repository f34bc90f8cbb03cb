"""The load generators: their orders, their protocols, what they count."""

import asyncio
from collections import defaultdict
from decimal import Decimal
from itertools import islice
from typing import cast

import numpy as np
import orjson
import pytest
from websockets.frames import Frame, Opcode
from websockets.protocol import SERVER, Protocol

from app.api.order_entry.request_bodies import decode_order, decode_orders
from loadtests.http_load import Connection, Requests
from loadtests.order_bodies import TEMPLATES, OrderBodies
from loadtests.run import is_loopback
from loadtests.run import main as run_main
from loadtests.stream_load import delivered_per_second
from loadtests.tally import Tally
from loadtests.ws_load import FrameReader, text_frame


def test_orders_are_what_the_api_takes_and_no_two_have_one_id() -> None:
    bodies = OrderBodies("test-")
    orders = [decode_order(next(bodies)) for _ in range(TEMPLATES + 100)]
    orders += decode_orders(bodies.batch(50))["orders"]
    assert len({order["client_order_id"] for order in orders}) == len(orders)
    assert {order["account"] for order in orders} == {"load"}
    assert len({order["symbol"] for order in orders}) == 8
    longest = OrderBodies("x" * 26)
    assert len(orjson.loads(next(longest))["client_order_id"]) == 36


def test_the_account_never_crosses_itself_and_takers_stop_before_what_rests() -> None:
    orders = [orjson.loads(body) for body in islice(OrderBodies("test-"), TEMPLATES)]
    for symbol in {order["symbol"] for order in orders}:
        mine = [order for order in orders if order["symbol"] == symbol and "price" in order]
        prices = defaultdict(list)
        for order in mine:
            prices[order["side"], order["time_in_force"]].append(Decimal(order["price"]))
        assert max(prices["BUY", "GTC"]) < min(prices["SELL", "GTC"])
        assert max(prices["BUY", "IOC"]) < min(prices["SELL", "GTC"])
        assert min(prices["SELL", "IOC"]) > max(prices["BUY", "GTC"])
    kinds = [order["time_in_force"] if "price" in order else "MARKET" for order in orders]
    assert 0.45 < kinds.count("GTC") / len(kinds) < 0.55
    assert 0.05 < kinds.count("MARKET") / len(kinds) < 0.15
    assert 0.49 < sum(order["side"] == "BUY" for order in orders) / len(orders) < 0.51


class Wire:
    """Stands where the transport stands, and keeps what is written."""

    def __init__(self) -> None:
        self.written = b""

    def write(self, data: bytes) -> None:
        self.written += data


def counting_tally() -> Tally:
    tally = Tally(0.0, 60.0)
    tally.start()
    return tally


def open_connection(tally: Tally) -> tuple[Connection, Wire, list[Connection]]:
    idle: list[Connection] = []
    connection, wire = Connection(tally, idle.append), Wire()
    connection.connection_made(cast(asyncio.BaseTransport, wire))
    return connection, wire, idle


def response(status: str, body: bytes) -> bytes:
    lines = (f"HTTP/1.1 {status}", "content-type: application/json", f"content-length: {len(body)}", "", "")
    return "\r\n".join(lines).encode() + body


@pytest.mark.parametrize("piece", [1, 7, 64, 10_000])
def test_an_http_answer_counts_once_it_is_complete_however_it_is_cut(piece: int) -> None:
    tally = counting_tally()
    connection, wire, idle = open_connection(tally)
    request = Requests("127.0.0.1", "secret", OrderBodies("test-")).next()
    connection.send(request, 0.0)
    assert wire.written == request
    answer = response("201 Created", b'{"status":"NEW"}' * 20)
    for at in range(0, len(answer), piece):
        assert not idle
        connection.data_received(answer[at : at + piece])
    assert idle == [connection]
    assert tally.result()["answers"] == 1
    assert tally.result()["answer_bytes"] == 320
    connection.data_received(response("422 Unprocessable", b'{"code":"MAX_POSITION"}'))
    result = tally.result()
    assert (result["answers"], result["refused"], result["refused_statuses"]) == (1, 1, {422: 1})
    assert "MAX_POSITION" in result["refused_example"]


def test_a_request_is_http_with_the_key_and_the_length_of_its_body() -> None:
    request = Requests("127.0.0.1", "secret", OrderBodies("test-")).next()
    head, _, body = request.partition(b"\r\n\r\n")
    lines = head.decode().split("\r\n")
    assert lines[0] == "POST /v1/orders HTTP/1.1"
    assert "authorization: Bearer secret" in lines
    assert f"content-length: {len(body)}" in lines
    assert decode_order(body)["account"] == "load"


def test_a_connection_that_is_lost_too_early_is_a_failure() -> None:
    tally = counting_tally()
    connection, _, _ = open_connection(tally)
    connection.connection_lost(None)
    with pytest.raises(RuntimeError, match="closed a connection"):
        tally.result()
    tally.over = True
    connection.connection_lost(None)
    assert tally.refused == 1, "after the end it is expected"


@pytest.mark.parametrize("size", [0, 125, 126, 65_535, 65_536, 200_000])
def test_frames_are_what_the_protocol_says(size: int) -> None:
    payload = b"x" * size
    server = Protocol(SERVER)
    server.receive_data(text_frame(payload))
    (event,) = server.events_received()
    assert isinstance(event, Frame)
    assert (event.opcode, event.data, event.fin) == (Opcode.TEXT, payload, True)
    sent = Frame(Opcode.TEXT, payload).serialize(mask=False) + Frame(Opcode.PING, b"?").serialize(mask=False)
    for piece in (1_000_000, 3 if size < 1_000 else 4_096):
        reader = FrameReader()
        found = [text for at in range(0, len(sent), piece) for text in reader.feed(sent[at : at + piece])]
        assert found == [payload], "a ping is no answer"
    with pytest.raises(RuntimeError, match="closed"):
        FrameReader().feed(Frame(Opcode.CLOSE, b"\x0f\xa1").serialize(mask=False))


def test_only_what_is_answered_in_the_counted_time_counts() -> None:
    tally = Tally(1.0, 2.0)
    tally.start()
    begin, end = tally.begin, tally.end
    tally.answered(begin - 0.1, begin - 0.2, 100)
    for number in range(4):
        tally.answered(begin + 0.1 * number, begin + 0.1 * number - 0.005, 100, orders=10)
    tally.answered(end + 0.1, end, 100)
    tally.answered(end + 0.2, end, 100)
    result = tally.result()
    assert (result["answers"], result["answers_per_second"], result["orders_per_second"]) == (4, 2.0, 20.0)
    assert result["all_answers"] == 7
    assert result["latency_ms"]["p50"] == pytest.approx(5.0)
    assert tally.over
    with pytest.raises(RuntimeError, match="no answer"):
        Tally(0.0, 1.0).result()


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://127.0.0.1:8000", True),
        ("http://[::1]:8000", True),
        ("http://192.0.2.7:8000", False),
        ("ftp://127.0.0.1", False),
        ("127.0.0.1:8000", False),
        ("", False),
    ],
)
def test_only_this_machine_is_put_under_load(url: str, expected: bool) -> None:
    assert is_loopback(url) is expected


def test_a_foreign_host_is_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("BOT4_LOAD_HOST", "http://192.0.2.7:8000")
    assert run_main([]) == 2
    assert "not this machine" in capsys.readouterr().err


def test_delivered_messages_are_those_of_the_load() -> None:
    """What is told after it is left out; what comes late counts over the longer time."""
    arrived = np.array([1_000_100, 1_500_000, 2_000_050, 2_700_000])
    latencies = np.array([100, 200, 100, 100])
    assert delivered_per_second(arrived, latencies, 1_000_000, 1.0) == pytest.approx(3 / 1.00005)
    assert delivered_per_second(arrived[:2], latencies[:2], 1_000_000, 1.0) == 2
    assert delivered_per_second(arrived[:0], latencies[:0], 1_000_000, 1.0) == 0
    late = np.array([100, 200, 100, 1_000_000])
    assert delivered_per_second(arrived, late, 1_000_000, 1.0) == pytest.approx(4 / 1.7)
