"""The lexical index over chunks, and what is found in it.

A row's number holds the number of its version and the chunk's ordinal, so that it needs no table of its own to be told
whose it is. Rows of versions that are not live are in the index and never found. What the rows hold and how they are
ranked is each engine's own.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from types import ModuleType
from typing import Any, Final

from sqlalchemy import delete, func, literal_column, select
from sqlalchemy.ext.asyncio import AsyncConnection

from app.models import JSONValue, Label
from app.protocols import WordHit
from app.stores.sql import filters, postgres_words, searches, sqlite_words
from app.stores.sql.tables import chunks, documents, versions
from app.stores.sql.word_rows import ORDINAL_BITS, ORDINALS

# Chunks that enter the index in one transaction, some 50 ms of it.
BATCH: Final = 100


async def search(
    connection: AsyncConnection,
    text: str,
    *,
    tenant: str,
    collection: str,
    clearance: Label,
    limit: int,
    filter: Mapping[str, Mapping[str, JSONValue]] | None,
) -> list[WordHit]:
    """The chunks of live versions in the scope that hold words of the text, best first by BM25."""
    statement = _engine(connection).hits(text, tenant=tenant, collection=collection)
    if statement is None:
        return []
    statement = (
        statement.where(versions.c.live, versions.c.label <= clearance)
        .where(documents.c.tenant == tenant, documents.c.collection == collection)
        .limit(limit)
    )
    if filter:
        statement = statement.where(filters.condition(filter))
    return [
        WordHit(chunk_id=searches.chunk_id(row.id, row.number & ORDINALS), score=float(row.score))
        for row in await connection.execute(statement)
    ]


async def index(connection: AsyncConnection, version: str, *, start: int) -> int:
    """Put a batch of the version's chunks, from ordinal `start` on, into the index; how many there were."""
    engine = _engine(connection)
    found = await searches.chunk_rows(connection, version, start=start, limit=BATCH)
    if found:
        await connection.execute(engine.INSERT, await asyncio.to_thread(engine.entries, found))
    return len(found)


async def forget(connection: AsyncConnection, version: str) -> None:
    """Take the version's chunks out of the index; `erase_traces` makes it forget them."""
    engine = _engine(connection)
    number = await connection.scalar(select(versions.c.number).where(versions.c.id == version))
    if number is not None:
        await connection.execute(delete(engine.words).where(_of_version(engine.NUMBER, number)))


async def erase_traces(connection: AsyncConnection) -> None:
    """Have the index forget the words of deleted rows, where the engine leaves that to us."""
    await _engine(connection).erase_traces(connection)


async def incomplete_versions(connection: AsyncConnection) -> list[str]:
    """Live versions of which the index holds fewer or more chunks than the record."""
    held_number = _engine(connection).HELD
    held = select(func.count()).select_from(held_number.table).where(_of_version(held_number, versions.c.number))
    kept = select(func.count()).select_from(chunks).where(chunks.c.version == versions.c.id)
    statement = select(versions.c.id).where(
        versions.c.live,
        held.correlate(versions).scalar_subquery() != kept.correlate(versions).scalar_subquery(),
    )
    return list(await connection.scalars(statement))


def _engine(connection: AsyncConnection) -> ModuleType:
    return postgres_words if connection.dialect.name == "postgresql" else sqlite_words


def _of_version(rowid: Any, number: Any) -> Any:
    first = number * literal_column(str(1 << ORDINAL_BITS))
    return rowid.between(first, first + ORDINALS)
