"""What keeps the indexes in step with the record asks of it and leaves in it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import and_, delete, exists, not_, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from app.protocols import LiveVersion
from app.records import JobKind
from app.stores.sql.engine import in_batches, insert_absent
from app.stores.sql.tables import documents, jobs, spaces, versions

_PAGE = 1_000


async def live_versions(connection: AsyncConnection) -> list[LiveVersion]:
    """Every version that readers see, oldest first."""
    statement = (
        select(versions.c.id, versions.c.label, versions.c.chunks, versions.c.space)
        .add_columns(documents.c.tenant, documents.c.collection)
        .join(documents, documents.c.number == versions.c.document)
        .where(versions.c.live)
        .order_by(versions.c.number)
    )
    found: list[LiveVersion] = []
    result = await connection.stream(statement)
    async for page in result.partitions(_PAGE):
        found.extend(LiveVersion(**row._mapping) for row in page)  # noqa: SLF001  # public, in spite of its name
    return found


async def vector_owners(connection: AsyncConnection, ids: Sequence[str], *, space: str) -> set[str]:
    """Those of the versions that have a job, or are live in the space."""
    at_work = exists(select(jobs.c.id).where(jobs.c.version == versions.c.id))
    owns = or_(at_work, and_(versions.c.live, versions.c.space == space))
    found: set[str] = set()
    for batch in in_batches(ids):
        found.update(await connection.scalars(select(versions.c.id).where(versions.c.id.in_(batch), owns)))
    return found


async def queue_indexing(connection: AsyncConnection, ids: Sequence[str], *, now: datetime) -> None:
    """Queue those of the versions that are live, unless they are queued."""
    for batch in in_batches(ids):
        live = await connection.scalars(select(versions.c.id).where(versions.c.id.in_(batch), versions.c.live))
        queued = ({"version": id, "kind": JobKind.INDEX.value, "due": now} for id in live.all())
        await insert_absent(connection, jobs, queued)


async def unused_spaces(connection: AsyncConnection) -> list[str]:
    """Spaces that no version names, by name."""
    used = exists(select(versions.c.id).where(versions.c.space == spaces.c.name))
    return list(await connection.scalars(select(spaces.c.name).where(not_(used)).order_by(spaces.c.name)))


async def forget_space(connection: AsyncConnection, space: str) -> None:
    await connection.execute(delete(spaces).where(spaces.c.name == space))
