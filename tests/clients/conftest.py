from __future__ import annotations

import secrets
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.clients.scripted_model import CLOUD, OTHER_CLOUD, ScriptedModel
from tests.support.dialects import OllamaDialect
from tests.support.process import ServiceProcess
from tests.support.upstream import ScriptedUpstream


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """`python -m app serve` with a key, in front of a scripted model, with an ordinary one on the machine itself."""

    service: ServiceProcess
    model: ScriptedModel
    key: str

    @property
    def environment(self) -> dict[str, str]:
        """What a client's suite is told, and nothing of whoever runs the tests."""
        return {
            "SLUICE_URL": self.service.url,
            "SLUICE_KEY": self.key,
            "UPSTREAM_URL": self.model.origin,
            "HOME": str(self.service.directory),
        }


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    key = secrets.token_hex(16)
    async with ScriptedModel() as model, ScriptedUpstream(OllamaDialect()) as local:
        environment = {
            "OPENAI_BASE_URL": f"{model.origin}/v1",
            "OPENAI_API_KEY": "unused",
            "OLLAMA_BASE_URL": local.origin,
            "OPENROUTER_BASE_URL": f"{model.origin}/v1",
            "OPENROUTER_API_KEY": "unused",
            **{f"MODEL_{tier}": f"openai/{CLOUD},openai/{OTHER_CLOUD}" for tier in ("SIMPLE", "MODERATE", "COMPLEX")},
            "MODEL_LONG_CONTEXT": f"openai/{CLOUD}",
            "VECTOR_STORE": "memory",
            "AUTH_REQUIRED": "true",
            "ADMIN_KEY": key,
        }
        async with ServiceProcess(tmp_path, environment=environment) as service:
            yield Stage(service=service, model=model, key=key)
