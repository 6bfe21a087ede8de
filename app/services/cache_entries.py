"""The form in which the cache keeps an answer: JSON, compressed when it is long, read back within bounds."""

from __future__ import annotations

import zlib
from dataclasses import dataclass

import orjson
from pydantic import TypeAdapter, ValidationError

from app.models import Citation, Delta, FinishReason, Grounding, Label, Route, Usage
from app.services.purges import Mark

COMPRESSED_ABOVE = 1024
MOST_BYTES = 16 * 1024 * 1024

# The first byte of an entry says how the rest is to be read.
PLAIN = b"0"
COMPRESSED = b"1"


@dataclass(frozen=True, slots=True, kw_only=True)
class CachedAnswer:
    """A complete answer as it is kept: who gave it, what it said, and the label it had after retrieval."""

    label: Label
    model: str
    deltas: tuple[Delta, ...]
    finish_reasons: tuple[FinishReason, ...]
    usage: Usage
    cost: float | None
    citations: tuple[Citation, ...]
    grounding: Grounding
    route: Route

    @property
    def calls_tools(self) -> bool:
        return "tool_calls" in self.finish_reasons or any(delta.tool_calls for delta in self.deltas)

    def is_whole(self, *, choices: int) -> bool:
        """Whether it was neither cut short nor refused, in any of its choices."""
        ended = all(reason in ("stop", "tool_calls") for reason in self.finish_reasons)
        return ended and len(self.finish_reasons) == choices and not any(delta.refusal for delta in self.deltas)


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """An answer in the cache: when it was kept (seconds since 1970), how long its model took, what it drew on."""

    kept_at: float
    seconds: float
    mark: Mark
    collection: str | None
    answer: CachedAnswer


ENTRY = TypeAdapter(Entry)


def encode(entry: Entry) -> bytes | None:
    """The entry as bytes, `None` if it is too large to be read back."""
    data = orjson.dumps(entry)
    if len(data) > MOST_BYTES:
        return None
    return PLAIN + data if len(data) <= COMPRESSED_ABOVE else COMPRESSED + zlib.compress(data, level=1)


def decode(data: bytes) -> Entry | None:
    """Read an entry; one that does not have the shape of an entry is no entry."""
    try:
        return ENTRY.validate_json(_expand(data[1:]) if data[:1] == COMPRESSED else data[1:])
    except (ValidationError, zlib.error):
        return None


def _expand(data: bytes) -> bytes:
    """Decompress no more than an entry may have; what is longer is cut, and then has no entry's shape."""
    return zlib.decompressobj().decompress(data, MOST_BYTES)
