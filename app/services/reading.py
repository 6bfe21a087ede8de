"""Documents as people read them: pieces of their text, and a passage at its place."""

from __future__ import annotations

import re
from dataclasses import dataclass

from app.errors import NotFoundError
from app.models import Caller, Label
from app.protocols import DocumentStore, TextWindow
from app.records import DocumentKey

# As retrieval names passages: a version with the ordinal of its chunk, or of the first and last of several.
PASSAGE_ID = re.compile(r"([0-9a-f]{32}):(\d{1,9})(?:-(\d{1,9}))?", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class Excerpt:
    """A piece of a document; `passage` is the place and length, in characters, of the passage that was asked for."""

    key: DocumentKey
    title: str | None
    label: Label
    window: TextWindow
    passage: tuple[int, int] | None = None


class Reader:
    """Reads the text of documents, within the caller's tenant and clearance."""

    def __init__(self, documents: DocumentStore) -> None:
        self._documents = documents

    async def read(self, key: DocumentKey, *, start: int, limit: int, caller: Caller) -> Excerpt:
        """At most `limit` characters from `start` on; raises `NotFoundError` where there is no text to read."""
        version = await self._documents.get(key, clearance=caller.clearance)
        window = None if version is None else await self._documents.window(version.id, start=start, limit=limit)
        if version is None or window is None:
            raise NotFoundError
        return Excerpt(key=key, title=version.title, label=version.label, window=window)

    async def read_around(self, passage_id: str, *, key: DocumentKey, limit: int, caller: Caller) -> Excerpt:
        """The passage with as much of what stands before and after it as the limit leaves room for.

        Raises `NotFoundError` if the document's live version has no such passage: it may have been replaced.
        """
        match = PASSAGE_ID.fullmatch(passage_id)
        if match is None:
            raise NotFoundError
        version, first, last = match[1], int(match[2]), int(match[3] or match[2])
        chunk = f"{version}:{first}"
        found = await self._documents.passages({chunk: 0.0}, tenant=caller.tenant, clearance=caller.clearance)
        span = await self._documents.span(version, first=first, last=last)
        if span is None or not found or (found[0].collection, found[0].document_id) != (key.collection, key.id):
            raise NotFoundError
        start, end = span
        begin = max(0, start - max(0, limit - (end - start)) // 2)
        window = await self._documents.window(version, start=begin, limit=limit)
        if window is None:
            raise NotFoundError
        passage = (start, min(end, begin + limit) - start)
        return Excerpt(key=key, title=found[0].title, label=found[0].label, window=window, passage=passage)
