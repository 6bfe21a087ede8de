"""Documents in: stored first, then parsed, labelled, chunked, embedded, indexed and found again before they count."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import logging
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta

from app.errors import (
    EmptyDocumentError,
    NotClearedError,
    SluiceError,
    UnavailableError,
    UnsupportedMediaError,
)
from app.models import (
    Caller,
    Chunk,
    Dispatch,
    DocumentKey,
    DocumentStatus,
    DocumentVersion,
    Job,
    JobKind,
    JSONValue,
    Label,
    NewDocument,
)
from app.protocols import ChunkText, Clock, DocumentStore, EmbeddingModel, VectorIndex
from app.services.audit import Audit
from app.services.chunking import chunk
from app.services.echoes import Echoes
from app.services.labels import Labeller, Reading
from app.services.loaders import LoadError, ParsedDocument, Sandbox, sniff
from app.services.vector_store import Spaces
from app.utils.monitoring import Metrics

logger = logging.getLogger(__name__)

CHUNK_TOKENS = 200
OVERLAP_TOKENS = 30
# What MiniLM's window of 256 tokens leaves for title and headings beside a chunk and the two tokens of the frame.
CONTEXT_TOKENS = 50
EMBEDDING_BATCH = 32
LEASE_SECONDS = 120.0
RETRY_SECONDS = (1, 5, 30, 120, 600)
IDLE_POLL_SECONDS = 5.0

NOT_CLEARED = "The embedding model is not cleared for this document's label."
INTERNAL = "The document could not be indexed; the log has the details."


class IndexIncompleteError(UnavailableError):
    code = "index_incomplete"
    message = "The vector index does not find what was just put into it."


@dataclass(frozen=True, slots=True, kw_only=True)
class Upload:
    """A document as a surface hands it in. `label` is what was stated, joined; `None` takes the default."""

    id: str | None
    collection: str
    title: str | None
    content: bytes
    media_type: str | None
    filename: str | None
    label: Label | None
    metadata: Mapping[str, JSONValue]


class Ingestion:
    """Takes documents in and works off the jobs they leave in the store."""

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
        default_label: Label,
        metrics: Metrics,
        clock: Clock,
    ) -> None:
        self._documents = documents
        self._index = index
        self._embedder = embedder
        self._labeller = labeller
        self._echoes = echoes
        self._audit = audit
        self._sandbox = sandbox
        self._default_label = default_label
        self._metrics = metrics
        self._clock = clock
        self._spaces = Spaces(embedder)
        self._wake = asyncio.Event()
        self._progress = asyncio.Condition()

    async def accept(self, uploads: Sequence[Upload], *, caller: Caller) -> list[DocumentVersion]:
        """Store the documents durably and queue their indexing, in the order given.

        Raises `EmptyDocumentError` and `UnsupportedMediaError` for what the bytes tell at once; then none is stored.
        """
        # In a thread: looking into 100 MB and hashing them takes longer than the event loop may stand still.
        documents = await asyncio.to_thread(lambda: [self._admit(upload, caller=caller) for upload in uploads])
        versions = await self._documents.add(documents)
        for version in versions:
            self._audit.record_upload(version, caller=caller)
        self._wake.set()
        return versions

    async def remove(self, key: DocumentKey, *, caller: Caller) -> Sequence[str] | None:
        """Hide the document at once and queue its erasure; the versions to be erased, `None` if there is none."""
        versions = await self._documents.remove(key, clearance=caller.clearance)
        self._wake.set()
        return versions

    async def settled(self, versions: Sequence[str], *, within: float) -> bool:
        """Wait until none of the versions has work left, `within` seconds at most; whether that is so."""
        try:
            async with asyncio.timeout(within), self._progress:
                while await self._documents.unfinished(versions):
                    await self._progress.wait()
        except TimeoutError:
            return False
        return True

    async def work(self) -> None:
        """Work off jobs for ever. Trouble with one job is that job's alone."""
        while True:
            self._wake.clear()
            try:
                await self.work_off()
            except UnavailableError as error:
                logger.warning("jobs wait", extra={"code": error.code})
            await self._rest()

    async def work_off(self) -> None:
        """Work off jobs until none is due."""
        while (job := await self._documents.claim_job(now=self._clock(), lease_seconds=LEASE_SECONDS)) is not None:
            await self._handle(job)
            await self._tell()

    def wake(self) -> None:
        """Look for jobs at once: some have been queued."""
        self._wake.set()

    async def _tell(self) -> None:
        """Wake those who wait for progress."""
        async with self._progress:
            self._progress.notify_all()

    async def _rest(self) -> None:
        """Until there is news, or for a while: a retry may have come due, or another process may have left a job."""
        try:
            async with asyncio.timeout(IDLE_POLL_SECONDS):
                await self._wake.wait()
        except TimeoutError:
            return

    async def _handle(self, job: Job) -> None:
        try:
            if job.kind is JobKind.REMOVE:
                await self._erase(job)
            else:
                await self._index_version(job)
                self._metrics.documents.labels(outcome="indexed").inc()
        except LoadError as error:
            await self._fail(job, code=error.code, message=str(error))
        except NotClearedError:
            await self._fail(job, code="not_cleared", message=NOT_CLEARED)
        except SluiceError as error:
            await self._try_later(job, code=error.code)
        except Exception as error:  # noqa: BLE001  # the edge of a background job: the next one must run
            logger.error("job failed", extra={"error_type": type(error).__name__, "version": job.version.id})
            await self._try_later(job, code="internal")

    async def _index_version(self, job: Job) -> None:
        async with self._heartbeat(job.version.id):
            if job.version.status is DocumentStatus.INDEXED:
                await self._embed_again(job)
            else:
                await self._index_content(job)

    async def _index_content(self, job: Job) -> None:
        version = job.version
        await self._documents.report(version.id, stage="parsing", done=0, total=0)
        parsed = await self._parse(version)
        reading = await self._read(version, parsed)
        label = max(version.label, reading.label)
        await self._documents.report(version.id, stage="chunking", done=0, total=0)
        chunks = await asyncio.to_thread(self._cut, parsed)
        space = self._spaces.of(version.key, label=label)
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
        await self._echoes.keep_document(version.id, texts, label=label, tenant=version.key.tenant)
        await self._embed(version, label=label, space=space, total=len(chunks))
        await self._documents.publish(job, space=space)
        digest = await asyncio.to_thread(self._audit.digest, parsed.text)
        self._audit.record_document(version, reading=reading, outcome="indexed", digest=digest)

    async def _embed_again(self, job: Job) -> None:
        """Make the vectors of a live version anew: they are gone, or another embedding model made them."""
        version = job.version
        space = self._spaces.of(version.key, label=version.label)
        await self._embed(version, label=version.label, space=space, total=version.chunks)
        await self._documents.publish(job, space=space)

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
        """The label of what was parsed; what it shares with the document's earlier versions is no repetition."""
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
                max_tokens=min(CHUNK_TOKENS, self._embedder.max_tokens),
                overlap_tokens=OVERLAP_TOKENS,
                measure=self._embedder.token_offsets,
            )
        )

    async def _embed(self, version: DocumentVersion, *, label: Label, space: str | None, total: int) -> None:
        """Embed and index the chunks in batches, then make sure that the index finds the first one again."""
        if space is None:
            return
        for start in range(0, total, EMBEDDING_BATCH):
            rows = await self._documents.chunk_texts(version.id, start=start, limit=EMBEDDING_BATCH)
            ids, texts = [row.id for row in rows], [self._embedded_text(row) for row in rows]
            vectors = await self._embedder.embed(Dispatch(texts, label, self._embedder.model), bulk=True)
            await self._index.upsert(space, ids=ids, vectors=vectors)
            await self._documents.report(version.id, stage="embedding", done=start + len(rows), total=total)
            await self._tell()
            if start == 0:
                probe = ids[0], vectors[0]
        found = await self._index.query(space, vector=probe[1], limit=1, within=[probe[0]])
        if not found:
            raise IndexIncompleteError

    def _embedded_text(self, chunk: ChunkText) -> str:
        """The chunk under as much of its title and headings as the embedding model's window has room for."""
        ends = [end for _, end in self._embedder.token_offsets(chunk.context)]
        kept = chunk.context if len(ends) <= CONTEXT_TOKENS else chunk.context[: ends[CONTEXT_TOKENS - 1]]
        return f"{kept}\n{chunk.text}" if kept else chunk.text

    async def _erase(self, job: Job) -> None:
        space, chunk_ids = await self._documents.removable(job.version.id)
        if space is not None and chunk_ids:
            await self._index.delete(space, ids=chunk_ids)
        await self._documents.finish_removal(job)

    async def _try_later(self, job: Job, *, code: str) -> None:
        """Put the job off, longer each time; an index job that has used up its tries fails its document."""
        if job.kind is JobKind.INDEX and job.attempts >= len(RETRY_SECONDS):
            await self._fail(job, code="internal", message=INTERNAL)
            return
        logger.warning("job put off", extra={"code": code, "version": job.version.id})
        wait = RETRY_SECONDS[min(job.attempts, len(RETRY_SECONDS) - 1)]
        await self._documents.retry_job(job, due=self._clock() + timedelta(seconds=wait))

    async def _fail(self, job: Job, *, code: str, message: str) -> None:
        self._metrics.documents.labels(outcome=code).inc()
        self._audit.record_document(job.version, reading=None, outcome=code, digest=None)
        await self._documents.fail(job, code=code, message=message)

    def _admit(self, upload: Upload, *, caller: Caller) -> NewDocument:
        if not upload.content.strip():
            raise EmptyDocumentError
        try:
            media_type = upload.media_type or sniff(upload.content, filename=upload.filename, declared=None)
        except LoadError:
            raise UnsupportedMediaError from None
        identity = upload.id or hashlib.sha256(upload.content).hexdigest()[:32]
        stated = self._default_label if upload.label is None else upload.label
        return NewDocument(
            key=DocumentKey(tenant=caller.tenant, collection=upload.collection, id=identity),
            title=upload.title or upload.filename,
            media_type=media_type,
            filename=upload.filename,
            label=max(stated, caller.label_floor),
            metadata=upload.metadata,
            content=upload.content,
        )
