"""Which vectors are kept together: one space for a tenant, collection, label and embedding model."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from app.models import Label, VectorHit
from app.protocols import VectorIndex, Vectors


def space_name(*, tenant: str, collection: str, label: Label, fingerprint: str) -> str:
    """A name of 51 letters and digits at most: the digest keeps any two spaces apart whatever their names hold."""
    digest = hashlib.sha256(f"{tenant}\0{collection}\0{fingerprint}".encode()).hexdigest()
    return f"s{digest[:36]}-{label.word}"


async def nearest(
    index: VectorIndex, spaces: Sequence[str], *, vector: Vectors, limit: int, within: Sequence[str] | None = None
) -> list[VectorHit]:
    """The nearest `limit` over several spaces that share an embedding model, nearest first."""
    found = [hit for space in spaces for hit in await index.query(space, vector=vector, limit=limit, within=within)]
    return sorted(found, key=lambda hit: hit.similarity, reverse=True)[:limit]
