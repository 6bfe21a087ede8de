"""Embeddings by a server: what every one of them keeps to, and what is particular to each."""

from __future__ import annotations

import asyncio
import base64
import secrets
import struct
from collections.abc import AsyncGenerator, Callable, Sequence
from functools import partial

import numpy as np
import pytest

from app.config import Settings
from app.egress import Egress
from app.embedding_wiring import open_embedder
from app.errors import (
    ConfigurationError,
    ContextLengthError,
    NotClearedError,
    RemoteModelError,
    UpstreamBrokenError,
    UpstreamError,
    UpstreamRateLimitedError,
    UpstreamUnavailableError,
)
from app.models import Dispatch, JSONValue, Label, Locality
from app.protocols import EmbeddingModel
from app.providers.ollama import OllamaEmbedding
from app.providers.openai_compatible import Dialect, OpenAIEmbedding
from app.providers.vectors import unit_vectors
from app.utils.tokens import token_spans
from tests.providers.calls import open_egress
from tests.support.answer import Behaviour
from tests.support.answer import Dialect as Protocol
from tests.support.behaviours import (
    CloseWithoutLastChunk,
    ContextTooLong,
    CutMidStream,
    HalfJson,
    HtmlWith200,
    NoResponse,
    ResetConnection,
    Status,
)
from tests.support.dialects.ollama import OllamaDialect, OllamaModel
from tests.support.dialects.vectors import embed as reference
from tests.support.http import RecordedRequest
from tests.support.ports import free_port
from tests.support.steps import Steps, json_reply
from tests.support.upstream import ScriptedUpstream

TEXTS = ("water boils", "cricket", "Größe: 水", "")


class Reply:
    """A behaviour: whatever JSON a test wants the server to answer."""

    def __init__(self, value: JSONValue) -> None:
        self.value = value

    def steps(self, _request: RecordedRequest, *, dialect: Protocol) -> Steps:
        return json_reply(self.value)


@pytest.fixture
async def egress() -> AsyncGenerator[Egress, None]:
    async with open_egress() as egress:
        yield egress


