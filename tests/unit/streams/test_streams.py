"""The parts of the stream hub by themselves: messages, frames, clients that are behind, memory, budget."""

import asyncio
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.client import ClientProtocol
from websockets.frames import Frame, Opcode
from websockets.protocol import State
from websockets.uri import parse_uri

from app.runtime.journal import JournalWriter
from app.runtime.segments import COMMAND_BYTES, EVENT_BYTES, JournalCorrupt
from app.streams import budget, history
from app.streams import yield_to_orders as yielding
from app.streams.budget import Budget
from app.streams.client import Client, Subscription
from app.streams.codec import ITEMS_MAX, PACKED_BYTES_MAX, Chunk, Envelope, text_frame
from app.streams.fan_out import CLIENTS_AT_ONCE, FanOut
from app.streams.history import RecentEvents, Step, journal_steps
from app.streams.stream import LogStream, StateStream, messages_of
from app.streams.topics import Channel, Topic
from app.streams.yield_to_orders import YieldToOrders
from tests.support.feed import until

TOPIC = Topic(Channel.ORDERS, 'a"b', 0)


def read_frames(data: bytes) -> list[bytes]:
    """Payloads, as a client's library reads them."""
    protocol = ClientProtocol(parse_uri("ws://test/"), max_size=None)
    protocol.state = State.OPEN
    protocol.reader.feed_data(data)
    protocol.parser = protocol.parse()
    next(protocol.parser, None)
    frames = [event for event in protocol.events_received() if isinstance(event, Frame)]
    assert all(frame.opcode is Opcode.TEXT and frame.fin for frame in frames)
    return [bytes(frame.data) for frame in frames]


@given(st.lists(st.sampled_from((0, 1, 125, 126, 127, 65_535, 65_536, 70_000)), max_size=5))
def test_frames_are_what_a_client_reads(sizes: list[int]) -> None:
    payloads = [b"x" * size for size in sizes]
    assert read_frames(b"".join(map(text_frame, payloads))) == payloads


@given(
    st.lists(st.tuples(st.integers(1, 30), st.integers(1, 250)), max_size=8),
    st.integers(0, 3),
)
def test_messages_chain_and_hold_all_items(groups: list[tuple[int, int]], first: int) -> None:
    items, seq = [], first
    for step, count in groups:
        seq += step
        items += [(seq, b"%d" % number) for number in range(count)]
    messages, last = messages_of(Envelope(TOPIC), items, first, 7)
    assert last == seq
    documents = [json.loads(message) for message in messages]
    at = first
    found: list[tuple[int, int]] = []
    for document in documents:
        assert (document["type"], document["channel"], document["key"]) == ("update", "orders", 'a"b')
        assert document["prev_seq"] == at
        assert 0 < len(document["data"]) <= ITEMS_MAX
        at = document["seq"]
        found += [(at, item) for item in document["data"]]
    assert found == [(seq, int(item)) for seq, item in items]
    complete = [document["seq"] for document in documents if not document.get("more")]
    assert complete == sorted(set(complete)) == sorted({seq for seq, _ in items})


def test_the_other_messages() -> None:
    envelope = Envelope(TOPIC)
    assert json.loads(envelope.snapshot(3, 4, [b"1"])) == {
        "type": "snapshot", "channel": "orders", "key": 'a"b', "seq": 3, "ts": 4, "data": [1],
    }  # fmt: skip
    marked = json.loads(envelope.snapshot(3, 4, [], more=True, refused=True))
    assert (marked["more"], marked["resumed"], marked["data"]) == (True, False, [])
    assert json.loads(envelope.resumed(5, 6))["seq"] == 5


@given(st.lists(st.integers(1, PACKED_BYTES_MAX), min_size=1, max_size=4))
def test_packed_frames_hold_all_messages_and_are_bounded(sizes: list[int]) -> None:
    messages = [b'"%b"' % (b"x" * size) for size in sizes]
    frames = read_frames(Chunk(messages).packed)
    assert [item for frame in frames for item in json.loads(frame)] == [json.loads(each) for each in messages]
    assert all(len(frame) <= 2 * PACKED_BYTES_MAX for frame in frames)
    assert read_frames(Chunk(messages).frames) == messages


