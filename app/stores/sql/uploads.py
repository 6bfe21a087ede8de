"""Storing uploads: which of them are new versions, and their rows."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from app.records import DocumentKey, DocumentVersion, JobKind, NewDocument
from app.stores.sql import relabels, rows
from app.stores.sql.engine import in_batches, insert, insert_absent
from app.stores.sql.tables import attributes, documents, jobs, version_bytes, versions
from app.stores.uploads import UploadedDocument, new_version

PART_BYTES = 1024 * 1024
_BATCH_BYTES = 4 * PART_BYTES


@dataclass(slots=True)
class _Document(UploadedDocument):
    """A document with the number of its row."""

    number: int = 0


async def add(
    connection: AsyncConnection,
    uploads: Sequence[NewDocument],
    digests: Sequence[str],
    *,
    now: datetime,
    new_id: Callable[[], str],
) -> list[DocumentVersion]:
    """Store the uploads, whose digests are given in the same order, with a job to index each new version."""
    known = await _documents(connection, dict.fromkeys(upload.key for upload in uploads))
    floors = await relabels.floors(connection, ((upload.key.tenant, upload.key.collection) for upload in uploads))
    stored: list[DocumentVersion] = []
    added: dict[str, tuple[NewDocument, dict[str, Any]]] = {}
    for upload, digest in zip(uploads, digests, strict=True):
        document = known[upload.key]
        version = document.repeated(upload, digest)
        if version is None:
            floor = floors[upload.key.tenant, upload.key.collection]
            label = max(upload.label, document.label, floor)
            version = new_version(upload, id=new_id(), label=label, now=now)
            document.take(version, digest)
            added[version.id] = upload, rows.version_row(version, document=document.number, digest=digest)
        stored.append(version)
    await _insert(connection, added, now=now)
    return stored


async def _insert(
    connection: AsyncConnection, added: dict[str, tuple[NewDocument, dict[str, Any]]], *, now: datetime
) -> None:
    await insert(connection, versions, (row for _, row in added.values()))
    for batch in _batches_of_parts((id, upload.content) for id, (upload, _) in added.items()):
        await connection.execute(version_bytes.insert(), batch)
    described = ((id, upload.metadata) for id, (upload, _) in added.items())
    await insert(connection, attributes, (row for id, facts in described for row in rows.attribute_rows(id, facts)))
    await insert(connection, jobs, ({"version": id, "kind": JobKind.INDEX.value, "due": now} for id in added))


async def _documents(connection: AsyncConnection, keys: Iterable[DocumentKey]) -> dict[DocumentKey, _Document]:
    """The documents under the keys, made where they are missing and locked until the transaction ends."""
    ordered = sorted(keys, key=lambda key: (key.tenant, key.collection, key.id))
    await insert_absent(
        connection, documents, ({"tenant": key.tenant, "collection": key.collection, "id": key.id} for key in ordered)
    )
    found: dict[DocumentKey, _Document] = {}
    for (tenant, collection), group in groupby(ordered, key=lambda key: (key.tenant, key.collection)):
        for batch in in_batches(group):
            statement = (
                select(documents.c.number, documents.c.id)
                .where(documents.c.tenant == tenant, documents.c.collection == collection)
                .where(documents.c.id.in_([key.id for key in batch]))
                .order_by(documents.c.number)
                .with_for_update()
            )
            for number, id in await connection.execute(statement):
                found[DocumentKey(tenant=tenant, collection=collection, id=id)] = _Document(number=number)
    await _read_versions(connection, {document.number: document for document in found.values()})
    return found


async def _read_versions(connection: AsyncConnection, by_number: dict[int, _Document]) -> None:
    for batch in in_batches(by_number):
        statement = (
            rows.select_versions()
            .where(versions.c.document.in_(batch), ~versions.c.removed)
            .order_by(versions.c.number)
        )
        for row in await connection.execute(statement):
            document = by_number[row.document]
            document.newest, document.digest = rows.read_version(row), row.digest
            document.label = max(document.label, row.label)


def _batches_of_parts(contents: Iterable[tuple[str, bytes]]) -> Iterator[list[dict[str, Any]]]:
    """Rows of bytes, in lists of a few megabytes."""
    batch: list[dict[str, Any]] = []
    size = 0
    for version, content in contents:
        for part, start in enumerate(range(0, len(content), PART_BYTES)):
            batch.append({"version": version, "part": part, "content": content[start : start + PART_BYTES]})
            size += len(batch[-1]["content"])
            if size >= _BATCH_BYTES:
                yield batch
                batch, size = [], 0
    if batch:
        yield batch
