"""Answers that one request has of another's call: flights, leases, other wordings. None crosses a label."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import replace

import numpy as np
import pytest

from app.models import Attempt, CacheUse, ChatRequest, Delta, Dispatch, Label, Locality, Message, Model
from app.protocols import EmbeddingModel, Vectors
from app.services.cache import Slot
from app.services.flights import Item
from app.services.leases import LeasedCalls
from app.services.semantic import SemanticCache
from app.stores.memory_cache import MemoryCache
from tests.gateway.conftest import CLOUD, Gateway
from tests.no_leak.test_rules import answer, cache, slot
from tests.support.answer import Answer
from tests.support.batches import one_by_one
from tests.support.behaviours import SlowFirstToken

QUESTION = "How can I buy a car?"
OTHER_WORDS = "How do I purchase an automobile?"
LOW = Label.INTERNAL
SEMANTIC = {"cache": {"semantic": True}}


@pytest.fixture
def store() -> MemoryCache:
    return MemoryCache(max_bytes=100_000, monotonic=lambda: 0.0)


# Flights


def test_a_call_is_shared_by_requests_of_one_label_and_the_same_passages_only(store: MemoryCache) -> None:
    """`label` is the one after retrieval: a passage that came in late parts what was one request before."""
    answers, plain = cache(store), slot()
    keys = {
        answers.flight_key(plain, label=Label.PUBLIC, passages=()),
        answers.flight_key(plain, label=Label.INTERNAL, passages=()),
        answers.flight_key(plain, label=Label.PUBLIC, passages=("v:0",)),
        answers.flight_key(slot(tenant="b"), label=Label.PUBLIC, passages=()),
        answers.flight_key(slot(clearance=Label.INTERNAL), label=Label.PUBLIC, passages=()),
    }
    assert len(keys) == 5
    assert None not in keys


def test_what_retrieval_made_confidential_shares_no_call(store: MemoryCache) -> None:
    """Its question may well be public, and then it would have been shared."""
    assert cache(store).flight_key(slot(), label=Label.CONFIDENTIAL, passages=()) is None
    assert cache(store).flight_key(slot(), label=Label.INTERNAL, passages=()) is not None


async def test_a_confidential_request_neither_joins_a_flight_nor_serves_one(gateway: Gateway, canary: str) -> None:
    """The same words, public and confidential at once: each has a call of its own, whichever came first."""
    for waiting, first, second in (
        (gateway.cloud, "public", "confidential"),
        (gateway.local, "confidential", "public"),
    ):
        gate, ordinary = asyncio.Event(), waiting.script
        waiting.script = SlowFirstToken(gate=gate)
        seen = len(waiting.completions)
        body = {"message": f"Who is {canary} {first}?", "documents": False}
        begun = asyncio.create_task(gateway.post("/chat", {**body, "sensitivity": first}))
        await waiting.wait_requests(seen + 1)
        async with asyncio.timeout(10):
            _, other = await gateway.post("/chat", {**body, "sensitivity": second})
        gate.set()
        status, own = await begun
        waiting.script = ordinary
        assert (status, own["sensitivity"], other["sensitivity"]) == (200, first, second)
        assert {own["route"]["cache"], other["route"]["cache"]} == {"miss"}
        assert CLOUD in (own["model_used"], other["model_used"])
    confidential = [call for call in gateway.local.completions if canary.encode() in call.body]
    public = [call for call in gateway.cloud.completions if canary.encode() in call.body]
    assert (len(confidential), len(public)) == (2, 2)


# Leases


async def run(calls: LeasedCalls, *, label: Label) -> list[Item]:
    async def call() -> AsyncGenerator[Sequence[Item], None]:
        yield Attempt(model="own", outcome="ok"), Delta(content="own")

    async with aclosing(one_by_one(calls.run("flight", slot(), label=label, call=call))) as items:
        return [item async for item in items]


@pytest.mark.parametrize("is_shared", [True, False])
@pytest.mark.parametrize(("kept", "model"), [(Label.PUBLIC, "m"), (Label.INTERNAL, "own")])
async def test_an_answer_above_the_request_is_not_passed_on_between_workers(
    store: MemoryCache, kept: Label, model: str, is_shared: bool
) -> None:
    """Another worker's answer may have drawn on a document that this request has not seen: it is not below its mark."""
    answers = cache(store)
    await answers.keep(slot(), answer(kept))
    calls = LeasedCalls(store=store, cache=answers, make_id=lambda: "w", is_shared=is_shared)
    first, *_ = await run(calls, label=Label.PUBLIC)
    assert isinstance(first, Attempt)
    assert first.model == model


