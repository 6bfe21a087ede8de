"""The embedded engine as an embedding model of the gateway: in this process, cleared for every label."""

from __future__ import annotations

from collections.abc import Sequence

from app.models import Dispatch, Label, Locality, Model, Price
from app.protocols import Vectors
from app.providers.minilm.engine import MiniLM

MODEL = Model(
    provider="builtin",
    name="all-MiniLM-L6-v2",
    locality=Locality.LOCAL,
    clearance=Label.CONFIDENTIAL,
    context_length=MiniLM.max_tokens,
    price=Price(prompt=0.0, completion=0.0),
    description="Sentence embeddings, 384 dimensions, English.",
)


class MiniLMEmbedding:
    """Implements `EmbeddingModel` over the engine."""

    model = MODEL
    fingerprint = MiniLM.fingerprint
    max_tokens = MiniLM.max_tokens

    def __init__(self, engine: MiniLM) -> None:
        self._engine = engine

    async def embed(self, dispatch: Dispatch[Sequence[str]], *, bulk: bool = False) -> Vectors:
        return await self._engine.embed(dispatch.payload, bulk=bulk)

    def token_offsets(self, text: str) -> Sequence[tuple[int, int]]:
        return self._engine.token_offsets(text)

    async def close(self) -> None:
        self._engine.close()
