"""Embeddings for callers: texts in, vectors out, through the same gate as everything else."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from app.errors import (
    ContextLengthError,
    InvalidRequestError,
    ModelNotAllowedError,
    NoClearedModelError,
    UnknownModelError,
    UpstreamModelNotFoundError,
)
from app.models import Caller, Charge, Dispatch, Label, Model, Usage
from app.protocols import EmbeddingModel, Vectors
from app.services.answer import cost_of
from app.services.audit import Account, Audit
from app.services.detectors import Field
from app.services.labels import Labeller
from app.services.request_metrics import EMBEDDINGS, ChargeMetrics
from app.services.spans import embedding_step
from app.services.usage import Ledger
from app.utils.monitoring import Metrics
from app.utils.tokens import count_tokens

AUTO = "auto"
# The name under which models are counted that only callers know.
OTHER = "other"

# From a name and the dimensions asked for to a provider's model; raises `UnknownModelError` for a name nobody has.
FindModel = Callable[[str, int | None], Awaitable[EmbeddingModel]]

# The longest text that OpenAI's embedding models take.
LONGEST_TEXT = 8192

# What a window of a longer text leaves free: a token before and after it, and a first word that was cut in two, whose
# rest may take more tokens than it did before.
SPARE_TOKENS = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbeddingRequest:
    """Texts to embed together; `dimensions` is how many the caller expects, `None` for whatever there are."""

    texts: tuple[str, ...]
    model: str = AUTO
    dimensions: int | None = None
    sensitivity: Label | None = None


@dataclass(frozen=True, slots=True)
class Window:
    """A stretch of a text that the model takes whole; `tokens` is its weight among the stretches of its text."""

    text: str
    tokens: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Embedded:
    """Vectors of shape (texts, dimensions), of unit length, and the label that the texts had together."""

    vectors: Vectors
    model: str
    label: Label
    usage: Usage


class Embeddings:
    """Embeds callers' texts with the embedding model that is in force, or with a provider's that they name.

    A text that is longer than the window of the model in force is cut into windows of equal length; its vector is their
    mean by tokens, scaled to unit length, as OpenAI's cookbook does it ("Embedding texts that are longer than the
    model's maximum context length"). A provider's model gets each text whole, so that its vectors are the provider's.
    """

    def __init__(
        self,
        *,
        embedder: EmbeddingModel,
        find_model: FindModel,
        labeller: Labeller,
        audit: Audit,
        metrics: Metrics,
        ledger: Ledger,
        is_known: Callable[[str], bool],
    ) -> None:
        """`is_known` tells the ids of the catalog from names that only callers have for a model."""
        self._embedder = embedder
        self._find_model = find_model
        self._labeller = labeller
        self._audit = audit
        self._metrics = ChargeMetrics(metrics, operation=EMBEDDINGS)
        self._is_known = is_known
        self._ledger = ledger

    async def embed(self, request: EmbeddingRequest, *, caller: Caller) -> Embedded:
        """Embed the texts under the highest label among them.

        Raises `UnknownModelError`, `ModelNotAllowedError` for a provider's model that the caller may not use,
        `ContextLengthError` for a text of more than 8,192 tokens, `NoClearedModelError`
        and, for vectors of another size than the model makes, `InvalidRequestError`.
        """
        with self._audit.account("embeddings", request.texts, caller=caller) as account:
            return await self._embed(request, caller=caller, account=account)

    async def _embed(self, request: EmbeddingRequest, *, caller: Caller, account: Account) -> Embedded:
        own = self._embedder.model
        if request.model in (AUTO, own.id, own.name):
            embedder = self._embedder
            windows = await asyncio.to_thread(self._cut, request.texts)
        else:
            embedder = await self._find_model(request.model, request.dimensions)
            if not caller.may_use(embedder.model):
                raise ModelNotAllowedError(param="model")
            windows = [[Window(text, count_tokens(text))] for text in request.texts]
        fields = [Field(f"input[{position}]", text) for position, text in enumerate(request.texts)]
        account.reading = await self._labeller.read_texts(fields, caller=caller, stated=request.sensitivity)
        label = account.reading.label
        if label > embedder.model.clearance:
            raise NoClearedModelError
        account.model = embedder.model.id
        vectors = await _embed(embedder, windows=windows, label=label)
        usage = Usage(
            prompt_tokens=sum(window.tokens for cut in windows for window in cut),
            estimated=embedder is not self._embedder,
        )
        self._count(usage, model=embedder.model, caller=caller, label=label)
        if request.dimensions not in (None, vectors.shape[1]):
            raise InvalidRequestError(
                f"dimensions: vectors of {embedder.model.id} have {vectors.shape[1]} and cannot be shortened exactly.",
                param="dimensions",
            )
        return Embedded(vectors=vectors, model=embedder.model.id, label=label, usage=usage)

    def _count(self, usage: Usage, *, model: Model, caller: Caller, label: Label) -> None:
        charge = Charge(model=model.id, usage=usage, cost=cost_of(usage, model=model), price=model.price)
        counted = model.id if model is self._embedder.model or self._is_known(model.id) else f"{model.provider}/{OTHER}"
        self._metrics.count(replace(charge, model=counted), label=label.word)
        self._ledger.book(charge, caller=caller, label=label.word)
        self._ledger.count_request(caller=caller, model=model.id, label=label.word, cached=False)

    def _cut(self, texts: Sequence[str]) -> list[list[Window]]:
        """The windows of each text; a text that the model takes whole is its only window."""
        longest = self._embedder.max_tokens - SPARE_TOKENS
        windows = []
        for position, text in enumerate(texts):
            offsets = self._embedder.token_offsets(text)
            if len(offsets) > LONGEST_TEXT:
                raise ContextLengthError(
                    f"input[{position}] has {len(offsets)} tokens; at most {LONGEST_TEXT} are taken.", param="input"
                )
            windows.append(_windows(text, offsets=offsets, longest=longest))
        return windows


async def _embed(embedder: EmbeddingModel, *, windows: Sequence[Sequence[Window]], label: Label) -> Vectors:
    """One vector for each text; raises `UnknownModelError` if the model's server does not know it."""
    flat = tuple(window.text for cut in windows for window in cut)
    try:
        dispatch = Dispatch(flat, label, embedder.model)
        with embedding_step(dispatch):
            vectors = await embedder.embed(dispatch)
    except UpstreamModelNotFoundError:
        raise UnknownModelError(param="model") from None
    return _join(vectors, windows=windows)


def _windows(text: str, *, offsets: Sequence[tuple[int, int]], longest: int) -> list[Window]:
    count = max(1, -(-len(offsets) // longest))
    if count == 1:
        return [Window(text, len(offsets))]
    edges = [len(offsets) * number // count for number in range(count + 1)]
    return [
        Window(text[offsets[start][0] : offsets[end - 1][1]], end - start) for start, end in itertools.pairwise(edges)
    ]


def _join(vectors: Vectors, *, windows: Sequence[Sequence[Window]]) -> Vectors:
    """One vector for each text, of shape (texts, dimensions), out of one for each window."""
    rows = iter(vectors)
    return np.stack([_mean([next(rows) for _ in cut], weights=[window.tokens for window in cut]) for cut in windows])


def _mean(vectors: Sequence[Vectors], *, weights: Sequence[int]) -> Vectors:
    if len(vectors) == 1:
        return vectors[0]
    mean = np.average(np.stack(vectors), axis=0, weights=weights)
    unit: Vectors = (mean / np.linalg.norm(mean)).astype(np.float32)
    return unit
