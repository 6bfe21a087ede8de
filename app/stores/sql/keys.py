"""The key store over SQL: what each API key allows, and digests in the place of its secrets."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import Any

from sqlalchemy import Row, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from app.models import Budget, Caller, Limits, Scope
from app.records import Key
from app.stores.sql.engine import Database
from app.stores.sql.tables import key_revisions, keys


class SqlKeyStore:
    """Keys as rows; implements `KeyStore`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, key: Key) -> Key:
        async with self._database.write() as connection:
            stored = replace(key, revision=await _next_revision(connection))
            await connection.execute(keys.insert().values(_write_key(stored)))
        return stored

    async def replace(self, key: Key) -> Key | None:
        async with self._database.write() as connection:
            stored = replace(key, revision=await _next_revision(connection))
            same = (keys.c.id == key.id) & (keys.c.revision == key.revision)
            changed = await connection.execute(update(keys).where(same).values(_write_key(stored)))
            return stored if changed.rowcount else None

    async def since(self, revision: int) -> list[Key]:
        async with self._database.read() as connection:
            newer = select(keys).where(keys.c.revision > revision).order_by(keys.c.revision)
            return [_read_key(row) for row in await connection.execute(newer)]


async def _next_revision(connection: AsyncConnection) -> int:
    """Count a change. The row stays locked up to the end of the transaction."""
    counted = update(key_revisions).values(revision=key_revisions.c.revision + 1).returning(key_revisions.c.revision)
    revision: int = (await connection.execute(counted)).scalar_one()
    return revision


def _write_key(key: Key) -> dict[str, Any]:
    caller = key.caller
    return {
        "id": key.id,
        "name": key.name,
        "digest": key.digest,
        "previous_digest": key.previous_digest,
        "previous_until": key.previous_until,
        "tenant": caller.tenant,
        "owner": caller.user,
        "clearance": caller.clearance,
        "label_floor": caller.label_floor,
        "scopes": sorted(caller.scopes),
        "models": None if caller.models is None else sorted(caller.models),
        "limits": asdict(caller.limits),
        "budget": asdict(caller.budget),
        "semantic_cache": caller.semantic_cache,
        "created_at": key.created_at,
        "expires_at": key.expires_at,
        "revoked_at": key.revoked_at,
        "revision": key.revision,
    }


def _read_key(row: Row[Any]) -> Key:
    caller = Caller(
        tenant=row.tenant,
        key_id=row.id,
        user=row.owner,
        clearance=row.clearance,
        label_floor=row.label_floor,
        scopes=frozenset(map(Scope, row.scopes)),
        models=None if row.models is None else frozenset(row.models),
        limits=Limits(**row.limits),
        budget=Budget(**row.budget),
        semantic_cache=row.semantic_cache,
    )
    return Key(
        id=row.id,
        name=row.name,
        digest=row.digest,
        caller=caller,
        created_at=row.created_at,
        expires_at=row.expires_at,
        revoked_at=row.revoked_at,
        previous_digest=row.previous_digest,
        previous_until=row.previous_until,
        revision=row.revision,
    )
