"""Redaction: found values leave as typed placeholders and come back in the answer, but never inside a link.

It lowers only what the detectors found, by taking it out and reading the prompt again. Markings and statements are not
values: what they say of the text around them stays true when they are taken out, so they are left, and keep the label.
"""

from __future__ import annotations

import asyncio
import json
import re
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate, pairwise

from app.models import Label, Message, Model, Part, Prompt, TextPart, ToolCall
from app.services.detectors import Detectors, Kind
from app.services.detectors.normalise import plain_view
from app.services.labels import Labeller, Reading
from app.services.policy import PolicyFile

NOT_VALUES = frozenset(
    {
        Kind.CONFIDENTIAL_MARKING,
        Kind.INTERNAL_MARKING,
        Kind.HEALTH_STATEMENT,
        Kind.PAY_STATEMENT,
        Kind.DISMISSAL_STATEMENT,
        Kind.LEGAL_STATEMENT,
    }
)
# A value with fewer letters and digits is replaced where it was found and nowhere else.
SHORTEST_SPELLING = 4
# One with more is replaced inside longer words too.
SURELY_THE_SAME = 12
# How many signs and spaces may stand between two characters of a spelling.
WIDEST_GAP = 3
# A value may be cut over so many texts, and is looked for so many characters to either side of a cut.
LONGEST_CUT = 8
SEAM = 512

