"""`/`, `/health`, `/ready`, `/metrics`, `/models`, the pages and what the start refuses."""

from __future__ import annotations

import io
import re
from pathlib import Path
from typing import Any

import pytest

from app.config import Settings
from app.errors import ConfigurationError
from app.utils.logging import configure_logging
from app.wiring import open_services
from tests.gateway.conftest import CLOUD, Gateway, cloud_settings
from tests.support.ports import HOST, free_port
from tests.support.redis import RedisServer
from tests.support.service import Service, isolated_settings, running
from tests.support.upstream import ScriptedUpstream

STRONG_KEY = "k" * 32


async def get(service: Service, path: str, **options: Any) -> tuple[int, Any]:
    async with service.client.get(path, **options) as response:
        return response.status, await response.json()


async def test_the_root_says_what_this_is(alone: Service) -> None:
    status, answer = await get(alone, "/")
    assert (status, set(answer)) == (200, {"message", "version", "docs", "status"})


async def test_health_names_each_part(gateway: Gateway) -> None:
    status, answer = await get(gateway.service, "/health")
    assert (status, answer["status"]) == (200, "healthy")
    assert {"cache", "vector_store", "database", "openai", "ollama"} <= set(answer["checks"])
    assert {"timestamp", "version"} <= set(answer)


async def test_a_provider_that_is_configured_and_away_makes_health_degraded(tmp_path: Path) -> None:
    nobody = f"http://{HOST}:{free_port()}/v1"
    async with running(tmp_path, vector_store="memory", openai_base_url=nobody) as service:
        status, answer = await get(service, "/health")
    assert (status, answer["status"], answer["checks"]["openai"]["status"]) == (200, "degraded", "down")


async def test_the_service_is_ready_and_its_metrics_count_requests(gateway: Gateway) -> None:
    assert (await get(gateway.service, "/ready"))[0] == 200
    await gateway.chat("What is Python?")
    async with gateway.service.client.get("/metrics") as response:
        text = await response.text()
    assert re.search(r'sluice_requests_total\{[^}]*outcome="ok"[^}]*\} 1\.0', text)
    assert f'model="{CLOUD}"' in text


async def test_no_prompt_is_in_metrics_or_logs(gateway: Gateway, canary: str) -> None:
    log = io.StringIO()
    configure_logging("DEBUG", stream=log)
    await gateway.chat(f"What does {canary} mean?")
    await gateway.post("/chat", {"message": canary, "model": f"nobody/{canary}"})
    await gateway.post("/chat", {"message": canary, canary: 1})
    async with gateway.service.client.get("/metrics") as response:
        assert canary not in await response.text()
    assert "model_not_found" in log.getvalue()
    assert canary not in log.getvalue()


async def test_models_tell_what_they_are_and_whether_they_are_there(gateway: Gateway) -> None:
    _, answer = await get(gateway.service, "/models")
    fields = {
        "id",
        "name",
        "description",
        "context_length",
        "supports_vision",
        "pricing",
        "locality",
        "clearance",
        "available",
    }
    assert all(fields <= set(model) for model in answer["models"])
    local = next(model for model in answer["models"] if model["id"] == "ollama/llama3:latest")
    assert (local["locality"], local["clearance"], local["available"]) == ("local", "confidential", True)
    _, seeing = await get(gateway.service, "/models?vision=true")
    assert all(model["supports_vision"] for model in seeing["models"])
    assert await get(gateway.service, "/chat/metadata/available_models") == (200, answer)


@pytest.mark.parametrize("page", ["/docs", "/redoc"])
async def test_the_pages_need_nothing_from_elsewhere(alone: Service, page: str) -> None:
    async with alone.client.get(page) as response:
        html = await response.text()
        assert "default-src 'self'" in response.headers["content-security-policy"]
    links = re.findall(r'(?:src|href|spec-url)="([^"]+)"', html)
    assert links
    for link in links:
        if not link.startswith("data:"):
            assert "://" not in link
            async with alone.client.get(f"/{link}") as response:
                assert response.status == 200


