"""Plain heads cut anywhere, followed by anything, and spoilt; and what llhttp reads in the same bytes."""

from typing import NamedTuple

import httptools
from hypothesis import given
from hypothesis import strategies as st

from app.api.http.head_reader import Head, NoHead, OrderAction, read_head

_TOKEN = "!#$%&'*+.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-"
_TOKEN_OF_IDS = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ._:-"
_TAKEN = ("content-length", "authorization", "connection", "transfer-encoding", "expect", "upgrade", "te")
_VISIBLE = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), max_size=30)
_NAMES = st.text(st.sampled_from(_TOKEN), min_size=1, max_size=12).filter(
    lambda name: name.lower() not in (*_TAKEN, "trailer", "content-encoding")
)
_FIELDS = st.lists(st.tuples(_NAMES, _VISIBLE), max_size=8, unique_by=lambda field: field[0].lower())
_BLANKS = st.text(st.sampled_from(" \t"), max_size=3)


_IDS = st.text(st.sampled_from(_TOKEN_OF_IDS), min_size=1, max_size=36)
_METHODS = {OrderAction.CANCEL: b"DELETE", OrderAction.AMEND: b"PATCH"}


class Made(NamedTuple):
    """A plain head, and what it says."""

    raw: bytes
    head: Head


@st.composite
def requests(draw: st.DrawFn) -> tuple[bytes, OrderAction, str | None, tuple[str, str] | None]:
    """A method and a path, and what they say."""
    action = draw(st.sampled_from(OrderAction))
    if action is OrderAction.PLACE:
        return b"POST /v1/orders", action, None, None
    if action is OrderAction.PLACE_BATCH:
        return b"POST /v1/orders/batch", action, None, None
    line = _METHODS[action] + b" /v1/orders/"
    if draw(st.booleans()):
        order_id = str(draw(st.integers(0, (1 << 63) - 1)))
        return line + order_id.encode(), action, order_id, None
    account, client_order_id = draw(_IDS), draw(_IDS)
    path = f"by-client-id/{account}/{client_order_id}"
    return line + path.encode(), action, None, (account, client_order_id)


@st.composite
def plain_heads(draw: st.DrawFn) -> Made:
    line, action, order_id, client_order_id = draw(requests())
    authorization = draw(_VISIBLE).strip()
    body_size = draw(st.integers(0, 999_999_999))
    fields = draw(_FIELDS)
    fields += [("Authorization", authorization), ("Content-Length", str(body_size))]
    connection = draw(st.sampled_from((None, "keep-alive", "Close")))
    fields += [("Connection", connection)] if connection else []
    lines = [f"{line.decode()} HTTP/1.1"]
    for name, value in draw(st.permutations(fields)):
        lines.append(f"{name}:{draw(_BLANKS)}{value}{draw(_BLANKS)}")
    raw = "\r\n".join([*lines, "\r\n"]).encode()
    head = Head(
        action, order_id, client_order_id, connection != "Close", authorization.encode(), len(raw), body_size
    )
    return Made(raw, head)


class Parsed:
    """What llhttp finds."""

    def __init__(self, data: bytes) -> None:
        self.url = b""
        self.fields: dict[bytes, list[bytes]] = {}
        self.whole = self.keeps_alive = self.upgrades = False
        self.parser = httptools.HttpRequestParser(self)
        self.parser.feed_data(data)

    def on_url(self, url: bytes) -> None:
        self.url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self.fields.setdefault(name.lower(), []).append(value)

    def on_headers_complete(self) -> None:
        self.whole = True
        self.keeps_alive = self.parser.should_keep_alive()
        self.upgrades = self.parser.should_upgrade()


@given(plain_heads(), st.binary(max_size=50))
def test_a_plain_head_is_read_whatever_follows(made: Made, rest: bytes) -> None:
    assert read_head(made.raw + rest) == made.head


@given(plain_heads())
def test_cut_at_every_byte_it_is_incomplete(made: Made) -> None:
    for end in range(len(made.raw)):
        assert read_head(made.raw[:end]) is NoHead.INCOMPLETE


@given(plain_heads(), st.data())
def test_a_field_twice_is_not_plain(made: Made, data: st.DataObject) -> None:
    lines = made.raw.split(b"\r\n")
    again = data.draw(st.sampled_from(lines[1:-2]))
    name, _, value = again.partition(b":")
    lines.insert(data.draw(st.integers(1, len(lines) - 2)), name.swapcase() + b":" + value)
    assert read_head(b"\r\n".join(lines)) is NoHead.NOT_PLAIN


def _path(head: Head) -> bytes:
    if head.order_id is not None:
        return f"/v1/orders/{head.order_id}".encode()
    if head.client_order_id is not None:
        return f"/v1/orders/by-client-id/{'/'.join(head.client_order_id)}".encode()
    return b"/v1/orders" if head.action is OrderAction.PLACE else b"/v1/orders/batch"


@given(plain_heads(), st.data())
def test_what_is_plain_after_a_change_llhttp_reads_alike(made: Made, data: st.DataObject) -> None:
    """One byte replaced, left out or put in: where the head is still plain, both readers find the same."""
    at = data.draw(st.integers(0, len(made.raw) - 1))
    put = data.draw(st.sampled_from((b"", b"\r", b"\n", b" ", b":", b"\0", b"\x80", b"9", b"a")))
    found = read_head(spoilt := made.raw[:at] + put + made.raw[at + data.draw(st.integers(0, 1)) :])
    if not isinstance(found, Head):
        return
    parsed = Parsed(spoilt[: found.size])
    assert parsed.whole
    assert parsed.parser.get_http_version() == "1.1"
    assert parsed.url == _path(found)
    assert parsed.parser.get_method() == _METHODS.get(found.action, b"POST")
    assert [int(value) for value in parsed.fields.get(b"content-length", [b"0"])] == [found.body_size]
    assert [value.strip() for value in parsed.fields.get(b"authorization", [b""])] == [found.authorization]
    assert (parsed.keeps_alive, parsed.upgrades) == (found.keeps_alive, False)


@given(st.binary(max_size=200), st.binary(max_size=50))
def test_no_bytes_are_too_strange(data: bytes, more: bytes) -> None:
    """And what is not plain stays so, whatever comes."""
    if read_head(data) is NoHead.NOT_PLAIN:
        assert read_head(data + more) is NoHead.NOT_PLAIN
