"""Whether the answer of a cheap model is good enough, so that a strong one need not be asked."""

from __future__ import annotations

import enum
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import orjson

from app.models import Delta, JSONValue, Piece, Prompt
from app.services.answer import Draft

# How models say that they do not know, in their first sentence. A refusal that a provider marks as one is not among
# them: it is passed on.
UNSURE = re.compile(
    r"\A\W*(?:(?:sorry|unfortunately|i apologi[sz]e)\W[^.!?\n]{0,60})?"
    r"(?:i(?:['’]m| am) (?:not (?:sure|able|certain)|unable|unsure)"
    r"|i (?:do not|don['’]t|cannot|can['’]t) (?:know|answer|determine|say|tell)"
    r"|as an ai\b|it is (?:not clear|unclear))",
    re.IGNORECASE,
)


# A second sample is short, and drawn with some chance in it: two certain answers to one prompt always agree.
SAMPLE_TOKENS = 64
SAMPLE_TEMPERATURE = 1.0
WORD = re.compile(r"\w+(?:[.,]\d+)*")


class Verdict(enum.StrEnum):
    """What is thought of an answer: that it is good enough, or the first reason why not."""

    KEPT = "kept"
    CUT = "cut"
    EMPTY = "empty"
    UNSURE = "unsure"
    FORM = "wrong_form"
    IMPROBABLE = "improbable"
    DISAGREES = "disagrees"


@dataclass(frozen=True, slots=True, kw_only=True)
class Cascade:
    """`first` is the id of the cheap model that answers a tier first.

    `min_logprob` is the lowest mean log-probability of a token that its answer may have, where its provider gives
    them. Where it does not, `min_agreement` is the least share (0..1) of a second short answer's words that the first
    must have too. `None` does not look.
    """

    first: str
    min_logprob: float | None = None
    min_agreement: float | None = None

    def prepare(self, prompt: Prompt) -> Prompt:
        """The prompt for the cheap model: with log-probabilities if they are looked at."""
        if self.min_logprob is None:
            return prompt
        return replace(prompt, sampling=replace(prompt.sampling, logprobs=True))

    def judge(self, pieces: Sequence[Piece], *, prompt: Prompt) -> Verdict:
        """Whether a complete answer is unsure, empty, cut without being asked to, or not in the form asked for.

        What the provider refused is no weakness but its answer.
        """
        draft = _draft(pieces)
        if _is_refused(draft):
            return Verdict.KEPT
        if "length" in draft.finish_reasons and prompt.sampling.max_tokens is None:
            return Verdict.CUT
        for choice in draft.choices:
            verdict = _judge_choice(choice.text, calls=len(choice.tool_calls), prompt=prompt)
            if verdict is not Verdict.KEPT:
                return verdict
        mean = _mean_logprob(draft.deltas)
        improbable = self.min_logprob is not None and mean is not None and mean < self.min_logprob
        return Verdict.IMPROBABLE if improbable else Verdict.KEPT

    def wants_sample(self, pieces: Sequence[Piece]) -> bool:
        """Whether the answer has to be compared with a second one: it is text, and nothing tells how sure it is."""
        if self.min_agreement is None:
            return False
        draft = _draft(pieces)
        told = self.min_logprob is not None and _mean_logprob(draft.deltas) is not None
        return not told and not _is_refused(draft) and not any(choice.tool_calls for choice in draft.choices)

    def resample(self, prompt: Prompt, *, fixed: bool = False) -> Prompt:
        """The prompt for a second, short answer; a model whose sampling is `fixed` takes no temperature."""
        limit = min(prompt.sampling.max_tokens or SAMPLE_TOKENS, SAMPLE_TOKENS)
        sampling = replace(prompt.sampling, max_tokens=limit, seed=None, n=None, logprobs=None, top_logprobs=None)
        return replace(prompt, sampling=sampling if fixed else replace(sampling, temperature=SAMPLE_TEMPERATURE))

    def compare(self, first: Sequence[Piece], second: Sequence[Piece], *, prompt: Prompt) -> Verdict:
        """Whether the first answer says what the second says, as far as that one goes."""
        asked = next((message.text for message in reversed(prompt.messages) if message.role == "user"), "")
        agreed = agreement(_draft(first).choices[0].text, _draft(second).choices[0].text, asked=asked)
        return Verdict.DISAGREES if agreed < (self.min_agreement or 0.0) else Verdict.KEPT


def agreement(first: str, second: str, *, asked: str) -> float:
    """The share of the second text's words that the first has too, in 0..1; words of the question tell nothing.

    Numbers are words. An empty second text, such as that of a model that used up its tokens thinking, contradicts
    nothing.
    """
    words, question = _words(second), _words(asked)
    telling = words - question or words
    return len(telling & _words(first)) / len(telling) if telling else 1.0


def without_logprobs(pieces: Iterable[Piece]) -> Iterator[Piece]:
    """The pieces without log-probabilities that only the check asked for."""
    for piece in pieces:
        if isinstance(piece, Delta) and piece.logprobs is not None:
            piece = replace(piece, logprobs=None)  # noqa: PLW2901  (the piece as it goes on)
        if not isinstance(piece, Delta) or not piece.is_empty:
            yield piece


def _draft(pieces: Iterable[Piece]) -> Draft:
    draft = Draft()
    draft.add(pieces)
    return draft


def _is_refused(draft: Draft) -> bool:
    return any(delta.refusal for delta in draft.deltas) or "content_filter" in draft.finish_reasons


def _words(text: str) -> set[str]:
    return set(WORD.findall(text.casefold()))


def _judge_choice(text: str, *, calls: int, prompt: Prompt) -> Verdict:
    if calls:
        return Verdict.KEPT
    if not text.strip():
        return Verdict.EMPTY
    if UNSURE.match(text):
        return Verdict.UNSURE
    return Verdict.KEPT if _has_form(text, prompt.tooling.response_format) else Verdict.FORM


def _has_form(text: str, response_format: JSONValue) -> bool:
    """Whether the text is JSON if that was asked for, with the keys that a schema requires at its top."""
    if not isinstance(response_format, Mapping) or response_format.get("type") not in ("json_object", "json_schema"):
        return True
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError:
        return False
    return isinstance(value, dict) and value.keys() >= _required_keys(response_format)


def _required_keys(response_format: Mapping[str, JSONValue]) -> frozenset[str]:
    described = response_format.get("json_schema")
    schema = described.get("schema") if isinstance(described, Mapping) else None
    required = schema.get("required") if isinstance(schema, Mapping) else None
    return frozenset(key for key in required if isinstance(key, str)) if isinstance(required, list) else frozenset()


def _mean_logprob(deltas: Iterable[Delta]) -> float | None:
    """Over the tokens of all choices; `None` if none was given."""
    tokens = [token for delta in deltas for token in _tokens(delta.logprobs)]
    values = [value for token in tokens if isinstance(value := token.get("logprob"), int | float)]
    return sum(values) / len(values) if values else None


def _tokens(logprobs: object) -> Iterator[Mapping[str, object]]:
    """The entries of OpenAI's form: `{"content": [{"token", "logprob", ...}]}`."""
    content = logprobs.get("content") if isinstance(logprobs, Mapping) else None
    return (entry for entry in content if isinstance(entry, Mapping)) if isinstance(content, list) else iter(())
