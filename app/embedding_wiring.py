"""Names to embedding models: the one that documents are indexed with, and those that callers name."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from app.config import Settings
from app.egress import Egress
from app.errors import ConfigurationError, UnknownModelError, UpstreamUnavailableError
from app.model_wiring import OPENAI_URL
from app.models import Locality
from app.protocols import EmbeddingModel
from app.providers.minilm.embedding import MiniLMEmbedding
from app.providers.ollama.embedding import OllamaEmbedding
from app.providers.openai_compatible.embedding import OpenAIEmbedding
from app.services.catalog_file import CatalogFile, Provider

if TYPE_CHECKING:
    from app.providers.minilm.engine import MiniLM

BUILTIN_EMBEDDING = "all-MiniLM-L6-v2"
# What OpenAI's own embedding models begin with: these alone are known without their provider's name.
OPENAI_EMBEDDINGS = "text-embedding-"


async def open_embedder(settings: Settings, *, egress: Egress) -> EmbeddingModel:
    """The model that documents are indexed with.

    Raises `ConfigurationError` for an `EMBEDDING_MODEL` that names no provider of embeddings.
    """
    provider, _, name = settings.embedding_model.partition("/")
    if provider == "builtin" and name == BUILTIN_EMBEDDING:
        return _defer_minilm() if settings.serverless else await asyncio.to_thread(_open_minilm)
    if provider == "ollama" and name:
        return await _open_ollama(name, settings=settings, egress=egress)
    if provider == "openai" and name:
        return OpenAIEmbedding(
            name,
            base_url=settings.openai_base_url or OPENAI_URL,
            egress=egress,
            clearance=settings.cloud_clearance,
            api_key=settings.openai_api_key.get_secret_value() if settings.openai_api_key else None,
        )
    raise ConfigurationError(f"EMBEDDING_MODEL must be builtin/{BUILTIN_EMBEDDING}, openai/NAME or ollama/NAME.")


async def _open_ollama(name: str, *, settings: Settings, egress: Egress) -> EmbeddingModel:
    try:
        return await OllamaEmbedding.find(
            name, base_url=settings.ollama_base_url, egress=egress, cloud_clearance=settings.cloud_clearance
        )
    except UpstreamUnavailableError:
        raise ConfigurationError(
            "EMBEDDING_MODEL names a model of Ollama, and no server answers at OLLAMA_BASE_URL."
        ) from None
    except UnknownModelError:
        raise ConfigurationError(
            f"EMBEDDING_MODEL names a model that Ollama has not pulled: ollama pull {name}"
        ) from None


class NamedEmbeddings:
    """The embedding models of the providers that are configured, by the names that callers give them."""

    def __init__(self, settings: Settings, *, egress: Egress) -> None:
        self._settings = settings
        self._egress = egress
        file = CatalogFile.load(settings.catalog_file, cloud_clearance=settings.cloud_clearance)
        self._providers = {provider.name: provider for provider in (*file.providers, *_configured(settings))}

    async def find(self, name: str, dimensions: int | None) -> EmbeddingModel:
        """The model of this name, making vectors of so many dimensions, `None` for its own.

        Raises `UnknownModelError` if no provider of embeddings goes by the first part of the name.
        """
        provider, slash, rest = name.partition("/")
        if not slash and name.startswith(OPENAI_EMBEDDINGS):
            provider, rest = "openai", name
        if provider == "ollama" and rest:
            return await OllamaEmbedding.find(
                rest,
                base_url=self._settings.ollama_base_url,
                egress=self._egress,
                cloud_clearance=self._settings.cloud_clearance,
            )
        declared = self._providers.get(provider)
        if declared is None or declared.base_url is None or not rest:
            raise UnknownModelError(param="model")
        key = self._settings.secret(declared.api_key) if declared.api_key else None
        return OpenAIEmbedding(
            rest,
            base_url=declared.base_url,
            egress=self._egress,
            clearance=declared.clearance,
            provider=provider,
            locality=declared.locality,
            api_key=key.get_secret_value() if key else None,
            dimensions=dimensions,
        )


def _configured(settings: Settings) -> list[Provider]:
    """The providers that settings configure, as if they were declared."""
    providers = []
    if settings.openai_api_key or settings.openai_base_url:
        providers.append(_cloud("openai", settings.openai_base_url or OPENAI_URL, settings=settings))
    if settings.openrouter_api_key:
        providers.append(_cloud("openrouter", settings.openrouter_base_url, settings=settings))
    return providers


def _cloud(name: str, base_url: str, *, settings: Settings) -> Provider:
    return Provider(
        name=name,
        base_url=base_url,
        api_key=f"{name.upper()}_API_KEY",
        locality=Locality.CLOUD,
        clearance=settings.cloud_clearance,
    )


def _open_minilm() -> EmbeddingModel:
    embedder = _defer_minilm()
    _ = embedder.engine
    return embedder


def _defer_minilm() -> MiniLMEmbedding:
    """Its engine is imported and loaded by the first text: half a second that not every process needs."""

    def load() -> MiniLM:
        from app.providers.minilm.engine import MiniLM

        return MiniLM.load()

    return MiniLMEmbedding(load)
