"""The label of a request: the join of what is stated, stored and found in every text that would be sent."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from app.models import (
    Caller,
    Finding,
    ImagePart,
    JSONValue,
    Label,
    Message,
    Passage,
    Sampling,
    TextPart,
    Tooling,
)
from app.services.detectors import Detectors, Field

# Fields of the prompt's values that hold no free text. Every other field is read; a test holds this list against the
# dataclasses, so that a new field is read or is decided to be harmless before it can be sent.
HARMLESS_FIELDS = frozenset(
    {
        ("Message", "role"),
        ("ImagePart", "detail"),
        ("Sampling", "temperature"),
        ("Sampling", "top_p"),
        ("Sampling", "max_tokens"),
        ("Sampling", "seed"),
        ("Sampling", "n"),
        ("Sampling", "presence_penalty"),
        ("Sampling", "frequency_penalty"),
        ("Sampling", "logprobs"),
        ("Sampling", "top_logprobs"),
        ("Sampling", "reasoning_effort"),
        ("Tooling", "parallel_tool_calls"),
    }
)

# A document may be longer than the detectors take at once; slices overlap by more than the longest pattern.
SLICE_CHARACTERS = 500_000
SLICE_OVERLAP = 5_000


@dataclass(frozen=True, slots=True)
class Reading:
    """A label and what raised it. A reading only ever rises: joining returns a new one."""

    label: Label
    raised_by: tuple[Finding, ...] = ()

    def join(self, findings: Iterable[Finding]) -> Reading:
        raising = tuple(finding for finding in findings if finding.label > Label.PUBLIC)
        return Reading(max((self.label, *(finding.label for finding in raising))), self.raised_by + raising)

    def join_passages(self, passages: Sequence[Passage]) -> Reading:
        """Raise to the highest label of the document versions these passages were taken from."""
        return self.join(
            Finding(detector="document", label=passage.label, where=f"passages[{position}]")
            for position, passage in enumerate(passages)
        )


class Labeller:
    """Reads labels. `uninspected` is the label of what cannot be read, such as the pixels of an image."""

    def __init__(self, *, detectors: Detectors, uninspected: Label) -> None:
        self._detectors = detectors
        self._uninspected = uninspected

    async def read_prompt(
        self,
        messages: Sequence[Message],
        *,
        sampling: Sampling,
        tooling: Tooling,
        caller: Caller,
        stated: Label | None,
        mark: Label,
    ) -> Reading:
        """The label of everything a prompt would send, before retrieval."""
        floors = (
            Finding(detector="stated", label=stated or Label.PUBLIC, where="sensitivity"),
            Finding(detector="key", label=caller.label_floor, where="key"),
            Finding(detector="session", label=mark, where="session"),
        )
        fields = (*_fields_of_messages(messages), *_fields_of_sampling(sampling), *_fields_of_tooling(tooling))
        found = await self._detectors.scan(fields)
        return Reading(Label.PUBLIC).join(floors).join(found).join(self._uninspected_parts(messages))

    async def read_text(self, text: str, *, where: str) -> Reading:
        """The label of a single text, however long: a search query, a document."""
        reading = Reading(Label.PUBLIC)
        for start in range(0, max(1, len(text)), SLICE_CHARACTERS):
            piece = text[start : start + SLICE_CHARACTERS + SLICE_OVERLAP]
            reading = reading.join(await self._detectors.scan((Field(where, piece),)))
        return reading

    def _uninspected_parts(self, messages: Sequence[Message]) -> Iterator[Finding]:
        for position, message in enumerate(messages):
            images = sum(isinstance(part, ImagePart) for part in message.parts)
            if images:
                where = f"messages[{position}].content"
                yield Finding(detector="uninspected", label=self._uninspected, where=where, count=images)


def _fields_of_messages(messages: Sequence[Message]) -> Iterator[Field]:
    for position, message in enumerate(messages):
        where = f"messages[{position}]"
        for part in message.parts:
            yield Field(f"{where}.content", part.text if isinstance(part, TextPart) else _readable_url(part.url))
        for text in (message.name, message.tool_call_id):
            if text is not None:
                yield Field(f"{where}.name", text)
        for number, call in enumerate(message.tool_calls):
            yield Field(f"{where}.tool_calls[{number}]", f"{call.id} {call.name}\n{call.arguments}")


def _readable_url(url: str) -> str:
    """A `data:` URL holds pixels after its comma, which no detector of text can read; any other URL is text."""
    return url.partition(",")[0] if url.startswith("data:image/") else url


def _fields_of_sampling(sampling: Sampling) -> Iterator[Field]:
    for position, text in enumerate(sampling.stop):
        yield Field(f"stop[{position}]", text)


def _fields_of_tooling(tooling: Tooling) -> Iterator[Field]:
    for position, tool in enumerate(tooling.tools):
        yield Field(f"tools[{position}]", _json(tool))
    if tooling.tool_choice is not None:
        yield Field("tool_choice", _json(tooling.tool_choice))
    if tooling.response_format is not None:
        yield Field("response_format", _json(tooling.response_format))


def _json(value: JSONValue) -> str:
    return json.dumps(value, ensure_ascii=False)
