"""Deployments that the cells run in: what each of them sets so that text might find a way to the cloud."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.support.dialects import OllamaModel
from tests.support.upstream import ScriptedUpstream

CLOUD = "openai/cloud-model"
SECOND_CLOUD = "openai/second-cloud-model"
OPENROUTER = "openrouter/maker/cloud-model"
CLAUDE = "anthropic/claude-sonnet-4-5"
OLLAMA_CLOUD = "gpt-oss:120b-cloud"
OLLAMA_REMOTE = "phantom:latest"
EMBEDDER = "openai/text-embedding-made-up"

Upstreams = Mapping[str, ScriptedUpstream]
Settings = Callable[[Upstreams], dict[str, Any]]

PULLED = (
    OllamaModel(name="llama3:latest", context_length=131_072),
    OllamaModel(name="llava:latest", context_length=131_072, capabilities=("completion", "tools", "vision")),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Configuration:
    """A deployment.

    `settings` are those beside the ordinary ones, `above` is the lowest label that no cloud model is cleared for,
    `cloud` the first cloud model, which requests name if it is to be `stated`, `times` how often each is sent, `pulled`
    what the Ollama server lists, of which `remote` run elsewhere. `lossy`: the cloud model is asked in a protocol that
    has no words for some fields, images among them. `redacts`: a cloud model gets the text around what detectors find.
    `catalog` is added to the catalog file.
    """

    settings: Settings
    above: str = "confidential"
    cloud: str = CLOUD
    stated: bool = False
    times: int = 1
    pulled: Sequence[OllamaModel] = PULLED
    remote: frozenset[str] = frozenset()
    lossy: bool = False
    answers_locally: bool = True
    redis: bool = False
    embedder: str | None = None
    redacts: bool = False
    catalog: str = ""
    can: frozenset[str] = field(default_factory=frozenset)


def _everywhere(*models: str, local: Sequence[str] = ()) -> dict[str, Any]:
    """The models as every `MODEL_*` preference, also for local ones."""
    rules = ("simple", "moderate", "complex", "long_context", "local")
    return {**{f"model_{rule}": models for rule in rules}, "model_local": (*models, *local)}


def openai_settings(upstreams: Upstreams) -> dict[str, Any]:
    return {"openai_base_url": f"{upstreams['OpenAI'].origin}/v1", "openai_api_key": "made-up"}


def _openrouter_settings(upstreams: Upstreams) -> dict[str, Any]:
    return {"openrouter_base_url": f"{upstreams['OpenRouter'].origin}/v1", "openrouter_api_key": "made-up"}


def _cloud_first(upstreams: Upstreams) -> dict[str, Any]:
    return {**openai_settings(upstreams), **_everywhere(CLOUD, SECOND_CLOUD, local=("ollama/llama3",))}


def _openrouter_first(upstreams: Upstreams) -> dict[str, Any]:
    both = {**openai_settings(upstreams), **_openrouter_settings(upstreams)}
    return {**both, **_everywhere(OPENROUTER, CLOUD)}


def _claude_first(upstreams: Upstreams) -> dict[str, Any]:
    anthropic = {"anthropic_base_url": upstreams["Anthropic"].origin, "anthropic_api_key": "made-up"}
    return {**anthropic, **_everywhere(CLAUDE)}


def _with(settings: Settings, **more: Any) -> Settings:
    return lambda upstreams: {**settings(upstreams), **more}


CALLED_LOCAL = f"""
[[model]]
id = "{CLAUDE}"
tier = "simple"
locality = "local"
clearance = "confidential"
"""

CONFIGURATIONS: Mapping[str, Configuration] = {
    "cloud preferred everywhere": Configuration(settings=_cloud_first),
    "several clouds": Configuration(settings=_openrouter_first, cloud=OPENROUTER),
    "cloud model stated, reroute": Configuration(settings=_cloud_first, stated=True),
    "cloud model stated, refuse": Configuration(
        settings=_with(_cloud_first, on_denied="refuse"), stated=True, answers_locally=False
    ),
    "cached in Redis": Configuration(settings=_cloud_first, redis=True, times=2),
    "Ollama's cloud first": Configuration(
        settings=lambda _upstreams: _everywhere(f"ollama/{OLLAMA_CLOUD}", local=("ollama/llama3",)),
        pulled=(OllamaModel(name=OLLAMA_CLOUD), *PULLED),
        remote=frozenset({OLLAMA_CLOUD}),
        cloud=f"ollama/{OLLAMA_CLOUD}",
        lossy=True,
    ),
    "a remote model in Ollama": Configuration(
        settings=lambda _upstreams: _everywhere(f"ollama/{OLLAMA_REMOTE}", local=("ollama/llama3",)),
        pulled=(OllamaModel(name=OLLAMA_REMOTE, remote_host="https://ollama.example:443"), *PULLED),
        remote=frozenset({OLLAMA_REMOTE}),
        cloud=f"ollama/{OLLAMA_REMOTE}",
        lossy=True,
    ),
    "through litellm": Configuration(settings=_claude_first, cloud=CLAUDE, lossy=True),
    "through litellm, called local": Configuration(
        settings=_claude_first, cloud=CLAUDE, lossy=True, catalog=CALLED_LOCAL, answers_locally=False
    ),
    "cloud cleared for public": Configuration(
        settings=_with(_cloud_first, cloud_clearance="public"), above="internal", can=frozenset({"document default"})
    ),
    "embeddings in the cloud": Configuration(settings=_with(_cloud_first, embedding_model=EMBEDDER), embedder="OpenAI"),
    "redaction": Configuration(settings=_with(_cloud_first, redact="confidential"), redacts=True),
    "documents confidential by default": Configuration(
        settings=_with(_cloud_first, document_default_label="confidential"), can=frozenset({"document default"})
    ),
}
