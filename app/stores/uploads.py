"""What every engine makes of an upload: its version, its digest, and its metadata taken apart for filters."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from math import inf
from typing import Final

from app.models import JSONValue, Label
from app.records import DocumentStatus, DocumentVersion, NewDocument

# A version that readers find by its words alone says so.
WORDS_ONLY: Final = "indexed_by_words_only"

NOT_LOWER: Final = "This document's label is lower than that already; to raise it, put it in again."
BELOW_FLOOR: Final = "The collection's floor is higher than this label."

Scalar = str | float | bool


@dataclass(slots=True)
class UploadedDocument:
    """A document as it stands while uploads are stored: its newest version and the highest label of any."""

    label: Label = Label.PUBLIC
    digest: str | None = None
    newest: DocumentVersion | None = None

    def repeated(self, upload: NewDocument, digest: str) -> DocumentVersion | None:
        """The version that the upload repeats, if it does. One that failed is worth another attempt."""
        if self.newest is None or self.newest.status is DocumentStatus.FAILED:
            return None
        if self.digest != digest:
            return None
        # What was declassified stays so when it comes again with nothing said of its label.
        kept = upload.label <= self.label or (self.newest.declassified and not upload.label_stated)
        return self.newest if kept else None

    def take(self, version: DocumentVersion, digest: str) -> None:
        self.newest, self.digest, self.label = version, digest, version.label


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


def declassified(old: DocumentVersion, *, label: Label, id: str, now: datetime) -> DocumentVersion:
    """The version that takes the place of another one when an administrator lowers its label."""
    return replace(
        old,
        id=id,
        label=label,
        declassified=True,
        status=DocumentStatus.PENDING,
        stage=None,
        done=0,
        total=0,
        chunks=0,
        warnings=(),
        created_at=now,
        updated_at=now,
    )


def digest(document: NewDocument) -> str:
    """SHA-256 over all that makes a new version when it changes, the label excepted."""
    facts = json.dumps([document.title, document.media_type, document.metadata], sort_keys=True)
    hashed = hashlib.sha256(facts.encode())
    hashed.update(b"\0")
    hashed.update(document.content)
    return hashed.hexdigest()


def context(title: str | None, heading: Sequence[str]) -> str:
    """What a chunk stands under: the document's title and the headings above it, outermost first."""
    return "\n".join(_distinct(title, heading))


def scalars(value: JSONValue, path: str = "") -> Iterator[tuple[str, Scalar]]:
    """Each scalar of the metadata; one inside an object is named by its path, `author.name`."""
    match value:
        case None:
            return
        case Mapping():
            for name, inner in value.items():
                yield from scalars(inner, f"{path}.{name}" if path else name)
        case str() | bool() | int() | float():
            yield path, value
        case _:
            for inner in value:
                yield from scalars(inner, path)


def finite(value: float) -> float:
    """The number as a float, infinite if it is an integer beyond 1e308."""
    try:
        return float(value)
    except OverflowError:
        return inf if value > 0 else -inf


def _distinct(title: str | None, heading: Sequence[str]) -> Iterator[str]:
    """Many a document repeats its title as its first heading."""
    if title:
        yield title
    yield from (part for part in heading if part != title)
