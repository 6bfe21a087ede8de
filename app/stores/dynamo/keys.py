"""The key store over DynamoDB: what each API key allows, and digests in the place of its secrets."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import Any, Final

from app.models import Budget, Caller, Label, Limits, Scope
from app.records import Key
from app.stores.dynamo import codec
from app.stores.dynamo.codec import Item, read_moment, write_moment
from app.stores.dynamo.table import Table, put_at
from app.stores.dynamo.writes import Absent, Condition, Equal, Put
from app.stores.dynamo.writes import Key as Place

_KEYS: Final = "keys"
_REVISION: Final = Place("key-revision", "key-revision")


class DynamoKeyStore:
    """Keys as the items of one partition; implements `KeyStore`.

    Who changes a key counts that in the same transaction, so revisions become visible in their order.
    """

    def __init__(self, table: Table) -> None:
        self._table = table

    async def add(self, key: Key) -> Key:
        return await self._table.again(lambda: self._store(key, when=Absent()))

    async def replace(self, key: Key) -> Key | None:
        async def change() -> Key | None:
            stored = await self._table.get(_place(key.id))
            if stored is None or stored["key_revision"] != key.revision:
                return None
            return await self._store(key, when=Equal("key_revision", key.revision))

        return await self._table.again(change)

    async def since(self, revision: int) -> list[Key]:
        counted = await self._table.get(_REVISION)
        if counted is None or counted["revision"] <= revision:
            return []
        found = [_read_key(item) async for item in self._table.query(_KEYS) if item["key_revision"] > revision]
        return sorted(found, key=lambda key: key.revision)

    async def _store(self, key: Key, *, when: Condition) -> Key:
        counted = await self._table.get(_REVISION)
        revision = None if counted is None else counted["revision"]
        stored = replace(key, revision=(revision or 0) + 1)
        counter: Item = {"pk": _REVISION.pk, "sk": _REVISION.sk}
        await self._table.commit(put_at(counter, revision=revision), Put(_write_key(stored), when))
        return stored


def _place(id: str) -> Place:
    return Place(_KEYS, codec.join(id))


def _write_key(key: Key) -> dict[str, Any]:
    place, caller = _place(key.id), key.caller
    return {
        "pk": place.pk,
        "sk": place.sk,
        "id": key.id,
        "name": key.name,
        "digest": key.digest,
        "previous_digest": key.previous_digest,
        "previous_until": key.previous_until and write_moment(key.previous_until),
        "tenant": caller.tenant,
        "owner": caller.user,
        "clearance": int(caller.clearance),
        "label_floor": int(caller.label_floor),
        "semantic_cache": caller.semantic_cache,
        "scopes": sorted(caller.scopes),
        "models": None if caller.models is None else sorted(caller.models),
        "limits": asdict(caller.limits),
        "budget": asdict(caller.budget),
        "created_at": write_moment(key.created_at),
        "expires_at": key.expires_at and write_moment(key.expires_at),
        "revoked_at": key.revoked_at and write_moment(key.revoked_at),
        "key_revision": key.revision,
    }


def _read_key(item: Item) -> Key:
    models = item.get("models")
    moments = {name: read_moment(item[name]) for name in ("previous_until", "expires_at", "revoked_at") if name in item}
    caller = Caller(
        tenant=item["tenant"],
        key_id=item["id"],
        user=item.get("owner"),
        clearance=Label(item["clearance"]),
        label_floor=Label(item["label_floor"]),
        semantic_cache=item["semantic_cache"],
        scopes=frozenset(map(Scope, item["scopes"])),
        models=None if models is None else frozenset(models),
        limits=Limits(**item["limits"]),
        budget=Budget(**item["budget"]),
    )
    return Key(
        id=item["id"],
        name=item["name"],
        digest=item["digest"],
        caller=caller,
        created_at=read_moment(item["created_at"]),
        previous_digest=item.get("previous_digest"),
        revision=item["key_revision"],
        **moments,
    )
