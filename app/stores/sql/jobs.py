"""Jobs and what they do to versions: claiming, progress, publishing, failing, removing.

Every function works in the transaction of the connection it is given. A claim is named by the job's id and its count
of attempts: what a worker reports whose lease ran out and whose job another one holds is ignored.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import (
    BindParameter,
    ColumnElement,
    and_,
    bindparam,
    case,
    delete,
    exists,
    func,
    literal,
    not_,
    or_,
    select,
    update,
)
from sqlalchemy.ext.asyncio import AsyncConnection

from app.models import Label
from app.records import DocumentStatus, Job, JobKind, JobState
from app.stores.sql import rows, words
from app.stores.sql.column_types import LabelRank
from app.stores.sql.engine import in_batches, insert_absent
from app.stores.sql.tables import (
    attributes,
    chunks,
    collections,
    documents,
    jobs,
    spaces,
    version_bytes,
    version_texts,
    versions,
)

FIRST_STAGE = "parsing"

_earlier = versions.alias("earlier")
_other = jobs.alias("other")


async def claim(connection: AsyncConnection, *, now: datetime, lease_seconds: float) -> Job | None:
    """Lease the oldest job that may run now."""
    row = (await connection.execute(_NEXT, {"now": now})).first()
    if row is None:
        return None
    lease = {"leased_until": now + timedelta(seconds=lease_seconds), "lease_seconds": lease_seconds}
    attempts = row.attempts + 1
    await connection.execute(update(jobs).where(jobs.c.id == row.id).values(attempts=attempts, **lease))
    kind = JobKind(row.kind)
    if kind is JobKind.INDEX:
        await _begin_indexing(connection, row.version, now=now)
    found = (await connection.execute(_VERSION, {"version": row.version})).one()
    return Job(id=row.id, kind=kind, version=rows.read_version(found), attempts=attempts)


async def count(connection: AsyncConnection, *, now: datetime) -> dict[tuple[JobKind, JobState], int]:
    """The number of jobs by kind and state."""
    state = case(
        (jobs.c.leased_until > now, JobState.RUNNING.value),
        (jobs.c.due > now, JobState.DELAYED.value),
        else_=JobState.DUE.value,
    )
    counted = select(jobs.c.kind, state.label("state"), func.count().label("number")).group_by(jobs.c.kind, state)
    found = await connection.execute(counted)
    return {(JobKind(row.kind), JobState(row.state)): row.number for row in found}


def _claimable(now: BindParameter[datetime]) -> Any:
    """Jobs that are due and free, oldest first.

    A document's versions are indexed one after the other, in upload order, so that the label that one is found to have
    holds for the next. A version is erased only when nobody is indexing it.
    """
    free = or_(jobs.c.leased_until.is_(None), jobs.c.leased_until <= now)
    waits_for_earlier = exists(
        select(_other.c.id)
        .join(_earlier, _earlier.c.id == _other.c.version)
        .where(_earlier.c.document == versions.c.document, _earlier.c.number < versions.c.number)
        .where(_other.c.kind == JobKind.INDEX.value, not_(_earlier.c.removed))
    )
    is_being_indexed = exists(
        select(_other.c.id)
        .where(_other.c.version == jobs.c.version, _other.c.kind == JobKind.INDEX.value)
        .where(_other.c.leased_until > now)
    )
    may_index = and_(jobs.c.kind == JobKind.INDEX.value, not_(versions.c.removed), not_(waits_for_earlier))
    may_remove = and_(jobs.c.kind == JobKind.REMOVE.value, not_(is_being_indexed))
    return (
        select(jobs)
        .join(versions, versions.c.id == jobs.c.version)
        .where(jobs.c.due <= now, free, or_(may_index, may_remove))
        .order_by(jobs.c.id)
    )


# Built once: SQLAlchemy takes longer to build such a statement than SQLite to carry it out.
_NEXT = _claimable(bindparam("now", type_=jobs.c.due.type)).limit(1).with_for_update(skip_locked=True)
_VERSION = rows.select_versions().where(versions.c.id == bindparam("version"))
_JOINED_LABEL = (
    select(func.max(_earlier.c.label))
    .where(versions.c.id == bindparam("version"), _earlier.c.document == versions.c.document)
    .where(not_(_earlier.c.removed), _earlier.c.number <= versions.c.number)
    .where(or_(_earlier.c.id == versions.c.id, not_(versions.c.declassified)))
)
_PLACE = (
    select(versions.c.document, versions.c.number, versions.c.removed)
    .join(documents, documents.c.number == versions.c.document)
    .where(versions.c.id == bindparam("version"))
    .with_for_update()
)


async def _begin_indexing(connection: AsyncConnection, version: str, *, now: datetime) -> None:
    """Mark the version, with the label of those it will replace: they may have been found to be more sensitive.

    One that is live already, whose vectors are made anew, goes on saying that it is indexed.
    """
    label = await _joined_label(connection, version)
    await connection.execute(
        update(versions)
        .where(versions.c.id == version, not_(versions.c.live))
        .values(status=DocumentStatus.INDEXING.value, label=label, updated_at=now)
        .values(stage=FIRST_STAGE, done=0, total=0)
    )


async def _joined_label(connection: AsyncConnection, version: str) -> Label:
    """The highest of the version and those before it; of a declassified one its own."""
    label: Label = (await connection.execute(_JOINED_LABEL, {"version": version})).scalar_one()
    return label


async def release_leases(connection: AsyncConnection) -> None:
    """Make every leased job claimable at once."""
    await connection.execute(update(jobs).where(jobs.c.leased_until.is_not(None)).values(leased_until=None))


async def retry(connection: AsyncConnection, job: Job, *, due: datetime) -> None:
    """Give the job back, to be claimed again from `due` on."""
    held = await connection.execute(update(jobs).where(_held(job)).values(leased_until=None, due=due))
    if held.rowcount and job.kind is JobKind.INDEX:
        await connection.execute(
            update(versions)
            .where(versions.c.id == job.version.id, not_(versions.c.live))
            .values(status=DocumentStatus.PENDING.value, stage=None, done=0, total=0)
        )


async def report(
    connection: AsyncConnection, version: str, *, stage: str, done: int, total: int, now: datetime
) -> bool:
    """Note how far the version is, and renew the lease of the job that works on it; false if it has been removed."""
    await connection.execute(
        update(versions)
        .where(versions.c.id == version, versions.c.status == DocumentStatus.INDEXING.value)
        .values(stage=stage, done=done, total=total, updated_at=now)
    )
    await renew_lease(connection, version, now=now)
    kept = select(versions.c.id).where(versions.c.id == version, not_(versions.c.removed))
    return await connection.scalar(kept) is not None


async def renew_lease(connection: AsyncConnection, version: str, *, now: datetime) -> None:
    """Let the leases of the version's jobs begin again."""
    leased = and_(jobs.c.version == version, jobs.c.leased_until.is_not(None))
    for id, seconds in (await connection.execute(select(jobs.c.id, jobs.c.lease_seconds).where(leased))).all():
        await connection.execute(
            update(jobs).where(jobs.c.id == id).values(leased_until=now + timedelta(seconds=seconds))
        )


