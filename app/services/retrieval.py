"""Finding passages: the best of a collection for a search, the relevant ones for a chat."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from app.models import Caller, Dispatch, Label, Passage, RetrievalScope
from app.protocols import DocumentStore, EmbeddingModel, Reranker, VectorIndex, Vectors, WordHit
from app.services.excerpts import LONGEST_JOIN, Excerpt, assemble
from app.services.fusion import Ranked, fuse
from app.services.reranking import rerank
from app.services.spans import embedding_step
from app.services.vector_store import fetch, nearest, space_name
from app.utils.instruments import RETRIEVAL_DURATION, RETRIEVED_PASSAGES
from app.utils.monitoring import Metrics
from app.utils.scripts import latin_share
from app.utils.terms import coverage
from app.utils.tracing import AttributeValue, traced

# How far down each ranking goes at least.
DEPTH = 50
# Hits without a live row drop out, so a few more are read than are asked for.
SPARE_HITS = 10

# The query's vector moves towards the passages found first before it is searched with again: Rocchio's feedback, with
# vectors (Li et al., "Pseudo Relevance Feedback with Deep Language Models and Dense Retrievers", 2023). Measured
# as nDCG@10: Cranfield 0.436 -> 0.449, XQuAD in English 0.980 -> 0.980.
FEEDBACK_PASSAGES = 3
FEEDBACK_WEIGHT = 0.3

# A text with fewer Latin letters than this is in a script that an English embedding model does not know; a Chinese
# question about the NFL has many.
LATIN_ENOUGH = 0.9

# How many of the best passages by words are read for how much of the query they hold.
COVERAGE_PASSAGES = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchQuery:
    """A text to look up; `label` is the label of the text itself, which the embedding model must be cleared for."""

    text: str
    label: Label
    scope: RetrievalScope


@dataclass(frozen=True, slots=True, kw_only=True)
class RelevanceFloor:
    """The scores from which a passage is taken to bear on a question.

    `words` is for a query that is looked up by words alone, `other_script` for one in a script that the embedding model
    does not know: its terms are pieces of words, of which passages hold fewer.
    """

    meaning: float
    words: float
    other_script: float


# Each is reached by 95 % of XQuAD's questions on their own paragraphs, the first and second in English, the third in
# Chinese; the first by up to 2 % of questions on other subjects.
RELEVANCE_FLOOR = RelevanceFloor(meaning=0.55, words=0.42, other_script=0.22)


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A passage and its places in the rankings by meaning and by words, from 1; `None` where it is not among them.

    `fused` is the score of both together, which a reranker does not change.
    """

    passage: Passage
    fused: float
    by_meaning: int | None
    by_words: int | None


@dataclass(frozen=True, slots=True)
class Lookup:
    """The passages that bear on a question; `searched` says whether anything was there to be found at all."""

    passages: tuple[Passage, ...] = ()
    searched: bool = False


@dataclass(frozen=True, slots=True)
class _ByWords:
    """What the lexical index found, and the share of the query's terms that its best passages hold."""

    hits: Sequence[WordHit] = ()
    coverage: float = 0.0


@dataclass(frozen=True, slots=True)
class _ByMeaning:
    """What the vector index found, and with which vector; `None` for a query that may not be embedded."""

    cosines: Mapping[str, float]
    vector: Vectors | None = None


def _describe(found: list[Found]) -> dict[str, AttributeValue]:
    return {"gen_ai.operation.name": "retrieval", "sluice.passages": len(found)}


