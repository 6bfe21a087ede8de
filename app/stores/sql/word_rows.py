"""What the lexical indexes of both engines share: which number a chunk has in them, and what is indexed of it."""

from __future__ import annotations

import hashlib
from typing import Final

# No version has more chunks: its text has fewer characters than chunks of this number would need.
ORDINAL_BITS: Final = 20
ORDINALS: Final = (1 << ORDINAL_BITS) - 1

# How much a word in a title or heading counts against one in the text: nDCG@10 on Cranfield 0.375 (0), 0.385 (1) and
# 0.388 (2); titles of other collections tell less than these.
CONTEXT_WEIGHT: Final = 1.5


def row_number(version_number: int, ordinal: int) -> int:
    """The number of a chunk's row, which tells whose it is."""
    return (version_number << ORDINAL_BITS) + ordinal


def scope(*, tenant: str, collection: str) -> str:
    """A word of digits, which no stemming changes, for what is searched together."""
    digest = hashlib.sha256(f"{tenant}\0{collection}".encode()).digest()
    return str(int.from_bytes(digest[:12]))
