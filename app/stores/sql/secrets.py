"""The secret that all machines over one database share."""

from __future__ import annotations

from sqlalchemy import select

from app.stores.sql.engine import Database, insert_absent
from app.stores.sql.tables import secrets

DIGESTS = "digests"


async def shared_secret(database: Database, *, offered: bytes) -> bytes:
    """The secret that keys digests: the one that is stored, or else this one, which is stored."""
    async with database.write() as connection:
        await insert_absent(connection, secrets, [{"name": DIGESTS, "value": offered}])
        kept = await connection.execute(select(secrets.c.value).where(secrets.c.name == DIGESTS))
        return bytes(kept.scalar_one())
