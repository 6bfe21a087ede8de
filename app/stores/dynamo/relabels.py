"""Changes of labels that an administrator makes: a version declassified, a collection's floor."""

from __future__ import annotations

from datetime import datetime
from functools import partial

from app.errors import ConflictError
from app.models import Label
from app.protocols import Clock
from app.records import DocumentKey, DocumentStatus, DocumentVersion, JobKind
from app.stores.dynamo import job_rules
from app.stores.dynamo.additions import Additions
from app.stores.dynamo.document_items import (
    StoredVersion,
    collection_key,
    document_key,
    documents_partition,
    pointer_item,
    read_document,
)
from app.stores.dynamo.table import Table
from app.stores.dynamo.writes import Absent, Add, Check, Equal, Key, Put
from app.stores.uploads import BELOW_FLOOR, NOT_LOWER, declassified


async def declassify(
    additions: Additions, key: DocumentKey, *, label: Label, clearance: Label, now: datetime, id: str
) -> tuple[DocumentVersion, DocumentVersion] | None:
    """Copy the newest version that did not fail to a new one at exactly this label; both of them, the old one first."""
    table = additions.table
    item = await table.get(document_key(key))
    document = None if item is None else read_document(item)
    standing = [] if document is None else document.standing()
    readable = [version for version in standing if version.value.status is not DocumentStatus.FAILED]
    if document is None or not readable or any(version.label > clearance for version in standing):
        return None
    old = readable[-1]
    if label > old.label:
        raise ConflictError(NOT_LOWER, param="sensitivity")
    place = key.tenant, key.collection
    floor = (await additions.floors([place]))[place]
    if label < floor:
        raise ConflictError(BELOW_FLOOR, param="sensitivity")
    new = declassified(old.shown, label=label, id=id, now=now)
    await additions.contents.write_bytes(id, await additions.contents.read_bytes(old.id))
    number = await table.count("documents")
    stored = StoredVersion(value=new, number=number, digest=old.digest)
    document.versions.append(stored)
    job_rules.queue(document, stored, JobKind.INDEX, now=now, number=number)
    unchanged = Check(collection_key(*place), Equal("floor", int(floor)))
    await table.commit(*document.writes(), Put(pointer_item(new), Absent()), unchanged)
    return old.shown, new


async def set_floor(table: Table, collection: str, *, tenant: str, floor: Label, clock: Clock) -> int:
    """Set the floor and raise what lies below it, whose vectors move to the space of their label; how many that were.

    The floor holds for uploads from the first step on. What is there is raised document by document, so a call that is
    cut short is made again: it goes on with what it left.
    """
    facts = {"tenant": tenant, "collection": collection, "floor": int(floor)}
    await table.commit(Add(collection_key(tenant, collection), {"found": 1}, facts))
    partition = documents_partition(tenant, collection)
    keys = [Key.of(item) async for item in table.query(partition, keys_only=True)]
    raised = 0
    for key in keys:
        raised += await table.again(partial(_raise, table, key, floor=floor, clock=clock))
    return raised


async def _raise(table: Table, key: Key, *, floor: Label, clock: Clock) -> int:
    item = await table.get(key)
    document = None if item is None else read_document(item)
    below = [] if document is None else [version for version in document.standing() if version.label < floor]
    if document is None or not below:
        return 0
    first, now = await table.count("documents", len(below)), clock()
    for number, version in enumerate(below, start=first):
        version.change(label=floor, updated_at=now)
        if version.live:
            job_rules.queue(document, version, JobKind.INDEX, now=now, number=number)
    await table.commit(*document.writes(found=True))
    return len(below)
