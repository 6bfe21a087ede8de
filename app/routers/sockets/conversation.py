"""One open socket: frames in, answers out, one after the other, until the client leaves or has to."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any, NoReturn

import orjson
from fastapi.exceptions import RequestValidationError
from starlette.websockets import WebSocket, WebSocketDisconnect

from app.errors import AuthenticationError, PayloadTooLargeError, RateLimitedError, SluiceError, UnsupportedMediaError
from app.models import Caller, ChatRequest, Finished, Started
from app.routers.counting import count_error
from app.routers.native import event_reply
from app.routers.replies import error_body
from app.routers.sockets.frames import AuthFrame, MessageFrame, StopFrame, read_frame
from app.routers.validation import describe
from app.services.gateway import Gateway

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class SocketLimits:
    """What one socket may cost. Times are in seconds, `largest_frame` is in bytes of UTF-8.

    A million characters, the longest message, take up to 4,000,000 bytes.
    """

    largest_frame: int = 4 * 1024 * 1024
    pending_messages: int = 4
    idle: float = 600.0
    authentication: float = 10.0
    send: float = 60.0
    close: float = 5.0


class CloseCode(IntEnum):
    """RFC 6455 section 7.4; those from 4000 on are our own, after the HTTP status of the same meaning."""

    UNSUPPORTED = 1003
    TOO_LARGE = 1009
    INTERNAL_ERROR = 1011
    UNAUTHENTICATED = 4401
    IDLE = 4408


class TooManyPendingError(RateLimitedError):
    code = "too_many_pending"
    message = "Too many messages wait for their answer on this socket; wait for one to be answered."
    limit = "pending_messages"


class DepartureError(Exception):
    """The conversation is over: with this code, or without one because the client cannot be told any more."""

    def __init__(self, code: CloseCode | None = None) -> None:
        self.code = code
        super().__init__(code)


@dataclass(frozen=True, slots=True, kw_only=True)
class SocketRules:
    """How the frames of a socket are read.

    `prepare` makes the request of a message. `authenticate` tells whose key it is, and raises `AuthenticationError` or
    `ScopeError`; each message asks anew, so that a revoked key ends the conversations that it began. `take_token`
    counts a frame against its address and returns the seconds to wait, 0 for none.
    """

    frame: type[MessageFrame]
    prepare: Callable[[MessageFrame], ChatRequest]
    authenticate: Callable[[str | None], Awaitable[Caller]]
    take_token: Callable[[], float]


@dataclass(frozen=True, slots=True)
class Opener:
    """What was shown to open the conversation; `None` where nothing need be shown."""

    credential: str | None = field(repr=False)


class SocketConversation:
    """Answers the messages of one socket in their order.

    Nothing is buffered on the way out: an answer is drawn from the pipeline as fast as the client reads it. On the way
    in only `pending_messages` wait; more are refused.
    """

    def __init__(
        self,
        websocket: WebSocket,
        *,
        gateway: Gateway,
        rules: SocketRules,
        limits: SocketLimits,
        opened_by: Opener | None,
    ) -> None:
        self._websocket = websocket
        self._gateway = gateway
        self._rules = rules
        self._limits = limits
        self._opener = opened_by
        self._pending: asyncio.Queue[tuple[ChatRequest, Caller]] = asyncio.Queue(limits.pending_messages)
        self._running: asyncio.Task[None] | None = None

    async def run(self) -> None:
        """Return when the socket is closed; an answer that is running then is cancelled at once."""
        code: CloseCode | None = CloseCode.INTERNAL_ERROR
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._read())
                tasks.create_task(self._answer_in_turn(tasks))
        except* DepartureError as departures:
            code = next((left.code for left in departures.exceptions if isinstance(left, DepartureError)), None)
        except* Exception as errors:
            logger.error("socket failed", exc_info=errors.exceptions[0])
        if code is not None:
            await self._close(code)

    # What comes in

    async def _read(self) -> NoReturn:
        while True:
            text = await self._receive()
            try:
                await self._take(text)
            except RequestValidationError as error:
                await self._refuse(describe(error.errors()))
            except SluiceError as error:
                await self._refuse(error)

    async def _receive(self) -> str:
        """The next text; raises `DepartureError` if the client has left, is silent too long or sends something else."""
        while True:
            patience = self._limits.authentication if self._opener is None else self._limits.idle
            try:
                async with asyncio.timeout(patience):
                    message = await self._websocket.receive()
            except TimeoutError:
                if self._opener is None:
                    await self._depart(AuthenticationError(), code=CloseCode.UNAUTHENTICATED)
                if self._running is None and self._pending.empty():
                    raise DepartureError(CloseCode.IDLE) from None
                continue
            return await self._text(message)

    async def _text(self, message: Mapping[str, Any]) -> str:
        if message["type"] == "websocket.disconnect":
            raise DepartureError
        text = message.get("text")
        if not isinstance(text, str):
            await self._depart(UnsupportedMediaError("Frames are JSON in text."), code=CloseCode.UNSUPPORTED)
        if len(text) > self._limits.largest_frame or len(text.encode()) > self._limits.largest_frame:
            await self._depart(PayloadTooLargeError(), code=CloseCode.TOO_LARGE)
        return text

    async def _take(self, text: str) -> None:
        """Do what a frame asks for. Each frame takes a token; a stop is obeyed even without one."""
        wait = self._rules.take_token()
        frame = read_frame(text, message=self._rules.frame)
        if self._opener is None and not isinstance(frame, AuthFrame):
            raise AuthenticationError
        match frame:
            case StopFrame():
                self._stop()
            case _ if wait:
                raise RateLimitedError(limit="socket_messages", retry_after=wait)
            case AuthFrame(key=key):
                await self._rules.authenticate(key)
                self._opener = Opener(key)
                await self._send({"authenticated": True})
            case MessageFrame() if self._opener is not None:
                self._enqueue(frame, caller=await self._rules.authenticate(self._opener.credential))

    def _enqueue(self, frame: MessageFrame, *, caller: Caller) -> None:
        try:
            self._pending.put_nowait((self._rules.prepare(frame), caller))
        except asyncio.QueueFull:
            raise TooManyPendingError from None

    async def _refuse(self, error: SluiceError) -> None:
        """Say what is wrong with a frame. Whoever has shown no key, or a wrong one, has to go."""
        if self._opener is None or isinstance(error, AuthenticationError):
            await self._depart(error, code=CloseCode.UNAUTHENTICATED)
        await self._send_error(error)

    def _stop(self) -> None:
        if self._running is not None:
            self._running.cancel()

    # What goes out

    async def _answer_in_turn(self, tasks: asyncio.TaskGroup) -> NoReturn:
        while True:
            request, caller = await self._pending.get()
            answering = tasks.create_task(self._answer(request, caller=caller))
            self._running = answering
            await asyncio.wait({answering})
            self._running = None
            if answering.cancelled():
                await self._send({"stopped": True})

    async def _answer(self, request: ChatRequest, *, caller: Caller) -> None:
        """Send the events of one answer; cancelling it cancels the model's call and keeps the turn so far."""
        answer_id = None
        try:
            async with aclosing(self._gateway.answer(request, caller=caller)) as batches:
                async for events in batches:
                    for event in events:
                        if isinstance(event, Started):
                            answer_id = event.id
                        elif isinstance(event, Finished):
                            self._running = None  # what is complete cannot be stopped any more
                        if (frame := event_reply(event)) is not None:
                            await self._send(frame)
        except SluiceError as error:
            await self._send_error(error, answer_id=answer_id)

    async def _send(self, frame: Mapping[str, Any]) -> None:
        """Send a frame as soon as the client takes it; raises `DepartureError` if it takes none for too long."""
        try:
            async with asyncio.timeout(self._limits.send):
                await self._websocket.send_text(orjson.dumps(frame).decode())
        except TimeoutError:
            raise DepartureError from None
        except (WebSocketDisconnect, RuntimeError):  # the second is what servers raise once they have begun to close
            raise DepartureError from None

    async def _send_error(self, error: SluiceError, *, answer_id: str | None = None) -> None:
        """`id` names the answer that broke off; it is null if none had begun."""
        count_error(error, scope=self._websocket.scope)
        frame = {**error_body(error), "id": answer_id}
        await self._send(frame if error.retry_after is None else {**frame, "retry_after": round(error.retry_after, 3)})

    async def _depart(self, error: SluiceError, *, code: CloseCode) -> NoReturn:
        await self._send_error(error)
        raise DepartureError(code)

    async def _close(self, code: CloseCode) -> None:
        try:
            async with asyncio.timeout(self._limits.close):
                await self._websocket.close(code)
        except (TimeoutError, WebSocketDisconnect, RuntimeError):
            return  # it is closed, or nobody reads that it is
