"""A model server that does what a script says, over real sockets, and remembers every byte it was sent."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import replace
from types import TracebackType
from typing import Protocol, Self

from tests.support.answer import ORDINARY, Behaviour, Dialect
from tests.support.behaviours import Script
from tests.support.http import LAST_CHUNK, RecordedRequest, chunk, response_head, take_request
from tests.support.steps import Frame, Hangup, Head, Pause, Reset, Steps, Wait
from tests.support.tally import Tally

HOST = "127.0.0.1"
PATIENCE = 5.0
# A linger of zero seconds turns the close into a reset.
RESET_ON_CLOSE = struct.pack("ii", 1, 0)


class Observer(Protocol):
    """Is told what becomes of each request while its answer is being written."""

    def wrote(self, request: RecordedRequest, frame: Frame) -> None: ...

    def left(self, request: RecordedRequest) -> None: ...


class ScriptedUpstream:
    """Serves one provider's protocol on a port of its own.

    Used as `async with ScriptedUpstream(OpenAIDialect(), script=Status(503)) as upstream`. Whatever goes wrong
    in the upstream itself (a script that raises, a client that does not speak HTTP) fails the test on the way out.
    """

    def __init__(self, dialect: Dialect, *, script: Script = ORDINARY) -> None:
        self.dialect = dialect
        self.requests: list[RecordedRequest] = []
        self._received = bytearray()
        self._request_tally, self._connection_tally, self._cancel_tally = Tally(), Tally(), Tally()
        self._open: set[Connection] = set()
        self._faults: list[Exception] = []
        self._port = 0
        self._server: asyncio.Server | None = None
        self.observer: Observer | None = None
        self.script = script

    # What it was sent

    @property
    def received(self) -> bytes:
        """Every byte that came in on any connection, complete requests or not, in the order of arrival."""
        return bytes(self._received)

    @property
    def completions(self) -> list[RecordedRequest]:
        """The requests that asked for a completion."""
        return [request for request in self.requests if self.dialect.generates(request)]

    @property
    def connections(self) -> int:
        return self._connection_tally.count

    @property
    def open_connections(self) -> int:
        return len(self._open)

    @property
    def cancelled(self) -> int:
        """How many answers the client left before their end."""
        return self._cancel_tally.count

    async def wait_requests(self, count: int = 1, *, within: float = PATIENCE) -> None:
        await self._request_tally.reach(count, within=within)

    async def wait_connections(self, count: int = 1, *, within: float = PATIENCE) -> None:
        await self._connection_tally.reach(count, within=within)

    async def wait_cancelled(self, count: int = 1, *, within: float = PATIENCE) -> None:
        await self._cancel_tally.reach(count, within=within)

    def forget(self) -> None:
        """Drop the bytes and requests recorded so far."""
        self._received.clear()
        self.requests.clear()

    # What it does

    @property
    def script(self) -> Script:
        return self._script

    @script.setter
    def script(self, script: Script) -> None:
        self._script = script
        self._queue = deque(script if isinstance(script, Sequence) else ())

    @property
    def port(self) -> int:
        return self._port

    @property
    def origin(self) -> str:
        """`http://host:port`, without a path."""
        return f"http://{HOST}:{self._port}"

    async def start(self) -> None:
        """Listen, on the port it had before if it was stopped."""
        self._server = await asyncio.get_running_loop().create_server(
            lambda: Connection(self), HOST, self._port, reuse_address=True
        )
        self._port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Refuse connections from now on and reset those that are open."""
        if self._server is None:
            return
        self._server.close()
        connections = list(self._open)
        for connection in connections:
            connection.reset()
        await asyncio.gather(*(connection.finished() for connection in connections))
        await self._server.wait_closed()
        self._server = None

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()
        if self._faults:
            raise ExceptionGroup("the scripted upstream itself failed", self._faults)

    # What its connections tell it

    def attach(self, connection: Connection) -> None:
        self._open.add(connection)
        self._connection_tally.add()

    def detach(self, connection: Connection) -> None:
        self._open.discard(connection)

    def record_bytes(self, data: bytes) -> None:
        self._received += data

    def record_cancel(self, request: RecordedRequest) -> None:
        self._cancel_tally.add()
        if self.observer is not None:
            self.observer.left(request)

    def record_frame(self, request: RecordedRequest, frame: Frame) -> None:
        if self.observer is not None:
            self.observer.wrote(request, frame)

    def record_fault(self, error: Exception) -> None:
        self._faults.append(error)

    def respond(self, request: RecordedRequest) -> tuple[RecordedRequest, Steps]:
        """Record the request, number it and say what to do about it."""
        request = replace(request, number=self._request_tally.count + 1)
        self.requests.append(request)
        self._request_tally.add()
        return request, self._behaviour(request).steps(request, dialect=self.dialect)

    def _behaviour(self, request: RecordedRequest) -> Behaviour:
        if callable(self._script):
            return self._script(request) or ORDINARY
        if not self.dialect.generates(request):
            return ORDINARY
        if not isinstance(self._script, Sequence):
            return self._script
        return self._queue.popleft() if len(self._queue) > 1 else self._queue[0]


