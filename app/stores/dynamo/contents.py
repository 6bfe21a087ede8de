"""What versions hold, bytes, parsed text and chunks, in as many items as it takes, beside the version's pointer."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from app.protocols import TextWindow
from app.records import Chunk
from app.stores.dynamo import codec
from app.stores.dynamo.codec import Item
from app.stores.dynamo.document_items import pointer
from app.stores.dynamo.table import Table, parts_of
from app.stores.dynamo.writes import Key

# Of four bytes at most each, so that a part stays within an item.
PART_CHARACTERS: Final = 80_000


@dataclass(frozen=True, slots=True)
class Contents:
    """Reads and writes the contents of versions. Nobody looks for them before the version's document names it."""

    table: Table

    async def write_bytes(self, version: str, content: bytes) -> None:
        parts = enumerate(parts_of(content))
        await self.table.put_many(_item(version, "bytes", number, {"content": part}) for number, part in parts)

    async def read_bytes(self, version: str) -> bytes:
        return b"".join([item["content"] async for item in self._query(version, "bytes")])

    async def replace(self, version: str, *, text: str, chunks: Sequence[Chunk]) -> None:
        """Store the parsed text and its chunks in the place of earlier ones."""
        starts = range(0, len(text) or 1, PART_CHARACTERS)
        pieces = [text[start : start + PART_CHARACTERS] for start in starts]
        await self.table.put_many(_item(version, "text", at, {"text": piece}) for at, piece in enumerate(pieces))
        await self.table.put_many(_chunk_item(version, chunk) for chunk in chunks)
        for kind, kept in (("text", len(pieces)), ("chunk", max((chunk.ordinal for chunk in chunks), default=-1) + 1)):
            await self.table.empty(pointer(version).pk, first=codec.join(kind, kept), last=f"{kind}$")

    async def read_text(self, version: str) -> str | None:
        pieces = [item["text"] async for item in self._query(version, "text")]
        return "".join(pieces) if pieces else None

    async def window(self, version: str, *, start: int, limit: int, characters: int) -> TextWindow:
        """A piece of the text, for which only the parts that hold it are read."""
        first, last = start // PART_CHARACTERS, (start + limit) // PART_CHARACTERS
        keys = [_key(version, "text", number) for number in range(first, last + 1)]
        found = await self.table.get_many(keys) if start < characters else {}
        joined = "".join(found[key]["text"] for key in keys if key in found)
        offset = start - first * PART_CHARACTERS
        return TextWindow(text=joined[offset : offset + limit], start=start, length=characters)

    async def read_chunks(self, version: str, *, start: int, limit: int) -> list[Chunk]:
        chunks = []
        async for item in self._query(version, "chunk", start=start):
            chunks.append(read_chunk(item))
            if len(chunks) == limit:
                break
        return chunks

    async def find_chunks(self, ids: Sequence[tuple[str, int]]) -> dict[tuple[str, int], Chunk]:
        """Those of the chunks, by version and ordinal, that are there."""
        keys = {_key(version, "chunk", ordinal): (version, ordinal) for version, ordinal in ids}
        return {keys[key]: read_chunk(item) for key, item in (await self.table.get_many(keys)).items()}

    async def ordinals(self, version: str) -> list[int]:
        partition = pointer(version).pk
        keys = self.table.query(partition, first="chunk#", last="chunk$", keys_only=True)
        return [int(item["sk"].partition("#")[2]) async for item in keys]

    async def erase(self, version: str) -> None:
        """Delete all but the pointer."""
        await self.table.empty(pointer(version).pk, last="text$")

    def _query(self, version: str, kind: str, *, start: int = 0) -> Any:
        return self.table.query(pointer(version).pk, first=codec.join(kind, start), last=f"{kind}$")


def read_chunk(item: Item) -> Chunk:
    return Chunk(
        ordinal=item["ordinal"],
        text=item["text"],
        start=item["start"],
        end=item["end"],
        page=item.get("page"),
        heading=tuple(json.loads(item["heading"])),
    )


def _chunk_item(version: str, chunk: Chunk) -> Item:
    facts = {"ordinal": chunk.ordinal, "text": chunk.text, "start": chunk.start, "end": chunk.end, "page": chunk.page}
    return _item(version, "chunk", chunk.ordinal, {**facts, "heading": json.dumps(chunk.heading)})


def _item(version: str, kind: str, number: int, facts: Item) -> Item:
    key = _key(version, kind, number)
    return {"pk": key.pk, "sk": key.sk, **facts}


def _key(version: str, kind: str, number: int) -> Key:
    return Key(pointer(version).pk, codec.join(kind, number))
