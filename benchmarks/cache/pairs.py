"""Pairs of questions, whether they ask the same, and how a test of them did."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    one: str
    other: str
    same: bool
    kind: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """Of the pairs that were taken to be the same, how many are; and how many of those that are were taken to be."""

    hits: int
    precision: float | None
    recall: float | None


def read_pairs(file: Path) -> list[Pair]:
    """One JSON object a line: `a`, `b`, `label` (1 for the same) and perhaps `kind`."""
    rows = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines() if line]
    return [
        Pair(one=row["a"], other=row["b"], same=bool(row["label"]), kind=str(row.get("kind", file.stem)))
        for row in rows
    ]


def score(pairs: Sequence[Pair], taken: Sequence[bool]) -> Score:
    hits = sum(taken)
    right = sum(pair.same and hit for pair, hit in zip(pairs, taken, strict=True))
    same = sum(pair.same for pair in pairs)
    return Score(hits=hits, precision=right / hits if hits else None, recall=right / same if same else None)