class Connection(asyncio.Protocol):
    """One client's connection: requests one after the other, each answered by playing its steps."""

    def __init__(self, upstream: ScriptedUpstream) -> None:
        self._upstream = upstream
        self._buffer = bytearray()
        self._arrived = asyncio.Event()
        self._gone = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._upstream.attach(self)
        self._serving = asyncio.get_running_loop().create_task(self._serve())

    def data_received(self, data: bytes) -> None:
        self._upstream.record_bytes(data)
        self._buffer += data
        self._arrived.set()

    def eof_received(self) -> None:
        self._leave()

    def connection_lost(self, exc: Exception | None) -> None:
        self._leave()
        self._upstream.detach(self)

    def reset(self) -> None:
        """End the connection with a TCP reset, without counting it as the client's doing."""
        self._serving.cancel()
        self._abort()

    async def finished(self) -> None:
        await asyncio.wait([self._serving])

    def _leave(self) -> None:
        self._gone.set()
        self._arrived.set()

    def _abort(self) -> None:
        plain = self._transport.get_extra_info("socket")
        if plain is not None and not self._transport.is_closing():
            plain.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
        self._transport.abort()

    async def _serve(self) -> None:
        try:
            while request := await self._next_request():
                if not await self._play(*self._upstream.respond(request)):
                    break
        # A broken script must fail its test, not only this connection's task, whose result nobody looks at.
        except Exception as error:  # noqa: BLE001
            self._upstream.record_fault(error)
            self._abort()

    async def _next_request(self) -> RecordedRequest | None:
        while True:
            self._arrived.clear()
            if (request := take_request(self._buffer)) is not None:
                return request
            if self._gone.is_set():
                return None
            await self._arrived.wait()

    async def _play(self, request: RecordedRequest, steps: Steps) -> bool:
        """Whether the connection is good for another request."""
        framed: Callable[[bytes], bytes] = bytes
        for step in steps:
            # Lets a client that has left be noticed between two frames.
            await asyncio.sleep(0)
            if isinstance(step, Wait | Pause):
                await self._pass(step)
            if self._gone.is_set():
                self._upstream.record_cancel(request)
                self._transport.close()
                return False
            match step:
                case Head():
                    framed = chunk if step.length is None else bytes
                    self._transport.write(_head_bytes(step))
                case Frame() if step.data:
                    self._transport.write(framed(step.data))
                    self._upstream.record_frame(request, step)
                case Reset():
                    self._abort()
                    return False
                case Hangup():
                    self._transport.close()
                    return False
        if framed is chunk:
            self._transport.write(LAST_CHUNK)
        return True

    async def _pass(self, step: Wait | Pause) -> None:
        """Wait until the pause is over, or the gate opens or the client leaves."""
        if isinstance(step, Pause):
            for _ in range(step.rounds):
                await asyncio.sleep(step.seconds / step.rounds)
            return
        waits = [asyncio.ensure_future(event.wait()) for event in (step.gate, self._gone)]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()


def _head_bytes(head: Head) -> bytes:
    framing = {"transfer-encoding": "chunked"} if head.length is None else {"content-length": str(head.length)}
    return response_head(head.status, headers={"date": "Thu, 01 Jan 2026 00:00:00 GMT", **head.headers, **framing})
