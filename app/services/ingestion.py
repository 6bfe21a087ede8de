"""Documents in: stored first, then indexed by jobs that outlive the process."""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from itertools import product

from app.errors import EmptyDocumentError, NotClearedError, SluiceError, UnavailableError, UnsupportedMediaError
from app.models import Caller, JSONValue, Label
from app.protocols import Clock, DocumentStore
from app.records import DocumentKey, DocumentStatus, DocumentVersion, Job, JobKind, JobState, NewDocument
from app.services.audit import Audit
from app.services.indexing import LEASE_SECONDS, Indexer
from app.services.loaders import LoadError, sniff
from app.utils.instruments import DOCUMENTS, EGRESS_DENIALS, QUEUE
from app.utils.monitoring import Metrics

logger = logging.getLogger(__name__)

RETRY_SECONDS = (1, 5, 30, 120, 600)
# How often to look whether a retry has come due, and where other processes leave jobs too.
IDLE_POLL_SECONDS = 5.0
SHARED_POLL_SECONDS = 1.0
# How often a watcher looks by itself: another process may be at work. It says so after a while without news.
POLL_SECONDS = 1.0
NEWS_SECONDS = 15.0
# A job that is put off for longer is not waited for.
SOON_SECONDS = 3.0

NOT_CLEARED = "The embedding model is not cleared for this document's label."
INTERNAL = "The document could not be indexed; the log has the details."


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
        indexer: Indexer,
        audit: Audit,
        default_label: Label,
        metrics: Metrics,
        clock: Clock,
        at_once: int,
        shared: bool,
        announce: Callable[[], None] | None = None,
        beside: bool = True,
    ) -> None:
        """`at_once` is how many jobs are worked off at the same time; `shared`, whether others leave jobs here too.

        `announce` tells other processes that there are some; those that do not hear it look by themselves. Unless it
        works `beside` the requests, those that wait for documents do the work.
        """
        self._documents = documents
        self._indexer = indexer
        self._audit = audit
        self._default_label = default_label
        self._counts = metrics.counter(DOCUMENTS)
        self._denials = metrics.counter(EGRESS_DENIALS)
        self._clock = clock
        self._at_once = at_once
        self._idle_seconds = SHARED_POLL_SECONDS if shared else IDLE_POLL_SECONDS
        self._announce = announce
        self._beside = beside
        self._wake = asyncio.Event()
        self._queue: Mapping[tuple[JobKind, JobState], int] = {}
        metrics.show(QUEUE, lambda: (((kind, state), count) for (kind, state), count in self._queue.items()))

    async def accept(self, uploads: Sequence[Upload], *, caller: Caller) -> list[DocumentVersion]:
        """Store the documents durably and queue their indexing, in the order given.

        Raises `EmptyDocumentError` and `UnsupportedMediaError` for what the bytes tell at once; then none is stored.
        """
        # In a thread: looking into 100 MB and hashing them takes longer than the event loop may stand still.
        documents = await asyncio.to_thread(lambda: [self._admit(upload, caller=caller) for upload in uploads])
        versions = await self._documents.add(documents)
        for version in versions:
            self._audit.record_upload(version, caller=caller)
        self._call()
        return versions

    async def current(self, uploads: Sequence[Upload], *, caller: Caller) -> list[DocumentVersion]:
        """What there is under the uploads' ids, without storing them."""
        found = [await self._documents.get(_key(upload, caller), clearance=caller.clearance) for upload in uploads]
        return [version for version in found if version is not None]

    async def watch(self, key: DocumentKey, *, caller: Caller) -> AsyncGenerator[DocumentVersion | None]:
        """The newest version each time it has come further, until it is indexed, failed or gone.

        `None` after a while without news.
        """
        progress, shown, idle = self._indexer.progress, None, 0.0
        while True:
            seen = progress.count
            version = await self._documents.get(key, clearance=caller.clearance)
            if version is None:
                return
            if version != shown or idle >= NEWS_SECONDS:
                yield version if version != shown else None
                shown, idle = version, 0.0
            if version.status in (DocumentStatus.INDEXED, DocumentStatus.FAILED):
                return
            await progress.beyond(seen, within=POLL_SECONDS)
            idle += POLL_SECONDS

    async def remove(self, key: DocumentKey, *, caller: Caller) -> Sequence[str] | None:
        """Hide the document at once and queue its erasure; the versions to be erased, `None` if there is none."""
        versions = await self._documents.remove(key, clearance=caller.clearance)
        self._call()
        return versions

    async def settled(self, versions: Sequence[str], *, within: float) -> bool:
        """Wait until none of the versions has work left, `within` seconds at most; whether that is so.

        Waits no longer once all that is left was put off: what it needs, the embedding model for one, is away.
        """
        try:
            async with asyncio.timeout(within):
                if not self._beside:
                    await self.settle()
                seen = self._indexer.progress.count
                while await self._documents.unfinished(versions):
                    soon = self._clock() + timedelta(seconds=SOON_SECONDS)
                    if await self._documents.put_off(versions, beyond=soon):
                        return False
                    await self._indexer.progress.beyond(seen, within=POLL_SECONDS)
                    seen = self._indexer.progress.count
        except TimeoutError:
            return False
        return True

    async def count_queue(self) -> None:
        """Count for the metrics the jobs that are left; those of before are no longer shown if that fails."""
        self._queue = {}
        counted = await self._documents.count_jobs(now=self._clock())
        self._queue = {place: counted.get(place, 0) for place in product(JobKind, JobState)}

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
        """Work off jobs, some at once, until none is due. One looks first: most of the time there are none."""
        job = await self._claim()
        if job is not None:
            await asyncio.gather(self._work_off(job), *(self._work_off() for _ in range(self._at_once - 1)))

    async def settle(self) -> None:
        """Work off jobs if some were queued here since the last time."""
        if self._wake.is_set() and self._at_once:
            self._wake.clear()
            await self.work_off()

    async def _work_off(self, job: Job | None = None) -> None:
        """The job that was claimed already, and those that there are."""
        job = job or await self._claim()
        while job is not None:
            await self._handle(job)
            self._indexer.progress.tell()
            job = await self._claim()

    async def _claim(self) -> Job | None:
        return await self._documents.claim_job(now=self._clock(), lease_seconds=LEASE_SECONDS)

    def _call(self) -> None:
        """There is work: for this process, and for others that hear of it."""
        self._wake.set()
        if self._announce is not None:
            self._announce()

    def wake(self) -> None:
        """Look for jobs at once: some have been queued."""
        self._wake.set()

    async def _rest(self) -> None:
        """Until there is news, or for a while: a retry may have come due, or another process may have left a job."""
        try:
            async with asyncio.timeout(self._idle_seconds):
                await self._wake.wait()
        except TimeoutError:
            return

    async def _handle(self, job: Job) -> None:
        try:
            if job.kind is JobKind.REMOVE:
                await self._indexer.erase(job.version.id)
                await self._documents.finish_removal(job)
            else:
                await self._indexer.index(job)
                self._counts.of("indexed").inc()
        except LoadError as error:
            await self._fail(job, code=error.code, message=str(error))
        except NotClearedError as error:
            self._denials.of(error.model).inc()
            await self._fail(job, code="not_cleared", message=NOT_CLEARED)
        except SluiceError as error:
            await self._try_later(job, code=error.code)
        except asyncio.CancelledError:
            await self._hand_over(job)
            raise
        except Exception as error:  # noqa: BLE001  # the edge of a background job: the next one must run
            logger.error("job failed", extra={"error_type": type(error).__name__, "version": job.version.id})
            await self._try_later(job, code="internal")

    async def _hand_over(self, job: Job) -> None:
        """This process stops: let another one, or the next start, go on with the job at once."""
        with suppress(SluiceError):
            await self._documents.retry_job(job, due=self._clock())

    async def _try_later(self, job: Job, *, code: str) -> None:
        """Put the job off, longer each time; an index job that has used up its tries fails its document."""
        if job.kind is JobKind.INDEX and job.attempts > len(RETRY_SECONDS):
            await self._fail(job, code="internal", message=INTERNAL)
            return
        logger.warning("job put off", extra={"code": code, "version": job.version.id})
        wait = RETRY_SECONDS[min(job.attempts, len(RETRY_SECONDS)) - 1]
        await self._documents.retry_job(job, due=self._clock() + timedelta(seconds=wait))

    async def _fail(self, job: Job, *, code: str, message: str) -> None:
        self._counts.of(code).inc()
        self._audit.record_document(job.version, reading=None, outcome=code, digest=None)
        await self._documents.fail(job, code=code, message=message)

    def _admit(self, upload: Upload, *, caller: Caller) -> NewDocument:
        if not upload.content.strip():
            raise EmptyDocumentError
        try:
            media_type = upload.media_type or sniff(upload.content, filename=upload.filename, declared=None)
        except LoadError:
            raise UnsupportedMediaError from None
        stated = self._default_label if upload.label is None else upload.label
        return NewDocument(
            key=_key(upload, caller),
            title=upload.title or upload.filename,
            media_type=media_type,
            filename=upload.filename,
            label=max(stated, caller.label_floor),
            metadata=upload.metadata,
            content=upload.content,
            label_stated=upload.label is not None or caller.label_floor > Label.PUBLIC,
        )


def _key(upload: Upload, caller: Caller) -> DocumentKey:
    """Named by the caller, or by its content."""
    identity = upload.id or hashlib.sha256(upload.content).hexdigest()[:32]
    return DocumentKey(tenant=caller.tenant, collection=upload.collection, id=identity)
