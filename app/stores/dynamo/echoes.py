"""The echo store over DynamoDB: fingerprints of what was said above `public`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Final

import numpy as np

from app.models import Label
from app.protocols import Echo, Fingerprints, Standing
from app.records import DocumentKey
from app.stores.dynamo import codec
from app.stores.dynamo.codec import Item
from app.stores.dynamo.document_items import find_documents, pointer
from app.stores.dynamo.table import DUE, Table, in_batches, put_at
from app.stores.dynamo.writes import Check, Equal, Key, Put

LITTLE_ENDIAN: Final = "<u8"
_ECHOES: Final = "echoes"
_NUMBERS: Final = Key("echo-numbers", "echo-numbers")
# Beside the counter and the version in one transaction of 100 writes and 4 MB: a row holds 40 KB and has a note.
_ROWS_AT_ONCE: Final = 16


class DynamoEchoStore:
    """Fingerprints as bytes, eight for each, in one partition in the order of their numbers; implements `EchoStore`.

    Numbers are counted in the transaction that adds the rows, so rows become visible in their order.
    """

    def __init__(self, table: Table) -> None:
        self._table = table

    async def add(
        self,
        parts: Sequence[Fingerprints],
        *,
        label: Label,
        tenant: str,
        version: str | None,
        expires_at: datetime | None,
    ) -> None:
        facts = {"label": int(label), "tenant": tenant, "version": version, **_expiry(expires_at)}
        rows = [{**facts, "fingerprints": part.astype(LITTLE_ENDIAN).tobytes()} for part in parts]
        for batch in in_batches(rows, _ROWS_AT_ONCE):
            if not await self._table.again(partial(self._add, batch, version=version)):
                return

    async def _add(self, rows: Sequence[Item], *, version: str | None) -> bool:
        """False if the rows are a version's that is gone."""
        if version is not None:
            standing = await self._table.get(pointer(version))
            if standing is None or standing["erasing"]:
                return False
        counted = await self._table.get(_NUMBERS)
        last = 0 if counted is None else counted["last"]
        writes: list[Check | Put] = [] if version is None else [Check(pointer(version), Equal("erasing", False))]
        for number, row in enumerate(rows, start=last + 1):
            writes.append(Put({**row, "pk": _ECHOES, "sk": codec.join(number), "number": number}))
            if version is not None:
                note = {"pk": pointer(version).pk, "sk": codec.join("echo", number), "number": number}
                writes.append(Put(note))
        counter = {"pk": _NUMBERS.pk, "sk": _NUMBERS.sk, "last": last + len(rows)}
        writes.append(put_at(counter, revision=None if counted is None else counted["revision"]))
        await self._table.commit(*writes)
        return True

    async def since(self, number: int, *, limit: int) -> list[Echo]:
        found: list[Echo] = []
        async for item in self._table.query(_ECHOES, first=codec.join(number + 1)):
            found.append(Echo(item["number"], np.frombuffer(item["fingerprints"], dtype=LITTLE_ENDIAN)))
            if len(found) == limit:
                break
        return found

    async def standing(self, numbers: Sequence[int], *, tenant: str, now: datetime) -> dict[int, Standing]:
        rows = [
            item
            for item in (await self._table.get_many(_place(number) for number in numbers)).values()
            if item["tenant"] == tenant and item.get("expires_at", "~") > codec.write_moment(now)
        ]
        versions = {item["version"] for item in rows if "version" in item}
        documents = await find_documents(self._table, versions)
        standing = {}
        for item in rows:
            label, version = Label(item["label"]), item.get("version")
            key: DocumentKey | None = None
            if version is not None:
                found = documents.get(version)
                if found is None:
                    continue
                version_row = found.version(version)
                key = None if version_row is None else found.key
                label = max(label, version_row.label if version_row else label)
            standing[item["number"]] = Standing(label, version is not None, key)
        return standing

    async def forget_version(self, version: str) -> None:
        await forget_echoes(self._table, version)

    async def forget_expired(self, *, now: datetime) -> int:
        found = [Key.of(item) async for item in self._table.query(_ECHOES, index=DUE, last=codec.write_moment(now))]
        await self._table.delete_many(found)
        return len(found)


async def forget_echoes(table: Table, version: str) -> None:
    """Delete the rows of a version, and the notes of them."""
    partition = pointer(version).pk
    notes = [item async for item in table.query(partition, first="echo#", last="echo$")]
    await table.delete_many(_place(note["number"]) for note in notes)
    await table.delete_many(map(Key.of, notes))


def _place(number: int) -> Key:
    return Key(_ECHOES, codec.join(number))


def _expiry(moment: datetime | None) -> Mapping[str, str | int]:
    """What an index finds the row by once it has run out, and what DynamoDB deletes it by if nobody does."""
    if moment is None:
        return {}
    written = codec.write_moment(moment)
    return {"expires_at": written, "dpk": _ECHOES, "dsk": written, "expires": codec.seconds(moment)}
