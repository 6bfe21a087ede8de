"""What is written to a stream arrives in order, together where it was written together."""

from __future__ import annotations

import asyncio
from collections.abc import MutableMapping
from typing import Any

from app.routers.event_stream import MOST_WAITING, EventStream


class Client:
    """Takes what is sent while its `gate` is open."""

    def __init__(self) -> None:
        self.messages: list[MutableMapping[str, Any]] = []
        self.gate = asyncio.Event()
        self.gate.set()

    async def send(self, message: MutableMapping[str, Any]) -> None:
        await self.gate.wait()
        self.messages.append(message)

    @property
    def bodies(self) -> list[bytes]:
        return [message["body"] for message in self.messages if message["type"] == "http.response.body"]


async def settle() -> None:
    """Let all go on that can."""
    for _ in range(10):
        await asyncio.sleep(0)


async def test_pieces_of_one_turn_are_sent_together_and_those_of_another_by_themselves() -> None:
    client = Client()
    stream = EventStream(client.send)
    await stream.write(b"a")
    await stream.write(b"b")
    await settle()
    await stream.write(b"c")
    await settle()
    await stream.end(b"d")
    assert client.bodies == [b"ab", b"c", b"d"]
    assert [message.get("more_body") for message in client.messages] == [None, True, True, False]


async def test_who_writes_waits_for_a_client_that_is_far_behind() -> None:
    client = Client()
    client.gate.clear()
    stream = EventStream(client.send)
    writing = asyncio.create_task(stream.write(b"x" * (MOST_WAITING + 1)))
    await settle()
    assert not writing.done()
    client.gate.set()
    await writing
    await stream.end(b"")
    assert sum(map(len, client.bodies)) == MOST_WAITING + 1


async def test_nothing_is_sent_after_the_stream_was_cut() -> None:
    client = Client()
    client.gate.clear()
    stream = EventStream(client.send)
    await stream.write(b"a")
    stream.cut()
    client.gate.set()
    await settle()
    assert not client.messages