async def publish(
    connection: AsyncConnection, job: Job, *, space: str | None, label: Label | None, now: datetime
) -> bool:
    """Make the version the live one in place of earlier ones; false if it was removed or replaced meanwhile.

    `label` is what its vectors were made under; if it has been raised since, they are made again.
    """
    if not await _finish(connection, job):
        return False
    version = job.version.id
    await connection.execute(update(versions).where(versions.c.id == version).values(space=space))
    row = await _lock(connection, version)
    if row is None or row.removed:  # by its owner, or by a newer version that went live first
        return False
    joined = await _joined_label(connection, version)
    older = select(versions.c.id).where(versions.c.document == row.document, versions.c.number < row.number)
    await retire(connection, list(await connection.scalars(older.where(not_(versions.c.removed)))), now=now)
    await _make_live(connection, version, label=joined, now=now)
    if label is not None and label < joined:
        await insert_absent(connection, jobs, [{"version": version, "kind": JobKind.INDEX.value, "due": now}])
    if space is not None:
        place = {"tenant": job.version.key.tenant, "collection": job.version.key.collection, "name": space}
        await insert_absent(connection, spaces, [place])
    await bump_revision(connection, tenant=job.version.key.tenant, collection=job.version.key.collection)
    return True


async def _make_live(connection: AsyncConnection, version: str, *, label: Label, now: datetime) -> None:
    await connection.execute(
        update(versions)
        .where(versions.c.id == version)
        .values(live=True, label=label, status=DocumentStatus.INDEXED.value, stage=None, updated_at=now)
        .values(done=versions.c.chunks, total=versions.c.chunks, error_code=None, error_message=None)
    )