_WORD_END, _WORD_START = re.compile(r"[\w+/=.-]\s*\Z"), re.compile(r"\s*[\w+/=.-]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Redacted:
    """A prompt without its values: `reading` is of this very prompt, `values` has what each placeholder stands for."""

    prompt: Prompt
    reading: Reading
    values: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Outgoing:
    """What may be sent for a request: the prompt as it is, and redacted for models that are not cleared for that."""

    prompt: Prompt
    reading: Reading
    redacted: Redacted | None

    @property
    def lowest_label(self) -> Label:
        """The label from which a model may get one of the two."""
        return self.reading.label if self.redacted is None else self.redacted.reading.label

    def version_for(self, model: Model) -> Redacted | None:
        """The redacted prompt if this model must get that one, `None` for the prompt as it is."""
        return None if self.reading.label <= model.clearance else self.redacted


class Redactor:
    """Redacts prompts whose label is one of `labels`. `make_nonce` makes lower-case letters for one request."""

    def __init__(
        self, *, labeller: Labeller, policies: PolicyFile, labels: frozenset[Label], make_nonce: Callable[[], str]
    ) -> None:
        self._labeller = labeller
        self._policies = policies
        self._labels = labels
        self._make_nonce = make_nonce

    async def prepare(self, prompt: Prompt, *, reading: Reading) -> Outgoing:
        """The prompt, and the same without its values if that lowers its label and the operator allows it."""
        redacted = await self._redact(prompt, reading=reading) if reading.label in self._labels else None
        return Outgoing(prompt=prompt, reading=reading, redacted=redacted)

    async def _redact(self, prompt: Prompt, *, reading: Reading) -> Redacted | None:
        if max((finding.label for finding in reading.given), default=Label.PUBLIC) == reading.label:
            return None
        vault = Vault(self._make_nonce())
        try:
            bare = await asyncio.to_thread(_replace_values, prompt, self._policies.current.detectors, vault)
        # A detector may fail in any way; then nothing was taken out for sure. Its text may quote the request.
        except Exception:  # noqa: BLE001
            return None
        again = await self._labeller.read_again(bare, reading=reading)
        return Redacted(prompt=bare, reading=again, values=vault.values) if again.label < reading.label else None


class Vault:
    """The values of one request and their placeholders, such as `[EMAIL#1#kvxqab]`.

    The signs in them keep the detectors from taking one for a key.
    """

    def __init__(self, nonce: str) -> None:
        self._nonce = nonce
        self._placeholders: dict[str, str] = {}
        self.values: dict[str, str] = {}

    def placeholder(self, kind: str, value: str) -> str:
        """The same for all spellings of a value."""
        spelling = Spelling.of(value).letters or value
        if spelling not in self._placeholders:
            placeholder = f"[{kind.upper()}#{len(self._placeholders) + 1}#{self._nonce}]"
            self._placeholders[spelling] = placeholder
            self.values[placeholder] = value
        return self._placeholders[spelling]

    @property
    def spellings(self) -> Iterable[tuple[str, str]]:
        """What to look for, each with its placeholder."""
        return [pair for pair in self._placeholders.items() if len(pair[0]) >= SHORTEST_SPELLING]


@dataclass(frozen=True, slots=True)
class Spelling:
    """The letters and digits of a text without case and signs, and where each stands in the text."""

    letters: str
    places: Sequence[tuple[int, int]]

    @classmethod
    def of(cls, text: str) -> Spelling:
        view = plain_view(text)
        kept = [place for place, character in enumerate(view.lower) if character.isalnum()]
        places = [view.original(place, place + 1) for place in kept]
        return cls("".join(view.lower[place] for place in kept), places)

    def occurrences(self, letters: str) -> Iterator[tuple[int, int]]:
        """Where the letters stand in the text, however they are spaced."""
        found = self.letters.find(letters)
        while found >= 0:
            last = found + len(letters) - 1
            if self._is_whole(found, last) and self._is_close(found, last):
                yield self.places[found][0], self.places[last][1]
            found = self.letters.find(letters, found + 1)

    def _is_whole(self, first: int, last: int) -> bool:
        if last - first + 1 >= SURELY_THE_SAME:
            return True
        before = first == 0 or self.places[first - 1][1] < self.places[first][0]
        after = last + 1 == len(self.places) or self.places[last][1] < self.places[last + 1][0]
        return before and after

    def _is_close(self, first: int, last: int) -> bool:
        return all(here[1] + WIDEST_GAP >= there[0] for here, there in pairwise(self.places[first : last + 1]))


@dataclass(frozen=True, slots=True)
class _Place:
    """Characters `start` to `end` of text number `text`, found to be of a kind."""

    text: int
    start: int
    end: int
    kind: str


def _replace_values(prompt: Prompt, detectors: Detectors, vault: Vault) -> Prompt:
    texts = list(_texts(prompt))
    places: list[list[tuple[int, int, str]]] = [[] for _ in texts]
    for place in (*_found_in(texts, detectors, glue="\n"), *_found_across(texts, detectors)):
        value = texts[place.text][place.start : place.end]
        places[place.text].append((place.start, place.end, vault.placeholder(place.kind, value)))
    for text, here in zip(texts, places, strict=True):
        spelling = Spelling.of(text)
        for letters, placeholder in vault.spellings:
            here.extend((start, end, placeholder) for start, end in spelling.occurrences(letters))
    replaced = iter([_rewrite(text, here) for text, here in zip(texts, places, strict=True)])
    return _with_texts(prompt, replaced)


def _found_in(texts: Sequence[str], detectors: Detectors, *, glue: str) -> Iterator[_Place]:
    """The values in texts that follow each other; one that reaches over several has a place in each."""
    starts = list(accumulate((len(text) + len(glue) for text in texts), initial=0))
    for span in detectors.spans(glue.join(texts)):
        if span.kind in NOT_VALUES:
            continue
        for number in range(bisect_right(starts, span.start) - 1, bisect_left(starts, span.end)):
            start, end = max(span.start - starts[number], 0), min(span.end - starts[number], len(texts[number]))
            if start < end:
                yield _Place(number, start, end, span.kind)


def _found_across(texts: Sequence[str], detectors: Detectors) -> Iterator[_Place]:
    """The values that were cut in the middle of a word or a number, which only a reader who joins the parts sees."""
    for number in range(len(texts) - 1):
        if not (_WORD_END.search(texts[number]) and _WORD_START.match(texts[number + 1])):
            continue
        group = range(number, min(number + LONGEST_CUT, len(texts)))
        parts = [texts[each].strip()[:SEAM] for each in group]
        parts[0] = texts[number].strip()[-SEAM:]
        places = list(_found_in(parts, detectors, glue=""))
        cut = {place.kind for place in places if place.text and not place.start}
        for place in (place for place in places if place.kind in cut):
            text = texts[number + place.text]
            shift = len(text.rstrip()) - len(parts[0]) if not place.text else len(text) - len(text.lstrip())
            yield _Place(number + place.text, place.start + shift, place.end + shift, place.kind)


def _rewrite(text: str, places: Iterable[tuple[int, int, str]]) -> str:
    """The text with its places replaced; of two that overlap, the longer one is."""
    taken: list[tuple[int, int, str]] = []
    for start, end, placeholder in sorted(set(places), key=lambda place: (place[0] - place[1], place[0])):
        position = bisect_left(taken, (start, end, placeholder))
        free_before = position == 0 or taken[position - 1][1] <= start
        free_after = position == len(taken) or end <= taken[position][0]
        if free_before and free_after:
            taken.insert(position, (start, end, placeholder))
    pieces: list[str] = []
    done = 0
    for start, end, placeholder in taken:
        pieces += (text[done:start], placeholder)
        done = end
    return "".join((*pieces, text[done:]))


def _texts(prompt: Prompt) -> Iterator[str]:
    """Every text in which values are replaced, in the order in which `_with_texts` puts them back."""
    for message in prompt.messages:
        yield from (part.text for part in message.parts if isinstance(part, TextPart))
        yield from (call.arguments for call in message.tool_calls)
    for value in (*prompt.tooling.tools, prompt.tooling.tool_choice, prompt.tooling.response_format):
        if value is not None:
            yield json.dumps(value, ensure_ascii=False)


def _with_texts(prompt: Prompt, texts: Iterator[str]) -> Prompt:
    messages = tuple(_message_with(message, texts) for message in prompt.messages)
    tools = tuple(json.loads(next(texts)) for _ in prompt.tooling.tools)
    choice, shape = (
        None if value is None else json.loads(next(texts))
        for value in (prompt.tooling.tool_choice, prompt.tooling.response_format)
    )
    tooling = replace(prompt.tooling, tools=tools, tool_choice=choice, response_format=shape)
    return replace(prompt, messages=messages, tooling=tooling, passages=())


def _message_with(message: Message, texts: Iterator[str]) -> Message:
    parts: list[Part] = [TextPart(next(texts)) if isinstance(part, TextPart) else part for part in message.parts]
    calls = [ToolCall(call.id, call.name, next(texts)) for call in message.tool_calls]
    return replace(message, parts=tuple(parts), tool_calls=tuple(calls))