# Other wordings


class RecordingEmbedder:
    """An embedding model in the cloud that keeps what it is handed; its vectors are as long as the built-in model's."""

    fingerprint = "recording"
    max_tokens = 256

    def __init__(self, *, clearance: Label) -> None:
        self.model = Model(provider="openai", name="e", locality=Locality.CLOUD, clearance=clearance)
        self.received: list[Dispatch[Sequence[str]]] = []

    async def embed(self, dispatch: Dispatch[Sequence[str]], *, bulk: bool = False) -> Vectors:
        self.received.append(dispatch)
        return np.eye(len(dispatch.payload), 384, dtype=np.float32)

    def token_offsets(self, text: str) -> Sequence[tuple[int, int]]:
        return [(0, len(text))]

    async def close(self) -> None: ...


def asking(text: str, *, label: Label) -> Slot:
    request = ChatRequest(messages=(Message.of("user", text),), cache=CacheUse(semantic=True, asked=True))
    return replace(slot(label=label), request=request)


def semantic(store: MemoryCache, *, embedder: EmbeddingModel) -> SemanticCache:
    return SemanticCache(store=store, secret=b"s" * 32, exact=cache(store), embedder=embedder)


async def test_a_question_above_the_embedding_models_clearance_is_asked_in_its_own_words_only(
    store: MemoryCache,
) -> None:
    embedder = RecordingEmbedder(clearance=Label.PUBLIC)
    wordings = semantic(store, embedder=embedder)
    await wordings.keep(asking(QUESTION, label=Label.INTERNAL), "key")
    assert await wordings.find(asking(OTHER_WORDS, label=Label.INTERNAL)) is None
    assert embedder.received == []
    await wordings.keep(asking(QUESTION, label=Label.PUBLIC), "key")
    assert [dispatch.payload for dispatch in embedder.received] == [(QUESTION,)]


async def test_a_question_is_embedded_under_its_label(store: MemoryCache) -> None:
    embedder = RecordingEmbedder(clearance=Label.INTERNAL)
    await semantic(store, embedder=embedder).keep(asking(QUESTION, label=Label.INTERNAL), "key")
    assert [dispatch.label for dispatch in embedder.received] == [Label.INTERNAL]


async def test_other_words_find_the_answers_of_their_own_label_only(store: MemoryCache) -> None:
    """Also where the label is not stated but the floor of a key, so that nothing else tells the requests apart."""
    wordings, kept = semantic(store, embedder=RecordingEmbedder(clearance=Label.INTERNAL)), asking(QUESTION, label=LOW)
    await cache(store).keep(kept, answer(LOW))
    await wordings.keep(kept, cache(store).key(kept))
    assert await wordings.find(asking(OTHER_WORDS, label=Label.PUBLIC)) is None
    assert await wordings.find(asking(OTHER_WORDS, label=LOW)) is not None


async def test_an_answer_to_other_words_never_crosses_a_stated_label(gateway: Gateway, canary: str) -> None:
    """Neither up nor down; between two public wordings it is given."""
    gateway.cloud.script = gateway.local.script = Answer(pieces=[canary])
    await gateway.chat(QUESTION, sensitivity="internal", **SEMANTIC)
    await gateway.chat(QUESTION, sensitivity="confidential", **SEMANTIC)
    gateway.cloud.script = gateway.local.script = Answer(pieces=["At a dealer's."])
    for label in ("public", "confidential"):
        asked = await gateway.chat(OTHER_WORDS, sensitivity=label, **SEMANTIC)
        assert asked["route"]["cache"] == "miss"
        assert canary not in str(asked)
    twin = await gateway.chat("How can I purchase a car?", sensitivity="public", **SEMANTIC)
    assert twin["route"]["cache"] == "semantic"