@pytest.fixture(params=["openai", "ollama"])
def kind(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture
def upstream(kind: str, openai_upstream: ScriptedUpstream, ollama_upstream: ScriptedUpstream) -> ScriptedUpstream:
    return openai_upstream if kind == "openai" else ollama_upstream


@pytest.fixture
async def embedder(kind: str, upstream: ScriptedUpstream, egress: Egress) -> EmbeddingModel:
    return openai_at(upstream, egress=egress) if kind == "openai" else await ollama_at(upstream, egress=egress)


def openai_at(upstream: ScriptedUpstream, *, egress: Egress, **options: object) -> OpenAIEmbedding:
    settings: dict[str, object] = {"clearance": Label.INTERNAL, **options}
    return OpenAIEmbedding(
        "text-embedding-3-small",
        base_url=f"{upstream.origin}/v1",
        egress=egress,
        **settings,  # type: ignore[arg-type]  # a test's options
    )


async def ollama_at(upstream: ScriptedUpstream, *, egress: Egress, name: str = "nomic-embed-text") -> OllamaEmbedding:
    return await OllamaEmbedding.find(name, base_url=upstream.origin, egress=egress, cloud_clearance=Label.PUBLIC)


def to(embedder: EmbeddingModel, texts: Sequence[str] = TEXTS) -> Dispatch[Sequence[str]]:
    return Dispatch(texts, Label.PUBLIC, embedder.model)


def embedding_requests(upstream: ScriptedUpstream) -> list[RecordedRequest]:
    return [request for request in upstream.requests if request.path.endswith(("/embeddings", "/embed"))]


def on_embedding(behaviour: Behaviour) -> Callable[[RecordedRequest], Behaviour | None]:
    """A script that answers everything but embeddings as usual."""
    return lambda request: behaviour if request.path.endswith(("/embeddings", "/embed")) else None


# Every one


async def test_texts_become_unit_vectors_in_their_order(embedder: EmbeddingModel) -> None:
    vectors = await embedder.embed(to(embedder))
    expected = np.array([reference(text or (" " if embedder.model.provider == "openai" else "")) for text in TEXTS])
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    assert vectors.dtype == np.float32
    assert np.allclose(vectors, expected, atol=1e-6)


async def test_many_texts_go_in_several_requests_and_come_back_in_their_order(
    embedder: EmbeddingModel, upstream: ScriptedUpstream
) -> None:
    texts = [f"text number {number}" for number in range(150)]
    vectors = await embedder.embed(to(embedder, texts), bulk=True)
    assert vectors.shape[0] == 150
    assert np.allclose(vectors[149], (await embedder.embed(to(embedder, texts[149:])))[0])
    assert max(len(request.json["input"]) for request in embedding_requests(upstream)) <= 64


async def test_no_texts_are_no_vectors_and_no_request(embedder: EmbeddingModel, upstream: ScriptedUpstream) -> None:
    assert (await embedder.embed(to(embedder, ()))).shape[0] == 0
    assert embedding_requests(upstream) == []


@pytest.mark.parametrize(
    ("behaviour", "error"),
    [
        (HalfJson(), UpstreamBrokenError),
        (HtmlWith200(), UpstreamBrokenError),
        (CutMidStream(after=1), UpstreamBrokenError),
        (CloseWithoutLastChunk(after=1), UpstreamBrokenError),
        (ResetConnection(), UpstreamUnavailableError),
        (Status(429, retry_after=3), UpstreamRateLimitedError),
        (Status(500), UpstreamError),
        (ContextTooLong(), ContextLengthError),
    ],
    ids=lambda case: type(case).__name__,
)
async def test_a_failure_is_the_same_error_as_in_chat(
    embedder: EmbeddingModel, upstream: ScriptedUpstream, behaviour: Behaviour, error: type[UpstreamError]
) -> None:
    upstream.script = on_embedding(behaviour)
    with pytest.raises(UpstreamError) as caught:
        await embedder.embed(to(embedder))
    assert type(caught.value) is error


async def test_cancelling_leaves_the_upstream_at_once(embedder: EmbeddingModel, upstream: ScriptedUpstream) -> None:
    upstream.script = on_embedding(NoResponse())
    before = len(upstream.requests)
    task = asyncio.create_task(embedder.embed(to(embedder)))
    await upstream.wait_requests(before + 1)
    while not embedding_requests(upstream):
        await upstream.wait_requests(len(upstream.requests) + 1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await upstream.wait_cancelled(within=0.1)


# What cannot be vectors


@pytest.mark.parametrize(
    "rows",
    [
        None,
        "text",
        [],
        [[1.0, 2.0]],
        [[1.0, 2.0], [1.0]],
        [[1.0, "x"], [1.0, 2.0]],
        [[0.0, 0.0], [1.0, 2.0]],
        [[float("nan"), 1.0], [1.0, 2.0]],
        [1.0, 2.0],
        [None, None],
    ],
)
def test_rows_that_are_not_vectors_of_one_length_are_broken(rows: object) -> None:
    with pytest.raises(UpstreamBrokenError):
        unit_vectors(rows, count=2)


# OpenAI's protocol


async def test_openai_is_asked_for_base64_and_others_for_numbers_and_both_mean_the_same(
    openai_upstream: ScriptedUpstream, egress: Egress
) -> None:
    compact = openai_at(openai_upstream, egress=egress, dialect=Dialect(openai=True))
    plain = openai_at(openai_upstream, egress=egress)
    assert np.allclose(await compact.embed(to(compact)), await plain.embed(to(plain)), atol=1e-6)
    assert [request.json["encoding_format"] for request in openai_upstream.requests] == ["base64", "float"]


async def test_vectors_out_of_order_are_put_in_order(openai_upstream: ScriptedUpstream, egress: Egress) -> None:
    data: JSONValue = [{"index": 1, "embedding": [0.0, 2.0]}, {"index": 0, "embedding": [3.0, 0.0]}]
    openai_upstream.script = lambda _request: Reply({"data": data})
    embedder = openai_at(openai_upstream, egress=egress)
    assert (await embedder.embed(to(embedder, ["a", "b"]))).tolist() == [[1.0, 0.0], [0.0, 1.0]]


@pytest.mark.parametrize(
    "data",
    [
        [{"index": 0, "embedding": [1.0]}, {"index": 0, "embedding": [1.0]}],
        [{"index": 0, "embedding": [1.0]}, {"index": 2, "embedding": [1.0]}],
        [{"index": 0, "embedding": [1.0]}, {"embedding": [1.0]}],
        [{"index": 0, "embedding": [1.0]}],
        [{"index": 0, "embedding": "?"}, {"index": 1, "embedding": [1.0]}],
        [{"index": 0, "embedding": base64.b64encode(b"abc").decode()}, {"index": 1, "embedding": [1.0]}],
        [{"index": 0, "embedding": base64.b64encode(struct.pack("<2f", 1, 2)).decode()}, {"index": 1}],
        {},
    ],
)
async def test_an_answer_whose_vectors_cannot_be_told_apart_is_broken(
    openai_upstream: ScriptedUpstream, egress: Egress, data: JSONValue
) -> None:
    openai_upstream.script = lambda _request: Reply({"data": data})
    embedder = openai_at(openai_upstream, egress=egress)
    with pytest.raises(UpstreamBrokenError):
        await embedder.embed(to(embedder, ["a", "b"]))


async def test_dimensions_are_asked_for_and_are_part_of_the_fingerprint(
    openai_upstream: ScriptedUpstream, egress: Egress
) -> None:
    key = secrets.token_hex(8)
    embedder = openai_at(openai_upstream, egress=egress, dimensions=5, api_key=key)
    assert (await embedder.embed(to(embedder))).shape == (4, 5)
    assert embedder.fingerprint == "openai/text-embedding-3-small:5"
    assert openai_at(openai_upstream, egress=egress).fingerprint == "openai/text-embedding-3-small:full"
    assert openai_upstream.requests[0].headers["authorization"] == f"Bearer {key}"


async def test_text_above_the_clearance_is_sent_to_no_embedder(
    openai_upstream: ScriptedUpstream, egress: Egress
) -> None:
    embedder = openai_at(openai_upstream, egress=egress, clearance=Label.CONFIDENTIAL)
    with pytest.raises(NotClearedError):
        await embedder.embed(Dispatch(TEXTS, Label.CONFIDENTIAL, embedder.model))
    assert openai_upstream.received == b""


# Ollama


async def test_a_pulled_model_is_local_and_known_by_its_digest(
    ollama_upstream: ScriptedUpstream, egress: Egress
) -> None:
    embedder = await ollama_at(ollama_upstream, egress=egress)
    assert (embedder.model.locality, embedder.model.clearance) == (Locality.LOCAL, Label.CONFIDENTIAL)
    assert embedder.fingerprint == f"ollama/nomic-embed-text:latest@{'0' * 64}"
    assert embedder.max_tokens == 1024


async def test_a_model_that_is_not_there_stops_the_start_and_says_what_to_do(
    ollama_upstream: ScriptedUpstream, egress: Egress
) -> None:
    settings = partial(Settings, _env_file=None, embedding_model="ollama/absent")
    with pytest.raises(ConfigurationError, match="ollama pull absent"):
        await open_embedder(settings(ollama_base_url=ollama_upstream.origin), egress=egress)
    with pytest.raises(ConfigurationError, match="OLLAMA_BASE_URL"):
        await open_embedder(settings(ollama_base_url=f"http://127.0.0.1:{free_port()}"), egress=egress)


async def test_an_embedder_that_runs_elsewhere_is_a_cloud_model(egress: Egress) -> None:
    model = OllamaModel(name="embed:latest", remote_host="https://ollama.com:443", capabilities=("embedding",))
    async with ScriptedUpstream(OllamaDialect(models=[model])) as upstream:
        embedder = await ollama_at(upstream, egress=egress, name="embed")
    assert (embedder.model.locality, embedder.model.clearance) == (Locality.CLOUD, Label.PUBLIC)


async def test_an_embedder_that_has_moved_elsewhere_is_found_out(
    ollama_upstream: ScriptedUpstream, egress: Egress
) -> None:
    embedder = await ollama_at(ollama_upstream, egress=egress)
    ollama_upstream.script = on_embedding(Reply({"embeddings": [[1.0]], "remote_host": "https://ollama.com:443"}))
    with pytest.raises(RemoteModelError):
        await embedder.embed(Dispatch(("a",), Label.CONFIDENTIAL, embedder.model))
    ollama_upstream.forget()
    with pytest.raises(RemoteModelError):
        await embedder.embed(Dispatch(("a",), Label.CONFIDENTIAL, embedder.model))
    assert ollama_upstream.received == b""


# Estimated tokens


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("", []),
        ("The tokenizer.", ["The", "toke", "nize", "r", "."]),
        ("水は100℃", ["水", "は", "100", "℃"]),
        ("Größe", ["Gr", "öß", "e"]),
        ("  a\n\tb ", ["a", "b"]),
    ],
)
def test_estimated_tokens_are_spans_of_the_text_in_order(text: str, tokens: list[str]) -> None:
    assert [text[start:end] for start, end in token_spans(text)] == tokens


def test_there_are_more_spans_than_tokens_of_prose() -> None:
    # 44 characters, 10 tokens in OpenAI's cl100k_base encoding.
    assert 10 <= len(token_spans("The quick brown fox jumps over the lazy dog.")) <= 15
