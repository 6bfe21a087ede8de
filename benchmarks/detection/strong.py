"""Strong identifiers: those whose own form says what they are, found without a word beside them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from app.services.detectors import Detectors

# Kinds of the data set that count as strong -> rows of that kind that do not, and why.
# IBAN would count; the data set has no rows of it.
STRONG: dict[str, tuple[re.Pattern[str] | None, str]] = {
    "credit_card": (None, ""),
    "us_ssn": (re.compile(r"(?<!\d)\d{9}(?!\d)"), "nine bare digits"),
    "us_itin": (re.compile(r"(?<!\d)\d{9}(?!\d)"), "nine bare digits"),
    "es_nif": (None, ""),
    "es_nie": (None, ""),
    "it_fiscal_code": (None, ""),
    "fi_personal_identity_code": (None, ""),
    "de_id_card": (re.compile(r"T\d{8}", re.IGNORECASE), "the older form T and 8 digits has no check digit"),
    "de_passport": (None, ""),
    "de_health_insurance": (None, ""),
    "de_social_security": (None, ""),
    "crypto": (None, ""),
}


@dataclass(frozen=True, slots=True)
class StrongResult:
    """One kind: how many of its valid values were found, and how many of its invalid ones were taken for valid."""

    kind: str
    found: int
    valid: int
    left_out: int
    why: str
    false: int
    invalid: int
    missed: tuple[str, ...]


def score_strong(detectors: Detectors, path: Path) -> Iterator[StrongResult]:
    """A row counts as found when anything is found in it: a value is a secret under whichever name."""
    rows = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    for kind, (weak, why) in STRONG.items():
        own = [row for row in rows if row["kind"] == kind]
        valid = [row["text"] for row in own if row["label"] == 1]
        strong = [text for text in valid if weak is None or weak.search(text) is None]
        invalid = [row["text"] for row in own if row["label"] == 0]
        missed = tuple(text for text in strong if not detectors.spans(text))
        yield StrongResult(
            kind=kind,
            found=len(strong) - len(missed),
            valid=len(strong),
            left_out=len(valid) - len(strong),
            why=why,
            false=sum(bool(detectors.spans(text)) for text in invalid),
            invalid=len(invalid),
            missed=missed,
        )
