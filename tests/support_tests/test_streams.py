from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.support.streams import ServerSentEvent, parse_sse

WIRE = ": hi\n\nevent: a\ndata: één\n\ndata: 1\r\ndata:2\r\n\r\ndata: lost".encode()


async def _chunks(data: bytes, *, size: int) -> AsyncIterator[bytes]:
    for start in range(0, len(data), size):
        yield data[start : start + size]


@pytest.mark.parametrize("size", [1, 2, 7, 1000])
async def test_events_are_the_same_however_the_bytes_are_cut(size: int) -> None:
    events = [event async for event in parse_sse(_chunks(WIRE, size=size))]
    assert events == [
        ServerSentEvent(comment="hi"),
        ServerSentEvent(data="één", event="a"),
        ServerSentEvent(data="1\n2"),
    ]
