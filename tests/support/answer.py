"""What a model says, apart from how a protocol puts it, and the two seams that everything scripted goes through."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

from app.models import JSONValue, ToolCall, Usage
from tests.support.http import RecordedRequest
from tests.support.steps import Steps

FailureKind = Literal["context_length", "content_filter"]

USAGE = Usage(prompt_tokens=11, completion_tokens=7)


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """An error that a protocol words in its own way; `message` replaces the words it would choose."""

    status: int
    kind: FailureKind | None = None
    message: str | None = None


class Dialect(Protocol):
    """A provider's protocol: puts answers and failures in its exact shapes."""

    def generates(self, request: RecordedRequest) -> bool:
        """Whether the request asks for a completion; only these use up the behaviours of a listed script."""
        ...

    def streams(self, request: RecordedRequest) -> bool:
        """Whether the answer to the request is a stream."""
        ...

    def reply(self, request: RecordedRequest, *, answer: Answer) -> Steps:
        """The answer in full. Requests for embeddings or listings are answered without looking at `answer`."""
        ...

    def failure(self, failure: Failure) -> JSONValue:
        """The body of an error response."""
        ...

    def failure_frame(self, failure: Failure) -> bytes:
        """The frame that reports an error in mid-stream."""
        ...

    def broken_frame(self) -> bytes:
        """A complete frame whose content cannot be parsed."""
        ...


class Behaviour(Protocol):
    """What an upstream does with one request."""

    def steps(self, request: RecordedRequest, *, dialect: Dialect) -> Steps: ...


@dataclass(frozen=True, slots=True)
class Answer:
    """A completion, and by default a complete one.

    Shape: `pieces` are the streamed parts of `text` (by default its words); `thinking` comes before them, tool
    calls after. Deviations: `usage=None` reports none, `finish=None` never says why it ended, `done=False` leaves
    out the mark that ends a stream, `choices=0` answers with none; by default there are as many as asked for.
    `extra` is merged into every chunk and body.
    """

    text: str = "Water boils at 100 degrees."
    pieces: Sequence[str] | None = None
    thinking: str = ""
    refusal: str = ""
    tool_calls: Sequence[ToolCall] = ()
    usage: Usage | None = USAGE
    finish: str | None = "stop"
    done: bool = True
    choices: int | None = None
    logprob: float = -0.25
    extra: Mapping[str, JSONValue] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.pieces is not None:
            object.__setattr__(self, "text", "".join(self.pieces))

    @property
    def parts(self) -> Sequence[str]:
        """The parts that a stream carries one by one; joined they are `text`."""
        return split_words(self.text) if self.pieces is None else self.pieces

    def steps(self, request: RecordedRequest, *, dialect: Dialect) -> Steps:
        return dialect.reply(request, answer=self)


ORDINARY = Answer()


def split_words(text: str) -> list[str]:
    """Words with the space that follows them; joined they are the text again."""
    return re.findall(r"\s*\S+\s*", text) or ([text] if text else [])


def split_evenly(text: str, *, size: int) -> list[str]:
    return [text[start : start + size] for start in range(0, len(text), size)]
