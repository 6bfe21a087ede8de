"""Settings to services: the only file that names engines, and the only one that imports adapters on demand."""

from __future__ import annotations

import asyncio
import hashlib
import os
import secrets
import shutil
import tempfile
import time
import uuid
from collections.abc import AsyncIterator, Coroutine, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from pydantic import SecretStr

from app.config import Settings
from app.egress import Egress, LocalNetworks
from app.errors import ConfigurationError
from app.protocols import CacheStore, ChatProvider, DocumentStore, EmbeddingModel, SessionStore, VectorIndex
from app.providers.extractive import EXTRACTIVE, Extractive
from app.providers.on_demand import OnDemand
from app.providers.ollama.embedding import OllamaEmbedding
from app.providers.ollama.provider import Ollama
from app.providers.openai_compatible.embedding import OpenAIEmbedding
from app.providers.openai_compatible.provider import OpenAICompatible
from app.services.cache import AnswerCache
from app.services.catalog import Catalog, CatalogFile
from app.services.completion import Breaker, Completion, TimeOuts
from app.services.complexity import ComplexityClassifier, Thresholds
from app.services.detectors import DetectionPolicy, Detectors
from app.services.embeddings import Embeddings
from app.services.gateway import Gateway, GatewayPolicy
from app.services.ingestion import Ingestion
from app.services.labels import Labeller
from app.services.loaders.sandbox import Sandbox
from app.services.recorder import Recorder
from app.services.retrieval import Retrieval
from app.services.sessions import Sessions
from app.stores.memory_cache import MemoryCache
from app.stores.memory_vectors import MemoryVectorIndex
from app.stores.sql.documents import SqlDocumentStore
from app.stores.sql.engine import Database
from app.stores.sql.sessions import SqlSessionStore
from app.utils.monitoring import Metrics

if TYPE_CHECKING:
    from app.stores.chroma import ChromaVectorIndex

VERSION = "0.1.0"
BUILTIN_EMBEDDING = "all-MiniLM-L6-v2"
OPENAI_URL = "https://api.openai.com/v1"
REFRESH_SECONDS = 15.0

# The cosine from which a passage is taken to bear on a question. With the embedded model 95 % of XQuAD's questions reach
# it on their own paragraphs, and 3 to 5 % of questions from another field do (Cranfield on XQuAD and the reverse).
RELEVANCE_FLOOR = 0.35

# A start does not wait longer than this for providers to say how they are; they are asked again soon.
FIRST_PROBE_SECONDS = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """Everything a router may call, built once for a process."""

    settings: Settings
    version: str
    metrics: Metrics
    gateway: Gateway
    ingestion: Ingestion
    retrieval: Retrieval
    embeddings: Embeddings
    labeller: Labeller
    catalog: Catalog
    documents: DocumentStore
    cache: CacheStore
    index: VectorIndex
    embedder: EmbeddingModel


@dataclass(frozen=True, slots=True, kw_only=True)
class Engines:
    """What the services stand on: the way out, the stores, the embedding model, the parsing processes."""

    egress: Egress
    database: Database
    index: VectorIndex
    embedder: EmbeddingModel
    cache: CacheStore
    sandbox: Sandbox
    secret: bytes


@asynccontextmanager
async def open_services(settings: Settings) -> AsyncIterator[Services]:
    """Open the engines, build the services, start the background work; close all in reverse order on leaving.

    Raises `ConfigurationError` for settings that cannot work.
    """
    async with AsyncExitStack() as stack:
        engines = await _open_engines(settings, stack=stack)
        services = _build(settings, engines=engines)
        await services.documents.release_leases()
        _start(stack, services.ingestion.work())
        await asyncio.wait({_start(stack, services.catalog.refresh())}, timeout=FIRST_PROBE_SECONDS)
        _start(stack, services.catalog.keep_fresh(every=REFRESH_SECONDS))
        yield services


async def _open_engines(settings: Settings, *, stack: AsyncExitStack) -> Engines:
    secret = _prepare_data_dir(settings)
    egress = _open_egress(settings)
    stack.push_async_callback(egress.close)
    database = await Database.open(settings.database)
    stack.push_async_callback(database.close)
    index, embedder = await asyncio.gather(_open_index(settings), _open_embedder(settings, egress=egress))
    cache = _open_cache(settings)
    sandbox = Sandbox()
    for engine in (index, embedder, cache, sandbox):
        stack.push_async_callback(engine.close)
    return Engines(
        egress=egress,
        database=database,
        index=index,
        embedder=embedder,
        cache=cache,
        sandbox=sandbox,
        secret=secret,
    )


