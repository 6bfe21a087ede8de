"""Versions as rows: what is stored of an upload, and the value that a row is read back as."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from sqlalchemy import Row, Select, select

from app.models import JSONValue
from app.records import Chunk, DocumentKey, DocumentStatus, DocumentVersion
from app.stores.filter_grammar import LONGEST_FIELD, TypedValue, typed
from app.stores.sql.tables import documents, versions
from app.stores.uploads import WORDS_ONLY, scalars


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


def attribute_rows(version: str, metadata: Mapping[str, JSONValue]) -> Iterator[dict[str, Any]]:
    """A row for each scalar of the metadata; one inside an object is named by its path, `author.name`."""
    for position, (field, value) in enumerate(scalars(metadata)):
        yield {"version": version, "position": position, "field": field[: LONGEST_FIELD + 1], **_columns(typed(value))}


def _columns(value: TypedValue) -> dict[str, Any]:
    """The value in the column of its kind, the other two empty."""
    return {"text": None, "number": None, "flag": None, value.kind: value.value}