async def test_every_reference_in_the_api_description_resolves(alone: Service) -> None:
    _, description = await get(alone, "/openapi.json")

    def check(node: Any) -> None:
        if isinstance(node, dict):
            if "$ref" in node:
                target = description
                for step in node["$ref"].removeprefix("#/").split("/"):
                    target = target[step]
            for value in node.values():
                check(value)
        elif isinstance(node, list):
            for item in node:
                check(item)

    check(description)


async def test_with_a_key_required_a_wrong_and_a_missing_one_are_refused_alike(tmp_path: Path) -> None:
    async with running(tmp_path, vector_store="memory", auth_required=True, admin_key=STRONG_KEY) as service:
        refused = []
        for headers in ({}, {"authorization": "Bearer wrong"}, {"authorization": f"Basic {STRONG_KEY}"}):
            async with service.client.post("/chat", json={"message": "hi"}, headers=headers) as response:
                refused.append((response.status, await response.json()))
        allowed = {"authorization": f"Bearer {STRONG_KEY}"}
        async with service.client.post("/chat", json={"message": "hi"}, headers=allowed) as response:
            assert response.status == 200
        assert (await get(service, "/health"))[0] == 200
    assert all(answer == refused[0] for answer in refused)
    assert refused[0][0] == 401


@pytest.mark.parametrize(
    "unsafe",
    [
        {"host": "0.0.0.0"},
        {"auth_required": True},
        {"admin_key": "changeme"},
        {"admin_key": "short"},
        {"cloud_clearance": "confidential"},
    ],
)
def test_unsafe_settings_are_refused_at_the_start(tmp_path: Path, unsafe: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError):
        isolated_settings(tmp_path, **unsafe)


@pytest.mark.parametrize("setting", ["redis_url", "chroma_url", "database_url", "pgvector_url"])
async def test_a_store_outside_the_own_network_is_refused_unless_it_is_vouched_for(
    tmp_path: Path, setting: str
) -> None:
    scheme = {"redis_url": "redis", "chroma_url": "http"}.get(setting, "postgresql")
    kind = "pgvector" if setting == "pgvector_url" else "chroma"
    settings = {setting: f"{scheme}://203.0.113.7:1", "vector_store": kind}
    services = open_services(isolated_settings(tmp_path, **settings))
    with pytest.raises(ConfigurationError, match=setting.upper()):
        await services.__aenter__()


async def test_a_store_that_is_vouched_for_is_not_refused(tmp_path: Path) -> None:
    settings = isolated_settings(
        tmp_path, vector_store="memory", redis_url="redis://203.0.113.7:1", local_addresses=("203.0.113.0/24",)
    )
    async with open_services(settings) as services:
        assert services.settings.stores


def test_another_address_is_allowed_with_a_key_or_an_explicit_word(tmp_path: Path) -> None:
    with_key: Settings = isolated_settings(tmp_path, host="0.0.0.0", admin_key=STRONG_KEY)
    assert with_key.protected
    assert not isolated_settings(tmp_path, host="0.0.0.0", allow_open=True).protected


async def test_an_address_has_its_number_of_requests_a_minute(tmp_path: Path) -> None:
    async with running(tmp_path, vector_store="memory", rate_limit_per_minute=3) as service:
        statuses = []
        for _ in range(5):
            async with service.client.post("/search", json={"query": "x"}) as response:
                statuses.append(response.status)
        assert statuses == [200, 200, 200, 429, 429]
        assert int(response.headers["retry-after"]) <= 60
        assert (await get(service, "/health"))[0] == 200


async def test_two_gateways_share_answers_through_redis_but_never_confidential_ones(
    tmp_path: Path, redis_server: RedisServer, openai_upstream: ScriptedUpstream, canary: str
) -> None:
    settings = cloud_settings(openai_upstream) | {"vector_store": "memory", "redis_url": redis_server.url}
    (tmp_path / "one").mkdir()
    async with running(tmp_path / "one", **settings) as service:
        for body in ({"message": "What is Python?"}, {"message": canary, "sensitivity": "confidential"}):
            async with service.client.post("/chat", json=body) as response:
                await response.read()
    async with (
        running(tmp_path / "one", **settings) as service,
        service.client.post("/chat", json={"message": "What is Python?"}) as response,
    ):
        assert (await response.json())["cached"] is True
    assert canary.encode() not in await redis_server.contents()
    assert len(openai_upstream.completions) == 1
