"""Finding a quotation in a text, word for word: case, widths, marks, blanks and invisible characters set aside."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

Span = tuple[int, int]

_QUOTATION_MARKS: Final = '\u2018\u2019\u201a\u201b\u201c\u201d\u201e\u201f\u00ab\u00bb\u2039\u203a\u0060\u00b4"'
_DASHES: Final = "\u2010\u2011\u2012\u2013\u2014\u2015\u2212"
_PLAIN: Final = {ord(mark): "'" for mark in _QUOTATION_MARKS} | {ord(dash): "-" for dash in _DASHES}
# What a writer leaves out of a quotation stands as dots.
_OMISSION: Final = re.compile(r"\s*(?:\.\.\.|\u2026|\[\.\.\.\]|\[\u2026\])\s*")
_EDGES: Final = " .,;:!?'-"
# As many characters as most alphabets and the commonest thousands of ideographs have.
_REMEMBERED: Final = 8192


@dataclass(frozen=True, slots=True)
class Folded:
    """A text as it is compared, and for each of its characters the place in the original that it stands for."""

    text: str
    places: tuple[int, ...]

    def find(self, quotation: str) -> Span | None:
        """Where the quotation stands in the original: its parts around omissions one after the other."""
        first = last = None
        position = 0
        for part in _parts(quotation):
            at = self.text.find(part, position)
            if at < 0:  # a writer's own full stop or comma before the closing mark is not the text's
                part = part.strip(_EDGES)  # noqa: PLW2901  (the same part, told more loosely)
                at = self.text.find(part, position)
            if at < 0 or not part:
                return None
            position = at + len(part)
            first = at if first is None else first
            last = position - 1
        if first is None or last is None:
            return None
        return self.places[first], self.places[last] + 1


def fold(text: str) -> Folded:
    """The text as it is compared."""
    kept: list[str] = []
    places: list[int] = []
    for place, character in enumerate(text):
        for plain in _fold_character(character):
            if plain == " " and (not kept or kept[-1] == " "):
                continue
            kept.append(plain)
            places.append(place)
    return Folded("".join(kept), tuple(places))


@lru_cache(maxsize=_REMEMBERED)
def _fold_character(character: str) -> str:
    """Decomposed and without case, so that every way to write a letter is the same; nothing if it is invisible."""
    if character.isspace():
        return " "
    if unicodedata.category(character) == "Cf":
        return ""
    return unicodedata.normalize("NFKD", character.translate(_PLAIN)).casefold().translate(_PLAIN)


def _parts(quotation: str) -> Iterator[str]:
    """The quotation around its omissions."""
    for part in _OMISSION.split(quotation):
        folded = fold(part).text.strip()
        if folded.strip(_EDGES):
            yield folded
