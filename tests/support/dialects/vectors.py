"""Made-up embeddings in which texts that share words are near each other."""

from __future__ import annotations

import hashlib
import math
import re
import struct

DIMENSIONS = 16


def embed(text: str, *, dimensions: int = DIMENSIONS) -> list[float]:
    """A unit vector: the sum of one pseudo-random vector for each word. The same text gets the same vector."""
    words = re.findall(r"\w+", text.lower()) or [text]
    columns = zip(*(_word_vector(word, dimensions=dimensions) for word in words), strict=True)
    sums = [sum(column) for column in columns]
    length = math.sqrt(sum(value * value for value in sums)) or 1.0
    return [value / length for value in sums]


def _word_vector(word: str, *, dimensions: int) -> list[float]:
    digest = hashlib.shake_128(word.encode()).digest(4 * dimensions)
    return [number / 2**31 for number in struct.unpack(f"<{dimensions}i", digest)]
