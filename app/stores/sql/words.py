"""The lexical index: SQLite's full-text table over chunks, and what is found in it.

A row's number holds the number of its version and the chunk's ordinal, so that it needs no table of its own to be told
whose it is. Rows of versions that are not live are in the index and never found. Other databases keep no such index:
there documents are found by meaning alone.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from sqlalchemy import Integer, Row, bindparam, column, delete, func, literal_column, select, table
from sqlalchemy.ext.asyncio import AsyncConnection

from app.models import JSONValue, Label
from app.protocols import WordHit
from app.stores.sql import filters, searches
from app.stores.sql.tables import chunks, documents, versions
from app.utils.terms import index_text, match_query

# No version has more chunks: its text has fewer characters than chunks of this number would need.
ORDINAL_BITS: Final = 20
_ORDINALS: Final = (1 << ORDINAL_BITS) - 1

# How much a word in a title or heading counts against one in the text: nDCG@10 on Cranfield 0.375 (0), 0.385 (1) and
# 0.388 (2); titles of other collections tell less than these.
CONTEXT_WEIGHT: Final = 1.5

# Chunks that enter the index in one transaction, some 50 ms of it.
BATCH: Final = 100

words = table(
    "words",
    column("rowid", Integer),
    column("scope"),
    column("context"),
    column("body"),
)
# How long each row is, one row each: the quickest way to count them.
_sizes = table("words_docsize", column("id", Integer))


def is_kept(connection: AsyncConnection) -> bool:
    """Whether this database has the index."""
    return connection.dialect.name == "sqlite"


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
    query = match_query(text)
    if not query or not is_kept(connection):
        return []
    match = f'scope : "{_scope(tenant=tenant, collection=collection)}" AND {{context body}} : ({query})'
    distance = func.bm25(literal_column("words"), 0.0, CONTEXT_WEIGHT, 1.0)
    statement = (
        select(versions.c.id, words.c.rowid, distance.label("distance"))
        .select_from(words)
        .join(versions, versions.c.number == words.c.rowid.op(">>")(ORDINAL_BITS))
        .join(documents, documents.c.number == versions.c.document)
        .where(literal_column("words").op("MATCH")(bindparam("match", match)))
        .where(versions.c.live, versions.c.label <= clearance)
        .where(documents.c.tenant == tenant, documents.c.collection == collection)
        .order_by("distance", words.c.rowid)
        .limit(limit)
    )
    if filter:
        statement = statement.where(filters.condition(filter))
    return [
        WordHit(chunk_id=searches.chunk_id(row.id, row.rowid & _ORDINALS), score=-row.distance)
        for row in await connection.execute(statement)
    ]


async def index(connection: AsyncConnection, version: str, *, start: int) -> int:
    """Put a batch of the version's chunks, from ordinal `start` on, into the index; how many there were."""
    if not is_kept(connection):
        return 0
    found = await searches.chunk_rows(connection, version, start=start, limit=BATCH)
    if found:
        await connection.execute(words.insert(), await asyncio.to_thread(_entries, found))
    return len(found)


def _entries(found: Sequence[Row[Any]]) -> list[dict[str, Any]]:
    """The rows for chunks with their title, headings and scope; costs a moment of CPU for each."""
    return [
        {
            "rowid": (row.number << ORDINAL_BITS) + row.ordinal,
            "scope": _scope(tenant=row.tenant, collection=row.collection),
            "context": index_text(context(row.title, row.heading)),
            "body": index_text(row.text),
        }
        for row in found
    ]


async def forget(connection: AsyncConnection, version: str) -> None:
    """Take the version's chunks out of the index; `erase_traces` makes it forget them."""
    if not is_kept(connection):
        return
    number = await connection.scalar(select(versions.c.number).where(versions.c.id == version))
    if number is not None:
        await connection.execute(delete(words).where(_of_version(words.c.rowid, number)))


async def erase_traces(connection: AsyncConnection) -> None:
    """Write the index anew without what was deleted from it: until then it holds the words of deleted rows.

    Takes about 6 ms for 1,000 rows.
    """
    if is_kept(connection):
        await connection.exec_driver_sql("INSERT INTO words(words) VALUES ('optimize')")


async def incomplete_versions(connection: AsyncConnection) -> list[str]:
    """Live versions of which the index holds fewer or more chunks than the record."""
    if not is_kept(connection):
        return []
    held = select(func.count()).select_from(_sizes).where(_of_version(_sizes.c.id, versions.c.number))
    kept = select(func.count()).select_from(chunks).where(chunks.c.version == versions.c.id)
    statement = select(versions.c.id).where(
        versions.c.live,
        held.correlate(versions).scalar_subquery() != kept.correlate(versions).scalar_subquery(),
    )
    return list(await connection.scalars(statement))


def context(title: str | None, heading: Sequence[str]) -> str:
    """What a chunk stands under: the document's title and the headings above it, outermost first."""
    return "\n".join(_distinct(title, heading))


def _distinct(title: str | None, heading: Sequence[str]) -> Iterator[str]:
    """Many a document repeats its title as its first heading."""
    if title:
        yield title
    yield from (part for part in heading if part != title)


def _of_version(rowid: Any, number: Any) -> Any:
    first = number * (1 << ORDINAL_BITS)
    return rowid.between(first, first + _ORDINALS)


def _scope(*, tenant: str, collection: str) -> str:
    """A word of digits, which no stemming changes, for what is searched together."""
    digest = hashlib.sha256(f"{tenant}\0{collection}".encode()).digest()
    return str(int.from_bytes(digest[:12]))
