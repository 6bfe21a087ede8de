"""Embeddings for callers, with an embedding model that writes down what it gets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from app.errors import NoClearedModelError
from app.models import Caller, Dispatch, Label, Locality, Model
from app.protocols import Vectors
from app.services.detectors import DetectionPolicy, Detectors
from app.services.embeddings import EmbeddingRequest, Embeddings
from app.services.labels import Labeller
from app.utils.monitoring import Metrics
from tests.support.process import REPOSITORY


class RecordingEmbedder:
    """An embedding model in the cloud, cleared up to `internal`."""

    model = Model(provider="openai", name="embedding", locality=Locality.CLOUD, clearance=Label.INTERNAL)
    fingerprint = "recording"
    max_tokens = 16

    def __init__(self) -> None:
        self.received: list[str] = []

    async def embed(self, dispatch: Dispatch[Sequence[str]], *, bulk: bool = False) -> Vectors:
        self.received += dispatch.payload
        return np.eye(len(dispatch.payload), 4, dtype=np.float32)

    def token_offsets(self, text: str) -> Sequence[tuple[int, int]]:
        return [(0, 0)] * len(text.split())

    async def close(self) -> None: ...


@pytest.fixture
def embedder() -> RecordingEmbedder:
    return RecordingEmbedder()


@pytest.fixture
def embeddings(embedder: RecordingEmbedder) -> Embeddings:
    detectors = Detectors(DetectionPolicy.load(REPOSITORY / "policy.toml"))
    labeller = Labeller(detectors=detectors, uninspected=Label.INTERNAL)
    return Embeddings(embedder=embedder, labeller=labeller, metrics=Metrics(version="test"))


PLAIN = EmbeddingRequest(texts=("A cat", "A mat"))


async def test_texts_that_the_model_is_cleared_for_are_embedded(
    embeddings: Embeddings, embedder: RecordingEmbedder
) -> None:
    embedded = await embeddings.embed(replace(PLAIN, sensitivity=Label.INTERNAL), caller=Caller())
    assert embedder.received == ["A cat", "A mat"]
    assert embedded.label is Label.INTERNAL
    assert embedded.usage.prompt_tokens == 4


@pytest.mark.parametrize(
    ("request_", "caller"),
    [
        (replace(PLAIN, sensitivity=Label.CONFIDENTIAL), Caller()),
        (PLAIN, Caller(label_floor=Label.CONFIDENTIAL)),
        (replace(PLAIN, texts=("A cat", "Card 4111 1111 1111 1111")), Caller()),
    ],
    ids=["stated", "floor of the key", "found in one of them"],
)
async def test_texts_above_the_clearance_of_the_model_are_refused_and_none_is_sent(
    embeddings: Embeddings, embedder: RecordingEmbedder, request_: EmbeddingRequest, caller: Caller
) -> None:
    with pytest.raises(NoClearedModelError):
        await embeddings.embed(request_, caller=caller)
    assert embedder.received == []