class Retrieval:
    """Reads passages at or below the caller's clearance, in the caller's tenant.

    `english_only` says that the embedding model knows no script but the Latin one.
    """

    def __init__(
        self,
        *,
        documents: DocumentStore,
        index: VectorIndex,
        embedder: EmbeddingModel,
        relevance_floor: RelevanceFloor,
        english_only: bool,
        metrics: Metrics,
        reranker: Reranker | None = None,
    ) -> None:
        self._documents = documents
        self._index = index
        self._embedder = embedder
        self._relevance_floor = relevance_floor
        self._english_only = english_only
        self._reranker = reranker
        self._duration = metrics.histogram(RETRIEVAL_DURATION)
        self._passages = metrics.histogram(RETRIEVED_PASSAGES)

    @traced("retrieval", describe=_describe)
    async def search(self, query: SearchQuery, *, caller: Caller) -> list[Found]:
        """The best passages whatever their score, best first; repetitions are left out and neighbours joined.

        A query above the embedding model's clearance is looked up by its words alone.
        """
        with self._duration.of("search").time():
            found = await self._search(query, caller=caller)
        self._passages.of("search").observe(len(found))
        return found

    async def _search(self, query: SearchQuery, *, caller: Caller) -> list[Found]:
        ranked = await self.rank(query, caller=caller, depth=max(DEPTH, 2 * query.scope.limit))
        ranked = ranked[: LONGEST_JOIN * query.scope.limit + SPARE_HITS]
        scores = {each.chunk_id: each.score for each in ranked}
        passages = await self._documents.passages(scores, tenant=caller.tenant, clearance=caller.clearance)
        passages = await rerank(passages, query=query.text, label=query.label, reranker=self._reranker)
        excerpts = await asyncio.to_thread(assemble, passages, limit=query.scope.limit)
        places = {each.chunk_id: each for each in ranked}
        return [await self._read(excerpt, place=places[excerpt.best.id]) for excerpt in excerpts]

    async def ground(self, query: SearchQuery, *, caller: Caller) -> Lookup:
        """The passages that bear on the query."""
        if not query.text.strip():
            return Lookup()
        floor = self._floor(query)
        with self._duration.of("chat").time():
            found = await self._search(query, caller=caller)
        relevant = tuple(each.passage for each in found if each.fused >= floor)
        self._passages.of("chat").observe(len(relevant))
        return Lookup(relevant, searched=bool(found))

    async def rank(self, query: SearchQuery, *, caller: Caller, depth: int) -> list[Ranked]:
        """Chunks by both rankings, best first, `depth` of each; some may be gone by the time they are read."""
        spaces, within = await asyncio.gather(
            self._spaces(query.scope, caller=caller), self._within(query.scope, caller=caller)
        )
        if not self._is_cleared(query) or within == []:
            spaces = []
        by_words, by_meaning = await asyncio.gather(
            self._by_words(query, caller=caller, depth=depth),
            self._by_meaning(query, spaces=spaces, depth=depth, within=within),
        )
        if by_meaning.vector is None:
            return fuse({}, by_words.hits, coverage=by_words.coverage, script_known=True)
        known = self._knows_script(query.text)
        candidates = dict.fromkeys((*by_meaning.cosines, *(hit.chunk_id for hit in by_words.hits)))
        vectors = await fetch(self._index, spaces, ids=list(candidates))
        cosines = _cosines(vectors, by_meaning.vector)
        ranked = fuse(cosines, by_words.hits, coverage=by_words.coverage, script_known=known)
        if not known or not vectors:
            return ranked
        refined = _refine(by_meaning.vector, [vectors[each.chunk_id] for each in ranked if each.chunk_id in vectors])
        hits = await nearest(self._index, spaces, vector=refined, limit=depth, within=within)
        cosines = {hit.chunk_id: hit.similarity for hit in hits} | _cosines(vectors, refined)
        return fuse(cosines, by_words.hits, coverage=by_words.coverage, script_known=known)

    def model_for(self, label: Label) -> str | None:
        """The embedding model that a query with this label is sent to; `None` if it is cleared for none."""
        model = self._embedder.model
        return model.id if label <= model.clearance else None

    @property
    def calls_out(self) -> bool:
        """Whether looking something up sends text to a server."""
        asked = (self._embedder, *((self._reranker,) if self._reranker is not None else ()))
        return any(each.model.provider != "builtin" for each in asked)

    async def revision(self, scope: RetrievalScope, *, caller: Caller) -> str:
        """Changes whenever what a search of the scope can find changes."""
        number = await self._documents.revision(tenant=caller.tenant, collection=scope.collection)
        reranker = self._reranker.model.id if self._reranker is not None else ""
        return f"{self._embedder.fingerprint}:{reranker}:{number}"

    def _floor(self, query: SearchQuery) -> float:
        if not self._knows_script(query.text):
            return self._relevance_floor.other_script
        return self._relevance_floor.meaning if self._is_cleared(query) else self._relevance_floor.words

    def _is_cleared(self, query: SearchQuery) -> bool:
        return query.label <= self._embedder.model.clearance

    def _knows_script(self, text: str) -> bool:
        return not self._english_only or latin_share(text) >= LATIN_ENOUGH

    async def _by_words(self, query: SearchQuery, *, caller: Caller, depth: int) -> _ByWords:
        scope = query.scope
        hits = await self._documents.search_words(
            query.text,
            tenant=caller.tenant,
            collection=scope.collection,
            clearance=caller.clearance,
            limit=depth,
            filter=scope.filter,
        )
        best = {hit.chunk_id: 0.0 for hit in hits[:COVERAGE_PASSAGES]}
        passages = await self._documents.passages(best, tenant=caller.tenant, clearance=caller.clearance)
        texts = [f"{passage.title}\n{passage.content}" for passage in passages]
        return _ByWords(hits, max((coverage(query.text, text) for text in texts), default=0.0))

    async def _by_meaning(
        self, query: SearchQuery, *, spaces: Sequence[str], depth: int, within: Sequence[str] | None
    ) -> _ByMeaning:
        if not spaces:
            return _ByMeaning({})
        dispatch = Dispatch((query.text,), query.label, self._embedder.model)
        with embedding_step(dispatch):
            vectors = await self._embedder.embed(dispatch)
        hits = await nearest(self._index, spaces, vector=vectors[0], limit=depth, within=within)
        return _ByMeaning({hit.chunk_id: hit.similarity for hit in hits}, vectors[0])

    async def _read(self, excerpt: Excerpt, *, place: Ranked) -> Found:
        passage = excerpt.best
        if len(excerpt.members) > 1:
            text = await self._documents.excerpt(passage.version, first=excerpt.first, last=excerpt.last)
            id = f"{passage.version}:{excerpt.first}-{excerpt.last}"
            if text:
                passage = replace(passage, id=id, content=text, start=excerpt.start, pages=excerpt.pages)
        return Found(passage=passage, fused=place.score, by_meaning=place.by_meaning, by_words=place.by_words)

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


def _cosines(vectors: Mapping[str, Vectors], query: Vectors) -> dict[str, float]:
    return {id: float(vector @ query) for id, vector in vectors.items()}


def _refine(query: Vectors, found: Sequence[Vectors]) -> Vectors:
    """The query's vector, moved towards the mean of the best vectors found, and of unit length."""
    moved = query + FEEDBACK_WEIGHT * np.mean(found[:FEEDBACK_PASSAGES], axis=0)
    unit: Vectors = (moved / np.linalg.norm(moved)).astype(np.float32)
    return unit
