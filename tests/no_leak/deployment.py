"""Stages outside of this process: a gateway started for the suite, or one that an operator points at it."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
from dotenv import dotenv_values

from app.config import Settings
from app.providers.ollama.facts import has_cloud_name, tagged
from tests.no_leak.assembly import TIMEOUTS
from tests.no_leak.configurations import PULLED, Configuration
from tests.no_leak.failures import echoing
from tests.no_leak.stage import Stage
from tests.support.answer import Dialect
from tests.support.dialects import AnthropicDialect, OllamaDialect, OllamaModel, OpenAIDialect
from tests.support.process import ServiceProcess
from tests.support.upstream import ScriptedUpstream

CAN = frozenset({"local server"})
PATIENCE = 60.0
POLL_SECONDS = 0.5

# The settings that say where cloud models are and with which key, by the name of the upstream in their place.
PROVIDERS = {
    "OpenAI": ("OPENAI_BASE_URL", "OPENAI_API_KEY", "/v1"),
    "OpenRouter": ("OPENROUTER_BASE_URL", "OPENROUTER_API_KEY", "/v1"),
    "Anthropic": ("ANTHROPIC_BASE_URL", "ANTHROPIC_API_KEY", ""),
}
# Settings that lead to servers and data of the deployment's own, and those that would slow the suite down.
LEFT_OUT = frozenset(
    {"HOST", "PORT", "DATA_DIR", "CHROMA_PATH", "CHROMA_URL", "DATABASE_URL", "REDIS_URL", "RATE_LIMIT_PER_MINUTE"}
)


class FixedUpstream(ScriptedUpstream):
    """One on a port that was agreed on; 0 takes a free one."""

    def __init__(self, dialect: Dialect, *, port: int = 0) -> None:
        super().__init__(dialect)
        self._port = port
        self.script = echoing(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployment:
    """A stage, and what the suite must know of the gateway that plays on it."""

    stage: Stage
    configuration: Configuration


@asynccontextmanager
async def spawned(directory: Path) -> AsyncGenerator[Deployment, None]:
    """A gateway process with the settings, policy and catalog in force here, but none of its servers and data."""
    given = operators_settings()
    pulled = (*PULLED, *_named_models(Settings()))
    remote = frozenset(model.name for model in pulled if has_cloud_name(model.name))
    async with AsyncExitStack() as stack:
        local = await stack.enter_async_context(FixedUpstream(OllamaDialect(models=pulled)))
        cloud = await _clouds(given, stack=stack)
        service = ServiceProcess(directory, environment=_environment(given, cloud=cloud, local=local))
        await stack.enter_async_context(service)
        client = await stack.enter_async_context(_client(service.url, key=given.get("ADMIN_KEY")))
        stage = Stage(
            client=client,
            cloud=cloud,
            local=local,
            remote=remote,
            can=CAN,
            logs=lambda: service.logs,
            audit=service.data_dir / "audit",
        )
        yield await _ready(stage, above=_above(Settings()), refuses=Settings().on_denied == "refuse")


@asynccontextmanager
async def pointed(
    url: str, *, key: str | None, above: str, cloud_port: int, local_port: int
) -> AsyncGenerator[Deployment, None]:
    """A running gateway whose operator has set the two addresses of the upstreams that are started here."""
    async with AsyncExitStack() as stack:
        openai = await stack.enter_async_context(FixedUpstream(OpenAIDialect(), port=cloud_port))
        local = await stack.enter_async_context(FixedUpstream(OllamaDialect(models=PULLED), port=local_port))
        client = await stack.enter_async_context(_client(url, key=key))
        print(f"Start the gateway with OPENAI_BASE_URL={openai.origin}/v1 OLLAMA_BASE_URL={local.origin} and any key")  # noqa: T201  # what the operator has to set
        yield await _ready(Stage(client=client, cloud={"OpenAI": openai}, local=local, can=CAN), above=above)


def operators_settings() -> dict[str, str]:
    """The settings that the environment and `.env` give, by their names in capitals."""
    known = {name.upper() for name in Settings.model_fields}
    everything = {**dotenv_values(".env"), **os.environ}
    return {name.upper(): value for name, value in everything.items() if value and name.upper() in known}


def _environment(
    given: Mapping[str, str], *, cloud: Mapping[str, ScriptedUpstream], local: ScriptedUpstream
) -> dict[str, str]:
    files = {
        "POLICY_FILE": str(Settings().policy_file.resolve()),
        "CATALOG_FILE": str(Settings().catalog_file.resolve()),
    }
    kept = {name: value for name, value in given.items() if name not in LEFT_OUT and not name.endswith("_API_KEY")}
    places: dict[str, str] = {}
    for name, upstream in cloud.items():
        address, key, path = PROVIDERS[name]
        places |= {address: f"{upstream.origin}{path}", key: "made-up"}
    waits = {name.upper(): str(value) for name, value in TIMEOUTS.items()}
    return {**kept, **files, **waits, **places, "OLLAMA_BASE_URL": local.origin, "RATE_LIMIT_PER_MINUTE": "0"}


async def _clouds(given: Mapping[str, str], *, stack: AsyncExitStack) -> dict[str, ScriptedUpstream]:
    """In place of each provider that the settings name; OpenAI's if they name none."""
    named = [name for name, (address, key, _) in PROVIDERS.items() if address in given or key in given]
    found: dict[str, ScriptedUpstream] = {}
    for name in named or ["OpenAI"]:
        dialect = AnthropicDialect() if name == "Anthropic" else OpenAIDialect()
        found[name] = await stack.enter_async_context(FixedUpstream(dialect))
    return found


def _named_models(settings: Settings) -> list[OllamaModel]:
    """What the settings call by name and an Ollama server would have to have."""
    names = {name for names in settings.preferences.values() for name in names if name.startswith("ollama/")}
    pulled = {model.name for model in PULLED}
    return [OllamaModel(name=tagged(name.removeprefix("ollama/"))) for name in sorted(names - pulled)]


def _above(settings: Settings) -> str:
    """The lowest label that no cloud model is cleared for."""
    return "internal" if settings.cloud_clearance.word == "public" else "confidential"


@asynccontextmanager
async def _client(url: str, *, key: str | None) -> AsyncIterator[aiohttp.ClientSession]:
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    async with aiohttp.ClientSession(base_url=url, headers=headers) as client:
        yield client


async def _ready(stage: Stage, *, above: str, refuses: bool = False) -> Deployment:
    """Wait until the gateway says that a cloud model and a local one answer."""
    async with asyncio.timeout(PATIENCE):
        while True:
            models = await _models(stage.client)
            cloud = [model["id"] for model in models if model["locality"] == "cloud"]
            if cloud and any(model["locality"] == "local" and model["id"].startswith("ollama/") for model in models):
                break
            await asyncio.sleep(POLL_SECONDS)
    lossy = "OpenAI" not in stage.cloud or len(stage.cloud) > 1
    configuration = Configuration(
        settings=lambda _: {}, above=above, cloud=cloud[0], lossy=lossy, answers_locally=not refuses
    )
    return Deployment(stage=stage, configuration=configuration)


async def _models(client: aiohttp.ClientSession) -> list[dict[str, Any]]:
    """The models that answer now; none while the gateway is not there yet."""
    try:
        async with client.get("/models") as response:
            body = await response.json()
    except aiohttp.ClientError:
        return []
    listed = body["models"] if isinstance(body, dict) else body
    return [model for model in listed if model["available"]]
