"""Which heads are plain, and which are left to a parser of the whole of HTTP."""

import pytest

from app.api.http.head_reader import (
    HEADERS_MAX,
    PLAIN_HEAD_BYTES_MAX,
    Head,
    NoHead,
    OrderAction,
    head_bytes,
    read_head,
)

KEY = b"Bearer some-key"
FIELDS = b"Host: x\r\nAuthorization: Bearer some-key\r\n"


def head(request: bytes = b"POST /v1/orders HTTP/1.1", fields: bytes = FIELDS, length: bytes = b"7") -> bytes:
    return b"%b\r\n%bContent-Length: %b\r\n\r\n" % (request, fields, length)


@pytest.mark.parametrize(
    ("request_line", "action", "order_id", "client_order_id"),
    [
        (b"POST /v1/orders", OrderAction.PLACE, None, None),
        (b"POST /v1/orders/batch", OrderAction.PLACE_BATCH, None, None),
        (b"PATCH /v1/orders/12", OrderAction.AMEND, "12", None),
        (b"DELETE /v1/orders/9223372036854775807", OrderAction.CANCEL, "9223372036854775807", None),
        (b"PATCH /v1/orders/by-client-id/a:b/c", OrderAction.AMEND, None, ("a:b", "c")),
        (b"DELETE /v1/orders/by-client-id/a/b/c:d", OrderAction.CANCEL, None, ("a", "b/c:d")),
        (b"DELETE /v1/orders/by-client-id/a//", OrderAction.CANCEL, None, ("a", "/")),
    ],
)
def test_the_requests_that_are_plain(
    request_line: bytes,
    action: OrderAction,
    order_id: str | None,
    client_order_id: tuple[str, str] | None,
) -> None:
    raw = head(request_line + b" HTTP/1.1")
    expected = Head(action, order_id, client_order_id, True, KEY, len(raw), 7)
    assert read_head(raw + b"a body and more") == expected
    assert read_head(bytearray(raw)) == read_head(raw)
    assert head_bytes(raw + b"\r\n\r\n") == len(raw)


@pytest.mark.parametrize(
    "request_line",
    [
        b"GET /v1/orders HTTP/1.1",
        b"post /v1/orders HTTP/1.1",
        b"POST /v1/orders/ HTTP/1.1",
        b"POST /v1/orders? HTTP/1.1",
        b"POST /v1/orders?x=1 HTTP/1.1",
        b"POST /v1/%6frders HTTP/1.1",
        b"POST http://x/v1/orders HTTP/1.1",
        b"POST  /v1/orders HTTP/1.1",
        b"POST /v1/orders HTTP/1.0",
        b"POST /v1/orders HTTP/1.1 ",
        b" POST /v1/orders HTTP/1.1",
        b"\r\nPOST /v1/orders HTTP/1.1",
        b"POST /v1/orders\nHTTP/1.1",
        b"DELETE /v1/orders HTTP/1.1",
        b"DELETE /v1/orders/ HTTP/1.1",
        b"DELETE /v1/orders/-1 HTTP/1.1",
        b"DELETE /v1/orders/1/ HTTP/1.1",
        b"DELETE /v1/orders/by-client-id/ HTTP/1.1",
        b"DELETE /v1/orders/by-client-id/a HTTP/1.1",
        b"DELETE /v1/orders/by-client-id/a/ HTTP/1.1",
        b"DELETE /v1/orders/by-client-id//b HTTP/1.1",
        b"DELETE /v1/orders/by-client-id/a/b?x HTTP/1.1",
        b"DELETE /v1/orders/by-client-id/a/b%20 HTTP/1.1",
        b"DELETE /v1/orders/by-client-id/a/b c HTTP/1.1",
        b"DELETE /v1/orders/by-client-id/a/%b HTTP/1.1" % (b"b" * 37),
        b"DELETE /v1/orders/12345678901234567890 HTTP/1.1",
        b"DELETE /v1/orders/\xd9\xa1 HTTP/1.1",
        b"",
    ],
)
def test_other_request_lines(request_line: bytes) -> None:
    assert read_head(head(request_line)) is NoHead.NOT_PLAIN


