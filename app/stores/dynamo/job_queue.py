"""The queue of jobs: an index lists the documents that have some, by when they are due."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial

from app.models import Label
from app.protocols import Clock
from app.records import Job, JobKind, JobState
from app.stores.dynamo import codec, job_rules
from app.stores.dynamo.document_items import JOBS, StoredDocument, find_document, read_document
from app.stores.dynamo.table import DUE, Table
from app.stores.dynamo.writes import Key, Write


@dataclass(frozen=True, slots=True, kw_only=True)
class JobQueue:
    """Changes documents as their jobs ask for, each change anew as long as others come before it."""

    table: Table
    clock: Clock

    async def claim(self, *, now: datetime, lease_seconds: float) -> Job | None:
        async for item in self.table.query(JOBS, index=DUE, last=f"{codec.write_moment(now)}~"):
            job = await self.table.again(partial(self._claim, Key.of(item), now=now, seconds=lease_seconds))
            if job is not None:
                return job
        return None

    async def _claim(self, key: Key, *, now: datetime, seconds: float) -> Job | None:
        item = await self.table.get(key)
        document = None if item is None else read_document(item)
        job = None if document is None else job_rules.claim(document, now=now, lease_seconds=seconds)
        if document is not None and job is not None:
            await self.table.commit(*document.writes())
        return job

    async def count(self, *, now: datetime) -> dict[tuple[JobKind, JobState], int]:
        """The number of jobs by kind and state; every document that has some is read."""
        keys = [Key.of(item) async for item in self.table.query(JOBS, index=DUE)]
        documents = map(read_document, (await self.table.get_many(keys)).values())
        return Counter((job.kind, job.state(now)) for document in documents for job in document.jobs)

    async def release_leases(self) -> None:
        async for item in self.table.query(JOBS, index=DUE):
            await self.table.again(partial(self._release, Key.of(item)))

    async def _release(self, key: Key) -> None:
        item = await self.table.get(key)
        document = None if item is None else read_document(item)
        if document is not None and any(job.leased_until is not None for job in document.jobs):
            for job in document.jobs:
                job.leased_until = None
            await self.table.commit(*document.writes())

    async def publish(self, job: Job, *, space: str | None, label: Label | None = None) -> bool:
        version = job.version.id

        async def change() -> bool:
            document = await find_document(self.table, version)
            if document is None or not job_rules.finish(document, job):
                return False
            numbers = await self.numbers(len(document.versions) + 1)
            live = job_rules.publish(document, job, space=space, label=label, now=self.clock(), numbers=numbers)
            await self.table.commit(*document.writes(found=live))
            return live

        return await self.table.again(change)

    async def change(
        self,
        version: str,
        change: Callable[[StoredDocument], bool],
        *,
        found: bool = False,
        beside: Sequence[Write] = (),
    ) -> StoredDocument | None:
        """Change the version's document, unless `change` returns false; the document as it is then stored."""

        async def attempt() -> StoredDocument | None:
            document = await find_document(self.table, version)
            if document is None or not change(document):
                return None
            await self.table.commit(*document.writes(found=found), *beside)
            return document

        return await self.table.again(attempt)

    async def numbers(self, amount: int) -> range:
        """Numbers that no other job has; later ones are greater."""
        first = await self.table.count("documents", amount)
        return range(first, first + amount)
