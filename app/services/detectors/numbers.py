"""Runs of digits as people write them: groups with spaces, dots, dashes, slashes or brackets between."""

from __future__ import annotations

import re
from dataclasses import dataclass

SHORTEST_NUMBER = 6
_GROUP = re.compile(r"\d+")
_SEPARATOR = re.compile(r"[^\d ]")


@dataclass(frozen=True, slots=True)
class Group:
    digits: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Number:
    """A run of digit groups. `separators` are the signs between them, spaces left out.

    `touches_before` and `touches_after` say that a word hangs on the run there, as in a hash, a code or a URL path.
    """

    groups: tuple[Group, ...]
    digits: str
    separators: frozenset[str]
    touches_before: bool
    touches_after: bool

    @property
    def start(self) -> int:
        return self.groups[0].start

    @property
    def end(self) -> int:
        return self.groups[-1].end

    @property
    def is_part_of_word(self) -> bool:
        return self.touches_before or self.touches_after


def read_number(text: str, start: int, end: int) -> Number:
    """The groups of the run of digits that stands between two positions of a text."""
    run = text[start:end]
    groups = tuple(Group(m.group(), start + m.start(), start + m.end()) for m in _GROUP.finditer(run))
    before, after = text[max(0, start - 2) : start], text[end : end + 2]
    return Number(
        groups=groups,
        digits="".join(group.digits for group in groups),
        separators=frozenset(_SEPARATOR.findall(run)),
        touches_before=_is_letter(before[-1:]) or (before[-1:] in {"-", "/", "."} and _is_letter(before[:1])),
        touches_after=_is_letter(after[:1]) or (after[:1] == "-" and after[1:].isalnum()),
    )


def _is_letter(character: str) -> bool:
    return character == "_" or (character.isascii() and character.isalpha())
