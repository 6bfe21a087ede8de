"""A document as one item: its versions and their jobs, so that every change of them is a change of one thing."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from typing import Any, Final

from app.errors import ConflictError
from app.models import Label
from app.records import DocumentKey, DocumentStatus, DocumentVersion, JobKind, JobState
from app.stores.dynamo import codec
from app.stores.dynamo.codec import Item, read_moment, write_moment
from app.stores.dynamo.table import Table, put_at
from app.stores.dynamo.writes import Add, Delete, Equal, Key, Write
from app.stores.uploads import WORDS_ONLY

JOBS: Final = "jobs"
COLLECTIONS: Final = "collections"
# More than there are numbers: a later one comes first.
_BEYOND: Final = 10**18
# An item holds 400 KB; what a document's versions have is kept well below.
_LONGEST_DOCUMENT: Final = 350 * 1024
TOO_MUCH: Final = "This document's metadata, or its versions that wait, are more than DynamoDB keeps in one item."


@dataclass(slots=True)
class StoredVersion:
    """A version, and what only the store knows of it. `characters` is the length of its parsed text, if it has one."""

    value: DocumentVersion
    number: int
    digest: str
    live: bool = False
    removed: bool = False
    space: str | None = None
    characters: int | None = None

    @property
    def id(self) -> str:
        return self.value.id

    @property
    def label(self) -> Label:
        return self.value.label

    @property
    def shown(self) -> DocumentVersion:
        """The version as readers see it."""
        if not self.live or self.space is not None:
            return self.value
        return replace(self.value, warnings=(*self.value.warnings, WORDS_ONLY))

    def change(self, **facts: Any) -> None:
        self.value = replace(self.value, **facts)


@dataclass(slots=True)
class StoredJob:
    """Work on a version. `attempts` counts claims and so names a claim."""

    id: int
    kind: JobKind
    version: str
    due: datetime
    leased_until: datetime | None = None
    lease_seconds: float = 0.0
    attempts: int = 0

    def is_free(self, now: datetime) -> bool:
        return self.leased_until is None or self.leased_until <= now

    def state(self, now: datetime) -> JobState:
        if not self.is_free(now):
            return JobState.RUNNING
        return JobState.DELAYED if self.due > now else JobState.DUE


@dataclass(slots=True)
class StoredDocument:
    """A document with its versions in the order of their numbers; `revision` is that of the item it was read from."""

    key: DocumentKey
    number: int
    versions: list[StoredVersion] = field(default_factory=list)
    jobs: list[StoredJob] = field(default_factory=list)
    revision: int | None = None
    counted: Counter[str] = field(default_factory=Counter)

    def version(self, id: str) -> StoredVersion | None:
        return next((version for version in self.versions if version.id == id), None)

    def standing(self) -> list[StoredVersion]:
        """The versions that are not removed."""
        return [version for version in self.versions if not version.removed]

    def live(self) -> StoredVersion | None:
        return next((version for version in self.versions if version.live), None)

    def newest(self, clearance: Label) -> StoredVersion | None:
        """The newest version that the clearance may read."""
        readable = [version for version in self.standing() if version.label <= clearance]
        return readable[-1] if readable else None

    def writes(self, *, found: bool = False, floor: Label | None = None) -> list[Write]:
        """What stores the document as it is now: at most two writes.

        `found` says that what a search of the collection can find has changed, `floor` that it must still be this one.
        """
        item_key = document_key(self.key)
        if self.versions:
            document: Write = put_at(_write(self), revision=self.revision)
        else:
            document = Delete(item_key, Equal("revision", self.revision))
        counted = tally(self)
        grown = {name: counted[name] - self.counted[name] for name in counted.keys() | self.counted.keys()}
        amounts = {name: amount for name, amount in grown.items() if amount > 0 or (amount and not _stays(name))}
        amounts |= {"found": 1} if found else {}
        if not amounts:
            return [document]
        when = None if floor is None else Equal("floor", int(floor))
        return [document, Add(collection_key(self.key.tenant, self.key.collection), amounts, when=when)]


def tally(document: StoredDocument) -> Counter[str]:
    """How many versions keep vectors in each space, and how many of those are live under which label."""
    counted: Counter[str] = Counter()
    for version in document.versions:
        if version.space is not None:
            counted[f"held#{version.space}"] += 1
            counted[f"live#{int(version.label)}#{version.space}"] += version.live
            counted[f"once#{version.space}"] += version.live
    return counted


def _stays(name: str) -> bool:
    """That a space once had a live version stays true."""
    return name.startswith("once#")


def document_key(key: DocumentKey) -> Key:
    return Key(documents_partition(key.tenant, key.collection), codec.join("document", key.id))


def documents_partition(tenant: str, collection: str) -> str:
    return codec.join("documents", tenant, collection)


def collection_key(tenant: str, collection: str) -> Key:
    return Key(COLLECTIONS, codec.join(tenant, collection))


def listed_under(tenant: str) -> str:
    """The partition of the index that lists a tenant's documents, the newest first."""
    return codec.join("documents", tenant)


