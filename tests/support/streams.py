"""Readers of what the gateway streams to its clients."""

from __future__ import annotations

import codecs
import json
from collections.abc import AsyncIterable, AsyncIterator
from dataclasses import dataclass
from typing import Any

import aiohttp


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerSentEvent:
    """One event, or one comment: then `comment` is its text and `data` is empty."""

    data: str = ""
    event: str | None = None
    comment: str | None = None

    @property
    def json(self) -> Any:
        return json.loads(self.data)


async def sse(response: aiohttp.ClientResponse, *, comments: bool = False) -> AsyncIterator[ServerSentEvent]:
    """The events of a stream as they arrive, `[DONE]` included; comments only when asked for."""
    async for event in parse_sse(response.content.iter_any()):
        if comments or event.comment is None:
            yield event


async def ndjson(response: aiohttp.ClientResponse) -> AsyncIterator[Any]:
    async for line in _lines(response.content.iter_any()):
        if line:
            yield json.loads(line)


async def parse_sse(chunks: AsyncIterable[bytes]) -> AsyncIterator[ServerSentEvent]:
    """The event stream format of the HTML standard, section 9.2.6; an event without its blank line is dropped."""
    data: list[str] = []
    name: str | None = None
    async for line in _lines(chunks):
        field, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if line.startswith(":"):
            yield ServerSentEvent(comment=value)
        elif field == "data":
            data.append(value)
        elif field == "event":
            name = value
        elif not line:
            if data:
                yield ServerSentEvent(data="\n".join(data), event=name)
            data, name = [], None


async def _lines(chunks: AsyncIterable[bytes]) -> AsyncIterator[str]:
    """Lines without their ends (LF or CRLF); what follows the last line end is dropped."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    rest = ""
    async for chunk in chunks:
        *lines, rest = (rest + decoder.decode(chunk)).split("\n")
        for line in lines:
            yield line.removesuffix("\r")
