"""Which vectors are kept together: one space for a tenant, collection, label and embedding model."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from app.models import Label
from app.protocols import EmbeddingModel, LiveVersion, VectorIndex, Vectors
from app.records import DocumentKey, VectorHit


def space_name(*, tenant: str, collection: str, label: Label, fingerprint: str) -> str:
    """A name of 51 letters and digits at most: the digest keeps any two spaces apart whatever their names hold."""
    digest = hashlib.sha256(f"{tenant}\0{collection}\0{fingerprint}".encode()).hexdigest()
    return f"s{digest[:36]}-{label.word}"


class Spaces:
    """The spaces that an embedding model's vectors go to; texts above its clearance have none."""

    def __init__(self, embedder: EmbeddingModel) -> None:
        self._embedder = embedder

    def of(self, place: DocumentKey | LiveVersion, *, label: Label) -> str | None:
        """Where the vectors of a document with this label belong."""
        if label > self._embedder.model.clearance:
            return None
        return space_name(
            tenant=place.tenant, collection=place.collection, label=label, fingerprint=self._embedder.fingerprint
        )


async def nearest(
    index: VectorIndex, spaces: Sequence[str], *, vector: Vectors, limit: int, within: Sequence[str] | None = None
) -> list[VectorHit]:
    """The nearest `limit` over several spaces that share an embedding model, nearest first."""
    found = [hit for space in spaces for hit in await index.query(space, vector=vector, limit=limit, within=within)]
    return sorted(found, key=lambda hit: hit.similarity, reverse=True)[:limit]


async def fetch(index: VectorIndex, spaces: Sequence[str], *, ids: Sequence[str]) -> dict[str, Vectors]:
    """The vectors of the ids in whichever of the spaces holds them."""
    found: dict[str, Vectors] = {}
    for space in spaces:
        found.update(await index.fetch(space, ids=ids))
    return found
