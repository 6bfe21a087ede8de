"""The words and phrases that the rewriting of questions knows; the table itself is JSON beside this."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Self

LEXICON_PATH = Path(__file__).with_suffix(".json")


@dataclass(frozen=True, slots=True, kw_only=True)
class Lexicon:
    """What is known of English words.

    `dropped` say nothing that decides; `small` are auxiliary verbs and relative pronouns, and `forms` has one word for
    those of one verb; `canon` has one word for all that mean the same, and `phrases` what stands for several words;
    `counted` mean something else after an article; `openings` only ask to be answered; `requests` are what a request
    begins with; `classes` name a kind of place or group, before its name or after it. A text is English with one of the
    words in `english`, or with two in `common` and none in `foreign`.
    """

    dropped: frozenset[str]
    small: frozenset[str]
    links: frozenset[str]
    pronouns: frozenset[str]
    counted: frozenset[str]
    interrogatives: frozenset[str]
    auxiliaries: frozenset[str]
    requests: frozenset[str]
    classes: frozenset[str]
    english: frozenset[str]
    common: frozenset[str]
    foreign: frozenset[str]
    openings: tuple[tuple[str, ...], ...]
    how_to: tuple[tuple[str, ...], ...]
    canon: Mapping[str, str]
    forms: Mapping[str, str]
    phrases: Mapping[str, str]
    phrase: re.Pattern[str]

    @classmethod
    @lru_cache(maxsize=1)
    def load(cls) -> Self:
        table = json.loads(LEXICON_PATH.read_text(encoding="utf-8"))
        phrases = dict(line.split(" = ") for line in table.pop("phrases"))
        lists = {name: table.pop(name) for name in ("openings", "how_to", "same", "forms")}
        return cls(
            openings=_phrases(lists["openings"]),
            how_to=_phrases(lists["how_to"]),
            canon=_first_of_each(lists["same"]),
            forms=_first_of_each(lists["forms"]),
            phrases=phrases,
            phrase=re.compile(rf"\b(?:{'|'.join(map(re.escape, phrases))})\b", re.IGNORECASE),
            **{name: frozenset(words.split()) for name, words in table.items()},
        )

    def knows_language(self, words: Sequence[str]) -> bool:
        """Whether the text of these words is certainly English."""
        if not self.english.isdisjoint(words):
            return True
        return len(self.common.intersection(words)) > 1 and self.foreign.isdisjoint(words)


def _phrases(phrases: Sequence[str]) -> tuple[tuple[str, ...], ...]:
    """The longest first, so that it is tried first."""
    return tuple(sorted((tuple(phrase.split()) for phrase in phrases), key=len, reverse=True))


def _first_of_each(groups: Sequence[str]) -> dict[str, str]:
    return {word: group.split()[0] for group in groups for word in group.split()}
