"""The body of a stream: what is written while the event loop goes round once is sent in one go."""

from __future__ import annotations

import asyncio

from starlette.types import Send

HEADERS = (
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-cache"),
    (b"x-accel-buffering", b"no"),
)

# So many bytes may wait for a client; then whoever writes waits, too.
MOST_WAITING = 64 * 1024


class EventStream:
    """Begins with its first bytes. `headers` may be added to until then.

    A task of its own sends. Pieces that come one at a time leave as they come; of a model that is faster than its
    client, or than this process, several leave together, which saves most of what a piece costs.
    """

    def __init__(self, send: Send) -> None:
        self.send = send
        self.headers = list(HEADERS)
        self._waiting: list[bytes] = []
        self._size = 0
        self._ended = False
        self._news = asyncio.Event()
        self._room = asyncio.Event()
        self._sending: asyncio.Task[None] | None = None

    @property
    def begun(self) -> bool:
        return self._sending is not None

    async def write(self, data: bytes) -> None:
        """Have the bytes sent at the loop's next turn; waits while the client is far behind."""
        self._waiting.append(data)
        self._size += len(data)
        self._news.set()
        if self._sending is None:
            self._sending = asyncio.create_task(self._send())
        while self._size > MOST_WAITING and not self._sending.done():
            self._room.clear()
            await self._room.wait()

    async def end(self, data: bytes) -> None:
        """Write the last bytes and wait until all is sent."""
        self._ended = True
        await self.write(data)
        if self._sending is not None:
            await self._sending

    def cut(self) -> None:
        """Send no more: the client has left, or has all."""
        if self._sending is not None:
            self._sending.cancel()

    async def _send(self) -> None:
        try:
            await self.send({"type": "http.response.start", "status": 200, "headers": self.headers})
            ended = False
            while not ended:
                await self._news.wait()
                self._news.clear()
                body, ended = b"".join(self._waiting), self._ended
                self._waiting.clear()
                self._size = 0
                self._room.set()
                await self.send({"type": "http.response.body", "body": body, "more_body": not ended})
        finally:
            self._room.set()
