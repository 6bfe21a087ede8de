"""Embeddings for callers: texts in, vectors out, through the same gate as everything else."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from app.errors import ContextLengthError, InvalidRequestError, NoClearedModelError, UnknownModelError
from app.models import Caller, Dispatch, Label, Usage
from app.protocols import EmbeddingModel, Vectors
from app.services.labels import Labeller
from app.utils.monitoring import Metrics

AUTO = "auto"

# Embedding models put a token before and after a text, which counts against what they take.
FRAME_TOKENS = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbeddingRequest:
    """Texts to embed together; `dimensions` is how many the caller expects, `None` for whatever there are."""

    texts: tuple[str, ...]
    model: str = AUTO
    dimensions: int | None = None
    sensitivity: Label | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Embedded:
    """Vectors of shape (texts, dimensions), of unit length, and the label that the texts had together."""

    vectors: Vectors
    model: str
    label: Label
    usage: Usage


class Embeddings:
    """Embeds callers' texts with the one embedding model that is in force."""

    def __init__(self, *, embedder: EmbeddingModel, labeller: Labeller, metrics: Metrics) -> None:
        self._embedder = embedder
        self._labeller = labeller
        self._metrics = metrics

    async def embed(self, request: EmbeddingRequest, *, caller: Caller) -> Embedded:
        """Embed the texts under the highest label among them.

        Raises `UnknownModelError`, `ContextLengthError` for a text that would be cut, `NoClearedModelError` and, for
        vectors of another size than the model makes, `InvalidRequestError`.
        """
        model = self._embedder.model
        if request.model not in (AUTO, model.id, model.name):
            raise UnknownModelError("No embedding model has this name; `auto` takes the one there is.", param="model")
        tokens = await asyncio.to_thread(self._count_tokens, request.texts)
        label = await self._label(request, caller=caller)
        if label > model.clearance:
            raise NoClearedModelError
        vectors = await self._embedder.embed(Dispatch(request.texts, label, model))
        if request.dimensions not in (None, vectors.shape[1]):
            raise InvalidRequestError(
                f"dimensions: vectors of {model.id} have {vectors.shape[1]} and cannot be shortened exactly.",
                param="dimensions",
            )
        self._metrics.tokens.labels(model=model.id, kind="prompt").inc(tokens)
        return Embedded(vectors=vectors, model=model.id, label=label, usage=Usage(prompt_tokens=tokens))

    def _count_tokens(self, texts: Sequence[str]) -> int:
        longest = self._embedder.max_tokens - FRAME_TOKENS
        total = 0
        for position, text in enumerate(texts):
            tokens = len(self._embedder.token_offsets(text))
            if tokens > longest:
                raise ContextLengthError(
                    f"input[{position}] has {tokens} tokens; the embedding model takes {longest}.", param="input"
                )
            total += tokens
        return total

    async def _label(self, request: EmbeddingRequest, *, caller: Caller) -> Label:
        floors = (caller.label_floor, request.sensitivity or Label.PUBLIC)
        read = [
            (await self._labeller.read_text(text, where=f"input[{position}]")).label
            for position, text in enumerate(request.texts)
        ]
        return max(*floors, *read)