def _build(settings: Settings, *, engines: Engines) -> Services:
    """Plain constructor calls, from the bottom up."""
    metrics = Metrics(version=VERSION)
    policy = DetectionPolicy.load(settings.policy_file)
    labeller = Labeller(detectors=Detectors(policy), uninspected=settings.uninspected_label)
    providers = _providers(settings, egress=engines.egress)
    catalog = _build_catalog(settings, providers=providers)
    documents = SqlDocumentStore(engines.database, clock=_now, new_id=_new_id)
    retrieval = Retrieval(
        documents=documents, index=engines.index, embedder=engines.embedder, relevance_floor=RELEVANCE_FLOOR
    )
    return Services(
        settings=settings,
        version=VERSION,
        metrics=metrics,
        gateway=Gateway(
            sessions=Sessions(store=SqlSessionStore(engines.database, clock=_now), clock=_now),
            labeller=labeller,
            complexity=ComplexityClassifier.load(),
            cache=_build_cache(settings, engines=engines),
            retrieval=retrieval,
            catalog=catalog,
            completion=_build_completion(settings, providers=providers, egress=engines.egress),
            recorder=Recorder(metrics=metrics),
            policy=_gateway_policy(settings, policy=policy),
            clock=_now,
            make_id=_new_id,
        ),
        ingestion=Ingestion(
            documents=documents,
            index=engines.index,
            embedder=engines.embedder,
            labeller=labeller,
            sandbox=engines.sandbox,
            default_label=settings.document_default_label,
            metrics=metrics,
            clock=_now,
        ),
        retrieval=retrieval,
        embeddings=Embeddings(embedder=engines.embedder, labeller=labeller, metrics=metrics),
        labeller=labeller,
        catalog=catalog,
        documents=documents,
        cache=engines.cache,
        index=engines.index,
        embedder=engines.embedder,
    )


def _build_cache(settings: Settings, *, engines: Engines) -> AnswerCache:
    return AnswerCache(
        store=engines.cache,
        secret=engines.secret,
        ttl=settings.cache_ttl,
        max_temperature=settings.cache_max_temperature,
    )


def _gateway_policy(settings: Settings, *, policy: DetectionPolicy) -> GatewayPolicy:
    return GatewayPolicy(
        thresholds=Thresholds.load(settings.policy_file),
        on_denied=settings.on_denied,
        fingerprint=_fingerprint(settings, policy=policy),
    )


def _start(stack: AsyncExitStack, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
    """Run background work until it ends or the services close."""
    task = asyncio.create_task(work)

    async def stop() -> None:
        task.cancel()
        await asyncio.wait({task})

    stack.push_async_callback(stop)
    return task


def _prepare_data_dir(settings: Settings) -> bytes:
    """Make the data directory with an empty place for temporary files; return the secret that keys cache digests."""
    temporary = settings.data_dir / "tmp"
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True, mode=0o700)
    tempfile.tempdir = str(temporary)
    path = settings.data_dir / "secret.key"
    if not path.exists():
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(secrets.token_bytes(32))
    return path.read_bytes()


def _open_egress(settings: Settings) -> Egress:
    try:
        networks = LocalNetworks.parse(settings.local_addresses)
    except ValueError:
        raise ConfigurationError("LOCAL_ADDRESSES must list addresses or networks such as 100.64.0.0/10.") from None
    return Egress(
        cloud_clearance=settings.cloud_clearance,
        networks=networks,
        connect_timeout=settings.timeout_connect,
        total_timeout=settings.timeout_total,
    )


async def _open_index(settings: Settings) -> VectorIndex:
    if settings.vector_store == "memory":
        return MemoryVectorIndex()
    engine = await asyncio.to_thread(_import_chroma)
    if settings.chroma_url is not None:
        return await engine.connect(settings.chroma_url)
    return await engine.open(settings.chroma_path)


def _import_chroma() -> type[ChromaVectorIndex]:
    """Imported in a thread, beside the loading of the embedding model: it takes a second."""
    from app.stores.chroma import ChromaVectorIndex

    return ChromaVectorIndex


