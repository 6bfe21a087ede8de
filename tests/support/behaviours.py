"""Everything an upstream can do to a gateway, as values that nest: faults take the behaviour they befall in `of`."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from app.models import ToolCall
from tests.support.answer import ORDINARY, Answer, Behaviour, Dialect, Failure
from tests.support.http import RecordedRequest
from tests.support.steps import (
    Frame,
    Hangup,
    Head,
    Pause,
    Reset,
    Role,
    Step,
    Steps,
    Wait,
    after_content,
    body_of,
    json_reply,
    plain_reply,
)

__all__ = [
    "Answer",
    "Behaviour",
    "Chopped",
    "CloseWithoutLastChunk",
    "Comments",
    "ContentFilter",
    "ContextTooLong",
    "CutMidStream",
    "EmptyChoices",
    "ErrorMidStream",
    "HalfJson",
    "HtmlWith200",
    "MalformedChunk",
    "NoDone",
    "NoFinish",
    "NoResponse",
    "Paced",
    "Redirect",
    "RemoteHost",
    "ResetConnection",
    "Script",
    "SlowFirstToken",
    "StallMidStream",
    "Status",
    "ToolCalls",
    "flap",
]

# A script is a function of the request, whose `None` means the ordinary answer, or behaviours in order, of which
# the last repeats and which only completions use up.
Script = Callable[[RecordedRequest], Behaviour | None] | Sequence[Behaviour] | Behaviour


# Instead of an answer


@dataclass(frozen=True, slots=True)
class Status:
    """An error status with the protocol's own error body. `retry_after` is in seconds or an HTTP date."""

    status: int
    retry_after: float | str | None = None
    message: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)

    def steps(self, request: RecordedRequest, *, dialect: Dialect) -> Steps:
        headers = dict(self.headers)
        if self.retry_after is not None:
            headers["retry-after"] = str(self.retry_after)
        body = dialect.failure(Failure(status=self.status, message=self.message))
        return json_reply(body, status=self.status, headers=headers)


@dataclass(frozen=True, slots=True)
class ContextTooLong:
    """400: the prompt does not fit into the model's context window."""

    message: str | None = None

    def steps(self, request: RecordedRequest, *, dialect: Dialect) -> Steps:
        failure = Failure(status=400, kind="context_length", message=self.message)
        return json_reply(dialect.failure(failure), status=400)


@dataclass(frozen=True, slots=True)
class ContentFilter:
    """400: the provider's policy refuses the prompt. A filtered answer is `Answer(finish="content_filter")`."""

    message: str | None = None

    def steps(self, request: RecordedRequest, *, dialect: Dialect) -> Steps:
        failure = Failure(status=400, kind="content_filter", message=self.message)
        return json_reply(dialect.failure(failure), status=400)


@dataclass(frozen=True, slots=True)
class ResetConnection:
    """The request is read and the connection reset."""

    def steps(self, request: RecordedRequest, *, dialect: Dialect) -> Steps:
        return (Reset(),)


@dataclass(frozen=True, slots=True)
class NoResponse:
    """The request is read and nothing ever comes back."""

    def steps(self, request: RecordedRequest, *, dialect: Dialect) -> Steps:
        return (Wait(),)


@dataclass(frozen=True, slots=True)
class HtmlWith200:
    """A proxy's page in place of the API's answer."""

    text: str = "Service temporarily moved"

    def steps(self, request: RecordedRequest, *, dialect: Dialect) -> Steps:
        page = f"<!doctype html><html><head><title>{self.text}</title></head><body><h1>{self.text}</h1></body></html>"
        return plain_reply(page.encode(), content_type="text/html; charset=utf-8")


