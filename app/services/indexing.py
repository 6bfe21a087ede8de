"""Making a document found: parsed, labelled, chunked, embedded, indexed and found again before it counts."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import numpy as np

from app.errors import UnavailableError
from app.models import Dispatch, Label
from app.protocols import ChunkText, DocumentStore, EmbeddingModel, VectorIndex, Vectors
from app.records import Chunk, DocumentStatus, DocumentVersion, Job
from app.services.audit import Audit
from app.services.chunking import MAX_TOKENS, OVERLAP_TOKENS, chunk
from app.services.echoes import Echoes
from app.services.gathering import GatheredWrites
from app.services.labels import Labeller, Reading, version_label
from app.services.loaders import ParsedDocument, Sandbox
from app.services.spans import embedding_step
from app.services.stages import Stages
from app.services.vector_store import Spaces
from app.utils.monitoring import Metrics
from app.utils.tracing import Span, Tracer, step

# What MiniLM's window of 256 tokens leaves for title and headings beside a chunk and the two tokens of the frame.
CONTEXT_TOKENS = 50
EMBEDDING_BATCH = 32
# Cutting a shorter text takes no longer than saying that it is being cut.
LONG_TEXT = 100_000
LEASE_SECONDS = 120.0


class IndexIncompleteError(UnavailableError):
    code = "index_incomplete"
    message = "The vector index does not find what was just put into it."


class Progress:
    """Counts news of documents, and wakes those who wait for more than they have seen."""

    def __init__(self) -> None:
        self.count = 0
        self._next = asyncio.Event()

    def tell(self) -> None:
        self.count += 1
        self._next.set()
        self._next = asyncio.Event()

    async def beyond(self, seen: int, *, within: float) -> None:
        """Return once there is more news than `seen`, after `within` seconds at most."""
        if self.count > seen:
            return
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(within):
                await self._next.wait()


@dataclass(frozen=True, slots=True)
class _Batch:
    """Chunks by id with their vectors, and how many of the version's chunks are done with them."""

    ids: Sequence[str] = ()
    vectors: Vectors = field(default_factory=lambda: np.empty((0, 0), dtype=np.float32))
    done: int = 0


