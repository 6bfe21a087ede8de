"""The label of a request: the join of what is stated, stored and found in every text that would be sent."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from app.models import (
    Caller,
    Finding,
    ImagePart,
    JSONValue,
    Label,
    Message,
    Passage,
    Prompt,
    Sampling,
    TextPart,
    Tooling,
)
from app.records import DocumentKey, DocumentVersion
from app.services.detectors import Field
from app.services.echoes import Echoes, exchange
from app.services.policy import PolicyFile
from app.utils.tracing import AttributeValue, traced

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
SHORT_TEXT = 4_096  # is looked through in a few milliseconds, which is less than a thread costs
SLICE_CHARACTERS = 500_000
SLICE_OVERLAP = 5_000


@dataclass(frozen=True, slots=True)
class Reading:
    """A label and what raised it: what was `given` (stated, stored, repeated) and what the detectors `found`.

    A reading only ever rises: joining returns a new one. Redaction alone replaces what was found.
    """

    given: tuple[Finding, ...] = ()
    found: tuple[Finding, ...] = ()

    @property
    def label(self) -> Label:
        found = self.given + self.found
        return max(finding.label for finding in found) if found else Label.PUBLIC

    @property
    def raised_by(self) -> tuple[Finding, ...]:
        return self.given + self.found

    def join(self, findings: Iterable[Finding]) -> Reading:
        """Raise to what is stated, stored or repeated."""
        return replace(self, given=self.given + _raising(findings))

    def join_found(self, findings: Iterable[Finding]) -> Reading:
        """Raise to what the detectors found."""
        return replace(self, found=self.found + _raising(findings))

    def join_passages(self, passages: Sequence[Passage]) -> Reading:
        """Raise to the highest label of the document versions these passages were taken from."""
        return self.join(
            Finding(detector="document", label=passage.label, where=f"passages[{position}]")
            for position, passage in enumerate(passages)
        )


def _raising(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    return tuple(finding for finding in findings if finding.label > Label.PUBLIC)


def version_label(version: DocumentVersion, reading: Reading) -> Label:
    """The label of a version that was read: one that was declassified keeps what it was given."""
    return version.label if version.declassified else max(version.label, reading.label)


def _floors(caller: Caller, stated: Label | None) -> tuple[Finding, Finding]:
    """What the caller and the caller's key say themselves."""
    return (
        Finding(detector="stated", label=stated or Label.PUBLIC, where="sensitivity"),
        Finding(detector="key", label=caller.label_floor, where="key"),
    )


def _describe(reading: Reading) -> dict[str, AttributeValue]:
    return {
        "sluice.label": reading.label.word,
        "sluice.raised_by": tuple(dict.fromkeys(finding.detector for finding in reading.raised_by)),
    }


class Labeller:
    """Reads labels by the policy in force. `uninspected` is the label of what cannot be read, such as pixels."""

    def __init__(self, *, policies: PolicyFile, echoes: Echoes, uninspected: Label) -> None:
        self._policies = policies
        self._echoes = echoes
        self._uninspected = uninspected

    @traced("labelling", describe=_describe)
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
        floors = (*_floors(caller, stated), Finding(detector="session", label=mark, where="session"))
        fields = fields_of(messages, sampling=sampling, tooling=tooling)
        repeated = await self._echoes.find(fields, tenant=caller.tenant, exchanges=_exchanges(messages))
        reading = Reading().join(floors).join(repeated).join(self._uninspected_parts(messages))
        return reading.join_found(await self._policies.current.detectors.scan(fields))

    async def read_again(self, prompt: Prompt, *, reading: Reading) -> Reading:
        """The label of a prompt whose found values were replaced: as it was, but for what the detectors find now."""
        fields = fields_of(prompt.messages, sampling=prompt.sampling, tooling=prompt.tooling)
        return replace(reading, found=_raising(await self._policies.current.detectors.scan(fields)))

    async def read_text(self, text: str, *, where: str, tenant: str, besides: DocumentKey | None = None) -> Reading:
        """The label of a single text, however long: a search query, a document.

        `besides` names the document that the text is of: what its own versions say is no repetition.
        """
        reading = Reading().join(await self._echoes.find((Field(where, text),), tenant=tenant, besides=besides))
        detectors = self._policies.current.detectors
        for start in range(0, max(1, len(text)), SLICE_CHARACTERS):
            piece = text[start : start + SLICE_CHARACTERS + SLICE_OVERLAP]
            scan = detectors.scan if len(piece) <= SHORT_TEXT else detectors.scan_aside
            reading = reading.join_found(await scan((Field(where, piece),)))
        return reading

    async def read_texts(self, fields: Sequence[Field], *, caller: Caller, stated: Label | None) -> Reading:
        """The label of a request that is no prompt, of all its texts together."""
        reading = Reading().join(_floors(caller, stated))
        for field in fields:
            read = await self.read_text(field.text, where=field.where, tenant=caller.tenant)
            reading = reading.join(read.given).join_found(read.found)
        return reading

    def _uninspected_parts(self, messages: Sequence[Message]) -> Iterator[Finding]:
        for position, message in enumerate(messages):
            images = sum(isinstance(part, ImagePart) for part in message.parts)
            if images:
                where = f"messages[{position}].content"
                yield Finding(detector="uninspected", label=self._uninspected, where=where, count=images)


def fields_of(messages: Sequence[Message], *, sampling: Sampling, tooling: Tooling) -> tuple[Field, ...]:
    """Every text that would be sent, and where it stands."""
    return (*_fields_of_messages(messages), *_fields_of_sampling(sampling), *_fields_of_tooling(tooling))


def _exchanges(messages: Sequence[Message]) -> Iterator[Field]:
    """What an assistant is said to have written, each with the message before it."""
    for position in range(1, len(messages)):
        if messages[position].role == "assistant":
            asked, answered = messages[position - 1].text, messages[position]
            for text in (answered.text, *(call.arguments for call in answered.tool_calls)):
                yield Field(f"messages[{position}].content", exchange(asked, text))


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
