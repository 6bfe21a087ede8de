"""The record of repeated requests over SQL: it outlives the process, and every process over the database reads it."""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import delete, select

from app.protocols import Clock
from app.stores.sql.engine import Database, insert_absent
from app.stores.sql.tables import replays


class SqlReplayStore:
    """Digests under keys, until they run out; implements `ReplayStore`."""

    def __init__(self, database: Database, *, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def get(self, key: str) -> bytes | None:
        kept = select(replays.c.value).where(replays.c.key == key, replays.c.expires_at > self._clock())
        async with self._database.read() as connection:
            return await connection.scalar(kept)

    async def set(self, key: str, value: bytes, *, ttl: int) -> None:
        now = self._clock()
        row = {"key": key, "value": value, "expires_at": now + timedelta(seconds=ttl)}
        async with self._database.write() as connection:
            await connection.execute(delete(replays).where(replays.c.expires_at <= now))
            await insert_absent(connection, replays, [row])
