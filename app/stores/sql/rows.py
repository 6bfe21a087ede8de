"""Versions as rows: what is stored of an upload, and the value that a row is read back as."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from datetime import datetime
from math import inf
from typing import Any

from sqlalchemy import Row, Select, select

from app.models import JSONValue, Label
from app.records import Chunk, DocumentKey, DocumentStatus, DocumentVersion, NewDocument
from app.stores.sql.tables import documents, versions

# Longer names and values are cut here, so that an index entry stays within PostgreSQL's 2,704 bytes. Filters compare
# shorter ones only, and a cut value keeps its place among those.
LONGEST_FIELD = 100
LONGEST_TEXT = 500


# A version that readers find by its words alone says so.
WORDS_ONLY = "indexed_by_words_only"


def select_versions() -> Select[Any]:
    """All versions with the key they belong to; a version whose last traces are being erased has an empty one."""
    return select(
        versions,
        documents.c.tenant,
        documents.c.collection,
        documents.c.id.label("document_id"),
    ).join_from(versions, documents, versions.c.document == documents.c.number, isouter=True)


def read_version(row: Row[Any]) -> DocumentVersion:
    """The value of a row of `select_versions`."""
    return DocumentVersion(
        id=row.id,
        key=DocumentKey(tenant=row.tenant or "", collection=row.collection or "", id=row.document_id or ""),
        title=row.title,
        media_type=row.media_type,
        filename=row.filename,
        label=row.label,
        declassified=row.declassified,
        metadata=row.metadata,
        size=row.size,
        status=DocumentStatus(row.status),
        stage=row.stage,
        done=row.done,
        total=row.total,
        chunks=row.chunks,
        error_code=row.error_code,
        error_message=row.error_message,
        warnings=(*row.warnings, WORDS_ONLY) if row.live and row.space is None else tuple(row.warnings),
        created_at=row.created_at,
        updated_at=row.updated_at,
    )


def new_version(document: NewDocument, *, id: str, label: Label, now: datetime) -> DocumentVersion:
    """The version that an upload becomes, before anything is known of its content."""
    return DocumentVersion(
        id=id,
        key=document.key,
        title=document.title,
        media_type=document.media_type,
        filename=document.filename,
        label=label,
        metadata=document.metadata,
        size=len(document.content),
        status=DocumentStatus.PENDING,
        created_at=now,
        updated_at=now,
    )


def version_row(version: DocumentVersion, *, document: int, digest: str) -> dict[str, Any]:
    """The row of a new version of the document with this number."""
    return {
        "id": version.id,
        "document": document,
        "title": version.title,
        "media_type": version.media_type,
        "filename": version.filename,
        "label": version.label,
        "declassified": version.declassified,
        "metadata": version.metadata,
        "size": version.size,
        "digest": digest,
        "status": version.status.value,
        "warnings": [],
        "created_at": version.created_at,
        "updated_at": version.updated_at,
    }


def chunk_row(version: str, chunk: Chunk) -> dict[str, Any]:
    """The row of a chunk of the version."""
    return {
        "version": version,
        "ordinal": chunk.ordinal,
        "text": chunk.text,
        "start": chunk.start,
        "end": chunk.end,
        "page": chunk.page,
        "heading": list(chunk.heading),
    }


def digest(document: NewDocument) -> str:
    """SHA-256 over all that makes a new version when it changes, the label excepted."""
    facts = json.dumps([document.title, document.media_type, document.metadata], sort_keys=True)
    hashed = hashlib.sha256(facts.encode())
    hashed.update(b"\0")
    hashed.update(document.content)
    return hashed.hexdigest()


def attribute_rows(version: str, metadata: Mapping[str, JSONValue]) -> Iterator[dict[str, Any]]:
    """A row for each scalar of the metadata; one inside an object is named by its path, `author.name`."""
    for position, (field, value) in enumerate(_scalars(metadata)):
        yield {"version": version, "position": position, "field": field[: LONGEST_FIELD + 1], **typed(value)}


def typed(value: str | float | bool) -> dict[str, Any]:
    """The value in the column of its kind, the other two empty."""
    columns: dict[str, Any] = {"text": None, "number": None, "flag": None}
    match value:
        case bool():
            columns["flag"] = value
        case str():
            columns["text"] = value[: LONGEST_TEXT + 1]
        case _:
            columns["number"] = _float(value)
    return columns


def _scalars(value: JSONValue, path: str = "") -> Iterator[tuple[str, str | float | bool]]:
    match value:
        case None:
            return
        case Mapping():
            for name, inner in value.items():
                yield from _scalars(inner, f"{path}.{name}" if path else name)
        case str() | bool() | int() | float():
            yield path, value
        case _:
            for inner in value:
                yield from _scalars(inner, path)


def _float(value: float) -> float:
    try:
        return float(value)
    except OverflowError:  # an integer beyond 1e308
        return inf if value > 0 else -inf
