"""Whether the answer of a cheap model is good enough, so that a strong one need not be asked."""

from __future__ import annotations

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Cascade:
    """`first` is the id of the cheap model that answers a tier first.

    `min_logprob` is the lowest mean log-probability of a token that its answer may have, where its provider gives
    them; `None` does not look at them.
    """

    first: str
    min_logprob: float | None = None

    def prepare(self, prompt: Prompt) -> Prompt:
        """The prompt for the cheap model: with log-probabilities if they are looked at."""
        if self.min_logprob is None:
            return prompt
        return replace(prompt, sampling=replace(prompt.sampling, logprobs=True))

    def is_weak(self, pieces: Sequence[Piece], *, prompt: Prompt) -> bool:
        """Whether a complete answer is unsure, empty, cut without being asked to, or not in the form asked for.

        What the provider refused is no weakness but its answer.
        """
        draft = Draft()
        for piece in pieces:
            draft.add(piece)
        if any(delta.refusal for delta in draft.deltas) or "content_filter" in draft.finish_reasons:
            return False
        if "length" in draft.finish_reasons and prompt.sampling.max_tokens is None:
            return True
        if any(_is_weak_choice(choice.text, calls=len(choice.tool_calls), prompt=prompt) for choice in draft.choices):
            return True
        mean = _mean_logprob(draft.deltas)
        return self.min_logprob is not None and mean is not None and mean < self.min_logprob


def without_logprobs(pieces: Iterable[Piece]) -> Iterator[Piece]:
    """The pieces without log-probabilities that only the check asked for."""
    for piece in pieces:
        stripped = replace(piece, logprobs=None) if isinstance(piece, Delta) else piece
        if not isinstance(stripped, Delta) or stripped != Delta(index=stripped.index):
            yield stripped


def _is_weak_choice(text: str, *, calls: int, prompt: Prompt) -> bool:
    if calls:
        return False
    return not text.strip() or UNSURE.match(text) is not None or not _has_form(text, prompt.tooling.response_format)


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
