"""The form in which the cache keeps an answer: JSON, compressed when it is long, read back within bounds."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import groupby
from operator import attrgetter
from typing import TypeAlias

import orjson
from pydantic import TypeAdapter, ValidationError

from app.models import Candidate, Citation, Complexity, Delta, Finding, FinishReason, Grounding, Label, Route, Usage
from app.services.answer import is_text
from app.services.purges import Mark

# To compress a short entry takes longer than everything else that is done to keep it.
COMPRESSED_ABOVE = 2048
MOST_BYTES = 16 * 1024 * 1024

# The first byte of an entry says how the rest is to be read.
PLAIN = b"0"
COMPRESSED = b"1"

# Models by why they were dropped, in the order in which they were looked at.
Runs: TypeAlias = tuple[tuple[str | None, tuple[str, ...]], ...]
MOST_PLANS = 256

# What the route of an answer from the cache says of where it came from.
HIT = "hit"


@dataclass(frozen=True, slots=True, kw_only=True)
class CachedAnswer:
    """A complete answer as it is kept: who gave it, what it said, and the label it had after retrieval."""

    label: Label
    model: str
    deltas: tuple[Delta, ...]
    finish_reasons: tuple[FinishReason, ...]
    usage: Usage
    cost: float | None
    citations: tuple[Citation, ...]
    grounding: Grounding
    route: Route

    @property
    def calls_tools(self) -> bool:
        return "tool_calls" in self.finish_reasons or any(delta.tool_calls for delta in self.deltas)

    def is_whole(self, *, choices: int) -> bool:
        """Whether it was neither cut short nor refused, in any of its choices."""
        ended = all(reason in ("stop", "tool_calls") for reason in self.finish_reasons)
        return ended and len(self.finish_reasons) == choices and not any(delta.refusal for delta in self.deltas)


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """An answer in the cache: when it was kept (seconds since 1970), how long its model took, what it drew on."""

    kept_at: float
    seconds: float
    mark: Mark
    collection: str | None
    answer: CachedAnswer


@dataclass(frozen=True, slots=True, kw_only=True)
class _Form:
    """An entry as it is written, without what most entries have in common.

    `deltas` are there unless they are `texts` of the first choice and nothing else.
    """

    kept_at: float
    seconds: float
    mark: Mark
    collection: str | None
    label: Label
    model: str
    texts: tuple[str, ...] | None
    deltas: tuple[Delta, ...]
    finish_reasons: tuple[FinishReason, ...]
    usage: Usage
    cost: float | None
    citations: tuple[Citation, ...]
    grounding: Grounding
    route_label: Label
    complexity: Complexity
    complexity_score: float
    raised_by: tuple[Finding, ...]
    rule: str
    candidates: Runs


FORM = TypeAdapter(_Form)


def encode(entry: Entry) -> bytes | None:
    """The entry as bytes, `None` if it is too large to be read back."""
    data = orjson.dumps(_write(entry))
    if len(data) > MOST_BYTES:
        return None
    return PLAIN + data if len(data) <= COMPRESSED_ABOVE else COMPRESSED + zlib.compress(data, level=1)


def decode(data: bytes) -> Entry | None:
    """Read an entry; one that does not have the shape of an entry is no entry.

    Its route is that of an exact hit: the calls that were made for the answer were made for another request.
    """
    try:
        return _read(FORM.validate_json(_expand(data[1:]) if data[:1] == COMPRESSED else data[1:]))
    except (ValidationError, zlib.error):
        return None


def _write(entry: Entry) -> _Form:
    answer, route = entry.answer, entry.answer.route
    texts = _texts(answer.deltas)
    return _Form(
        kept_at=entry.kept_at,
        seconds=entry.seconds,
        mark=entry.mark,
        collection=entry.collection,
        label=answer.label,
        model=answer.model,
        texts=texts,
        deltas=answer.deltas if texts is None else (),
        finish_reasons=answer.finish_reasons,
        usage=answer.usage,
        cost=answer.cost,
        citations=answer.citations,
        grounding=answer.grounding,
        route_label=route.label,
        complexity=route.complexity,
        complexity_score=route.complexity_score,
        raised_by=route.raised_by,
        rule=route.rule,
        candidates=tuple(
            (reason, tuple(each.model for each in run))
            for reason, run in groupby(route.candidates, key=attrgetter("dropped"))
        ),
    )


def _read(form: _Form) -> Entry:
    deltas = form.deltas if form.texts is None else tuple(Delta(content=text) for text in form.texts)
    route = Route(
        label=form.route_label,
        complexity=form.complexity,
        complexity_score=form.complexity_score,
        raised_by=form.raised_by,
        rule=form.rule,
        candidates=_candidates(form.candidates),
        cache=HIT,
    )
    answer = CachedAnswer(
        label=form.label,
        model=form.model,
        deltas=deltas,
        finish_reasons=form.finish_reasons,
        usage=form.usage,
        cost=form.cost,
        citations=form.citations,
        grounding=form.grounding,
        route=route,
    )
    return Entry(kept_at=form.kept_at, seconds=form.seconds, mark=form.mark, collection=form.collection, answer=answer)


@lru_cache(maxsize=MOST_PLANS)
def _candidates(runs: Runs) -> tuple[Candidate, ...]:
    """Requests that are routed alike have the same ones."""
    return tuple(Candidate(model=model, dropped=reason) for reason, models in runs for model in models)


def _texts(deltas: Sequence[Delta]) -> tuple[str, ...] | None:
    """The deltas' texts, `None` if they hold anything else."""
    if all(is_text(delta) and not delta.index for delta in deltas):
        return tuple(delta.content for delta in deltas)
    return None


def _expand(data: bytes) -> bytes:
    """Decompress no more than an entry may have; what is longer is cut, and then has no entry's shape."""
    return zlib.decompressobj().decompress(data, MOST_BYTES)
