"""The embedded engine as an embedding model of the gateway: in this process, cleared for every label."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import TYPE_CHECKING

from app.models import Dispatch, Label, Locality, Model, Price
from app.protocols import Vectors
from app.providers.minilm.files import FINGERPRINT, WINDOW

if TYPE_CHECKING:
    from app.providers.minilm.engine import MiniLM

MODEL = Model(
    provider="builtin",
    name="all-MiniLM-L6-v2",
    locality=Locality.LOCAL,
    clearance=Label.CONFIDENTIAL,
    context_length=WINDOW,
    price=Price(prompt=0.0, completion=0.0),
    description="Sentence embeddings, 384 dimensions, English.",
)


class MiniLMEmbedding:
    """Implements `EmbeddingModel` over the engine that `load` returns, once it is needed."""

    model = MODEL
    fingerprint = FINGERPRINT
    max_tokens = WINDOW

    def __init__(self, load: Callable[[], MiniLM]) -> None:
        self._load = load

    @cached_property
    def engine(self) -> MiniLM:
        return self._load()

    async def embed(self, dispatch: Dispatch[Sequence[str]], *, bulk: bool = False) -> Vectors:
        engine = await asyncio.to_thread(lambda: self.engine) if "engine" not in vars(self) else self.engine
        return await engine.embed(dispatch.payload, bulk=bulk)

    def token_offsets(self, text: str) -> Sequence[tuple[int, int]]:
        return self.engine.token_offsets(text)

    async def close(self) -> None:
        if "engine" in vars(self):
            self.engine.close()
