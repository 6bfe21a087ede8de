"""Servers that the catalog file declares, and what `GET /models` tells of all models."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from app.egress import Egress, LocalNetworks, PeerNotLocalError
from app.models import Attempt, JSONValue, Label, Locality, Message, Model, Prompt
from app.providers.openai_compatible import OpenAICompatible
from app.services.bulkhead import Bulkheads
from app.services.call_metrics import CallMetrics
from app.services.completion import Completion, TimeOuts
from app.services.health import Health
from app.services.llm_router import Plan
from app.utils.monitoring import Metrics
from tests.services.test_completion import ignore, outgoing
from tests.support.batches import one_by_one
from tests.support.behaviours import NoResponse
from tests.support.dialects import OllamaDialect, OpenAIDialect
from tests.support.service import Service, running
from tests.support.upstream import ScriptedUpstream

# A provider that is asked for its models has three seconds; who looks at what is known of them does not wait so long.
PROBE_SECONDS = 2.0
MODEL_FIELDS = {
    "id", "name", "description", "tier", "context_length", "supports_vision", "pricing", "locality", "clearance",
    "available", "breaker", "fallback",
}  # fmt: skip


def declare(directory: Path, upstream: ScriptedUpstream, *, local: bool) -> Path:
    """A catalog file of one provider and nothing else."""
    path = directory / "catalog.toml"
    locality = 'locality = "local"\n' if local else ""
    path.write_text(f'[[provider]]\nname = "vllm"\nbase_url = "{upstream.origin}/v1"\n{locality}')
    return path


async def chat(service: Service, message: str, **fields: Any) -> tuple[int, Any]:
    async with service.client.post("/chat", json={"message": message, "documents": False, **fields}) as response:
        return response.status, await response.json()


async def listed(service: Service, query: str = "") -> dict[str, Any]:
    async with service.client.get(f"/models{query}") as response:
        assert response.status == 200
        return {model["id"]: model for model in (await response.json())["models"]}


async def test_a_server_declared_local_on_a_local_address_gets_confidential_text(
    tmp_path: Path, openai_upstream: ScriptedUpstream, canary: str
) -> None:
    catalog = declare(tmp_path, openai_upstream, local=True)
    async with running(tmp_path, catalog_file=catalog, vector_store="memory") as service:
        status, answer = await chat(service, canary, sensitivity="confidential")
        assert (status, answer["model_used"]) == (200, "vllm/gpt-4o")
        assert canary.encode() in openai_upstream.received
        assert (await listed(service))["vllm/gpt-4o"]["clearance"] == "confidential"


async def test_the_same_server_without_that_word_is_cloud_wherever_it_is(
    tmp_path: Path, openai_upstream: ScriptedUpstream, canary: str
) -> None:
    catalog = declare(tmp_path, openai_upstream, local=False)
    async with running(tmp_path, catalog_file=catalog, vector_store="memory") as service:
        status, answer = await chat(service, canary, sensitivity="confidential")
        assert (status, answer["error"]["code"]) == (503, "no_cleared_model")
        assert canary.encode() not in openai_upstream.received
        assert (await chat(service, canary, sensitivity="internal"))[0] == 200
        assert canary.encode() in openai_upstream.received


class Elsewhere(LocalNetworks):
    """The networks of a machine for which the loopback address of this one is foreign."""

    def __contains__(self, address: str) -> bool:
        return False


@pytest.mark.parametrize("label", [Label.CONFIDENTIAL, Label.PUBLIC])
async def test_a_server_declared_local_whose_peer_is_not_local_is_sent_nothing(
    openai_upstream: ScriptedUpstream, canary: str, label: Label
) -> None:
    """The word in the file is not enough: the other end of the connection is looked at before a byte is written."""
    egress = Egress(cloud_clearance=Label.INTERNAL, networks=Elsewhere(), connect_timeout=1.0, total_timeout=5.0)
    url = f"{openai_upstream.origin}/v1"
    provider = OpenAICompatible(
        "vllm", base_url=url, egress=egress, clearance=Label.CONFIDENTIAL, locality=Locality.LOCAL
    )
    local = Model(provider="vllm", name="own", locality=Locality.LOCAL, clearance=Label.CONFIDENTIAL)
    completion = Completion(
        providers={"vllm": provider},
        fallback_provider=provider,
        health=Health(monotonic=lambda: 0.0),
        bulkheads=Bulkheads(limit=1),
        timeouts=TimeOuts(first_token=1, first_token_local=1, between_tokens=1, total=5),
        metrics=CallMetrics(Metrics(version="0")),
    )
    prompt = Prompt(messages=(Message.of("user", canary),))
    plan = Plan(rule="local", models=(local,), considered=())
    answer = one_by_one(completion.run(plan, outgoing(prompt, label=label), book=ignore))
    assert await anext(answer) == Attempt(model="vllm/own", outcome="peer_not_local")
    with pytest.raises(PeerNotLocalError):
        await anext(answer)
    assert openai_upstream.received == b""
    assert (await provider.probe()).reachable is False
    await egress.close()


async def test_the_models_are_listed_with_every_field_and_filters(tmp_path: Path) -> None:
    offers: Mapping[str, Mapping[str, JSONValue]] = {
        "vendor/free:free": {
            "name": "Vendor: Free",
            "context_length": 32_768,
            "architecture": {"input_modalities": ["text", "image"]},
            "pricing": {"prompt": "0", "completion": "0"},
        }
    }
    async with (
        ScriptedUpstream(OpenAIDialect(models=offers)) as openrouter,
        ScriptedUpstream(OllamaDialect()) as ollama,
        running(
            tmp_path,
            vector_store="memory",
            openrouter_base_url=f"{openrouter.origin}/v1",
            openrouter_api_key="made-up-for-a-test",
            ollama_base_url=ollama.origin,
        ) as service,
    ):
        everything = await listed(service)
        assert all(set(model) == MODEL_FIELDS for model in everything.values())
        assert everything["openrouter/vendor/free:free"] == {
            "id": "openrouter/vendor/free:free",
            "name": "Vendor: Free",
            "description": "",
            "tier": None,
            "context_length": 32_768,
            "supports_vision": True,
            "pricing": {"prompt": 0.0, "completion": 0.0},
            "locality": "cloud",
            "clearance": "internal",
            "available": True,
            "breaker": "closed",
            "fallback": everything["openrouter/vendor/free:free"]["fallback"],
        }
        assert everything["ollama/llama3:latest"]["tier"] == "moderate"
        assert everything["ollama/llama3:latest"]["locality"] == "local"
        assert not everything["openai/gpt-4o"]["available"]
        assert everything["openai/gpt-4o"]["pricing"] == {"prompt": 2.5e-6, "completion": 1e-5}
        seeing, free = await listed(service, "?vision=true"), await listed(service, "?free=true")
        assert all(model["supports_vision"] for model in seeing.values())
        assert {"openrouter/vendor/free:free", "ollama/llama3:latest", "builtin/extractive"} <= free.keys()
        assert "openai/gpt-4o" in seeing.keys() - free.keys()
        async with service.client.get("/chat/metadata/available_models") as response:
            assert len((await response.json())["models"]) == len(everything)


async def test_a_server_that_does_not_answer_holds_up_neither_the_start_nor_the_list_of_models(tmp_path: Path) -> None:
    """Its models are there to see and marked as not available; a list that was read is not asked for again."""
    async with (
        ScriptedUpstream(OpenAIDialect(models={"vendor/free:free": {}})) as openrouter,
        ScriptedUpstream(OllamaDialect(), script=lambda _: NoResponse()) as silent,
        running(
            tmp_path,
            vector_store="memory",
            openrouter_base_url=f"{openrouter.origin}/v1",
            openrouter_api_key="made-up-for-a-test",
            ollama_base_url=silent.origin,
        ) as service,
    ):
        async with asyncio.timeout(PROBE_SECONDS):
            models = [await listed(service) for _ in range(3)][-1]
    assert not models["ollama/llama3.2"]["available"]
    assert models["openrouter/vendor/free:free"]["available"]
    assert [request.path for request in openrouter.requests] == ["/v1/models"]
