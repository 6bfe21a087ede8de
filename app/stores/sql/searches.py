"""What retrieval asks of the record: live versions only, with the label they have now."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Row, and_, bindparam, exists, func, select, tuple_
from sqlalchemy.ext.asyncio import AsyncConnection

from app.models import JSONValue, Label, Passage
from app.protocols import TextWindow
from app.stores.sql import filters
from app.stores.sql.engine import in_batches
from app.stores.sql.tables import chunks, collections, documents, spaces, version_texts, versions

_PAGE = 2_000


async def vector_spaces(connection: AsyncConnection, *, tenant: str, collection: str, clearance: Label) -> list[str]:
    """The spaces that hold live versions of the collection at or below the clearance, by name."""
    occupied = exists(
        select(versions.c.id).where(
            versions.c.space == spaces.c.name,
            versions.c.live,
            versions.c.label <= clearance,
            versions.c.document == documents.c.number,
            documents.c.tenant == tenant,
            documents.c.collection == collection,
        )
    )
    statement = (
        select(spaces.c.name)
        .where(spaces.c.tenant == tenant, spaces.c.collection == collection, occupied)
        .order_by(spaces.c.name)
    )
    return list(await connection.scalars(statement))


async def matching_chunks(
    connection: AsyncConnection,
    *,
    tenant: str,
    collection: str,
    clearance: Label,
    filter: Mapping[str, Mapping[str, JSONValue]],
) -> list[str]:
    """Ids of the chunks of live versions that satisfy the filter, which stands inside the scope."""
    statement = (
        select(chunks.c.version, chunks.c.ordinal)
        .join(versions, versions.c.id == chunks.c.version)
        .join(documents, documents.c.number == versions.c.document)
        .where(documents.c.tenant == tenant, documents.c.collection == collection)
        .where(versions.c.live, versions.c.label <= clearance)
        .where(filters.condition(filter))
        .order_by(versions.c.number, chunks.c.ordinal)
    )
    found: list[str] = []
    result = await connection.stream(statement)
    async for page in result.partitions(_PAGE):  # in pages, so that a large answer does not hold the event loop
        found.extend(chunk_id(version, ordinal) for version, ordinal in page)
    return found


async def passages(
    connection: AsyncConnection, chunk_ids: Mapping[str, float], *, tenant: str, clearance: Label
) -> list[Passage]:
    """The live passages among the ids, in the order given."""
    found: dict[str, Passage] = {}
    for batch in in_batches(_parse(chunk_ids)):
        wanted = tuple_(chunks.c.version, chunks.c.ordinal).in_(batch)
        for row in await connection.execute(_select_passages(wanted, tenant=tenant, clearance=clearance)):
            id = chunk_id(row.version, row.ordinal)
            found[id] = _read_passage(row, id=id, score=chunk_ids[id])
    return [found[id] for id in chunk_ids if id in found]


# Built once: that takes SQLAlchemy longer than it takes the database to answer.
_CHUNK_ROWS = (
    select(chunks.c.ordinal, chunks.c.text, chunks.c.heading, versions.c.number, versions.c.title)
    .add_columns(documents.c.tenant, documents.c.collection)
    .join_from(chunks, versions, versions.c.id == chunks.c.version)
    .join(documents, documents.c.number == versions.c.document)
    .where(chunks.c.version == bindparam("version"), chunks.c.ordinal >= bindparam("start"), ~versions.c.removed)
    .order_by(chunks.c.ordinal)
    .limit(bindparam("limit"))
)


async def chunk_rows(connection: AsyncConnection, version: str, *, start: int, limit: int) -> Sequence[Row[Any]]:
    """Chunks of a version that is not removed, with what they stand under and whose they are."""
    wanted = {"version": version, "start": start, "limit": limit}
    return (await connection.execute(_CHUNK_ROWS, wanted)).all()


async def excerpt(connection: AsyncConnection, version: str, *, first: int, last: int) -> str | None:
    """The version's text from the start of one chunk to the end of another."""
    start = select(chunks.c.start).where(chunks.c.version == version, chunks.c.ordinal == first).scalar_subquery()
    end = select(chunks.c.end).where(chunks.c.version == version, chunks.c.ordinal == last).scalar_subquery()
    found = select(func.substr(version_texts.c.text, start + 1, end - start)).where(version_texts.c.version == version)
    return await connection.scalar(found)


async def window(connection: AsyncConnection, version: str, *, start: int, limit: int) -> TextWindow | None:
    """A piece of the version's text, cut out by the database: the whole may be large."""
    text = version_texts.c.text
    statement = select(func.substr(text, start + 1, limit).label("piece"), func.length(text).label("whole")).where(
        version_texts.c.version == version
    )
    row = (await connection.execute(statement)).first()
    return None if row is None else TextWindow(text=row.piece, start=start, length=row.whole)


async def span(connection: AsyncConnection, version: str, *, first: int, last: int) -> tuple[int, int] | None:
    """Where chunk `first` begins and chunk `last` ends."""
    statement = select(func.min(chunks.c.start), func.max(chunks.c.end)).where(
        chunks.c.version == version, chunks.c.ordinal.between(first, last)
    )
    start, end = (await connection.execute(statement)).one()
    return None if start is None else (start, end)


async def revision(connection: AsyncConnection, *, tenant: str, collection: str) -> int:
    """How often what a search of the collection can find has changed."""
    counted = select(collections.c.revision).where(
        and_(collections.c.tenant == tenant, collections.c.name == collection)
    )
    return await connection.scalar(counted) or 0


def chunk_id(version: str, ordinal: int) -> str:
    """What the chunk is called in the vector index."""
    return f"{version}:{ordinal}"


def _parse(chunk_ids: Iterable[str]) -> Iterator[tuple[str, int]]:
    for id in chunk_ids:
        version, _, ordinal = id.rpartition(":")
        if ordinal.isascii() and ordinal.isdecimal():
            yield version, int(ordinal)


def _select_passages(wanted: ColumnElement[bool], *, tenant: str, clearance: Label) -> Any:
    return (
        select(
            chunks.c.version,
            chunks.c.ordinal,
            chunks.c.text,
            chunks.c.start,
            chunks.c.page,
            versions.c.title,
            versions.c.filename,
            versions.c.label,
            versions.c.metadata,
            documents.c.id.label("document_id"),
            documents.c.collection,
        )
        .join(versions, versions.c.id == chunks.c.version)
        .join(documents, documents.c.number == versions.c.document)
        .where(wanted, documents.c.tenant == tenant, versions.c.live, versions.c.label <= clearance)
    )


def _read_passage(row: Row[Any], *, id: str, score: float) -> Passage:
    return Passage(
        id=id,
        document_id=row.document_id,
        collection=row.collection,
        version=row.version,
        title=row.title or row.filename or row.document_id,
        content=row.text,
        score=score,
        label=row.label,
        metadata=row.metadata,
        start=row.start,
        pages=((row.start, row.page),),
    )