def place_in_list(number: int) -> str:
    return f"{_BEYOND - number:019d}"


def pointer(version: str) -> Key:
    """The item that tells which document a version is of; the version's contents are in the same partition."""
    return Key(codec.join("version", version), "version")


def pointer_item(version: DocumentVersion) -> Item:
    key = pointer(version.id)
    return {"pk": key.pk, "sk": key.sk, "erasing": False, **asdict(version.key)}


async def find_documents(table: Table, versions: Iterable[str]) -> dict[str, StoredDocument]:
    """The documents of those of the versions that are there."""
    pointers = {pointer(version): version for version in versions}
    keys = {
        pointers[place]: DocumentKey(tenant=item["tenant"], collection=item["collection"], id=item["id"])
        for place, item in (await table.get_many(pointers)).items()
    }
    found = await table.get_many(map(document_key, keys.values()))
    documents = {place: read_document(item) for place, item in found.items()}
    return {
        version: documents[document_key(key)]
        for version, key in keys.items()
        if document_key(key) in documents and documents[document_key(key)].version(version) is not None
    }


async def find_document(table: Table, version: str) -> StoredDocument | None:
    return (await find_documents(table, [version])).get(version)


def read_document(item: Item) -> StoredDocument:
    key = DocumentKey(tenant=item["tenant"], collection=item["collection"], id=item["id"])
    document = StoredDocument(
        key=key,
        number=item["number"],
        versions=[_read_version(stored, key=key) for stored in item["versions"]],
        jobs=[_read_job(stored) for stored in item["jobs"]],
        revision=item["revision"],
    )
    document.counted = tally(document)
    return document


def _write(document: StoredDocument) -> Item:
    key = document_key(document.key)
    versions = [_write_version(version) for version in document.versions]
    if sum(len(json.dumps(version)) for version in versions) > _LONGEST_DOCUMENT:
        raise ConflictError(TOO_MUCH)
    item: Item = {
        "pk": key.pk,
        "sk": key.sk,
        **asdict(document.key),
        "number": document.number,
        "versions": versions,
        "jobs": [_write_job(job) for job in document.jobs],
        "lpk": listed_under(document.key.tenant),
        "lsk": place_in_list(document.number),
    }
    if document.jobs:
        item["dpk"] = JOBS
        item["dsk"] = min(
            f"{write_moment(max(job.due, job.leased_until or job.due))}#{job.id:019d}" for job in document.jobs
        )
    return item


def _write_version(version: StoredVersion) -> Item:
    value = version.value
    facts: dict[str, Any] = {name: getattr(value, name) for name in _PLAIN}
    return facts | {
        "label": int(value.label),
        "metadata": json.dumps(value.metadata),
        "status": value.status.value,
        "warnings": list(value.warnings),
        "created_at": write_moment(value.created_at),
        "updated_at": write_moment(value.updated_at),
        "number": version.number,
        "of": version.digest,
        "live": version.live,
        "removed": version.removed,
        "space": version.space,
        "characters": version.characters,
    }


_PLAIN: Final = (
    *("id", "title", "media_type", "filename", "size", "stage", "done", "total", "chunks"),
    *("error_code", "error_message", "declassified"),
)


def _read_version(stored: Mapping[str, Any], *, key: DocumentKey) -> StoredVersion:
    value = DocumentVersion(
        key=key,
        **{name: stored[name] for name in _PLAIN},
        label=Label(stored["label"]),
        metadata=json.loads(stored["metadata"]),
        status=DocumentStatus(stored["status"]),
        warnings=tuple(stored["warnings"]),
        created_at=read_moment(stored["created_at"]),
        updated_at=read_moment(stored["updated_at"]),
    )
    return StoredVersion(
        value=value,
        digest=stored["of"],
        **{name: stored[name] for name in ("number", "live", "removed", "space", "characters")},
    )


def _write_job(job: StoredJob) -> Item:
    return asdict(job) | {
        "kind": job.kind.value,
        "due": write_moment(job.due),
        "leased_until": None if job.leased_until is None else write_moment(job.leased_until),
    }


def _read_job(stored: Mapping[str, Any]) -> StoredJob:
    leased_until = stored["leased_until"]
    return StoredJob(
        id=stored["id"],
        kind=JobKind(stored["kind"]),
        version=stored["version"],
        due=read_moment(stored["due"]),
        leased_until=None if leased_until is None else read_moment(leased_until),
        lease_seconds=float(stored["lease_seconds"]),
        attempts=stored["attempts"],
    )
