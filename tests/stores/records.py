"""Documents as the store's tests hand them in and work them off."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from app.models import JSONValue, Label, Passage
from app.protocols import DocumentStore
from app.records import Chunk, DocumentKey, DocumentVersion, Job, JobKind, NewDocument

TENANT = "acme"
LEASE = 60.0
ALL = Label.CONFIDENTIAL


@dataclass(slots=True)
class SetClock:
    """A clock that stands still until a test moves it."""

    now: datetime = field(default_factory=lambda: datetime(2026, 5, 4, 12, 0, tzinfo=UTC))

    def __call__(self) -> datetime:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


def key(id: str, *, tenant: str = TENANT, collection: str = "handbook") -> DocumentKey:
    return DocumentKey(tenant=tenant, collection=collection, id=id)


def upload(
    id: str,
    content: bytes = b"the text",
    *,
    label: Label = Label.INTERNAL,
    metadata: Mapping[str, JSONValue] | None = None,
    title: str | None = None,
    tenant: str = TENANT,
    collection: str = "handbook",
) -> NewDocument:
    return NewDocument(
        key=key(id, tenant=tenant, collection=collection),
        title=title,
        media_type="text/plain",
        filename=None,
        label=label,
        metadata=metadata or {},
        content=content,
    )


def chunks_of(text: str, *, size: int = 20) -> list[Chunk]:
    return [
        Chunk(ordinal=ordinal, text=text[start : start + size], start=start, end=min(start + size, len(text)))
        for ordinal, start in enumerate(range(0, len(text), size))
    ]


@dataclass(slots=True)
class Worker:
    """Works off jobs as the ingestion does, with the text of a document being its bytes."""

    store: DocumentStore
    clock: SetClock

    async def claim(self) -> Job:
        job = await self.store.claim_job(now=self.clock(), lease_seconds=LEASE)
        assert job is not None, "no job may be claimed"
        return job

    async def claim_nothing(self) -> bool:
        return await self.store.claim_job(now=self.clock(), lease_seconds=LEASE) is None

    async def index(self, job: Job, *, label: Label = Label.PUBLIC, space: str = "space") -> bool:
        text = (await self.store.content(job.version.id)).decode()
        await self.store.save_chunks(
            job.version.id, text=text, title=None, label=label, warnings=[], chunks=chunks_of(text), space=space
        )
        return await self.store.publish(job, space=space)

    async def work_off(self) -> None:
        """Every job that may be claimed, until there is none."""
        while (job := await self.store.claim_job(now=self.clock(), lease_seconds=LEASE)) is not None:
            if job.kind is JobKind.INDEX:
                await self.index(job)
            else:
                await self.store.finish_removal(job)

    async def publish(self, *uploads: NewDocument) -> list[DocumentVersion]:
        versions = await self.store.add(uploads)
        await self.work_off()
        return versions


async def found(store: DocumentStore, versions: Sequence[str], *, clearance: Label = ALL) -> list[Passage]:
    """The live passages among the first chunks of the versions."""
    return await store.passages({f"{version}:0": 0.5 for version in versions}, tenant=TENANT, clearance=clearance)
