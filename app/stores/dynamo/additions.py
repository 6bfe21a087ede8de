"""Storing uploads: their contents first, then what makes them visible, a few documents in one transaction."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from typing import Final

from app.models import Label
from app.protocols import Clock
from app.records import DocumentKey, DocumentVersion, JobKind, NewDocument
from app.stores.dynamo import job_rules
from app.stores.dynamo.codec import read_moment, write_moment
from app.stores.dynamo.contents import Contents
from app.stores.dynamo.document_items import (
    StoredDocument,
    StoredVersion,
    collection_key,
    document_key,
    pointer,
    pointer_item,
    read_document,
)
from app.stores.dynamo.table import LostError, Table, in_batches
from app.stores.dynamo.writes import Absent, Check, Equal, Key, Put, Write
from app.stores.uploads import UploadedDocument, new_version

# Each takes three writes of a transaction's hundred: the document, the pointer of its version, its collection's floor.
UPLOADS_AT_ONCE: Final = 33
UNFINISHED: Final = "unfinished-uploads"
# Nobody is at work on an upload for so long.
ABANDONED_AFTER: Final = timedelta(hours=6)

Place = tuple[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Additions:
    """Stores uploads. What a crash leaves of one that nobody was told of is noted before, and swept up later."""

    table: Table
    contents: Contents
    clock: Clock
    new_id: Callable[[], str]

    async def add(self, uploads: Sequence[NewDocument], digests: Sequence[str]) -> list[DocumentVersion]:
        """Store the uploads, whose digests are given in the same order, with a job to index each new version."""
        stored: list[DocumentVersion] = []
        for pairs in in_batches(zip(uploads, digests, strict=True), UPLOADS_AT_ONCE):
            ids = [self.new_id() for _ in pairs]
            stored += await self.table.again(partial(self._add, pairs, ids=ids, written=set()))
        return stored

    async def _add(
        self, pairs: Sequence[tuple[NewDocument, str]], *, ids: Sequence[str], written: set[str]
    ) -> list[DocumentVersion]:
        """Store uploads under these ids; of those that are `written` the bytes are there."""
        now = self.clock()
        known = await self._documents(upload.key for upload, _ in pairs)
        floors = await self.floors((upload.key.tenant, upload.key.collection) for upload, _ in pairs)
        first = await self.table.count("documents", len(pairs))
        stored: list[DocumentVersion] = []
        added: list[DocumentVersion] = []
        for at, (upload, digest) in enumerate(pairs):
            standing = known.setdefault(
                upload.key, _Standing(document=StoredDocument(key=upload.key, number=first + at))
            )
            version = standing.repeated(upload, digest)
            if version is None:
                label = max(upload.label, standing.label, floors[upload.key.tenant, upload.key.collection])
                version = new_version(upload, id=ids[at], label=label, now=now)
                standing.add(version, digest, number=first + at, now=now)
                added.append(version)
            stored.append(version)
        contents = {id: upload.content for id, (upload, _) in zip(ids, pairs, strict=True)}
        await self._write({version.id: contents[version.id] for version in added if version.id not in written})
        written |= {version.id for version in added}
        await self._commit([each.document for each in known.values() if each.grown], added, floors=floors)
        return stored

    async def _commit(
        self, documents: Sequence[StoredDocument], added: Sequence[DocumentVersion], *, floors: dict[Place, Label]
    ) -> None:
        if not added:
            return
        writes: list[Write] = [write for document in documents for write in document.writes()]
        writes += [Put(pointer_item(version), Absent()) for version in added]
        places = {(document.key.tenant, document.key.collection) for document in documents}
        writes += [Check(collection_key(*place), Equal("floor", int(floors[place]))) for place in places]
        await self.table.commit(*writes)
        await self.table.delete_many(Key(UNFINISHED, version.id) for version in added)

    async def _write(self, contents: dict[str, bytes]) -> None:
        """Store bytes by version, noted before they are there."""
        begun = write_moment(self.clock())
        await self.table.put_many({"pk": UNFINISHED, "sk": id, "begun": begun} for id in contents)
        await asyncio.gather(*(self.contents.write_bytes(id, content) for id, content in contents.items()))

    async def _documents(self, keys: Iterable[DocumentKey]) -> dict[DocumentKey, _Standing]:
        found = await self.table.get_many(document_key(key) for key in keys)
        documents = map(read_document, found.values())
        return {document.key: _Standing.of(document) for document in documents}

    async def floors(self, places: Iterable[Place]) -> dict[Place, Label]:
        """The floors of collections by tenant and name, made where they are missing."""
        keys = {collection_key(*place): place for place in places}
        found = await self.table.get_many(keys)
        for key, (tenant, collection) in keys.items():
            if key not in found:
                await self._make_collection(key, tenant=tenant, collection=collection)
        return {place: Label(found[key]["floor"] if key in found else 0) for key, place in keys.items()}

    async def _make_collection(self, key: Key, *, tenant: str, collection: str) -> None:
        item = {"pk": key.pk, "sk": key.sk, "tenant": tenant, "collection": collection, "floor": 0, "found": 0}
        try:
            await self.table.commit(Put(item, Absent()))
        except LostError:  # somebody else has made it
            return

    async def sweep(self, *, now: datetime) -> None:
        """Erase what was stored of uploads that never became visible."""
        async for item in self.table.query(UNFINISHED):
            if read_moment(item["begun"]) + ABANDONED_AFTER < now:
                if await self.table.get(pointer(item["sk"])) is None:
                    await self.contents.erase(item["sk"])
                await self.table.delete_many([Key.of(item)])


@dataclass(slots=True)
class _Standing(UploadedDocument):
    """A document that uploads are added to."""

    document: StoredDocument = field(kw_only=True)
    grown: bool = field(default=False, kw_only=True)

    @classmethod
    def of(cls, document: StoredDocument) -> _Standing:
        standing = cls(document=document)
        for version in document.standing():
            standing.newest, standing.digest = version.shown, version.digest
            standing.label = max(standing.label, version.label)
        return standing

    def add(self, version: DocumentVersion, digest: str, *, number: int, now: datetime) -> None:
        stored = StoredVersion(value=version, number=number, digest=digest)
        self.document.versions.append(stored)
        job_rules.queue(self.document, stored, JobKind.INDEX, now=now, number=number)
        self.take(version, digest)
        self.grown = True
