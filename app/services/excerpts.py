"""Passages as they are handed out: repetitions within a document left out, neighbours joined into one."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from app.models import Passage

LONGEST_JOIN = 3
# The share of their words that two passages have in common from which one repeats the other.
REPETITION = 0.9

_WORD = re.compile(r"\w+")


@dataclass(slots=True)
class Excerpt:
    """Neighbouring passages of one version, by ordinal; `best` is the one that was found first."""

    best: Passage
    members: dict[int, Passage] = field(default_factory=dict)

    @property
    def first(self) -> int:
        return min(self.members)

    @property
    def last(self) -> int:
        return max(self.members)

    @property
    def start(self) -> int:
        """Where it begins in the version's text."""
        return self.members[self.first].start

    @property
    def pages(self) -> tuple[tuple[int, int | None], ...]:
        """The places in the version's text from which on a page applies."""
        return tuple(page for _, member in sorted(self.members.items()) for page in member.pages)

    def adjoins(self, passage: Passage, *, ordinal: int) -> bool:
        """Whether the passage stands right before or after, and there is room for it."""
        near = ordinal in (self.first - 1, self.last + 1)
        return passage.version == self.best.version and near and len(self.members) < LONGEST_JOIN


def assemble(passages: Iterable[Passage], *, limit: int) -> list[Excerpt]:
    """The first `limit` excerpts that the passages, best first, make."""
    excerpts: list[Excerpt] = []
    seen: dict[str, list[frozenset[str]]] = {}
    for passage in passages:
        ordinal = ordinal_of(passage)
        neighbour = next((each for each in excerpts if each.adjoins(passage, ordinal=ordinal)), None)
        if neighbour is None and len(excerpts) == limit:
            break
        words, others = _words(passage.content), seen.setdefault(passage.version, [])
        if any(_repeats(words, other) for other in others):
            continue
        others.append(words)
        if neighbour is None:
            excerpts.append(Excerpt(best=passage, members={ordinal: passage}))
        else:
            neighbour.members[ordinal] = passage
    return excerpts


def ordinal_of(passage: Passage) -> int:
    """The place of a chunk in its version."""
    return int(passage.id.rpartition(":")[2])


def _words(text: str) -> frozenset[str]:
    return frozenset(_WORD.findall(text.casefold()))


def _repeats(words: frozenset[str], others: frozenset[str]) -> bool:
    """Rows of a table differ in their numbers alone and are no repetitions."""
    if _numbers(words) != _numbers(others):
        return False
    either = len(words | others)
    return either > 0 and len(words & others) / either >= REPETITION


def _numbers(words: frozenset[str]) -> set[str]:
    return {word for word in words if not word.isalpha()}
