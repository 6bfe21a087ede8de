"""Spans of a request: what took how long and how it ended, as ids, names, numbers and fixed words.

Where no tracer is at work nothing is current, and a step is one lookup that leads to nothing.
"""

from __future__ import annotations

import asyncio
import enum
import os
import re
import time
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, replace
from functools import wraps
from types import TracebackType
from typing import Any, ParamSpec, Self, TypeVar

from app.errors import SluiceError

P = ParamSpec("P")
R = TypeVar("R")
Work = Callable[P, Coroutine[Any, Any, R]]

AttributeValue = str | bool | int | float | Sequence[str]
Describe = Callable[[Any], Mapping[str, AttributeValue | None]]

# https://www.w3.org/TR/trace-context/#traceparent-header: later versions may be longer, `ff` is none.
TRACEPARENT = re.compile(r"(?!ff)[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(?:-.*)?", re.ASCII)
SAMPLED = 0x01
TRACE_ID_BYTES, SPAN_ID_BYTES = 16, 8
# The last seven bytes of a trace's id are random in every version of the standard, and decide whether it is recorded.
RANDOM_BITS = 56

ERROR_TYPE = "error.type"
CANCELLED = "cancelled"


class SpanKind(enum.IntEnum):
    """Whose side a span is seen from, by the numbers of OTLP."""

    INTERNAL = 1
    SERVER = 2
    CLIENT = 3


@dataclass(frozen=True, slots=True)
class TraceContext:
    """Where in which trace something happens; ids are of 16 and 8 bytes."""

    trace_id: bytes
    span_id: bytes
    sampled: bool

    @property
    def traceparent(self) -> str:
        """The header that tells others (W3C Trace Context, version 00)."""
        return f"00-{self.trace_id.hex()}-{self.span_id.hex()}-{'01' if self.sampled else '00'}"

    @classmethod
    def parse(cls, header: str) -> TraceContext | None:
        """Read the header; `None` for anything that is not one."""
        match = TRACEPARENT.fullmatch(header)
        if match is None or (header.startswith("00") and match.end() != match.end(3)):
            return None
        trace_id, span_id = bytes.fromhex(match[1]), bytes.fromhex(match[2])
        if not any(trace_id) or not any(span_id):
            return None
        return cls(trace_id, span_id, bool(int(match[3], 16) & SAMPLED))