async def _lock(connection: AsyncConnection, version: str) -> Any:
    """The version's place in its document, whose row is locked until the transaction ends."""
    return (await connection.execute(_PLACE, {"version": version})).first()


async def fail(connection: AsyncConnection, job: Job, *, code: str, message: str, now: datetime) -> None:
    """End the job and mark its version failed."""
    if await _finish(connection, job) and job.kind is JobKind.INDEX:
        await connection.execute(
            update(versions)
            .where(versions.c.id == job.version.id, not_(versions.c.live))
            .values(status=DocumentStatus.FAILED.value, stage=None, error_code=code, error_message=message)
            .values(updated_at=now)
        )


async def retire(connection: AsyncConnection, ids: Sequence[str], *, now: datetime) -> None:
    """Hide the versions from readers and queue their removal; whoever is indexing one of them may end that first."""
    for batch in in_batches(ids):
        await connection.execute(
            update(versions).where(versions.c.id.in_(batch)).values(removed=True, live=False, updated_at=now)
        )
        free = or_(jobs.c.leased_until.is_(None), jobs.c.leased_until <= now)
        await connection.execute(
            delete(jobs).where(jobs.c.version.in_(batch), jobs.c.kind == JobKind.INDEX.value, free)
        )
        queued = [{"version": id, "kind": JobKind.REMOVE.value, "due": now} for id in batch]
        await insert_absent(connection, jobs, queued)


async def erase(connection: AsyncConnection, job: Job) -> bool:
    """Take out all that came from the client, and leave the bare version under its job; false if it is not held."""
    version = job.version.id
    if (await connection.execute(select(jobs.c.id).where(_held(job)))).first() is None:
        return False
    document = await connection.scalar(select(versions.c.document).where(versions.c.id == version))
    await words.forget(connection, version)
    for table in (version_bytes, version_texts, chunks, attributes):
        await connection.execute(delete(table).where(table.c.version == version))
    bare: dict[str, Any] = {
        "document": None,
        "title": None,
        "filename": None,
        "metadata": {},
        "digest": "",
        "warnings": [],
    }
    await connection.execute(
        update(versions).where(versions.c.id == version).values(media_type="", error_message=None, **bare)
    )
    left = exists(select(versions.c.id).where(versions.c.document == document))
    await connection.execute(delete(documents).where(documents.c.number == document, not_(left)))
    key = job.version.key
    if document is not None:
        await bump_revision(connection, tenant=key.tenant, collection=key.collection)
    return True


async def forget(connection: AsyncConnection, job: Job) -> None:
    """Delete the bare version and its jobs."""
    await connection.execute(delete(jobs).where(jobs.c.version == job.version.id))
    await connection.execute(delete(versions).where(versions.c.id == job.version.id))


async def bump_revision(connection: AsyncConnection, *, tenant: str, collection: str) -> None:
    """Count one change of what a search of the collection can find."""
    counted = (
        update(collections)
        .where(collections.c.tenant == tenant, collections.c.name == collection)
        .values(revision=collections.c.revision + 1)
    )
    if not (await connection.execute(counted)).rowcount:
        await insert_absent(connection, collections, [{"tenant": tenant, "name": collection, "revision": 0}])
        await connection.execute(counted)


def raised(label: Label) -> ColumnElement[Label]:
    """The version's label, or this one if it is higher."""
    return case((versions.c.label < label, literal(label, LabelRank())), else_=versions.c.label)


async def _finish(connection: AsyncConnection, job: Job) -> bool:
    return bool((await connection.execute(delete(jobs).where(_held(job)))).rowcount)


def _held(job: Job) -> ColumnElement[bool]:
    return and_(jobs.c.id == job.id, jobs.c.attempts == job.attempts)
