"""Two parsers read a handshake: what the check lets through, the second one takes or answers."""

import base64

from hypothesis import given
from hypothesis import strategies as st
from websockets.http11 import Request
from websockets.server import ServerProtocol

from app.api.websocket.handshake_rules import LINE_BYTES_MAX, LIST_BYTES_MAX, handshake_problem

KEY = base64.b64encode(b"k" * 16)
WHOLE = {
    b"host": b"test",
    b"upgrade": b"websocket",
    b"connection": b"Upgrade",
    b"sec-websocket-version": b"13",
    b"sec-websocket-key": KEY,
}
# What llhttp lets through.
TOKENS = "!#$%&'*+.^_`|~0123456789abcdefghijklmnopqrstuvwxyz-"
NAMES = st.one_of(
    st.sampled_from(
        [
            *(*WHOLE, b"content-length", b"transfer-encoding", b"origin"),
            *(b"sec-websocket-protocol", b"sec-websocket-extensions"),
        ]
    ),
    st.text(TOKENS, min_size=1, max_size=20).map(str.encode),
)
VALUES = st.one_of(
    st.sampled_from([b"", b"0", b"1", b"13", b"websocket", b"Upgrade, x", b"chunked", KEY, b"y" * 8_180]),
    st.text([chr(code) for code in (9, *range(0x20, 0x7F), *range(0x80, 0x100))], max_size=30).map(
        lambda text: text.strip(" \t").encode("latin-1")
    ),
)
CHANGES = st.lists(st.tuples(NAMES, VALUES), max_size=100)
TARGETS = st.sampled_from(
    [b"/v1/trade", b"/", b"/a?b=c", b"//", b"*", b"http://x/", b"/\xff", b"/" + b"y" * 8_180]
)


@given(CHANGES, TARGETS, st.booleans())
def test_what_is_let_through_is_taken(
    changes: list[tuple[bytes, bytes]], target: bytes, instead: bool
) -> None:
    headers = [*WHOLE.items(), *changes]
    if instead:  # of those that are there
        headers = list((WHOLE | dict(changes)).items())
    if handshake_problem("GET", "1.1", target, headers) is not None:
        return
    protocol = ServerProtocol()
    lines = b"".join(b"%b: %b\r\n" % header for header in headers)
    protocol.receive_data(b"GET %b HTTP/1.1\r\n%b\r\n" % (target, lines))
    (request,) = protocol.events_received()
    assert isinstance(request, Request)
    assert protocol.accept(request).status_code in (101, 400, 426)


def test_a_whole_handshake_is_let_through() -> None:
    assert handshake_problem("GET", "1.1", b"/v1/trade", list(WHOLE.items())) is None
    line = (b"x", b"y" * (LINE_BYTES_MAX - 1))
    assert handshake_problem("GET", "1.1", b"/", [*WHOLE.items(), line]) is None
    lists = (b"sec-websocket-protocol", b"y" * (LIST_BYTES_MAX - 16))
    assert handshake_problem("GET", "1.1", b"/", [*WHOLE.items(), lists]) is None
