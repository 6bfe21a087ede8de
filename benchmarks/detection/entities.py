"""Structured personal data in template texts, scored span by span."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from app.services.detectors import Detectors, Kind

# The data set's entity -> our kind. These five are what is called structured here; the data has no other of the sort.
STRUCTURED = {
    "CREDIT_CARD": Kind.PAYMENT_CARD,
    "EMAIL_ADDRESS": Kind.EMAIL,
    "IBAN_CODE": Kind.IBAN,
    "IP_ADDRESS": Kind.IP_ADDRESS,
    "PHONE_NUMBER": Kind.PHONE,
}
# Reported, and not part of the sum: what one annotator calls an address, another calls a town and a code.
FREE_FORM = {"STREET_ADDRESS": Kind.POSTAL_ADDRESS}

MATCHING = """\
An entity is found when a span of the kind it is mapped to covers at least half of the two together (intersection over
union). A span of such a kind that covers no entity of its type is a false alarm, also where it lies on another type."""
MATCHING_OVERLAP = 0.5


@dataclass(frozen=True, slots=True)
class Score:
    """Counts of entities found, entities missed, and spans that are none."""

    found: int
    missed: int
    false: int

    @property
    def precision(self) -> float:
        return self.found / max(1, self.found + self.false)

    @property
    def recall(self) -> float:
        return self.found / max(1, self.found + self.missed)

    @property
    def f1(self) -> float:
        return 2 * self.found / max(1, 2 * self.found + self.missed + self.false)

    def __add__(self, other: Score) -> Score:
        return Score(self.found + other.found, self.missed + other.missed, self.false + other.false)


@dataclass(frozen=True, slots=True)
class EntityReport:
    """A score for each entity type, and how many spans of other kinds were found in the same texts."""

    scores: dict[str, Score]
    others: Counter[str]


def score_entities(detectors: Detectors, path: Path) -> EntityReport:
    """Score the texts of a JSON Lines file with `text` and `spans [{type, start, end}]`."""
    mapping = STRUCTURED | FREE_FORM
    scores = dict.fromkeys(mapping, Score(0, 0, 0))
    others: Counter[str] = Counter()
    for line in path.read_text("utf-8").splitlines():
        row = json.loads(line)
        spans = detectors.spans(row["text"])
        for entity, kind in mapping.items():
            truth = [(span["start"], span["end"]) for span in row["spans"] if span["type"] == entity]
            scores[entity] += score_spans(truth, [(span.start, span.end) for span in spans if span.kind == kind])
        others.update(str(span.kind) for span in spans if span.kind not in mapping.values())
    return EntityReport(scores, others)


def score_spans(truth: list[tuple[int, int]], spans: list[tuple[int, int]]) -> Score:
    """Each true span takes one found span at most, the first in order that matches."""
    left = list(spans)
    for wanted in truth:
        match = next((span for span in left if overlap(wanted, span) >= MATCHING_OVERLAP), None)
        if match is not None:
            left.remove(match)
    found = len(spans) - len(left)
    return Score(found=found, missed=len(truth) - found, false=len(left))


def overlap(one: tuple[int, int], other: tuple[int, int]) -> float:
    """Intersection over union of two spans."""
    common = max(0, min(one[1], other[1]) - max(one[0], other[0]))
    return common / (one[1] - one[0] + other[1] - other[0] - common)


def total(scores: Iterable[Score]) -> Score:
    return sum(scores, Score(0, 0, 0))
