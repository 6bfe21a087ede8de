"""What a scan costs in CPU time, on ordinary and on hostile text."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence

from app.services.detectors import Detectors, Field

MEGABYTE = 1_000_000
HOSTILE = {
    "one letter": "a",
    "digits": "4111111111111112",
    "spaced digits": "1 ",
    "cards that are none": "card 4111 1111 1111 1112 ",
    "half addresses": "a@a.",
    "names of passwords": "password=",
    "armour of keys": "-----BEGIN PRIVATE KEY-----\n",
    "escapes": "%41",
    "colons": "1:2:",
    "versions": "version 1.2.3.4 ",
    "addresses": "41.173.96.26 ",
    "account numbers": "GB82 WEST 1234 5698 7654 31 ",
    "names and illness": "John Smith diagnosed with ",
    "sums and salaries": "salary $5 ",
    "zero width": "a\u200b",
    "markings": "confidential ",
}


def milliseconds_per_kilobyte(detectors: Detectors, texts: Sequence[str]) -> float:
    """CPU time of one scan for each text; a kilobyte is 1,000 characters."""
    start = time.process_time()
    for text in texts:
        detectors.scan_now([Field("text", text)])
    return (time.process_time() - start) * 1_000 / (sum(map(len, texts)) / 1_000)


def hostile_seconds(detectors: Detectors) -> Iterator[tuple[str, float]]:
    """CPU seconds for a megabyte of each hostile pattern."""
    for name, pattern in HOSTILE.items():
        text = (pattern * (MEGABYTE // len(pattern) + 1))[:MEGABYTE]
        start = time.process_time()
        detectors.scan_now([Field("text", text)])
        yield name, time.process_time() - start
