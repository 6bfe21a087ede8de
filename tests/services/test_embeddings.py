"""Embeddings for callers, with an embedding model that writes down what it gets."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from app.errors import NoClearedModelError, UnknownModelError
from app.models import Caller, Dispatch, Label, Locality, Model
from app.protocols import EmbeddingModel, Vectors
from app.services.embeddings import EmbeddingRequest, Embeddings
from app.wiring import Services
from tests.support.service import running


class RecordingEmbedder:
    """An embedding model in the cloud, cleared up to `internal`."""

    model = Model(provider="openai", name="embedding", locality=Locality.CLOUD, clearance=Label.INTERNAL)
    fingerprint = "recording"
    max_tokens = 14

    def __init__(self) -> None:
        self.received: list[str] = []

    async def embed(self, dispatch: Dispatch[Sequence[str]], *, bulk: bool = False) -> Vectors:
        self.received += dispatch.payload
        return np.eye(len(dispatch.payload), 4, dtype=np.float32)

    def token_offsets(self, text: str) -> Sequence[tuple[int, int]]:
        return [match.span() for match in re.finditer(r"\S+", text)]

    async def close(self) -> None: ...


async def find_none(_: str, __: int | None) -> EmbeddingModel:
    raise UnknownModelError(param="model")


@pytest.fixture
def embedder() -> RecordingEmbedder:
    return RecordingEmbedder()


@pytest.fixture
async def embeddings(tmp_path: Path, embedder: RecordingEmbedder) -> AsyncIterator[Embeddings]:
    """The service with the detectors of a real gateway."""
    async with running(tmp_path, vector_store="memory") as service:
        services: Services = service.app.state.services
        yield Embeddings(
            embedder=embedder,
            find_model=find_none,
            labeller=services.labeller,
            audit=services.enforcement.audit,
            metrics=services.metrics,
            ledger=services.ledger,
            is_known=lambda _: False,
        )


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


async def test_a_long_text_is_cut_into_windows_of_equal_length_and_its_vector_is_their_mean(
    embeddings: Embeddings, embedder: RecordingEmbedder
) -> None:
    request = EmbeddingRequest(texts=("one two three four five six seven", "a b c"))
    embedded = await embeddings.embed(request, caller=Caller())
    assert embedder.received == ["one two three", "four five six seven", "a b c"]
    assert embedded.vectors[0] == pytest.approx([0.6, 0.8, 0, 0])
    assert embedded.vectors[1] == pytest.approx([0, 0, 1, 0])
    assert embedded.usage.prompt_tokens == 10
