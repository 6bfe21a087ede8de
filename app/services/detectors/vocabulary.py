"""Words that say what a number beside them is."""

from __future__ import annotations

import re
from bisect import bisect_left

from app.services.detectors.normalise import View, plain_view

_FIRST_WORD = re.compile(r"[^\W\d_]+")
# Scripts that are written without spaces, where a phrase is found by search and not by word.
_UNSPACED = re.compile("[\u3040-\u30ff\u3400-\u9fff\u0e00-\u0e7f]")


class Vocabulary:
    """Phrases in any language; case and accents make no difference. Looking one up costs a set intersection where none of them occurs."""

    def __init__(self, *lines: str) -> None:
        """Each line holds phrases that are separated by commas."""
        plain_lines = [plain_view(line).lower for line in lines]
        phrases = [phrase.strip() for line in plain_lines for phrase in line.split(",") if phrase.strip()]
        self._unspaced = tuple(phrase for phrase in phrases if _UNSPACED.match(phrase))
        self._spaced: dict[str, tuple[str, ...]] = {}
        for phrase in phrases:
            if not _UNSPACED.match(phrase):
                first = _first_word(phrase)
                self._spaced[first] = (*self._spaced.get(first, ()), phrase)
        self._first_words = frozenset(self._spaced)

    def __or__(self, other: Vocabulary) -> Vocabulary:
        return Vocabulary(*self._phrases(), *other._phrases())

    def _phrases(self) -> list[str]:
        return [*self._unspaced, *(phrase for phrases in self._spaced.values() for phrase in phrases)]

    def occurs(self, view: View) -> bool:
        """Whether any of the phrases is in the text at all."""
        return bool(self.places(view))

    def places(self, view: View) -> list[tuple[int, int]]:
        """Start and end of each phrase in the text, in order."""
        found = view.memory.get(self)
        if found is None:
            found = view.memory[self] = self._search(view)
        return found

    def _search(self, view: View) -> list[tuple[int, int]]:
        found = []
        for word in self._first_words & view.words:
            for start in view.word_positions[word]:
                for phrase in self._spaced[word]:
                    end = start + len(phrase)
                    if view.lower.startswith(phrase, start) and not view.lower[end : end + 1].isalpha():
                        found.append((start, end))
        if not view.text.isascii():
            for phrase in self._unspaced:
                found += [(match.start(), match.end()) for match in re.finditer(re.escape(phrase), view.lower)]
        return sorted(found)

    def places_between(self, view: View, start: int, end: int) -> list[tuple[int, int]]:
        """The phrases that begin and end inside a span."""
        places = self.places(view)
        return [
            place
            for place in places[bisect_left(places, (start, 0)) : bisect_left(places, (end, 0))]
            if place[1] <= end
        ]

    def near(self, view: View, start: int, end: int, *, before: int = 40, after: int = 25) -> bool:
        """Whether a phrase ends at most `before` characters ahead of a span or starts at most `after` behind it."""
        places = self.places(view)
        if not places:
            return False
        position = bisect_left(places, (max(0, start - before - 30), 0))
        for phrase_start, phrase_end in places[position:]:
            if phrase_start > end + after:
                return False
            if phrase_end >= start - before:
                return True
        return False


def _first_word(phrase: str) -> str:
    match = _FIRST_WORD.match(phrase)
    if match is None:
        raise ValueError("a phrase starts with a letter")
    return match.group()
