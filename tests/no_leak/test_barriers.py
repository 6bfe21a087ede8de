"""Walls that stand one behind the other: each is tested without the help of the other."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import pytest
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, Field

from app.errors import ModelNotAllowedError, NoClearedModelError, NotClearedError, NotFoundError, UpstreamError
from app.models import Caller, Dispatch, Label, Locality, Model, RetrievalScope
from app.protocols import EmbeddingModel, RerankRequest
from app.providers.litellm_adapter import LiteLLMReranker
from app.records import SessionQuery
from app.routers.validation import describe, validate
from app.services.embeddings import EmbeddingRequest, Embeddings
from app.services.retrieval import RELEVANCE_FLOOR, Retrieval, SearchQuery
from app.stores.sql.engine import Database
from app.stores.sql.sessions import SqlSessionStore
from app.wiring import Services
from tests.no_leak.configurations import EMBEDDER
from tests.no_leak.stage import Stage
from tests.no_leak.test_rules import CANARY, ask, egress, in_cloud
from tests.no_leak.test_rules import stage as stage  # noqa: PLC0414  (a fixture)
from tests.no_leak.test_shared_answers import RecordingEmbedder
from tests.support.service import Service, running
from tests.support.upstream import ScriptedUpstream

NOW = datetime(2026, 1, 1, tzinfo=UTC)


# Questions that are looked up: what Retrieval decides, and what it hands to the embedding model


@asynccontextmanager
async def looking_up(directory: Path, embedder: RecordingEmbedder) -> AsyncIterator[Retrieval]:
    """Retrieval over one stored document; its vectors are said to be those of this embedding model."""
    async with running(directory, vector_store="memory") as service:
        services: Services = service.app.state.services
        embedder.fingerprint = services.embedder.fingerprint
        document = {"id": "d", "content": f"The storm passed over {CANARY}.", "sensitivity": "public"}
        async with service.client.post("/documents?wait=true", json={"documents": [document]}) as response:
            assert response.status == 200
        yield Retrieval(
            documents=services.documents,
            index=services.index,
            embedder=embedder,
            relevance_floor=RELEVANCE_FLOOR,
            english_only=True,
            metrics=services.metrics,
        )


def question(label: Label) -> SearchQuery:
    return SearchQuery(text=f"What of {CANARY}?", label=label, scope=RetrievalScope(collection="default"))


async def test_a_query_above_the_embedding_models_clearance_is_looked_up_by_its_words(tmp_path: Path) -> None:
    """It is not tried and refused: `Retrieval` does not try."""
    embedder = RecordingEmbedder(clearance=Label.INTERNAL)
    async with looking_up(tmp_path, embedder) as retrieval:
        found = await retrieval.search(question(Label.CONFIDENTIAL), caller=Caller())
        assert [each.passage.document_id for each in found] == ["d"]
        assert embedder.received == []


async def test_a_query_is_handed_to_the_embedding_model_under_its_own_label(tmp_path: Path) -> None:
    """Whatever the embedding model does behind that, the egress included, it does by this label."""
    embedder = RecordingEmbedder(clearance=Label.INTERNAL)
    async with looking_up(tmp_path, embedder) as retrieval:
        await retrieval.search(question(Label.INTERNAL), caller=Caller())
        assert [(dispatch.label, dispatch.payload) for dispatch in embedder.received] == [
            (Label.INTERNAL, (f"What of {CANARY}?",))
        ]


# Embeddings by the name of a provider's model


async def test_a_text_above_the_clearance_of_a_provider_s_embedding_model_is_refused(stage: Stage) -> None:
    body = {"model": EMBEDDER, "input": f"What of {CANARY}?"}
    refused = await ask(stage, {**body, "sensitivity": "confidential"}, surface="embeddings")
    assert refused.status in (400, 403, 503)
    assert not in_cloud(stage, CANARY)
    await ask(stage, {**body, "sensitivity": "public"}, surface="embeddings")
    assert in_cloud(stage, CANARY)


def embeddings(services: Services, named: RecordingEmbedder) -> Embeddings:
    async def find(_: str, __: int | None) -> EmbeddingModel:
        return named

    return Embeddings(
        embedder=services.embedder,
        find_model=find,
        labeller=services.labeller,
        audit=services.enforcement.audit,
        ledger=services.ledger,
        metrics=services.metrics,
        is_known=lambda _: False,
    )


async def test_a_named_embedding_model_is_asked_only_by_keys_that_may_and_under_the_label(tmp_path: Path) -> None:
    named = RecordingEmbedder(clearance=Label.INTERNAL)
    request = EmbeddingRequest(texts=(CANARY,), model=named.model.id, sensitivity=Label.INTERNAL)
    async with running(tmp_path, vector_store="memory") as service:
        asked = embeddings(service.app.state.services, named)
        with pytest.raises(ModelNotAllowedError):
            await asked.embed(request, caller=Caller(models=frozenset({"ollama/*"})))
        with pytest.raises(NoClearedModelError):
            await asked.embed(request, caller=Caller(label_floor=Label.CONFIDENTIAL))
        assert named.received == []
        await asked.embed(request, caller=Caller(models=frozenset({"openai/*"})))
    assert [dispatch.label for dispatch in named.received] == [Label.INTERNAL]


# Rerankers


@pytest.mark.filterwarnings("ignore")  # litellm's imports and clean-up warn
async def test_a_reranker_in_the_cloud_gets_nothing_confidential_whatever_it_claims(
    openai_upstream: ScriptedUpstream,
) -> None:
    """Neither question nor passage; the public ones are sent, to a server that cannot rank them."""
    claiming = Model(provider="cohere", name="rerank", locality=Locality.CLOUD, clearance=Label.CONFIDENTIAL)
    request = RerankRequest(f"What of {CANARY}?", (f"The storm passed over {CANARY}.",))
    async with egress() as way_out:
        reranker = LiteLLMReranker(claiming, egress=way_out, api_key="made-up", base_url=openai_upstream.origin)
        with pytest.raises(NotClearedError):
            await reranker.score(Dispatch(request, Label.CONFIDENTIAL, claiming))
        assert openai_upstream.connections == 0
        with pytest.raises(UpstreamError):
            await reranker.score(Dispatch(request, Label.PUBLIC, claiming))
        assert CANARY.encode() in openai_upstream.received


# Sessions


async def test_a_mark_that_comes_late_does_not_bring_a_deleted_session_back(tmp_path: Path) -> None:
    """A request that had read the session before it was deleted raises its mark after that."""
    database = await Database.open(f"sqlite+aiosqlite:///{tmp_path / 'sessions.db'}")
    sessions = SqlSessionStore(database, clock=lambda: NOW)
    read = await sessions.raise_mark("s", tenant="a", label=Label.PUBLIC)
    await sessions.delete("s", tenant="a", clearance=Label.CONFIDENTIAL)
    assert await sessions.raise_mark("s", tenant="a", label=Label.INTERNAL, incarnation=read) is None
    with pytest.raises(NotFoundError):
        await sessions.entry("s", tenant="a", clearance=Label.CONFIDENTIAL)
    listed = await sessions.page(SessionQuery(), tenant="a", clearance=Label.CONFIDENTIAL, limit=9, after=None)
    assert listed == ([], None)
    await database.close()


# What is shown of the last requests


@pytest.fixture
async def protected(tmp_path: Path) -> AsyncIterator[tuple[Service, str]]:
    operator = secrets.token_hex(16)
    async with running(tmp_path, vector_store="memory", auth_required=True, admin_key=operator) as service:
        yield service, operator


async def send(service: Service, method: str, path: str, *, key: str, body: Any = None) -> Any:
    headers = {"authorization": f"Bearer {key}"}
    async with service.client.request(method, path, json=body, headers=headers) as response:
        assert response.status in (200, 201), await response.text()
        return await response.json()


async def test_a_tenants_administrator_sees_its_own_decisions_only_and_nobody_sees_a_text(
    protected: tuple[Service, str],
) -> None:
    service, operator = protected
    keys = {}
    for tenant in ("acme", "globex"):
        body = {"name": "admin", "tenant": tenant, "scopes": ["chat", "admin"]}
        keys[tenant] = (await send(service, "POST", "/keys", key=operator, body=body))["key"]
        message = {"message": f"Who is {CANARY}?", "documents": False, "session_id": CANARY}
        await send(service, "POST", "/chat", key=keys[tenant], body=message)
    for tenant, key in keys.items():
        seen = await send(service, "GET", "/decisions", key=key)
        assert {each["tenant"] for each in seen["decisions"]} == {tenant}
    seen = await send(service, "GET", "/decisions", key=operator)
    assert {each["tenant"] for each in seen["decisions"]} >= set(keys)
    assert CANARY not in str(seen)


# Refusals


class Circle(BaseModel):
    kind: Literal["circle"]


class Square(BaseModel):
    kind: Literal["square"]


class Shape(BaseModel):
    """A body of which pydantic's own message would quote what was sent."""

    shape: Circle | Square = Field(discriminator="kind")


def test_a_validation_message_that_quotes_the_input_is_replaced() -> None:
    with pytest.raises(RequestValidationError) as refused:
        validate(Shape, {"shape": {"kind": CANARY}})
    assert CANARY in str(refused.value.errors())
    assert CANARY not in str(describe(refused.value.errors()))
