"""Settings and catalog file to the models: who speaks to them, what is known of them, how they are asked."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import SecretStr

from app.config import Settings
from app.egress import Egress
from app.errors import ConfigurationError
from app.models import Locality, Model
from app.protocols import ChatProvider, Reranker
from app.providers.extractive import EXTRACTIVE, Extractive
from app.providers.ollama.provider import Ollama
from app.providers.on_demand import OnDemand
from app.providers.openai_compatible.provider import OpenAICompatible
from app.services.bulkhead import Bulkheads
from app.services.call_metrics import CallMetrics
from app.services.catalog import Catalog
from app.services.catalog_file import CatalogFile, Provider
from app.services.completion import Completion, TimeOuts
from app.services.health import Health
from app.services.llm_router import fallback_orders
from app.utils.instruments import BREAKER_OPEN, FALLBACK_POSITION, PRICES
from app.utils.monitoring import Metrics

OPENAI_URL = "https://api.openai.com/v1"
ALWAYS_THERE = frozenset({"builtin", "ollama"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Models:
    """What speaks to models; `close` ends what their client libraries hold open."""

    catalog: Catalog
    completion: Completion
    providers: Mapping[str, ChatProvider]
    litellm: OnDemand

    async def close(self) -> None:
        for provider in (*self.providers.values(), self.litellm):
            await provider.close()


def build_models(settings: Settings, *, egress: Egress, metrics: Metrics) -> Models:
    """Raises `ConfigurationError` for a catalog file that cannot be read."""
    file = CatalogFile.load(settings.catalog_file, cloud_clearance=settings.cloud_clearance)
    health = Health(monotonic=time.monotonic)
    providers = _providers(settings, file=file, egress=egress)
    keys = _litellm_keys(settings, file=file)
    litellm = OnDemand(lambda: _load_litellm(settings, keys=keys, egress=egress))
    catalog = Catalog(
        file=file,
        builtin=EXTRACTIVE,
        preferences=settings.preferences,
        providers=providers,
        configured=(frozenset(providers) | keys.keys()) - ALWAYS_THERE,
        cloud_clearance=settings.cloud_clearance,
        health=health,
        monotonic=time.monotonic,
    )
    metrics.sample(BREAKER_OPEN, lambda: (((model,), float(is_open)) for model, is_open in health.breakers()))
    _show(catalog, metrics=metrics)
    return Models(
        catalog=catalog,
        completion=_completion(settings, providers=providers, litellm=litellm, health=health, metrics=metrics),
        providers=providers,
        litellm=litellm,
    )


def _show(catalog: Catalog, *, metrics: Metrics) -> None:
    """Show what an answer would cost and what would be tried next."""

    def read_prices() -> Iterator[tuple[Sequence[str], float]]:
        view = catalog.view
        for model in (view.models[name] for name in sorted(view.available)):
            if model.price is not None:
                yield (model.id, "prompt"), model.price.prompt
                yield (model.id, "completion"), model.price.completion

    def read_orders() -> Iterator[tuple[Sequence[str], float]]:
        for tier, models in fallback_orders(catalog.view).items():
            yield from (((tier, model), place) for place, model in enumerate(models, start=1))

    metrics.show(PRICES, read_prices)
    metrics.show(FALLBACK_POSITION, read_orders)


def _completion(
    settings: Settings,
    *,
    providers: Mapping[str, ChatProvider],
    litellm: OnDemand,
    health: Health,
    metrics: Metrics,
) -> Completion:
    return Completion(
        providers=providers,
        fallback_provider=litellm,
        health=health,
        bulkheads=Bulkheads(limit=settings.model_concurrency),
        timeouts=TimeOuts(
            first_token=settings.timeout_first_token,
            first_token_local=settings.timeout_first_token_local,
            between_tokens=settings.timeout_between_tokens,
            total=settings.timeout_total,
        ),
        metrics=CallMetrics(metrics),
    )


def _providers(settings: Settings, *, file: CatalogFile, egress: Egress) -> dict[str, ChatProvider]:
    """The providers that are spoken to directly, by the first part of their models' ids."""
    providers: dict[str, ChatProvider] = {
        "builtin": Extractive(),
        "ollama": Ollama(base_url=settings.ollama_base_url, egress=egress, cloud_clearance=settings.cloud_clearance),
    }
    if settings.openai_api_key or settings.openai_base_url:
        url = settings.openai_base_url or OPENAI_URL
        cloud = Provider(name="openai", base_url=url, clearance=settings.cloud_clearance)
        providers["openai"] = _openai_compatible(cloud, key=settings.openai_api_key, egress=egress)
    if settings.openrouter_api_key:
        url = settings.openrouter_base_url
        cloud = Provider(name="openrouter", base_url=url, clearance=settings.cloud_clearance)
        providers["openrouter"] = _openai_compatible(cloud, key=settings.openrouter_api_key, egress=egress)
    for declared in file.providers:
        key = settings.secret(declared.api_key) if declared.api_key else None
        if declared.base_url and (key or not declared.api_key):
            providers[declared.name] = _openai_compatible(declared, key=key, egress=egress)
    return providers


def _openai_compatible(provider: Provider, *, key: SecretStr | None, egress: Egress) -> OpenAICompatible:
    return OpenAICompatible(
        provider.name,
        base_url=provider.base_url or OPENAI_URL,
        api_key=key.get_secret_value() if key else None,
        egress=egress,
        clearance=provider.clearance,
        locality=provider.locality,
    )


def _litellm_keys(settings: Settings, *, file: CatalogFile) -> dict[str, SecretStr]:
    """The keys of the providers that litellm speaks to; those without one are not configured."""
    variables = {provider.name: provider.api_key for provider in file.providers if not provider.base_url}
    found = {name: settings.secret(variable) for name, variable in variables.items() if variable}
    found["anthropic"] = settings.anthropic_api_key
    return {name: key for name, key in found.items() if key is not None}


def _load_litellm(settings: Settings, *, keys: Mapping[str, SecretStr], egress: Egress) -> ChatProvider:
    from app.providers.litellm_adapter import LiteLLM

    urls = {"anthropic": settings.anthropic_base_url}
    return LiteLLM(
        egress=egress,
        api_keys={name: key.get_secret_value() for name, key in keys.items()},
        base_urls={name: url for name, url in urls.items() if url},
    )


async def open_reranker(settings: Settings, *, egress: Egress) -> Reranker | None:
    """A folder is a cross-encoder in this process, `provider/name` a cloud model.

    Raises `ConfigurationError` for anything else.
    """
    if settings.reranker_model is None:
        return None
    provider, _, name = settings.reranker_model.partition("/")
    if await asyncio.to_thread(Path(settings.reranker_model).is_dir):
        return await asyncio.to_thread(_load_cross_encoder, Path(settings.reranker_model))
    if not provider or not name:
        raise ConfigurationError(
            "RERANKER_MODEL must be PROVIDER/NAME, or a folder with model.onnx and tokenizer.json."
        )
    model = Model(provider=provider, name=name, locality=Locality.CLOUD, clearance=settings.cloud_clearance)
    key = settings.secret(f"{provider.upper()}_API_KEY")
    return await asyncio.to_thread(_load_litellm_reranker, model, egress=egress, key=key)


def _load_cross_encoder(folder: Path) -> Reranker:
    from app.providers.cross_encoder import CrossEncoder

    return CrossEncoder(folder)


def _load_litellm_reranker(model: Model, *, egress: Egress, key: SecretStr | None) -> Reranker:
    from app.providers.litellm_adapter import LiteLLMReranker

    return LiteLLMReranker(model, egress=egress, api_key=key.get_secret_value() if key else None)
