"""Writing answers: errors in one envelope, whole answers, and event streams that end when the client leaves."""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Protocol

import orjson
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from app.errors import SluiceError
from app.limits import limit_headers
from app.models import Admitted, Delta, Event, Finished, Started
from app.routers.counting import count_error, metrics_of
from app.routers.event_stream import EventStream
from app.services.answer import Draft
from app.utils.instruments import OPEN_STREAMS

logger = logging.getLogger(__name__)

# A stream says nothing for this long at most: then its head is sent, or a comment that keeps it alive.
HEARTBEAT_SECONDS = 15.0

JSON = (b"content-type", b"application/json")

# What an answer that asks for a key must say (RFC 9110, 11.6.1).
CHALLENGE = 'Bearer realm="sluice"'

Events = AsyncGenerator[Sequence[Event], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """The fold over an answer's events."""

    started: Started
    draft: Draft
    finished: Finished


class Surface(Protocol):
    """How one API writes answers down. Every method returns the bytes of the wire."""

    def whole(self, answer: Answer) -> bytes: ...

    def piece(self, event: Event) -> bytes: ...

    def failure(self, error: SluiceError) -> bytes: ...

    def end(self) -> bytes: ...


def error_body(error: SluiceError) -> dict[str, Any]:
    """The envelope of every error."""
    return {"error": {"message": error.detail, "type": error.type, "param": error.param, "code": error.code}}


def error_status(error: SluiceError, *, path: str) -> int:
    """What cannot be understood is 400 under `/v1`, as OpenAI has it, and 422 elsewhere."""
    return 400 if error.status == 422 and path.startswith("/v1/") else error.status  # noqa: PLR2004  (see above)


def error_response(error: SluiceError, *, path: str = "") -> Response:
    """The error as an answer to a request for `path`."""
    status = error_status(error, path=path)
    headers = {}
    if error.retry_after is not None:
        headers["retry-after"] = str(max(1, math.ceil(error.retry_after)))
    elif error.status == HTTPStatus.SERVICE_UNAVAILABLE:
        headers["retry-after"] = "1"
    if error.status == HTTPStatus.UNAUTHORIZED:
        headers["www-authenticate"] = CHALLENGE
    return ErrorReply(error, status=status, headers=headers)


def json_response(value: object, *, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    return Response(orjson.dumps(value), status_code=status, headers=headers, media_type="application/json")


class ErrorReply(Response):
    """The envelope of an error, which is counted when it is sent."""

    def __init__(self, error: SluiceError, *, status: int, headers: Mapping[str, str]) -> None:
        body = orjson.dumps(error_body(error))
        super().__init__(body, status_code=status, headers=headers, media_type="application/json")
        self._error = error

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        count_error(self._error, scope=scope)
        await super().__call__(scope, receive, send)


class WholeReply(Response):
    """A JSON answer: the fold over the events. The events are closed at once if the client leaves."""

    def __init__(self, events: Events, *, surface: Surface) -> None:
        self._events = events
        self._surface = surface
        self.background = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope["state"]["recorded"] = True
        await _until_left(self._write(scope, receive, send), receive=receive, beat=None)

    async def _write(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            answer = await _fold(self._events, scope=scope)
        except SluiceError as error:
            await error_response(error, path=scope["path"])(scope, receive, send)
            return
        body = self._surface.whole(answer)
        headers = [JSON, (b"content-length", b"%d" % len(body)), *answer_headers(answer.started)]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})


class StreamReply(Response):
    """A server-sent event stream. Nothing is sent before the first event or heartbeat, so errors keep their status."""

    def __init__(self, events: Events, *, surface: Surface, heartbeat: float = HEARTBEAT_SECONDS) -> None:
        self._events = events
        self._surface = surface
        self._heartbeat = heartbeat
        self.background = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope["state"]["recorded"] = True
        stream = EventStream(send)
        beat = _Beat(seconds=self._heartbeat, strike=lambda: stream.write(b":\n\n"))
        try:
            with metrics_of(scope).gauge(OPEN_STREAMS).of().track_inprogress():
                await _until_left(self._write(stream, scope, receive), receive=receive, beat=beat)
        finally:
            stream.cut()

    async def _write(self, stream: EventStream, scope: Scope, receive: Receive) -> None:
        try:
            async with aclosing(self._events) as batches:
                async for events in batches:
                    for event in events:
                        if isinstance(event, Admitted):
                            _tell_limits(event, scope=scope)
                        elif isinstance(event, Started):
                            stream.headers += answer_headers(event)
                    if pieces := b"".join(map(self._surface.piece, events)):
                        await stream.write(pieces)
            await stream.end(self._surface.end())
        except SluiceError as error:
            await self._fail(error, stream, scope, receive)
        except Exception as error:  # noqa: BLE001  (the edge of the service: a stream that has begun cannot become a 500)
            logger.error("stream failed", extra={"error_type": type(error).__name__})
            await self._fail(SluiceError(), stream, scope, receive)

    async def _fail(self, error: SluiceError, stream: EventStream, scope: Scope, receive: Receive) -> None:
        if stream.begun:
            count_error(error, scope=scope)
            await stream.end(self._surface.failure(error))
        else:
            await error_response(error, path=scope["path"])(scope, receive, stream.send)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Beat:
    seconds: float
    strike: Callable[[], Awaitable[None]]


async def _until_left(work: Coroutine[Any, Any, None], *, receive: Receive, beat: _Beat | None) -> None:
    """Do the work, but cancel it as soon as the client has left."""
    loop, working = asyncio.get_running_loop(), asyncio.current_task()
    if working is None:
        raise RuntimeError("an answer is written by a task")
    already, left = working.cancelling(), False
    watching: asyncio.Task[None] | None = None

    def leave() -> None:
        nonlocal left
        left = True
        working.cancel()

    def watch() -> None:
        nonlocal watching
        watching = loop.create_task(_watch(receive, beat=beat, leave=leave))

    first_wait = loop.call_soon(watch)  # work that never waits is done before anybody can leave
    try:
        await work
    except asyncio.CancelledError:
        # As in `asyncio.timeout`: a task that somebody else has cancelled as well stays so.
        if not left or working.uncancel() > already:
            raise
    finally:
        first_wait.cancel()
        if watching is not None:
            watching.cancel()


async def _watch(receive: Receive, *, beat: _Beat | None, leave: Callable[[], None]) -> None:
    """Call `leave` when the client has left; strike the beat in the meantime."""
    while True:
        try:
            async with asyncio.timeout(beat.seconds if beat else None):
                message = await receive()
        except TimeoutError:
            if beat is not None:
                await beat.strike()
            continue
        if message["type"] == "http.disconnect":
            leave()
            return


async def _fold(events: Events, *, scope: Scope) -> Answer:
    draft = Draft()
    started = finished = None
    async with aclosing(events):
        async for batch in events:
            draft.add(event for event in batch if isinstance(event, Delta))
            for event in batch:
                match event:
                    case Admitted():
                        _tell_limits(event, scope=scope)
                    case Started():
                        started = event
                    case Finished():
                        finished = event
    if started is None or finished is None:
        raise SluiceError
    return Answer(started=started, draft=draft, finished=finished)


def _tell_limits(event: Admitted, *, scope: Scope) -> None:
    """Have the answer's head say what is left, whatever becomes of the answer."""
    scope["state"]["limit_headers"] = limit_headers(event.allowance)


def answer_headers(started: Started) -> list[tuple[bytes, bytes]]:
    """What every answer says of itself in its head."""
    return [
        (b"x-sluice-model", started.model.encode("latin-1")),
        (b"x-sluice-label", started.route.label.word.encode()),
        (b"x-sluice-cache", started.route.cache.encode()),
    ]
