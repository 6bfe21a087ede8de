"""The operator's own patterns and dictionaries, ready to search with."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Self

from app.services.detectors.kinds import Span
from app.services.detectors.normalise import View, plain_view
from app.services.detectors.policy import DetectionPolicy


class OwnDetector:
    """Finds what the policy's `patterns` and `dictionaries` describe."""

    def __init__(
        self, patterns: tuple[tuple[str, re.Pattern[str]], ...], dictionaries: tuple[tuple[str, re.Pattern[str]], ...]
    ) -> None:
        self._patterns = patterns
        self._dictionaries = dictionaries

    @classmethod
    def of(cls, policy: DetectionPolicy) -> Self:
        return cls(
            tuple((own.name, re.compile(own.pattern)) for own in policy.patterns),
            tuple((own.name, _any_of(own.words)) for own in policy.dictionaries),
        )

    def find(self, view: View) -> Iterator[Span]:
        """Patterns see the text as written; words are found whatever their case and accents."""
        for searched, detectors in ((view.text, self._patterns), (view.lower, self._dictionaries)):
            for name, pattern in detectors:
                for match in pattern.finditer(searched):
                    yield Span(name, match.start(), match.end())


def _any_of(words: tuple[str, ...]) -> re.Pattern[str]:
    plain = sorted({" ".join(plain_view(word).lower.split()) for word in words}, key=len, reverse=True)
    choices = "|".join(re.escape(word).replace(r"\ ", r"\s+") for word in plain)
    return re.compile(rf"(?<![A-Za-z0-9])(?:{choices})(?![A-Za-z0-9])")
