"""What jobs do to the versions of a document, as changes of the document in memory: claiming, publishing, retiring.

They are the rules of `app.stores.sql.jobs`. All that a rule looks at is in one document, so that one item holds it.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Final

from app.models import Label
from app.records import DocumentStatus, Job, JobKind
from app.stores.dynamo.document_items import StoredDocument, StoredJob, StoredVersion

FIRST_STAGE: Final = "parsing"


def claim(document: StoredDocument, *, now: datetime, lease_seconds: float) -> Job | None:
    """Lease the document's oldest job that may run now."""
    job = min((job for job in document.jobs if _may_run(document, job, now=now)), key=lambda job: job.id, default=None)
    version = None if job is None else document.version(job.version)
    if job is None or version is None:
        return None
    job.leased_until, job.lease_seconds = now + timedelta(seconds=lease_seconds), lease_seconds
    job.attempts += 1
    if job.kind is JobKind.INDEX and not version.live:
        version.change(
            status=DocumentStatus.INDEXING,
            label=joined_label(document, version),
            updated_at=now,
            stage=FIRST_STAGE,
            done=0,
            total=0,
        )
    return Job(id=job.id, kind=job.kind, version=version.shown, attempts=job.attempts)


def _may_run(document: StoredDocument, job: StoredJob, *, now: datetime) -> bool:
    """A document's versions are indexed in upload order; a version is erased only when nobody is indexing it."""
    version = document.version(job.version)
    if version is None or job.due > now or not job.is_free(now):
        return False
    indexing = [other for other in document.jobs if other.kind is JobKind.INDEX]
    if job.kind is JobKind.REMOVE:
        return not any(other.version == job.version and not other.is_free(now) for other in indexing)
    earlier = {other.id for other in document.standing() if other.number < version.number}
    return not version.removed and not any(other.version in earlier for other in indexing)


def joined_label(document: StoredDocument, version: StoredVersion) -> Label:
    """The highest of the version and those before it; of a declassified one its own."""
    before = [other for other in document.standing() if other.number < version.number]
    return max([version.label, *(other.label for other in before if not version.value.declassified)])


def held(document: StoredDocument, job: Job) -> StoredJob | None:
    """The job, unless another claim has followed."""
    return next((each for each in document.jobs if each.id == job.id and each.attempts == job.attempts), None)


def finish(document: StoredDocument, job: Job) -> bool:
    """Take the job out; false if another claim has followed."""
    mine = held(document, job)
    if mine is not None:
        document.jobs.remove(mine)
    return mine is not None


def retry(document: StoredDocument, job: Job, *, due: datetime) -> bool:
    mine, version = held(document, job), document.version(job.version.id)
    if mine is None:
        return False
    mine.leased_until, mine.due = None, due
    if job.kind is JobKind.INDEX and version is not None and not version.live:
        version.change(status=DocumentStatus.PENDING, stage=None, done=0, total=0)
    return True


def renew(document: StoredDocument, version: str, *, now: datetime) -> None:
    """Let the leases of the version's jobs begin again."""
    for job in document.jobs:
        if job.version == version and job.leased_until is not None:
            job.leased_until = now + timedelta(seconds=job.lease_seconds)


def publish(
    document: StoredDocument, job: Job, *, space: str | None, label: Label | None, now: datetime, numbers: Iterable[int]
) -> bool:
    """Make the job's version the live one in place of earlier ones; false if it was removed meanwhile."""
    version = document.version(job.version.id)
    if version is None:
        return False
    version.space = space
    if version.removed:
        return False
    ids = iter(numbers)
    joined = joined_label(document, version)
    retire(document, [other for other in document.standing() if other.number < version.number], now=now, numbers=ids)
    version.live = True
    version.change(
        label=joined,
        status=DocumentStatus.INDEXED,
        stage=None,
        updated_at=now,
        done=version.value.chunks,
        total=version.value.chunks,
        error_code=None,
        error_message=None,
    )
    if label is not None and label < joined:
        queue(document, version, JobKind.INDEX, now=now, number=next(ids))
    return True


def fail(document: StoredDocument, job: Job, *, code: str, message: str, now: datetime) -> bool:
    """End the job and mark its version failed; false if another claim has followed."""
    if not finish(document, job):
        return False
    version = document.version(job.version.id)
    if job.kind is JobKind.INDEX and version is not None and not version.live:
        version.change(status=DocumentStatus.FAILED, stage=None, error_code=code, error_message=message, updated_at=now)
    return True


def retire(
    document: StoredDocument, versions: Iterable[StoredVersion], *, now: datetime, numbers: Iterable[int]
) -> None:
    """Hide the versions from readers and queue their removal; whoever is indexing one of them may end that first."""
    for version, number in zip(versions, numbers, strict=False):
        version.removed, version.live = True, False
        version.change(updated_at=now)
        document.jobs = [
            job
            for job in document.jobs
            if job.version != version.id or job.kind is not JobKind.INDEX or not job.is_free(now)
        ]
        queue(document, version, JobKind.REMOVE, now=now, number=number)


def queue(document: StoredDocument, version: StoredVersion, kind: JobKind, *, now: datetime, number: int) -> None:
    """Add a job, unless the version has one of the kind."""
    if not any(job.version == version.id and job.kind is kind for job in document.jobs):
        document.jobs.append(StoredJob(id=number, kind=kind, version=version.id, due=now))


def is_unfinished(version: StoredVersion) -> bool:
    return version.removed or version.value.status in (DocumentStatus.PENDING, DocumentStatus.INDEXING)


def is_put_off(document: StoredDocument, version: StoredVersion, *, beyond: datetime) -> bool:
    """Whether an index job of the version, or of one before it, is due only later."""
    first = {other.id for other in document.standing() if other.number <= version.number}
    return not version.removed and any(
        job.version in first and job.kind is JobKind.INDEX and job.due > beyond for job in document.jobs
    )
