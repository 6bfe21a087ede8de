"""The document store over DynamoDB: a document is one item, replaced at the revision that it was read at."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from typing import Final

from app.errors import InvalidRequestError, NotFoundError
from app.models import JSONValue, Label, Passage
from app.protocols import ChunkText, Clock, LiveVersion, TextWindow, WordHit
from app.records import Chunk, DocumentKey, DocumentStatus, DocumentVersion, Job, JobKind, JobState, NewDocument
from app.stores.dynamo import job_rules, relabels, searches
from app.stores.dynamo.additions import Additions
from app.stores.dynamo.contents import Contents
from app.stores.dynamo.document_items import (
    StoredDocument,
    document_key,
    find_document,
    find_documents,
    listed_under,
    place_in_list,
    pointer,
    read_document,
)
from app.stores.dynamo.echoes import forget_echoes
from app.stores.dynamo.job_queue import JobQueue
from app.stores.dynamo.table import LISTS, LostError, Table
from app.stores.dynamo.writes import Add, Delete, Key, Present
from app.stores.uploads import context, digest

LONGEST_CURSOR: Final = 18


class DynamoDocumentStore:
    """Documents, versions, chunks and jobs; implements `DocumentStore`. `new_id` makes ids of 32 characters."""

    def __init__(self, table: Table, *, clock: Clock, new_id: Callable[[], str]) -> None:
        self._table = table
        self._clock = clock
        self._new_id = new_id
        self._contents = Contents(table)
        self._queue = JobQueue(table=table, clock=clock)
        self._additions = Additions(table=table, contents=self._contents, clock=clock, new_id=new_id)
        self._searches = searches.Searches(table=table, contents=self._contents)

    @property
    def finds_words(self) -> bool:
        return False

    # Uploads

    async def add(self, documents: Sequence[NewDocument]) -> list[DocumentVersion]:
        # Hashing 100 MB takes a good part of a second, and needs nothing of the event loop.
        digests = await asyncio.to_thread(lambda: [digest(document) for document in documents])
        return await self._additions.add(documents, digests)

    async def declassify(
        self, key: DocumentKey, *, label: Label, clearance: Label
    ) -> tuple[DocumentVersion, DocumentVersion] | None:
        id = self._new_id()
        return await self._table.again(
            lambda: relabels.declassify(
                self._additions, key, label=label, clearance=clearance, now=self._clock(), id=id
            )
        )

    async def set_floor(self, collection: str, *, tenant: str, floor: Label) -> int:
        return await relabels.set_floor(self._table, collection, tenant=tenant, floor=floor, clock=self._clock)

    async def sweep(self) -> None:
        """Erase what crashes have left of uploads that nobody was told of."""
        await self._additions.sweep(now=self._clock())

    # Reading

    async def get(self, key: DocumentKey, *, clearance: Label) -> DocumentVersion | None:
        document = await self._read(key)
        newest = None if document is None else document.newest(clearance)
        return None if newest is None else newest.shown

    async def page(
        self, *, tenant: str, clearance: Label, collection: str | None, limit: int, after: str | None
    ) -> tuple[list[DocumentVersion], str | None]:
        first = "" if after is None else f"{place_in_list(_read_cursor(after))}~"
        found: list[tuple[int, DocumentVersion]] = []
        async for item in self._table.query(listed_under(tenant), index=LISTS, first=first):
            stored = await self._table.get(Key.of(item))
            document = None if stored is None else read_document(stored)
            newest = None if document is None else document.newest(clearance)
            if document is None or newest is None or collection not in (None, document.key.collection):
                continue
            found.append((document.number, newest.shown))
            if len(found) > limit:
                return [version for _, version in found[:limit]], str(found[limit - 1][0])
        return [version for _, version in found], None

    async def text(self, version: str) -> str | None:
        return await self._contents.read_text(version) if await find_document(self._table, version) else None

    async def window(self, version: str, *, start: int, limit: int) -> TextWindow | None:
        document = await find_document(self._table, version)
        stored = None if document is None else document.version(version)
        if stored is None or stored.characters is None:
            return None
        return await self._contents.window(version, start=start, limit=limit, characters=stored.characters)

    async def span(self, version: str, *, first: int, last: int) -> tuple[int, int] | None:
        chunks = await self._contents.read_chunks(version, start=first, limit=max(last - first + 1, 1))
        within = [chunk for chunk in chunks if first <= chunk.ordinal <= last]
        return (min(chunk.start for chunk in within), max(chunk.end for chunk in within)) if within else None

    async def excerpt(self, version: str, *, first: int, last: int) -> str | None:
        ends = await self._contents.find_chunks([(version, first), (version, last)])
        if (version, first) not in ends or (version, last) not in ends:
            return None
        start = ends[version, first].start
        window = await self.window(version, start=start, limit=ends[version, last].end - start)
        return None if window is None else window.text

    async def content(self, version: str) -> bytes:
        if await find_document(self._table, version) is None:
            raise NotFoundError
        return await self._contents.read_bytes(version)

    async def chunk_texts(self, version: str, *, start: int, limit: int) -> list[ChunkText]:
        document = await find_document(self._table, version)
        stored = None if document is None else document.version(version)
        if stored is None or stored.removed:
            return []
        return [
            ChunkText(searches.chunk_id(version, chunk.ordinal), context(stored.value.title, chunk.heading), chunk.text)
            for chunk in await self._contents.read_chunks(version, start=start, limit=limit)
        ]

    # Jobs

    async def claim_job(self, *, now: datetime, lease_seconds: float) -> Job | None:
        return await self._queue.claim(now=now, lease_seconds=lease_seconds)

    async def count_jobs(self, *, now: datetime) -> dict[tuple[JobKind, JobState], int]:
        return await self._queue.count(now=now)

    async def release_leases(self) -> None:
        await self._queue.release_leases()

    async def retry_job(self, job: Job, *, due: datetime) -> None:
        await self._queue.change(job.version.id, lambda document: job_rules.retry(document, job, due=due))

    async def report(self, version: str, *, stage: str, done: int, total: int) -> bool:
        def change(document: StoredDocument) -> bool:
            stored = document.version(version)
            if stored is not None and stored.value.status is DocumentStatus.INDEXING:
                stored.change(stage=stage, done=done, total=total, updated_at=self._clock())
            job_rules.renew(document, version, now=self._clock())
            return True

        document = await self._queue.change(version, change)
        stored = None if document is None else document.version(version)
        return stored is not None and not stored.removed

    async def renew_lease(self, version: str) -> None:
        def change(document: StoredDocument) -> bool:
            job_rules.renew(document, version, now=self._clock())
            return True

        await self._queue.change(version, change)

    async def save_chunks(
        self,
        version: str,
        *,
        text: str,
        title: str | None,
        label: Label,
        warnings: Sequence[str],
        chunks: Sequence[Chunk],
        space: str | None = None,
    ) -> None:
        def change(document: StoredDocument) -> bool:
            stored = document.version(version)
            if stored is None or stored.removed:
                return False
            stored.space, stored.characters = space, len(text)
            named = {} if title is None else {"title": title}
            stored.change(
                label=max(stored.label, label),
                chunks=len(chunks),
                warnings=tuple(warnings),
                updated_at=self._clock(),
                **named,
            )
            return True

        # The label first: nobody reads the chunks under one that is too low.
        if await self._queue.change(version, change) is not None:
            await self._contents.replace(version, text=text, chunks=chunks)

    async def publish(self, job: Job, *, space: str | None, label: Label | None = None) -> bool:
        return await self._queue.publish(job, space=space, label=label)

    async def fail(self, job: Job, *, code: str, message: str) -> None:
        await self._queue.change(
            job.version.id,
            lambda document: job_rules.fail(document, job, code=code, message=message, now=self._clock()),
        )

    # Removal

    async def remove(self, key: DocumentKey, *, clearance: Label) -> Sequence[str] | None:
        async def change() -> Sequence[str] | None:
            document = await self._read(key)
            if document is None or any(version.label > clearance for version in document.versions):
                return None
            numbers = await self._queue.numbers(len(document.versions))
            job_rules.retire(document, document.versions, now=self._clock(), numbers=numbers)
            await self._table.commit(*document.writes(found=True))
            return [version.id for version in document.versions]

        return await self._table.again(change)

    async def removable(self, version: str) -> tuple[str | None, Sequence[str]]:
        document = await find_document(self._table, version)
        stored = None if document is None else document.version(version)
        ids = [searches.chunk_id(version, ordinal) for ordinal in await self._contents.ordinals(version)]
        return None if stored is None else stored.space, ids

    async def finish_removal(self, job: Job) -> None:
        version = job.version.id
        document = await find_document(self._table, version)
        if document is None or job_rules.held(document, job) is None:
            return
        with suppress(LostError):  # the pointer is gone: somebody else is ahead
            await self._table.commit(Add(pointer(version), {}, {"erasing": True}, Present()))
        await forget_echoes(self._table, version)
        await self._contents.erase(version)

        def change(document: StoredDocument) -> bool:
            document.jobs = [each for each in document.jobs if each.version != version]
            document.versions = [each for each in document.versions if each.id != version]
            return True

        await self._queue.change(version, change, found=True, beside=[Delete(pointer(version))])

    async def unfinished(self, versions: Sequence[str]) -> int:
        documents = await find_documents(self._table, versions)
        stored = (document.version(version) for version, document in documents.items())
        return sum(each is not None and job_rules.is_unfinished(each) for each in stored)

    async def put_off(self, versions: Sequence[str], *, beyond: datetime) -> bool:
        documents = await find_documents(self._table, versions)
        pairs = ((document, document.version(version)) for version, document in documents.items())
        left = [(document, each) for document, each in pairs if each is not None and job_rules.is_unfinished(each)]
        return bool(left) and all(job_rules.is_put_off(document, each, beyond=beyond) for document, each in left)

    # Searching

    async def spaces(self, *, tenant: str, collection: str, clearance: Label) -> list[str]:
        return await self._searches.spaces(tenant=tenant, collection=collection, clearance=clearance)

    async def matching_chunks(
        self, *, tenant: str, collection: str, clearance: Label, filter: Mapping[str, Mapping[str, JSONValue]]
    ) -> list[str]:
        return await self._searches.matching_chunks(
            tenant=tenant, collection=collection, clearance=clearance, filter=filter
        )

    async def search_words(
        self,
        text: str,
        *,
        tenant: str,
        collection: str,
        clearance: Label,
        limit: int,
        filter: Mapping[str, Mapping[str, JSONValue]] | None = None,
    ) -> list[WordHit]:
        """Nothing: there is no lexical index here."""
        del text, tenant, collection, clearance, limit, filter
        return []

    async def passages(self, chunk_ids: Mapping[str, float], *, tenant: str, clearance: Label) -> list[Passage]:
        return await self._searches.passages(chunk_ids, tenant=tenant, clearance=clearance)

    async def revision(self, *, tenant: str, collection: str) -> int:
        return await self._searches.revision(tenant=tenant, collection=collection)

    # Upkeep

    async def live_versions(self) -> list[LiveVersion]:
        return await self._searches.live_versions()

    async def vector_owners(self, versions: Sequence[str], *, space: str) -> set[str]:
        return await self._searches.vector_owners(versions, space=space)

    async def queue_indexing(self, versions: Sequence[str]) -> None:
        for id in dict.fromkeys(versions):
            (number,) = await self._queue.numbers(1)

            def change(document: StoredDocument, id: str = id, number: int = number) -> bool:
                version = document.version(id)
                if version is None or not version.live:
                    return False
                job_rules.queue(document, version, JobKind.INDEX, now=self._clock(), number=number)
                return True

            await self._queue.change(id, change)

    async def unused_spaces(self) -> list[str]:
        return await self._searches.unused_spaces()

    async def forget_space(self, space: str) -> None:
        await self._searches.forget_space(space)

    async def versions_without_words(self) -> list[str]:
        """None: there is no lexical index that could lack words."""
        return []

    async def index_words(self, version: str) -> None:
        """Nothing: there is no lexical index here."""

    async def ping(self) -> None:
        await self._table.ping()

    # Items

    async def _read(self, key: DocumentKey) -> StoredDocument | None:
        item = await self._table.get(document_key(key))
        return None if item is None else read_document(item)


def _read_cursor(cursor: str) -> int:
    if not (cursor.isascii() and cursor.isdecimal() and len(cursor) <= LONGEST_CURSOR):
        raise InvalidRequestError("This cursor is not one that a page ended with.", param="after")
    return int(cursor)