@dataclass(frozen=True, slots=True)
class HalfJson:
    """Half a JSON body in a response that is whole by its framing, also where a stream was asked for."""

    of: Answer = ORDINARY

    def steps(self, request: RecordedRequest, *, dialect: Dialect) -> Steps:
        body = body_of(self.of.steps(request, dialect=dialect))
        return plain_reply(body[: len(body) // 2], content_type="application/json")


@dataclass(frozen=True, slots=True)
class Redirect:
    """A redirect that keeps method and body, to an address where the gateway has no business."""

    location: str
    status: int = 307

    def steps(self, request: RecordedRequest, *, dialect: Dialect) -> Steps:
        return (Head(status=self.status, headers={"location": self.location}, length=0),)


# Answers that are not quite right


@dataclass(frozen=True, slots=True)
class ToolCalls:
    """An answer that calls functions: pairs of a name and the arguments as JSON text."""

    calls: Sequence[tuple[str, str]]
    text: str = ""

    def steps(self, request: RecordedRequest, *, dialect: Dialect) -> Steps:
        calls = [
            ToolCall(id=f"call_{request.number}_{position}", name=name, arguments=arguments)
            for position, (name, arguments) in enumerate(self.calls)
        ]
        return Answer(self.text, tool_calls=calls, finish="tool_calls").steps(request, dialect=dialect)


@dataclass(frozen=True, slots=True)
class NoDone:
    """A stream without the mark that ends it; a JSON answer has none to lose, except Ollama's `done`."""

    of: Answer = ORDINARY

    def steps(self, request: RecordedRequest, *, dialect: Dialect) -> Steps:
        return replace(self.of, done=False).steps(request, dialect=dialect)


@dataclass(frozen=True, slots=True)
class NoFinish:
    """An answer that ends without a reason for ending."""

    of: Answer = ORDINARY

    def steps(self, request: RecordedRequest, *, dialect: Dialect) -> Steps:
        return replace(self.of, finish=None).steps(request, dialect=dialect)


@dataclass(frozen=True, slots=True)
class EmptyChoices:
    """An answer without a single choice in it."""

    def steps(self, request: RecordedRequest, *, dialect: Dialect) -> Steps:
        return Answer(choices=0).steps(request, dialect=dialect)


@dataclass(frozen=True, slots=True)
class RemoteHost:
    """An Ollama answer that says it was computed elsewhere."""

    of: Answer = ORDINARY
    host: str = "https://ollama.com:443"
    model: str = "gpt-oss:120b"

    def steps(self, request: RecordedRequest, *, dialect: Dialect) -> Steps:
        extra = {**self.of.extra, "remote_model": self.model, "remote_host": self.host}
        return replace(self.of, extra=extra).steps(request, dialect=dialect)


# Faults on the way; `after` counts content frames, and a JSON body is one such frame and its rest


@dataclass(frozen=True, slots=True)
class SlowFirstToken:
    """No content until the gate opens; with `head` the status line and what precedes content come at once."""

    gate: asyncio.Event
    of: Behaviour = ORDINARY
    head: bool = True

    def steps(self, request: RecordedRequest, *, dialect: Dialect) -> Steps:
        steps = self.of.steps(request, dialect=dialect)
        return _insert(steps, Wait(self.gate), at=after_content(steps, count=0) if self.head else 0)


@dataclass(frozen=True, slots=True)
class StallMidStream:
    """The stream stops after some content until the gate opens; without a gate, for good."""

    after: int = 2
    gate: asyncio.Event | None = None
    of: Behaviour = ORDINARY

    def steps(self, request: RecordedRequest, *, dialect: Dialect) -> Steps:
        steps = self.of.steps(request, dialect=dialect)
        wait = Wait() if self.gate is None else Wait(self.gate)
        return _insert(steps, wait, at=after_content(steps, count=self.after))


@dataclass(frozen=True, slots=True)
class CutMidStream:
    """A TCP reset after some content."""

    after: int = 2
    of: Behaviour = ORDINARY

    def steps(self, request: RecordedRequest, *, dialect: Dialect) -> Steps:
        steps = self.of.steps(request, dialect=dialect)
        return (*steps[: after_content(steps, count=self.after)], Reset())


@dataclass(frozen=True, slots=True)
class CloseWithoutLastChunk:
    """An orderly close where the framing promises more, after some content or, by default, at the very end."""

    after: int | None = None
    of: Behaviour = ORDINARY

    def steps(self, request: RecordedRequest, *, dialect: Dialect) -> Steps:
        steps = self.of.steps(request, dialect=dialect)
        if self.after is None and dialect.streams(request):
            return (*steps, Hangup())
        return (*steps[: after_content(steps, count=self.after or 1)], Hangup())


@dataclass(frozen=True, slots=True)
class MalformedChunk:
    """A frame that cannot be parsed among good ones; a JSON body is cut in half instead."""

    after: int = 1
    of: Answer = ORDINARY

    def steps(self, request: RecordedRequest, *, dialect: Dialect) -> Steps:
        if not dialect.streams(request):
            return HalfJson(self.of).steps(request, dialect=dialect)
        steps = self.of.steps(request, dialect=dialect)
        return _insert(steps, Frame(dialect.broken_frame()), at=after_content(steps, count=self.after))


@dataclass(frozen=True, slots=True)
class ErrorMidStream:
    """The protocol's error object after some content, then a proper close; a JSON answer is the error itself."""

    after: int = 2
    status: int = 500
    message: str | None = None
    of: Behaviour = ORDINARY

    def steps(self, request: RecordedRequest, *, dialect: Dialect) -> Steps:
        if not dialect.streams(request):
            return Status(self.status, message=self.message).steps(request, dialect=dialect)
        steps = self.of.steps(request, dialect=dialect)
        error = dialect.failure_frame(Failure(status=self.status, message=self.message))
        return (*steps[: after_content(steps, count=self.after)], Frame(error, Role.DONE))


# Correct, and hard to read


@dataclass(frozen=True, slots=True)
class Chopped:
    """The same bytes in writes of `size`, which fall inside lines and inside characters."""

    size: int = 1
    of: Behaviour = ORDINARY

    def steps(self, request: RecordedRequest, *, dialect: Dialect) -> Steps:
        return tuple(piece for step in self.of.steps(request, dialect=dialect) for piece in _chop(step, size=self.size))


@dataclass(frozen=True, slots=True)
class Paced:
    """A model that takes longer for a token than a token takes on its way, as they all do; or so many seconds."""

    of: Behaviour = ORDINARY
    seconds: float = 0.0

    def steps(self, request: RecordedRequest, *, dialect: Dialect) -> Steps:
        steps = self.of.steps(request, dialect=dialect)
        pause = Pause(seconds=self.seconds)
        return tuple(each for step in steps for each in ((step,) if isinstance(step, Head | Wait) else (pause, step)))


@dataclass(frozen=True, slots=True)
class Comments:
    """Server-sent events with a comment before each and CRLF line ends, as some proxies write them."""

    of: Behaviour = ORDINARY

    def steps(self, request: RecordedRequest, *, dialect: Dialect) -> Steps:
        return tuple(_comment(step) for step in self.of.steps(request, dialect=dialect))


def flap(failures: int, *, failure: Behaviour | None = None, then: Behaviour | None = None) -> tuple[Behaviour, ...]:
    """A script: some failures (503), then good answers."""
    return (*[failure or Status(503)] * failures, then or ORDINARY)


def _insert(steps: Steps, step: Step, *, at: int) -> Steps:
    return (*steps[:at], step, *steps[at:])


def _chop(step: Step, *, size: int) -> Steps:
    if not isinstance(step, Frame):
        return (step,)
    return tuple(Frame(step.data[start : start + size], step.role) for start in range(0, len(step.data), size))


def _comment(step: Step) -> Step:
    if not isinstance(step, Frame) or not step.data.startswith((b"data:", b"event:")):
        return step
    return Frame(b": PROCESSING\r\n\r\n" + re.sub(rb"\r?\n", b"\r\n", step.data), step.role)