class Span:
    """A step that is not recorded; its context, if it has one, is still told to whoever is asked on its behalf."""

    __slots__ = ("context", "name")

    recording = False

    def __init__(self, context: TraceContext | None = None, *, name: str = "") -> None:
        self.context = context
        self.name = name

    def set(self, attributes: Mapping[str, AttributeValue | None]) -> None:
        """Describe what happens; values that are `None` are left out."""

    def step(self, name: str, *, kind: SpanKind = SpanKind.INTERNAL) -> Span:  # noqa: ARG002  (of what is not recorded)
        """Something that happens inside of this, to be entered or ended by whoever asks."""
        return NOTHING

    def fail(self, error: str) -> None:
        """Mark it as failed, by a code or the name of a type."""

    def end(self) -> None:
        """It is over; what is told of it afterwards is lost."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None


NOTHING = Span()
CURRENT: ContextVar[Span | None] = ContextVar("span", default=None)


def step(name: str, *, kind: SpanKind = SpanKind.INTERNAL) -> Span:
    """A step of whatever is going on here, recorded if that is."""
    current = CURRENT.get()
    return NOTHING if current is None else current.step(name, kind=kind)


class EnteredSpan(Span):
    """A span that is current while it is entered, which two contexts may do and leave in any order."""

    __slots__ = ("_outer",)

    def __enter__(self) -> Self:
        self._outer = CURRENT.get()
        CURRENT.set(self)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # Not by a token: a generator may be closed in another context than the one that it began in.
        CURRENT.set(self._outer)


class RecordedSpan(EnteredSpan):
    """A span that is told to the tracer when it ends. Times are in nanoseconds since the epoch."""

    __slots__ = ("attributes", "began", "ended", "error", "kind", "parent_id", "tracer")

    recording = True
    context: TraceContext

    def __init__(
        self, name: str, *, kind: SpanKind, context: TraceContext, parent_id: bytes | None, tracer: Tracer
    ) -> None:
        super().__init__(context, name=name)
        self.kind = kind
        self.parent_id = parent_id
        self.tracer = tracer
        self.attributes: dict[str, AttributeValue] = {}
        self.error: str | None = None
        self.ended: int | None = None
        self.began = tracer.clock()

    def set(self, attributes: Mapping[str, AttributeValue | None]) -> None:
        self.attributes.update({name: value for name, value in attributes.items() if value is not None})

    def step(self, name: str, *, kind: SpanKind = SpanKind.INTERNAL) -> Span:
        context = TraceContext(self.context.trace_id, self.tracer.random(SPAN_ID_BYTES), sampled=True)
        return RecordedSpan(name, kind=kind, context=context, parent_id=self.context.span_id, tracer=self.tracer)

    def fail(self, error: str) -> None:
        self.error = self.attributes[ERROR_TYPE] = error

    def end(self) -> None:
        if self.ended is None:
            self.ended = self.tracer.clock()
            self.tracer.finish(self)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        super().__exit__(kind, error, trace)
        if error is not None and self.error is None:
            self.fail(name_of(error))
        self.end()


def name_of(error: BaseException) -> str:
    """What may be said of an error: its code, or its type. Never its text, which may quote what was sent."""
    if isinstance(error, SluiceError):
        return error.code
    if isinstance(error, (asyncio.CancelledError, GeneratorExit)):
        return CANCELLED
    return type(error).__name__


class CallersSpan(EnteredSpan):
    """What somebody who asks us has under way elsewhere; what begins here while it is entered is a step of it."""

    __slots__ = ("_tracer",)

    context: TraceContext

    def __init__(self, context: TraceContext, *, tracer: Tracer) -> None:
        super().__init__(context)
        self._tracer = tracer

    def step(self, name: str, *, kind: SpanKind = SpanKind.INTERNAL) -> Span:
        return self._tracer.continue_trace(self.context, name, kind=kind)


class Tracer:
    """Begins spans, and hands those that are over to `finish`, which must neither wait nor raise.

    `share` (0..1) of the traces that begin here are recorded; those that begin elsewhere are as their caller says.
    `content` allows spans of public requests to hold what was asked and answered. `random` makes that many bytes.
    """

    def __init__(
        self,
        finish: Callable[[RecordedSpan], None],
        *,
        share: float = 1.0,
        content: bool = False,
        clock: Callable[[], int] = time.time_ns,
        random: Callable[[int], bytes] = os.urandom,
    ) -> None:
        self.finish = finish
        self.content = content
        self.clock = clock
        self.random = random
        self._bound = round(share * (1 << RANDOM_BITS))

    def join(self, traceparent: str | None) -> Span:
        """What a caller says to have under way, to be entered; nothing if it says none or says it badly."""
        context = None if traceparent is None else TraceContext.parse(traceparent)
        return NOTHING if context is None else CallersSpan(context, tracer=self)

    def begin(self, name: str, *, kind: SpanKind = SpanKind.INTERNAL) -> Span:
        """A step of what is current here, or else the first span of a new trace."""
        current = CURRENT.get()
        if current is not None:
            return current.step(name, kind=kind)
        trace_id = self.random(TRACE_ID_BYTES)
        sampled = int.from_bytes(trace_id[-RANDOM_BITS // 8 :]) < self._bound
        return self._begin(name, kind=kind, context=TraceContext(trace_id, self.random(SPAN_ID_BYTES), sampled))

    def continue_trace(self, parent: TraceContext, name: str, *, kind: SpanKind) -> Span:
        """A step of something that is under way elsewhere."""
        context = replace(parent, span_id=self.random(SPAN_ID_BYTES))
        return self._begin(name, kind=kind, context=context, parent_id=parent.span_id)

    def _begin(self, name: str, *, kind: SpanKind, context: TraceContext, parent_id: bytes | None = None) -> Span:
        if not context.sampled:
            return EnteredSpan(context)
        return RecordedSpan(name, kind=kind, context=context, parent_id=parent_id, tracer=self)


def traced(name: str, *, describe: Describe | None = None) -> Callable[[Work[P, R]], Work[P, R]]:
    """Make a coroutine function a step of whatever it is called in; `describe` tells of what it returned."""

    def decorate(work: Work[P, R]) -> Work[P, R]:
        @wraps(work)
        def begin(*args: P.args, **kwargs: P.kwargs) -> Coroutine[Any, Any, R]:
            running = work(*args, **kwargs)
            current = CURRENT.get()
            return running if current is None else _inside(current.step(name), running, describe=describe)

        return begin

    return decorate


async def _inside(span: Span, running: Coroutine[Any, Any, R], *, describe: Describe | None) -> R:
    with span:
        result = await running
        if describe is not None and span.recording:
            span.set(describe(result))
        return result
