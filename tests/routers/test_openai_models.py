"""`/v1/models` and `/v1/embeddings` as the official client of OpenAI sees them."""

from __future__ import annotations

import base64
from typing import Any

import numpy as np
import openai
import pytest
from openai import AsyncOpenAI

from tests.gateway.conftest import CLOUD, LOCAL, Gateway
from tests.support.behaviours import Status
from tests.support.exposition import total

MINILM = "builtin/all-MiniLM-L6-v2"


async def test_the_list_begins_with_the_names_that_stand_for_a_rule_and_has_the_catalog(
    client: AsyncOpenAI, gateway: Gateway
) -> None:
    models = [model async for model in client.models.list()]
    names = [model.id for model in models]
    assert names[:3] == ["auto", "documents", "local"]
    assert {model.object for model in models} == {"model"}
    async with gateway.service.client.get("/models") as response:
        catalog = (await response.json())["models"]
    assert set(names[3:]) == {model["id"] for model in catalog}


async def test_models_that_can_be_called_come_before_those_that_cannot(client: AsyncOpenAI) -> None:
    available = [model.model_dump()["available"] for model in (await client.models.list()).data]
    assert available == sorted(available, reverse=True)
    assert not all(available)


async def test_a_model_is_read_by_a_name_with_slashes_in_it(client: AsyncOpenAI) -> None:
    for name in (CLOUD, LOCAL, "auto"):
        assert (await client.models.retrieve(name)).id == name


async def test_a_model_that_nobody_has_is_not_found(client: AsyncOpenAI) -> None:
    with pytest.raises(openai.NotFoundError) as raised:
        await client.models.retrieve("no/such/model")
    assert raised.value.code == "model_not_found"


async def test_texts_become_vectors_in_their_order_that_are_near_where_the_texts_are(client: AsyncOpenAI) -> None:
    texts = ["A cat sits on the mat.", "A kitten rests on a rug.", "The bank raised its interest rate."]
    answer = await client.embeddings.create(model=MINILM, input=texts)
    assert [item.index for item in answer.data] == [0, 1, 2]
    assert answer.model == MINILM
    assert answer.usage.prompt_tokens == answer.usage.total_tokens > len(texts)
    vectors = np.array([item.embedding for item in answer.data])
    assert vectors.shape == (3, 384)
    assert vectors[0] @ vectors[1] > vectors[0] @ vectors[2] + 0.3


async def test_base64_and_floats_are_the_same_vector(gateway: Gateway) -> None:
    packed, plain = [
        (await gateway.post("/v1/embeddings", {"model": "auto", "input": "A cat", "encoding_format": encoding}))[1]
        for encoding in ("base64", "float")
    ]
    unpacked = np.frombuffer(base64.b64decode(packed["data"][0]["embedding"]), dtype="<f4")
    assert np.allclose(unpacked, plain["data"][0]["embedding"])


async def test_an_embedding_input_that_cannot_be_honoured_is_refused_by_its_field(
    client: AsyncOpenAI, subtests: pytest.Subtests
) -> None:
    refused: list[tuple[dict[str, Any], str]] = [
        ({"input": [15339, 1917]}, "input.0"),
        ({"input": [[15339, 1917]]}, "input.0"),
        ({"input": ""}, "input"),
        ({"input": []}, "input"),
        ({"input": "word " * 9000}, "input"),
        ({"input": "A cat", "dimensions": 256}, "dimensions"),
        ({"input": "A cat", "encoding_format": "int8"}, "encoding_format"),
        ({"input": "A cat", "extra_body": {"api_base": "http://example.org"}}, "api_base"),
    ]
    for fields, param in refused:
        with subtests.test(param), pytest.raises(openai.BadRequestError) as raised:
            await client.embeddings.create(model="auto", **fields)
        assert raised.value.param == param


async def test_a_text_longer_than_the_window_of_the_model_has_a_vector_of_all_of_it(client: AsyncOpenAI) -> None:
    cats, banks = "The cat sat on the mat. " * 60, "The bank raised its interest rate. " * 60
    answer = await client.embeddings.create(model="auto", input=[cats, cats + banks, banks])
    vectors = np.array([item.embedding for item in answer.data])
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    assert vectors[1] @ vectors[0] > vectors[2] @ vectors[0] + 0.3
    assert vectors[1] @ vectors[2] > vectors[0] @ vectors[2] + 0.3


