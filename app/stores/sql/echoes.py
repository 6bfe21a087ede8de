"""The echo store over SQL: fingerprints of what was said above `public`."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import numpy as np
from sqlalchemy import ColumnElement, case, delete, exists, func, literal, or_, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from app.models import Label
from app.protocols import Echo, Fingerprints, Standing
from app.records import DocumentKey
from app.stores.sql.column_types import LabelRank
from app.stores.sql.engine import Database, in_batches, insert
from app.stores.sql.tables import documents, echoes, versions

LITTLE_ENDIAN = "<u8"


class SqlEchoStore:
    """Fingerprints as bytes, eight for each; implements `EchoStore`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(
        self,
        parts: Sequence[Fingerprints],
        *,
        label: Label,
        tenant: str,
        version: str | None,
        expires_at: datetime | None,
    ) -> None:
        facts = {"label": label, "tenant": tenant, "version": version, "expires_at": expires_at}
        rows = ({"fingerprints": part.astype(LITTLE_ENDIAN).tobytes(), **facts} for part in parts)
        async with self._database.write() as connection:
            await _queue_up(connection)
            if version is None or await connection.scalar(select(exists().where(versions.c.id == version))):
                await insert(connection, echoes, rows)

    async def since(self, number: int, *, limit: int) -> list[Echo]:
        newest = await self._database.newest_echo()
        if newest is not None and newest <= number:
            return []
        newer = select(echoes.c.number, echoes.c.fingerprints).where(echoes.c.number > number)
        async with self._database.read() as connection:
            found = await connection.execute(newer.order_by(echoes.c.number).limit(limit))
            return [Echo(row.number, np.frombuffer(row.fingerprints, dtype=LITTLE_ENDIAN)) for row in found]

    async def standing(self, numbers: Sequence[int], *, tenant: str, now: datetime) -> dict[int, Standing]:
        standing: dict[int, Standing] = {}
        async with self._database.read() as connection:
            for batch in in_batches(numbers):
                statement = (
                    select(echoes.c.number, _label().label("label"), echoes.c.version, documents.c.collection)
                    .add_columns(documents.c.id)
                    .outerjoin(versions, versions.c.id == echoes.c.version)
                    .outerjoin(documents, documents.c.number == versions.c.document)
                    .where(echoes.c.number.in_(batch), echoes.c.tenant == tenant)
                    .where(or_(echoes.c.expires_at.is_(None), echoes.c.expires_at > now))
                )
                for row in await connection.execute(statement):
                    key = DocumentKey(tenant=tenant, collection=row.collection, id=row.id) if row.id else None
                    standing[row.number] = Standing(row.label, row.version is not None, key)
        return standing

    async def forget_version(self, version: str) -> None:
        async with self._database.write() as connection:
            await connection.execute(delete(echoes).where(echoes.c.version == version))

    async def forget_expired(self, *, now: datetime) -> int:
        async with self._database.write() as connection:
            return (await connection.execute(delete(echoes).where(echoes.c.expires_at <= now))).rowcount


def _label() -> ColumnElement[Label]:
    """The row's own label, or its version's if that has been raised."""
    own = echoes.c.label
    raised = func.coalesce(versions.c.label, literal(Label.PUBLIC, LabelRank()), type_=LabelRank())
    return case((own < raised, raised), else_=own)


async def _queue_up(connection: AsyncConnection) -> None:
    """Let rows become visible in the order of their numbers, so that a reader can go on from the last one it saw.

    SQLite has one writer anyway; PostgreSQL hands out numbers long before it commits.
    """
    if connection.dialect.name == "postgresql":
        await connection.execute(text("LOCK TABLE echoes IN SHARE ROW EXCLUSIVE MODE"))