@pytest.mark.parametrize(
    "field",
    [
        b"no colon",
        b": no name",
        b"blank : x",
        b" folded: x",
        b"na\x00me: x",
        b"na\xc3\xafve: x",
        b"name: \x00",
        b"name: \x7f",
        b"name: \xc3\xa9",
        b"name: a\tb",
        b"name: a\nb: c",
        b"name: a\rb: c",
        b"host: y",
        b"HOST: y",
        b"authorization: Bearer other",
        b"content-length: 7",
        b"Content-Length: 8",
        b"Transfer-Encoding: chunked",
        b"Transfer-Encoding: identity",
        b"Expect: 100-continue",
        b"Upgrade: h2c",
        b"TE: trailers",
        b"Trailer: x",
        b"Content-Encoding: gzip",
        b"Connection: upgrade",
        b"Connection: keep-alive, close",
        b"Connection:",
    ],
)
def test_fields_that_are_not_plain(field: bytes) -> None:
    assert read_head(head(fields=FIELDS + field + b"\r\n")) is NoHead.NOT_PLAIN


@pytest.mark.parametrize(
    "field",
    [
        b"name:",
        b"name:x",
        b"name: \t x \t ",
        b"Connection: Keep-Alive",
        b'sec-ch-ua: "A";v="1", \'b\' (c) [d] {e} \\ ~',
        b"!#$%&'*+.^_`|~: x",
    ],
)
def test_fields_that_are_passed_over(field: bytes) -> None:
    found = read_head(head(fields=FIELDS + field + b"\r\n"))
    assert isinstance(found, Head)
    assert (found.authorization, found.body_size) == (KEY, 7)


@pytest.mark.parametrize("field", [b"Connection: close", b"connection:\tCLOSE "])
def test_a_client_that_wants_one_answer(field: bytes) -> None:
    found = read_head(head(fields=FIELDS + field + b"\r\n"))
    assert isinstance(found, Head) and not found.keeps_alive


@pytest.mark.parametrize("length", [b"", b"x", b"-1", b"+1", b"1,1", b"1 1", b"0x1", b"1_0", b"1234567890"])
def test_lengths_that_are_none(length: bytes) -> None:
    for request_line in (b"POST /v1/orders HTTP/1.1", b"DELETE /v1/orders/1 HTTP/1.1"):
        assert read_head(head(request_line, length=length)) is NoHead.NOT_PLAIN


def test_only_a_cancel_may_leave_its_length_out() -> None:
    cancel = b"DELETE /v1/orders/1 HTTP/1.1\r\n\r\n"
    assert read_head(cancel) == Head(OrderAction.CANCEL, "1", None, True, b"", len(cancel), 0)
    for line in (b"POST /v1/orders", b"POST /v1/orders/batch", b"PATCH /v1/orders/1"):
        assert read_head(line + b" HTTP/1.1\r\n\r\n") is NoHead.NOT_PLAIN


def test_the_largest_head() -> None:
    def padded(size: int) -> bytes:
        return head(fields=FIELDS + b"x: %b\r\n" % (b"a" * (size - len(head()) - len(b"x: \r\n"))))

    assert isinstance(read_head(padded(PLAIN_HEAD_BYTES_MAX)), Head)
    assert read_head(padded(PLAIN_HEAD_BYTES_MAX)[:-1]) is NoHead.INCOMPLETE
    assert read_head(padded(PLAIN_HEAD_BYTES_MAX + 1)) is NoHead.NOT_PLAIN
    assert read_head(padded(PLAIN_HEAD_BYTES_MAX + 1)[:-1]) is NoHead.NOT_PLAIN


def test_the_most_headers() -> None:
    def with_fields(count: int) -> bytes:
        return head(fields=b"".join(b"x-%d: y\r\n" % number for number in range(count - 1)))

    assert isinstance(read_head(with_fields(HEADERS_MAX)), Head)
    assert read_head(with_fields(HEADERS_MAX + 1)) is NoHead.NOT_PLAIN