class Wire:
    def __init__(self) -> None:
        self.sent = b""
        self.code = 0

    def write_frames(self, frames: list[bytes]) -> None:
        self.sent += b"".join(frames)

    def finish(self, code: int, reason: str) -> None:
        assert reason
        self.code = code

    @property
    def messages(self) -> list[bytes]:
        return read_frames(self.sent)


def test_who_is_behind_gets_the_log_whole_and_the_state_once() -> None:
    wire, drained = Wire(), []
    client = Client(1, wire, lambda: drained.append(True))
    log = Subscription(client, None, packed=False)
    packed = Subscription(client, None, packed=True)
    state = Subscription(client, lambda: b'"newest"', packed=False)
    client.pause()
    for number in range(3):
        for subscription in (log, state):
            subscription.deliver(Chunk([b"%d" % number]))
        packed.deliver(Chunk([b"%d" % (10 + number)]))
        client.flush()
    assert wire.sent == b""
    assert client.waiting_bytes == 9
    client.resume()
    assert wire.messages == [b"0", b"[10]", b"1", b"[11]", b"2", b"[12]", b'"newest"']
    assert client.waiting_bytes == 0
    assert drained == [True]


def test_a_client_that_has_ended_holds_nothing() -> None:
    wire = Wire()
    client = Client(1, wire, lambda: None)
    client.pause()
    Subscription(client, None, packed=False).deliver(Chunk([b"1"]))
    client.close(4008, "too slow")
    client.close(4001, "again")
    assert (wire.code, client.frames, client.waiting_bytes, client.closed) == (4008, [], 0, True)


def test_a_state_tells_what_has_changed() -> None:
    stream = StateStream(Topic(Channel.MARKS, "*", -1), 5, 0, items_max=2)
    stream.keep("a", b"1")
    assert stream.publish(6, 0, {"a": b"1"}) is None
    chunk = stream.publish(6, 0, {"a": b"2", "b": b"3"})
    assert chunk is not None
    assert json.loads(chunk.messages[0]) | {"data": [2, 3], "seq": 6, "prev_seq": 5} == json.loads(
        chunk.messages[0]
    )
    stream.publish(7, 0, {"c": b"4"})
    assert json.loads(stream.snapshot())["data"] == [3, 4]
    assert json.loads(stream.snapshot())["seq"] == 7


def test_a_log_takes_what_was_added() -> None:
    stream = LogStream(TOPIC, 5)
    assert [stream.add(6, b"1"), stream.add(6, b"2"), stream.add(8, b"3")] == [True, False, False]
    documents = [json.loads(message) for message in stream.take(0).messages]
    assert [(each["prev_seq"], each["seq"], each["data"]) for each in documents] == [
        (5, 6, [1, 2]),
        (6, 8, [3]),
    ]
    assert stream.seq == 8


def test_memory_forgets_the_oldest_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history, "MEMORY_BYTES_MAX", 30)
    recent = RecentEvents(100)
    for number in range(1, 6):
        recent.append(b"%d" % number * 10, 100 + 10 * number)
    assert recent.after == 120
    assert recent.step(119, 100) is None
    assert recent.step(120, 5) == Step(130, b"3" * 10)
    assert recent.step(125, 20) == Step(140, b"3" * 10 + b"4" * 10)
    assert recent.step(150, 5) == Step(150, b"")


class Time:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_the_budget_bounds_work_and_waiting() -> None:
    clock = Time()
    found = Budget(clock)
    assert found.wait_seconds() == 0
    found.spend(budget.BURST_SECONDS)
    found.spend(0.000_1)
    assert found.wait_seconds() == pytest.approx(0.000_1 / budget.SHARE)
    clock.now += 0.000_2 / budget.SHARE
    assert found.wait_seconds() == 0
    found.spend(100)
    assert found.wait_seconds() == pytest.approx(budget.WAIT_SECONDS_MAX)


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    """Ten ticks of ten commands with an event each, in several segments."""
    writer = JournalWriter(tmp_path, 1, lambda _seq: None, lambda _error: None, segment_bytes_max=10_000)
    for tick in range(10):
        commands = bytes(10 * COMMAND_BYTES)
        events = b"".join(bytes([tick]) * EVENT_BYTES for _ in range(10))
        writer.append(commands, events, 10 * tick + 1, 10 * tick + 10)
    writer.close()
    return tmp_path