class Indexer:
    """Indexes versions one at a time for whoever holds their jobs."""

    def __init__(
        self,
        *,
        documents: DocumentStore,
        index: VectorIndex,
        embedder: EmbeddingModel,
        labeller: Labeller,
        echoes: Echoes,
        audit: Audit,
        sandbox: Sandbox,
        metrics: Metrics,
        tracer: Tracer | None,
    ) -> None:
        self._documents = documents
        self._index = index
        self._writes = GatheredWrites(index)
        self._embedder = embedder
        self._labeller = labeller
        self._echoes = echoes
        self._audit = audit
        self._sandbox = sandbox
        self._stages = Stages(metrics, tracer=tracer)
        self._spaces = Spaces(embedder)
        self._reading = asyncio.Lock()
        self.progress = Progress()

    async def index(self, job: Job) -> None:
        """Make the job's version found; raises `LoadError` for one that cannot be read."""
        with self._stages.job(job) as span:
            async with self._heartbeat(job.version.id):
                if job.version.status is DocumentStatus.INDEXED:
                    await self._embed_again(job)
                else:
                    await self._index_content(job, span=span)

    async def _index_content(self, job: Job, *, span: Span) -> None:
        version = job.version
        with self._stages.of("parse"):
            parsed = await self._parse(version)
        with self._stages.of("classify"):
            reading = await self._read(version, parsed)
        label = version_label(version, reading)
        if len(parsed.text) >= LONG_TEXT:
            await self._report(version, stage="chunking")
        with self._stages.of("chunk"):
            chunks = await asyncio.to_thread(self._cut, parsed)
        span.set({"sluice.label": label.word, "sluice.chunks": len(chunks), "sluice.warnings": len(parsed.warnings)})
        space = self._spaces.of(version.key, label=label)
        with self._stages.of("store"):
            await self._documents.save_chunks(
                version.id,
                text=parsed.text,
                title=version.title or parsed.title,
                label=label,
                warnings=parsed.warnings,
                chunks=chunks,
                space=space,
            )
        texts = (parsed.text, *(chunk.text for chunk in chunks))
        again = job.attempts > 1
        with self._stages.of("fingerprint"):
            await self._echoes.keep_document(version.id, texts, label=label, tenant=version.key.tenant, again=again)
        await self._embed(version, label=label, space=space, total=len(chunks))
        with self._stages.of("publish"):
            await self._documents.publish(job, space=space, label=label)
        digest = await asyncio.to_thread(self._audit.digest, parsed.text)
        self._audit.record_document(version, reading=reading, outcome="indexed", digest=digest)

    async def _embed_again(self, job: Job) -> None:
        """Make the vectors of a live version anew: they are gone, another model made them, or its label was raised."""
        version = job.version
        earlier, ids = await self._documents.removable(version.id)
        space = self._spaces.of(version.key, label=version.label)
        await self._remember_again(version)
        await self._embed(version, label=version.label, space=space, total=version.chunks)
        await self._documents.publish(job, space=space, label=version.label)
        if earlier not in (None, space):
            await self._index.delete(earlier, ids=ids)

    async def _remember_again(self, version: DocumentVersion) -> None:
        """A version that was public when it was indexed left no fingerprints, and may have been raised since."""
        rows = await self._documents.chunk_texts(version.id, start=0, limit=version.chunks)
        texts = (await self._documents.text(version.id) or "", *(row.text for row in rows))
        await self._echoes.keep_document(version.id, texts, label=version.label, tenant=version.key.tenant)

    async def erase(self, version: str) -> None:
        """Take the version's vectors out of the index."""
        space, ids = await self._documents.removable(version)
        if space is not None and ids:
            await self._index.delete(space, ids=ids)

    async def _report(self, version: DocumentVersion, *, stage: str) -> None:
        await self._documents.report(version.id, stage=stage, done=0, total=0)
        self.progress.tell()

    @asynccontextmanager
    async def _heartbeat(self, version: str) -> AsyncIterator[None]:
        """Renew the job's lease while it is worked on: reading a large file reports nothing for minutes."""
        beating = asyncio.create_task(self._renew(version))
        try:
            yield
        finally:
            beating.cancel()
            await asyncio.wait({beating})

    async def _renew(self, version: str) -> None:
        while True:
            await asyncio.sleep(LEASE_SECONDS / 4)
            with contextlib.suppress(UnavailableError):  # the next beat comes before the lease is over
                await self._documents.renew_lease(version)

    async def _read(self, version: DocumentVersion, parsed: ParsedDocument) -> Reading:
        """The label of what was parsed; what it shares with the document's earlier versions is no repetition.

        One text at a time: several at once would leave the event loop the smaller part of the interpreter.
        """
        async with self._reading:
            return await self._labeller.read_text(
                f"{version.title or parsed.title or ''}\n{parsed.text}",
                where="content",
                tenant=version.key.tenant,
                besides=version.key,
            )

    async def _parse(self, version: DocumentVersion) -> ParsedDocument:
        content = await self._documents.content(version.id)
        return await self._sandbox.load(content, media_type=version.media_type, filename=version.filename)

    def _cut(self, parsed: ParsedDocument) -> list[Chunk]:
        return list(
            chunk(
                parsed,
                max_tokens=min(MAX_TOKENS, self._embedder.max_tokens),
                overlap_tokens=OVERLAP_TOKENS,
                measure=self._embedder.token_offsets,
            )
        )

    async def _embed(self, version: DocumentVersion, *, label: Label, space: str | None, total: int) -> None:
        """Embed and index the chunks in batches, then make sure that the index finds the last one again.

        Stops early for a version that is removed meanwhile.
        """
        if space is not None:
            with self._stages.of("embed"):
                await self._embed_into(space, version, label=label, total=total)

    async def _embed_into(self, space: str, version: DocumentVersion, *, label: Label, total: int) -> None:
        batch = _Batch()
        for start in range(0, total, EMBEDDING_BATCH):
            rows = await self._documents.chunk_texts(version.id, start=start, limit=EMBEDDING_BATCH)
            embedding = self._embed_texts(self._embedded_texts(rows), label=label)
            # A batch is put into the index while the next one is embedded.
            vectors, kept = await asyncio.gather(embedding, self._put(batch, version, space=space, total=total))
            if not kept:
                return
            batch = _Batch([row.id for row in rows], vectors, start + len(rows))
        await self._put(batch, version, space=space, total=total)
        found = await self._index.query(space, vector=batch.vectors[-1], limit=1, within=[batch.ids[-1]])
        if not found:
            raise IndexIncompleteError

    async def _embed_texts(self, texts: Sequence[str], *, label: Label) -> Vectors:
        dispatch = Dispatch(texts, label, self._embedder.model)
        with embedding_step(dispatch):
            return await self._embedder.embed(dispatch, bulk=True)

    async def _put(self, batch: _Batch, version: DocumentVersion, *, space: str, total: int) -> bool:
        """Put a batch into the index; whether the version is still there, so that it is worth going on."""
        if batch.ids:
            with step("index") as span:
                span.set({"sluice.chunks": len(batch.ids)})
                await self._writes.upsert(space, ids=batch.ids, vectors=batch.vectors)
        if batch.done in (0, total):  # the stage before this one, or after it, says so
            return True
        kept = await self._documents.report(version.id, stage="embedding", done=batch.done, total=total)
        self.progress.tell()
        return kept

    def _embedded_texts(self, chunks: Sequence[ChunkText]) -> list[str]:
        """The chunks, each under as much of its title and headings as the embedding model's window has room for."""
        # Most chunks of a document stand under the same title and headings.
        kept = {context: self._fitting(context) for context in {chunk.context for chunk in chunks}}
        return [f"{kept[chunk.context]}\n{chunk.text}" if chunk.context else chunk.text for chunk in chunks]

    def _fitting(self, context: str) -> str:
        if len(context) <= CONTEXT_TOKENS:  # a token has a character at least
            return context
        ends = [end for _, end in self._embedder.token_offsets(context)]
        return context if len(ends) <= CONTEXT_TOKENS else context[: ends[CONTEXT_TOKENS - 1]]