async def _open_embedder(settings: Settings, *, egress: Egress) -> EmbeddingModel:
    provider, _, name = settings.embedding_model.partition("/")
    if provider == "builtin" and name == BUILTIN_EMBEDDING:
        return await asyncio.to_thread(_load_minilm)
    if provider == "ollama" and name:
        return await OllamaEmbedding.open(
            name, base_url=settings.ollama_base_url, egress=egress, cloud_clearance=settings.cloud_clearance
        )
    if provider == "openai" and name:
        return OpenAIEmbedding(
            name,
            base_url=settings.openai_base_url or OPENAI_URL,
            egress=egress,
            clearance=settings.cloud_clearance,
            api_key=settings.openai_api_key.get_secret_value() if settings.openai_api_key else None,
        )
    raise ConfigurationError(f"EMBEDDING_MODEL must be builtin/{BUILTIN_EMBEDDING}, openai/NAME or ollama/NAME.")


def _load_minilm() -> EmbeddingModel:
    from app.providers.minilm.embedding import MiniLMEmbedding
    from app.providers.minilm.engine import MiniLM

    return MiniLMEmbedding(MiniLM.load())


def _open_cache(settings: Settings) -> CacheStore:
    memory = MemoryCache(max_bytes=settings.cache_max_bytes, monotonic=time.monotonic)
    if settings.redis_url is None:
        return memory
    from app.stores.redis_cache import RedisCache

    return RedisCache(url=settings.redis_url.get_secret_value(), fallback=memory, monotonic=time.monotonic)


def _providers(settings: Settings, *, egress: Egress) -> dict[str, ChatProvider]:
    """The providers that are spoken to directly, by the first part of their models' ids."""
    providers: dict[str, ChatProvider] = {
        "builtin": Extractive(),
        "ollama": Ollama(base_url=settings.ollama_base_url, egress=egress, cloud_clearance=settings.cloud_clearance),
    }
    if settings.openai_api_key or settings.openai_base_url:
        providers["openai"] = _openai_compatible(
            "openai",
            settings.openai_base_url or OPENAI_URL,
            key=settings.openai_api_key,
            settings=settings,
            egress=egress,
        )
    if settings.openrouter_api_key:
        providers["openrouter"] = _openai_compatible(
            "openrouter",
            settings.openrouter_base_url,
            key=settings.openrouter_api_key,
            settings=settings,
            egress=egress,
        )
    return providers


def _openai_compatible(
    name: str, base_url: str, *, key: SecretStr | None, settings: Settings, egress: Egress
) -> OpenAICompatible:
    return OpenAICompatible(
        name,
        base_url=base_url,
        api_key=key.get_secret_value() if key else None,
        egress=egress,
        clearance=settings.cloud_clearance,
    )


def _build_catalog(settings: Settings, *, providers: Mapping[str, ChatProvider]) -> Catalog:
    configured = {name for name in providers if name not in ("builtin", "ollama")}
    if settings.anthropic_api_key:
        configured.add("anthropic")
    return Catalog(
        file=CatalogFile.load(settings.catalog_file, cloud_clearance=settings.cloud_clearance),
        builtin=EXTRACTIVE,
        preferences=settings.preferences,
        providers=providers,
        configured=frozenset(configured),
        cloud_clearance=settings.cloud_clearance,
    )


def _build_completion(settings: Settings, *, providers: Mapping[str, ChatProvider], egress: Egress) -> Completion:
    return Completion(
        providers=providers,
        fallback_provider=OnDemand(lambda: _load_litellm(settings, egress=egress)),
        breaker=Breaker(monotonic=time.monotonic),
        timeouts=TimeOuts(
            first_token=settings.timeout_first_token,
            first_token_local=settings.timeout_first_token_local,
            between_tokens=settings.timeout_between_tokens,
            total=settings.timeout_total,
        ),
    )


def _load_litellm(settings: Settings, *, egress: Egress) -> ChatProvider:
    from app.providers.litellm_adapter import LiteLLM

    keys = {"anthropic": settings.anthropic_api_key}
    return LiteLLM(
        egress=egress, api_keys={name: key.get_secret_value() for name, key in keys.items() if key is not None}
    )


def _fingerprint(settings: Settings, *, policy: DetectionPolicy) -> str:
    """A digest of the rules that decide where a request may go and which passages it may see."""
    rules = (policy.fingerprint, settings.cloud_clearance.word, settings.uninspected_label.word, settings.on_denied)
    return hashlib.sha256("\n".join(rules).encode()).hexdigest()


def _now() -> datetime:
    return datetime.now(UTC)


def _new_id() -> str:
    return uuid.uuid4().hex