@pytest.mark.parametrize(
    ("after", "upto", "ticks"), [(0, 100, range(10)), (35, 72, range(3, 8)), (100, 100, ())]
)
def test_the_journal_is_read_from_anywhere(
    journal: Path, monkeypatch: pytest.MonkeyPatch, after: int, upto: int, ticks: range
) -> None:
    for step_frames in (1, 500):
        monkeypatch.setattr(history, "STEP_FRAMES", step_frames)
        steps = [step for step in journal_steps(journal, after, upto) if step is not None]
        wanted = set(ticks)
        found = {byte for step in steps for byte in step.events}
        assert wanted <= found
        assert all(step.last_seq % 10 == 0 for step in steps)


def test_a_damaged_or_missing_journal_is_not_guessed_at(journal: Path) -> None:
    newest = max(journal.glob("*.b4j"))
    content = bytearray(newest.read_bytes())
    content[-1] ^= 1
    newest.write_bytes(content)
    with pytest.raises(JournalCorrupt, match=newest.name):
        list(journal_steps(journal, 0, 100))
    min(journal.glob("*.b4j")).unlink()
    with pytest.raises(LookupError):
        list(journal_steps(journal, 0, 100))


def test_work_lets_orders_pass_but_not_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    """Never while one is on its way; when that is answered, after the answer; in the end anyway."""
    monkeypatch.setattr(yielding, "WAIT_SECONDS_MAX", 0.05)
    busy = [True]
    done: list[str] = []

    async def turns(count: int) -> None:
        for _ in range(count):
            await asyncio.sleep(0)

    async def run() -> None:
        work = YieldToOrders(lambda: done.append("work"), lambda: busy[0])
        work.begin()
        work.plan()
        work.plan()
        await turns(5)
        assert (work.planned, done) == (True, [])
        busy[0] = False
        work.passed()
        asyncio.get_running_loop().call_soon(done.append, "answer")
        await turns(5)
        assert done == ["answer", "work"]
        work.passed()
        await turns(5)
        assert done == ["answer", "work"], "once"
        busy[0] = True
        work.begin()
        work.plan(0.001)
        began = asyncio.get_running_loop().time()
        await until(lambda: len(done) == 3, "done all the same")
        assert asyncio.get_running_loop().time() - began >= 0.04
        work.begin()
        work.plan()
        work.cancel()
        await asyncio.sleep(0.1)
        assert len(done) == 3

    asyncio.run(run())


def test_connections_are_written_to_in_slices_and_gather_what_follows() -> None:
    wires = [Wire() for _ in range(3 * CLIENTS_AT_ONCE)]
    clients = [Client(1, wire, lambda: None) for wire in wires]
    stream = LogStream(TOPIC, 0)
    stream.subscriptions += [Subscription(client, None, packed=True) for client in clients]
    busy = [False]
    done: list[bool] = []

    def written() -> int:
        return sum(bool(wire.sent) for wire in wires)

    async def run() -> None:
        fan_out = FanOut(Budget(), clients, lambda: busy[0], lambda: done.append(True))
        fan_out.deliver(stream, Chunk([b"1"]))
        assert fan_out.busy and not written(), "not before the answers"
        counts: set[int] = set()
        while len(counts) < 2:
            await asyncio.sleep(0)
            counts.add(written())
        assert max(counts) <= CLIENTS_AT_ONCE
        busy[0] = True  # an order has come
        fan_out.deliver(stream, Chunk([b"2"]))
        await asyncio.sleep(0.005)
        assert written() <= 2 * CLIENTS_AT_ONCE and not done
        busy[0] = False
        fan_out.yielding.passed()
        await until(lambda: done, "all is written")
        assert not fan_out.busy

    asyncio.run(run())
    assert {tuple(wire.messages) for wire in wires} == {(b"[1]", b"[2]"), (b"[1,2]",)}
    assert wires[-1].messages == [b"[1,2]"]
