"""Documents to bring in over and over, and the very chunks that the service makes of them."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import aiohttp

from app.providers.minilm.engine import MiniLM
from app.services.chunking import chunk
from app.services.loaders.document import ParsedDocument, Section
from benchmarks.retrieval.collection import Document

BATCH = 100


@dataclass(frozen=True, slots=True)
class Sample:
    """Documents, and the texts that the service embeds for them."""

    documents: Sequence[Document]
    texts: Sequence[str]


class Corpus:
    """A collection's documents over and over: no two that it gives are alike."""

    def __init__(self, collection: Sequence[Document], *, engine: MiniLM) -> None:
        self._documents = _endless(collection)
        self._engine = engine

    def take(self, chunks: int) -> Sample:
        """The next documents with so many chunks together, or a few more."""
        documents: list[Document] = []
        texts: list[str] = []
        while len(texts) < chunks:
            documents.append(next(self._documents))
            texts.extend(embedded_texts(documents[-1], engine=self._engine))
        return Sample(documents, texts)


def embedded_texts(document: Document, *, engine: MiniLM) -> list[str]:
    """What the service embeds of a document: its chunks, each under the title."""
    parsed = ParsedDocument(title=None, media_type="text/plain", sections=(Section(text=document.text.strip()),))
    chunks = chunk(parsed, measure=engine.token_offsets)
    return [f"{document.title}\n{each.text}" if document.title else each.text for each in chunks]


async def upload(client: aiohttp.ClientSession, documents: Sequence[Document]) -> None:
    for start in range(0, len(documents), BATCH):
        rows = [
            {"id": document.id, "title": document.title or None, "content": document.text, "sensitivity": "public"}
            for document in documents[start : start + BATCH]
        ]
        async with client.post("/documents", json={"documents": rows}) as response:
            response.raise_for_status()


def _endless(collection: Sequence[Document]) -> Iterator[Document]:
    for number in itertools.count():
        for each in collection:
            yield replace(each, id=f"{number}-{each.id}", text=f"{each.text}\n{number}")
