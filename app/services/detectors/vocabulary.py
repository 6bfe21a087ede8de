"""Words that say what a value beside them is, or what is said of someone."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterator

from app.services.detectors.normalise import UNSPACED, View, plain_view

_WORD = re.compile(r"[^\W\d_]+")
_LONGEST_PHRASE = 60


class Vocabulary:
    """Phrases in any language; case and accents make no difference. One that is absent costs a set intersection."""

    def __init__(self, *lines: str) -> None:
        """Each line holds phrases that are separated by commas."""
        plain_lines = [plain_view(line).lower for line in lines]
        phrases = [phrase.strip() for line in plain_lines for phrase in line.split(",") if phrase.strip()]
        self._unspaced = tuple(phrase for phrase in phrases if UNSPACED.search(phrase))
        # Longest word of a phrase, the likeliest to be rare -> the phrases it belongs to and its position in each.
        self._spaced: dict[str, list[tuple[str, int]]] = {}
        for phrase in phrases:
            if not UNSPACED.search(phrase):
                key = max(_WORD.finditer(phrase), key=lambda word: word.end() - word.start())
                self._spaced.setdefault(key.group(), []).append((phrase, key.start()))
        # One word of each phrase that is told by its words.
        self.keywords = frozenset(self._spaced)

    def places(self, view: View) -> list[tuple[int, int]]:
        """Start and end of each phrase in the text, in order."""
        found = view.memory.get(self)
        if found is None:
            found = sorted({*self._spaced_places(view), *self._unspaced_places(view)}) if self._may_occur(view) else []
            view.memory[self] = found
        return found

    def _may_occur(self, view: View) -> bool:
        return not self.keywords.isdisjoint(view.words) or (view.is_unspaced and bool(self._unspaced))

    def _spaced_places(self, view: View) -> Iterator[tuple[int, int]]:
        for word in self.keywords & view.words:
            for position in _occurrences(view.lower, word):
                for phrase, offset in self._spaced[word]:
                    start, end = position - offset, position - offset + len(phrase)
                    if start >= 0 and view.lower.startswith(phrase, start) and _stands_alone(view.lower, start, end):
                        yield start, end

    def _unspaced_places(self, view: View) -> Iterator[tuple[int, int]]:
        for phrase in self._unspaced if view.is_unspaced else ():
            for start in _occurrences(view.lower, phrase):
                yield start, start + len(phrase)

    def occurs(self, view: View) -> bool:
        """Whether any of the phrases is in the text at all."""
        return bool(self.places(view))

    def places_between(self, view: View, start: int, end: int) -> list[tuple[int, int]]:
        """The phrases that begin and end inside a span."""
        places = self.places(view)
        inside = places[bisect_left(places, (start, 0)) : bisect_left(places, (end, 0))]
        return [place for place in inside if place[1] <= end]

    def near(self, view: View, start: int, end: int, *, before: int = 40, after: int = 25) -> bool:
        """Whether a phrase ends at most `before` characters ahead of a span or starts at most `after` behind it."""
        places = self.places(view)
        first = bisect_left(places, (start - before - _LONGEST_PHRASE, 0))
        for phrase_start, phrase_end in places[first : bisect_left(places, (end + after, 0))]:
            if phrase_end >= start - before:
                return phrase_start <= end + after
        return False


def words(text: str) -> frozenset[str]:
    """The words of a text that lists them."""
    return frozenset(text.split())


def any_may_occur(view: View, keywords: frozenset[str]) -> bool:
    """Whether a phrase of the vocabularies that these keywords are of can be in the text: one question for many."""
    return view.is_unspaced or not keywords.isdisjoint(view.words)


def _occurrences(text: str, part: str) -> Iterator[int]:
    position = text.find(part)
    while position >= 0:
        yield position
        position = text.find(part, position + 1)


def _stands_alone(text: str, start: int, end: int) -> bool:
    """Digits may follow a word, as in "tel030", but not precede it, as in a hash."""
    return not (start and text[start - 1].isalnum()) and not text[end : end + 1].isalpha()
