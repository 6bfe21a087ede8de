"""Changes of labels that an administrator makes: a version declassified, a collection's floor.

Every function works in the transaction of the connection it is given.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime

from sqlalchemy import insert as insert_into
from sqlalchemy import literal, select, tuple_, update
from sqlalchemy.ext.asyncio import AsyncConnection

from app.errors import ConflictError
from app.models import Label
from app.records import DocumentKey, DocumentStatus, DocumentVersion, JobKind
from app.stores.sql import jobs as job_rows
from app.stores.sql import rows, upkeep
from app.stores.sql.engine import in_batches, insert_absent
from app.stores.sql.tables import attributes, collections, documents, jobs, version_bytes, versions
from app.stores.uploads import BELOW_FLOOR, NOT_LOWER, declassified

Place = tuple[str, str]


async def declassify(
    connection: AsyncConnection,
    key: DocumentKey,
    *,
    label: Label,
    clearance: Label,
    now: datetime,
    new_id: Callable[[], str],
) -> tuple[DocumentVersion, DocumentVersion] | None:
    """Copy the newest version that did not fail to a new one at exactly this label; both of them, the old one first."""
    number = await connection.scalar(
        select(documents.c.number)
        .where(documents.c.tenant == key.tenant, documents.c.collection == key.collection, documents.c.id == key.id)
        .with_for_update()
    )
    found = (
        await connection.execute(
            rows.select_versions()
            .where(versions.c.document == number, ~versions.c.removed)
            .order_by(versions.c.number.desc())
        )
    ).all()
    readable = [row for row in found if row.status != DocumentStatus.FAILED.value]
    if not readable or any(row.label > clearance for row in found):
        return None
    old = rows.read_version(readable[0])
    if label > old.label:
        raise ConflictError(NOT_LOWER, param="sensitivity")
    floor = (await floors(connection, [(key.tenant, key.collection)])).get((key.tenant, key.collection), Label.PUBLIC)
    if label < floor:
        raise ConflictError(BELOW_FLOOR, param="sensitivity")
    new = declassified(old, label=label, id=new_id(), now=now)
    await _insert_copy(connection, new, of=old, document=number or 0, digest=readable[0].digest)
    return old, new


async def _insert_copy(
    connection: AsyncConnection, new: DocumentVersion, *, of: DocumentVersion, document: int, digest: str
) -> None:
    """The new version's row, its bytes and attributes, and the job to index it."""
    await connection.execute(versions.insert(), [rows.version_row(new, document=document, digest=digest)])
    for table in (version_bytes, attributes):
        others = [column.name for column in table.columns if column.name != "version"]
        copied = select(literal(new.id), *(table.c[name] for name in others)).where(table.c.version == of.id)
        await connection.execute(insert_into(table).from_select(["version", *others], copied))
    await connection.execute(jobs.insert(), [{"version": new.id, "kind": JobKind.INDEX.value, "due": new.created_at}])


async def floors(connection: AsyncConnection, places: Iterable[Place]) -> Mapping[Place, Label]:
    """The floors of collections by tenant and name, made where they are missing; nobody changes them meanwhile."""
    ordered = sorted(set(places))
    await insert_absent(
        connection, collections, ({"tenant": tenant, "name": name, "revision": 0} for tenant, name in ordered)
    )
    found: dict[Place, Label] = {}
    for batch in in_batches(ordered):
        statement = (
            select(collections.c.tenant, collections.c.name, collections.c.floor)
            .where(tuple_(collections.c.tenant, collections.c.name).in_(batch))
            .order_by(collections.c.tenant, collections.c.name)
            .with_for_update(read=True)
        )
        found |= {(tenant, name): floor for tenant, name, floor in await connection.execute(statement)}
    return found


async def set_floor(
    connection: AsyncConnection, *, tenant: str, collection: str, floor: Label, now: datetime
) -> list[str]:
    """Set the floor and raise what lies below it, whose vectors move to the space of their label; what was raised.

    Documents are locked first, in the order in which uploads and publishing lock.
    """
    members = select(documents.c.number).where(documents.c.tenant == tenant, documents.c.collection == collection)
    await connection.execute(members.order_by(documents.c.number).with_for_update())
    await job_rows.bump_revision(connection, tenant=tenant, collection=collection)
    await connection.execute(
        update(collections).where(collections.c.tenant == tenant, collections.c.name == collection).values(floor=floor)
    )
    below = (versions.c.document.in_(members), ~versions.c.removed, versions.c.label < floor)
    raised = list(await connection.scalars(select(versions.c.id).where(*below).order_by(versions.c.number)))
    await connection.execute(update(versions).where(*below).values(label=floor, updated_at=now))
    await upkeep.queue_indexing(connection, raised, now=now)
    return raised
