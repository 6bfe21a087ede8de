"""Just enough HTTP/1.1 to play a server badly on purpose: requests out of a buffer, responses into bytes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit

HEAD_END = b"\r\n\r\n"
LAST_CHUNK = b"0\r\n\r\n"


class BadRequestBytesError(Exception):
    """The client sent bytes that are not HTTP/1.1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedRequest:
    """One request as it came in. Header names are lower-case; `number` counts from 1 per upstream."""

    method: str
    path: str
    query: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    number: int = 0

    @property
    def json(self) -> Any:
        """The body as JSON; raises `ValueError` if it is something else."""
        return json.loads(self.body)


def take_request(buffer: bytearray) -> RecordedRequest | None:
    """Cut the first complete request off the buffer; `None` if it is not complete yet."""
    head_end = buffer.find(HEAD_END)
    if head_end < 0:
        return None
    method, target, headers = _parse_head(bytes(buffer[:head_end]))
    body_start = head_end + len(HEAD_END)
    if headers.get("transfer-encoding", "").lower() == "chunked":
        body, end = _take_chunks(buffer, start=body_start)
    else:
        end = body_start + int(headers.get("content-length", "0"))
        body = bytes(buffer[body_start:end]) if len(buffer) >= end else None
    if body is None:
        return None
    del buffer[:end]
    url = urlsplit(target)
    return RecordedRequest(method=method, path=url.path, query=url.query, headers=headers, body=body)


def _parse_head(head: bytes) -> tuple[str, str, dict[str, str]]:
    request_line, *lines = head.decode("latin-1").split("\r\n")
    try:
        method, target, _version = request_line.split(" ")
        pairs = [line.split(":", 1) for line in lines]
        return method, target, {name.strip().lower(): value.strip() for name, value in pairs}
    except ValueError as error:
        raise BadRequestBytesError("not an HTTP/1.1 head") from error


def _take_chunks(buffer: bytearray, *, start: int) -> tuple[bytes | None, int]:
    """The body of a chunked request and where it ends; `None` if it is not complete yet. Trailers are not read."""
    body = bytearray()
    position = start
    while (line_end := buffer.find(b"\r\n", position)) >= 0:
        size = int(buffer[position:line_end].split(b";")[0], 16)
        chunk_start = line_end + 2
        position = chunk_start + size + 2
        if len(buffer) < position:
            break
        if size == 0:
            return bytes(body), position
        body += buffer[chunk_start : chunk_start + size]
    return None, start


def response_head(status: int, *, headers: Mapping[str, str]) -> bytes:
    reasons = {item.value: item.phrase for item in HTTPStatus}
    lines = [f"HTTP/1.1 {status} {reasons.get(status, 'Unknown')}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return "\r\n".join(lines).encode("latin-1") + HEAD_END


def chunk(data: bytes) -> bytes:
    """One chunk of a chunked body, RFC 9112 section 7.1."""
    return b"%x\r\n%b\r\n" % (len(data), data)
