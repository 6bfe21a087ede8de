"""The document store over SQL: each method is one transaction."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from io import BytesIO
from typing import Any

from sqlalchemy import ColumnElement, Select, delete, exists, func, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from app.errors import DatabaseUnavailableError, InvalidRequestError, NotFoundError
from app.models import JSONValue, Label, Passage
from app.protocols import ChunkText, Clock, LiveVersion, TextWindow, WordHit
from app.records import Chunk, DocumentKey, DocumentStatus, DocumentVersion, Job, JobKind, JobState, NewDocument
from app.stores.sql import jobs, relabels, rows, searches, tables, upkeep, uploads, words
from app.stores.sql.engine import Database, in_batches, insert
from app.stores.sql.tables import chunks, documents, version_bytes, version_texts, versions
from app.stores.uploads import context, digest

LONGEST_CURSOR = 18

_other = versions.alias("other_versions")


class SqlDocumentStore:
    """Documents, versions, chunks and jobs; implements `DocumentStore`. `new_id` makes ids of 32 characters."""

    def __init__(self, database: Database, *, clock: Clock, new_id: Callable[[], str]) -> None:
        self._database = database
        self._clock = clock
        self._new_id = new_id

    @property
    def finds_words(self) -> bool:
        return True

    async def add(self, documents: Sequence[NewDocument]) -> list[DocumentVersion]:
        # Hashing 100 MB takes a good part of a second, and needs nothing of the event loop.
        digests = await asyncio.to_thread(lambda: [digest(document) for document in documents])
        async with self._database.write() as connection:
            return await uploads.add(connection, documents, digests, now=self._clock(), new_id=self._new_id)

    async def get(self, key: DocumentKey, *, clearance: Label) -> DocumentVersion | None:
        statement = _newest(clearance).where(*_is(key))
        async with self._database.read() as connection:
            row = (await connection.execute(statement)).first()
        return None if row is None else rows.read_version(row)

    async def page(
        self, *, tenant: str, clearance: Label, collection: str | None, limit: int, after: str | None
    ) -> tuple[list[DocumentVersion], str | None]:
        statement = _newest(clearance).where(documents.c.tenant == tenant).order_by(documents.c.number.desc())
        if collection is not None:
            statement = statement.where(documents.c.collection == collection)
        if after is not None:
            statement = statement.where(documents.c.number < _read_cursor(after))
        async with self._database.read() as connection:
            found = (await connection.execute(statement.limit(limit + 1))).all()
        cursor = str(found[limit - 1].document) if len(found) > limit else None
        return [rows.read_version(row) for row in found[:limit]], cursor

    async def declassify(
        self, key: DocumentKey, *, label: Label, clearance: Label
    ) -> tuple[DocumentVersion, DocumentVersion] | None:
        async with self._database.write() as connection:
            return await relabels.declassify(
                connection, key, label=label, clearance=clearance, now=self._clock(), new_id=self._new_id
            )

    async def set_floor(self, collection: str, *, tenant: str, floor: Label) -> int:
        async with self._database.write() as connection:
            return len(
                await relabels.set_floor(
                    connection, tenant=tenant, collection=collection, floor=floor, now=self._clock()
                )
            )

    async def remove(self, key: DocumentKey, *, clearance: Label) -> Sequence[str] | None:
        statement = (
            select(versions.c.id, versions.c.label)
            .join(documents, documents.c.number == versions.c.document)
            .where(*_is(key))
            .with_for_update()
        )
        async with self._database.write() as connection:
            found = (await connection.execute(statement)).all()
            if not found or any(row.label > clearance for row in found):
                return None
            ids = [row.id for row in found]
            await jobs.retire(connection, ids, now=self._clock())
            await jobs.bump_revision(connection, tenant=key.tenant, collection=key.collection)
        return ids

    async def text(self, version: str) -> str | None:
        async with self._database.read() as connection:
            return await connection.scalar(select(version_texts.c.text).where(version_texts.c.version == version))

    async def window(self, version: str, *, start: int, limit: int) -> TextWindow | None:
        async with self._database.read() as connection:
            return await searches.window(connection, version, start=start, limit=limit)

    async def span(self, version: str, *, first: int, last: int) -> tuple[int, int] | None:
        async with self._database.read() as connection:
            return await searches.span(connection, version, first=first, last=last)

    async def content(self, version: str) -> bytes:
        parts = select(version_bytes.c.content).where(version_bytes.c.version == version)
        whole = BytesIO()
        async with self._database.read() as connection:
            if not await connection.scalar(select(versions.c.id).where(versions.c.id == version)):
                raise NotFoundError
            result = await connection.stream_scalars(parts.order_by(version_bytes.c.part))
            async for page in result.partitions(1):
                whole.writelines(page)
        return whole.getvalue()

    async def claim_job(self, *, now: datetime, lease_seconds: float) -> Job | None:
        async with self._database.write() as connection:
            return await jobs.claim(connection, now=now, lease_seconds=lease_seconds)

    async def release_leases(self) -> None:
        async with self._database.write() as connection:
            await jobs.release_leases(connection)

    async def count_jobs(self, *, now: datetime) -> dict[tuple[JobKind, JobState], int]:
        async with self._database.read() as connection:
            return await jobs.count(connection, now=now)

    async def retry_job(self, job: Job, *, due: datetime) -> None:
        async with self._database.write() as connection:
            await jobs.retry(connection, job, due=due)

    async def report(self, version: str, *, stage: str, done: int, total: int) -> bool:
        async with self._database.write() as connection:
            return await jobs.report(connection, version, stage=stage, done=done, total=total, now=self._clock())

    async def renew_lease(self, version: str) -> None:
        async with self._database.write() as connection:
            await jobs.renew_lease(connection, version, now=self._clock())

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
        facts = {"chunks": len(chunks), "warnings": list(warnings), "space": space, "updated_at": self._clock()}
        if title is not None:
            facts["title"] = title
        async with self._database.write() as connection:
            mine = update(versions).where(versions.c.id == version, ~versions.c.removed)
            kept = await connection.execute(mine.values(label=jobs.raised(label), **facts))
            if kept.rowcount:
                await _replace_chunks(connection, version, text=text, chunks=chunks)
                await words.forget(connection, version)
                indexed = await words.index(connection, version, start=0)
        if kept.rowcount and indexed == words.BATCH:
            await self._index_words_from(version, start=indexed)

    async def index_words(self, version: str) -> None:
        async with self._database.write() as connection:
            await words.forget(connection, version)
        await self._index_words_from(version, start=0)

    async def _index_words_from(self, version: str, *, start: int) -> None:
        """A transaction for each batch: other writers wait meanwhile."""
        indexed = words.BATCH
        while indexed == words.BATCH:
            async with self._database.write() as connection:
                indexed = await words.index(connection, version, start=start)
            start += indexed

    async def chunk_texts(self, version: str, *, start: int, limit: int) -> list[ChunkText]:
        async with self._database.read() as connection:
            found = await searches.chunk_rows(connection, version, start=start, limit=limit)
        return [
            ChunkText(searches.chunk_id(version, row.ordinal), context(row.title, row.heading), row.text)
            for row in found
        ]

    async def excerpt(self, version: str, *, first: int, last: int) -> str | None:
        async with self._database.read() as connection:
            return await searches.excerpt(connection, version, first=first, last=last)

    async def publish(self, job: Job, *, space: str | None, label: Label | None = None) -> bool:
        async with self._database.write() as connection:
            return await jobs.publish(connection, job, space=space, label=label, now=self._clock())

    async def fail(self, job: Job, *, code: str, message: str) -> None:
        async with self._database.write() as connection:
            await jobs.fail(connection, job, code=code, message=message, now=self._clock())

    async def removable(self, version: str) -> tuple[str | None, Sequence[str]]:
        ordinals = select(chunks.c.ordinal).where(chunks.c.version == version).order_by(chunks.c.ordinal)
        async with self._database.read() as connection:
            space = await connection.scalar(select(versions.c.space).where(versions.c.id == version))
            ids = [searches.chunk_id(version, ordinal) for ordinal in await connection.scalars(ordinals)]
        return space, ids

    async def finish_removal(self, job: Job) -> None:
        async with self._database.write() as connection:
            if not await jobs.erase(connection, job):
                return
            await words.erase_traces(connection)
        if not await self._database.forget():
            raise DatabaseUnavailableError(retry_after=1)
        async with self._database.write() as connection:
            await jobs.forget(connection, job)

    async def unfinished(self, versions: Sequence[str]) -> int:
        async with self._database.read() as connection:
            counts = [await connection.scalar(_count_unfinished(batch)) for batch in in_batches(versions)]
        return sum(count or 0 for count in counts)

    async def put_off(self, versions: Sequence[str], *, beyond: datetime) -> bool:
        async with self._database.read() as connection:
            left = [await connection.scalar(_count_unfinished(batch)) for batch in in_batches(versions)]
            moving = [await connection.scalar(_count_moving(batch, beyond=beyond)) for batch in in_batches(versions)]
        return any(left) and not any(moving)

    async def spaces(self, *, tenant: str, collection: str, clearance: Label) -> list[str]:
        async with self._database.read() as connection:
            return await searches.vector_spaces(connection, tenant=tenant, collection=collection, clearance=clearance)

    async def matching_chunks(
        self, *, tenant: str, collection: str, clearance: Label, filter: Mapping[str, Mapping[str, JSONValue]]
    ) -> list[str]:
        async with self._database.read() as connection:
            return await searches.matching_chunks(
                connection, tenant=tenant, collection=collection, clearance=clearance, filter=filter
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
        async with self._database.read() as connection:
            return await words.search(
                connection,
                text,
                tenant=tenant,
                collection=collection,
                clearance=clearance,
                limit=limit,
                filter=filter,
            )

    async def passages(self, chunk_ids: Mapping[str, float], *, tenant: str, clearance: Label) -> list[Passage]:
        async with self._database.read() as connection:
            return await searches.passages(connection, chunk_ids, tenant=tenant, clearance=clearance)

    async def revision(self, *, tenant: str, collection: str) -> int:
        found = await self._database.read_revision(tenant=tenant, collection=collection)
        if found is not None:
            return found
        async with self._database.read() as connection:
            return await searches.revision(connection, tenant=tenant, collection=collection)

    async def live_versions(self) -> list[LiveVersion]:
        async with self._database.read() as connection:
            return await upkeep.live_versions(connection)

    async def vector_owners(self, versions: Sequence[str], *, space: str) -> set[str]:
        async with self._database.read() as connection:
            return await upkeep.vector_owners(connection, versions, space=space)

    async def queue_indexing(self, versions: Sequence[str]) -> None:
        async with self._database.write() as connection:
            await upkeep.queue_indexing(connection, versions, now=self._clock())

    async def unused_spaces(self) -> list[str]:
        async with self._database.read() as connection:
            return await upkeep.unused_spaces(connection)

    async def forget_space(self, space: str) -> None:
        async with self._database.write() as connection:
            await upkeep.forget_space(connection, space)

    async def versions_without_words(self) -> list[str]:
        async with self._database.read() as connection:
            return await words.incomplete_versions(connection)

    async def ping(self) -> None:
        await self._database.ping()


def _is(key: DocumentKey) -> list[ColumnElement[bool]]:
    return [
        documents.c.tenant == key.tenant,
        documents.c.collection == key.collection,
        documents.c.id == key.id,
    ]


def _newest(clearance: Label) -> Select[Any]:
    """For each document the newest version that the clearance may read."""
    newest = (
        select(func.max(_other.c.number))
        .where(_other.c.document == documents.c.number, ~_other.c.removed, _other.c.label <= clearance)
        .scalar_subquery()
    )
    return rows.select_versions().where(versions.c.number == newest)


def _count_unfinished(ids: Sequence[str]) -> Select[int]:
    in_work = versions.c.status.in_([DocumentStatus.PENDING.value, DocumentStatus.INDEXING.value])
    return select(func.count()).select_from(versions).where(versions.c.id.in_(ids), or_(versions.c.removed, in_work))


def _count_moving(ids: Sequence[str], *, beyond: datetime) -> Select[int]:
    """Unfinished versions with no job of their own or of an earlier version, which goes first, that is put off."""
    waits = exists(
        select(tables.jobs.c.id)
        .join(_other, _other.c.id == tables.jobs.c.version)
        .where(_other.c.document == versions.c.document, _other.c.number <= versions.c.number, ~_other.c.removed)
        .where(tables.jobs.c.kind == JobKind.INDEX.value, tables.jobs.c.due > beyond)
    )
    return _count_unfinished(ids).where(or_(versions.c.removed, ~waits))


async def _replace_chunks(connection: AsyncConnection, version: str, *, text: str, chunks: Sequence[Chunk]) -> None:
    for table in (tables.version_texts, tables.chunks):
        await connection.execute(delete(table).where(table.c.version == version))
    await connection.execute(tables.version_texts.insert(), [{"version": version, "text": text}])
    await insert(connection, tables.chunks, (rows.chunk_row(version, chunk) for chunk in chunks))


def _read_cursor(cursor: str) -> int:
    if not (cursor.isascii() and cursor.isdecimal() and len(cursor) <= LONGEST_CURSOR):
        raise InvalidRequestError("This cursor is not one that a page ended with.", param="after")
    return int(cursor)
