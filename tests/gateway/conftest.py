from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.support.service import Service, running
from tests.support.upstream import ScriptedUpstream

CLOUD = "openai/cloud-model"
SECOND_CLOUD = "openai/second-cloud-model"
LOCAL = "ollama/llama3:latest"


def cloud_settings(upstream: ScriptedUpstream) -> dict[str, Any]:
    """Settings that make the upstream the OpenAI that the gateway knows, with one model for every tier."""
    return {
        "openai_base_url": f"{upstream.origin}/v1",
        "openai_api_key": "sk-made-up-for-a-test",
        "model_simple": (CLOUD,),
        "model_moderate": (CLOUD,),
        "model_complex": (CLOUD,),
        "model_long_context": (CLOUD,),
    }


def cloud_environment(upstream: ScriptedUpstream) -> dict[str, str]:
    """The same settings as they stand in the environment of a process."""
    return {
        name.upper(): value if isinstance(value, str) else ",".join(value)
        for name, value in cloud_settings(upstream).items()
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class Gateway:
    """A running gateway between a cloud upstream and a local one."""

    service: Service
    cloud: ScriptedUpstream
    local: ScriptedUpstream

    async def post(self, path: str, body: Any, **options: Any) -> tuple[int, Any]:
        """POST a JSON body; the status and the decoded answer."""
        async with self.service.client.post(path, json=body, **options) as response:
            return response.status, await response.json()

    async def chat(self, message: str, **fields: Any) -> Any:
        """A chat that is answered."""
        status, answer = await self.post("/chat", {"message": message, **fields})
        assert status == 200, answer
        return answer

    async def add(self, *documents: dict[str, Any], **defaults: Any) -> Any:
        """Documents that are indexed."""
        status, answer = await self.post("/documents?wait=true", {"documents": list(documents), **defaults})
        assert status == 200, answer
        assert {document["status"] for document in answer["documents"]} == {"indexed"}
        return answer["documents"]


@pytest.fixture
async def gateway(
    tmp_path: Path, openai_upstream: ScriptedUpstream, ollama_upstream: ScriptedUpstream
) -> AsyncIterator[Gateway]:
    """Cloud and local models both answer."""
    settings = cloud_settings(openai_upstream) | {"ollama_base_url": ollama_upstream.origin, "vector_store": "memory"}
    async with running(tmp_path, **settings) as service:
        yield Gateway(service=service, cloud=openai_upstream, local=ollama_upstream)


@pytest.fixture
async def alone(tmp_path: Path) -> AsyncIterator[Service]:
    """Nothing is configured and nothing is there."""
    async with running(tmp_path, vector_store="memory") as service:
        yield service


@pytest.fixture
async def quiet(
    tmp_path: Path, openai_upstream: ScriptedUpstream, ollama_upstream: ScriptedUpstream
) -> AsyncIterator[Gateway]:
    """No model is asked in the background, so that every call is one for an answer."""
    settings = cloud_settings(openai_upstream) | {"ollama_base_url": ollama_upstream.origin, "vector_store": "memory"}
    async with running(tmp_path, session_upkeep="none", **settings) as service:
        yield Gateway(service=service, cloud=openai_upstream, local=ollama_upstream)
