from __future__ import annotations

import pytest

from tests.support.http import BadRequestBytesError, take_request

POST = b"POST /v1/chat?x=1 HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello"
CHUNKED = b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n2;note\r\nlo\r\n0\r\n\r\n"


@pytest.mark.parametrize("wire", [POST, CHUNKED])
def test_request_is_taken_only_when_its_last_byte_is_there(wire: bytes) -> None:
    for end in range(len(wire)):
        assert take_request(bytearray(wire[:end])) is None
    request = take_request(bytearray(wire))
    assert request is not None
    assert request.body == b"hello"


def test_head_is_split_into_method_path_query_and_lower_case_headers() -> None:
    request = take_request(bytearray(POST))
    assert request is not None
    assert (request.method, request.path, request.query) == ("POST", "/v1/chat", "x=1")
    assert request.headers == {"host": "h", "content-length": "5"}


def test_what_follows_a_request_stays_for_the_next() -> None:
    buffer = bytearray(POST + CHUNKED + b"GET")
    taken = [take_request(buffer), take_request(buffer), take_request(buffer)]
    assert [request and request.method for request in taken] == ["POST", "POST", None]
    assert buffer == b"GET"


def test_bytes_that_are_not_http_are_refused() -> None:
    with pytest.raises(BadRequestBytesError):
        take_request(bytearray(b"\x16\x03\x01 hello\r\n\r\n"))
