"""Finding passages: the best of a collection for a search, the relevant ones for a chat."""

from __future__ import annotations

from dataclasses import dataclass

from app.models import Caller, Dispatch, Label, Passage, RetrievalScope
from app.protocols import DocumentStore, EmbeddingModel, VectorIndex
from app.services.vector_store import nearest, space_name

# Hits without a live row drop out, so a few more are fetched than are asked for.
SPARE_HITS = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchQuery:
    """A text to look up; `label` is the label of the text itself, which the embedding model must be cleared for."""

    text: str
    label: Label
    scope: RetrievalScope


class Retrieval:
    """Reads passages at or below the caller's clearance, in the caller's tenant.

    `relevance_floor` is the score from which a passage is taken to bear on a question.
    """

    def __init__(
        self,
        *,
        documents: DocumentStore,
        index: VectorIndex,
        embedder: EmbeddingModel,
        relevance_floor: float,
    ) -> None:
        self._documents = documents
        self._index = index
        self._embedder = embedder
        self._relevance_floor = relevance_floor

    async def search(self, query: SearchQuery, *, caller: Caller) -> list[Passage]:
        """The best passages whatever their score, best first.

        Raises `NotClearedError` if the query's label is above the embedding model's clearance.
        """
        scope = query.scope
        spaces = await self._spaces(scope, caller=caller)
        if not spaces:
            return []
        within = await self._within(scope, caller=caller)
        if within is not None and not within:
            return []
        vectors = await self._embedder.embed(Dispatch((query.text,), query.label, self._embedder.model))
        hits = await nearest(self._index, spaces, vector=vectors[0], limit=scope.limit + SPARE_HITS, within=within)
        scores = {hit.chunk_id: max(0.0, min(1.0, hit.similarity)) for hit in hits}
        passages = await self._documents.passages(scores, tenant=caller.tenant, clearance=caller.clearance)
        return sorted(passages, key=lambda passage: passage.score, reverse=True)[: scope.limit]

    async def ground(self, query: SearchQuery, *, caller: Caller) -> list[Passage]:
        """The passages that bear on the query; none if its text may not go to the embedding model."""
        if not query.text.strip() or query.label > self._embedder.model.clearance:
            return []
        found = await self.search(query, caller=caller)
        return [passage for passage in found if passage.score >= self._relevance_floor]

    @property
    def calls_out(self) -> bool:
        """Whether looking something up sends text to a server."""
        return self._embedder.model.provider != "builtin"

    async def revision(self, scope: RetrievalScope, *, caller: Caller) -> str:
        """Changes whenever what a search of the scope can find changes."""
        number = await self._documents.revision(tenant=caller.tenant, collection=scope.collection)
        return f"{self._embedder.fingerprint}:{number}"

    async def _spaces(self, scope: RetrievalScope, *, caller: Caller) -> list[str]:
        """The spaces that the caller may read and whose vectors the embedding model in force has made."""
        readable = {
            space_name(
                tenant=caller.tenant,
                collection=scope.collection,
                label=label,
                fingerprint=self._embedder.fingerprint,
            )
            for label in Label
            if label <= caller.clearance
        }
        occupied = await self._documents.spaces(
            tenant=caller.tenant, collection=scope.collection, clearance=caller.clearance
        )
        return [space for space in occupied if space in readable]

    async def _within(self, scope: RetrievalScope, *, caller: Caller) -> list[str] | None:
        if not scope.filter:
            return None
        return await self._documents.matching_chunks(
            tenant=caller.tenant, collection=scope.collection, clearance=caller.clearance, filter=scope.filter
        )