async def test_the_size_that_the_model_makes_may_be_asked_for(client: AsyncOpenAI) -> None:
    answer = await client.embeddings.create(model="auto", input="A cat", dimensions=384)
    assert len(answer.data[0].embedding) == 384


async def test_a_chat_model_is_not_an_embedding_model(client: AsyncOpenAI) -> None:
    with pytest.raises(openai.NotFoundError) as raised:
        await client.embeddings.create(model=CLOUD, input="A cat")
    assert raised.value.code == "model_not_found"


async def test_an_embedding_says_its_label_and_is_counted(client: AsyncOpenAI, gateway: Gateway) -> None:
    raw = await client.embeddings.with_raw_response.create(
        model="auto", input="A cat", extra_body={"sensitivity": "confidential"}
    )
    assert raw.headers["x-sluice-label"] == "confidential"
    tokens = raw.parse().usage.total_tokens
    async with gateway.service.client.get("/metrics") as response:
        metrics = await response.text()
    assert total(metrics, "sluice_tokens_total", kind="prompt", model=MINILM, label="confidential") == tokens


# A provider's embedding models


@pytest.mark.parametrize("name", ["openai/text-embedding-3-small", "text-embedding-3-small"])
async def test_a_model_of_openai_embeds_by_its_name(client: AsyncOpenAI, gateway: Gateway, name: str) -> None:
    answer = await client.embeddings.create(model=name, input=["A cat", "A mat"], dimensions=6)
    assert answer.model == "openai/text-embedding-3-small"
    assert [len(item.embedding) for item in answer.data] == [6, 6]
    sent = gateway.cloud.requests[-1]
    assert (sent.path, sent.json["model"]) == ("/v1/embeddings", "text-embedding-3-small")
    assert (sent.json["input"], sent.json["dimensions"]) == (["A cat", "A mat"], 6)


async def test_a_model_of_ollama_embeds_what_is_confidential(
    client: AsyncOpenAI, gateway: Gateway, canary: str
) -> None:
    raw = await client.embeddings.with_raw_response.create(
        model="ollama/nomic-embed-text", input=canary, extra_body={"sensitivity": "confidential"}
    )
    assert raw.headers["x-sluice-model"] == "ollama/nomic-embed-text"
    assert raw.headers["x-sluice-label"] == "confidential"
    assert canary.encode() in gateway.local.received
    assert canary.encode() not in gateway.cloud.received


async def test_confidential_text_reaches_no_embedding_model_in_the_cloud(
    client: AsyncOpenAI, gateway: Gateway, canary: str
) -> None:
    for label in ("confidential", "internal"):
        body = {"model": "openai/text-embedding-3-small", "input": canary, "sensitivity": label}
        status, answer = await gateway.post("/v1/embeddings", body)
        refused = label == "confidential"
        assert (status, answer.get("error", {}).get("code")) == ((503, "no_cleared_model") if refused else (200, None))
        assert (canary.encode() in gateway.cloud.received) is not refused


@pytest.mark.parametrize("name", ["ollama/not-pulled", "nobody/embeds", "no-such-embedding", "openai/", CLOUD])
async def test_an_embedding_model_that_nobody_has_is_not_found(client: AsyncOpenAI, name: str) -> None:
    with pytest.raises(openai.NotFoundError) as raised:
        await client.embeddings.create(model=name, input="A cat")
    assert (raised.value.code, raised.value.param) == ("model_not_found", "model")


async def test_an_embedding_model_that_its_provider_does_not_know_is_not_found(
    client: AsyncOpenAI, gateway: Gateway
) -> None:
    gateway.cloud.script = lambda _: Status(404)
    with pytest.raises(openai.NotFoundError) as raised:
        await client.embeddings.create(model="openai/text-embedding-9", input="A cat")
    assert raised.value.code == "model_not_found"


async def test_token_ids_are_refused_because_their_text_could_not_be_classified(gateway: Gateway) -> None:
    for tokens in ([1, 2, 3], [[1, 2, 3], [4]]):
        status, answer = await gateway.post("/v1/embeddings", {"model": "auto", "input": tokens})
        assert (status, answer["error"]["type"]) == (400, "invalid_request_error")
        assert answer["error"]["param"].startswith("input")
