"""Settings to services: beside model_wiring the only file that names engines or imports adapters on demand."""

from __future__ import annotations

import asyncio
import os
import secrets
import shutil
import tempfile
import time
import uuid
from collections.abc import AsyncIterator, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from app.config import Settings
from app.egress import Egress, LocalNetworks
from app.errors import ConfigurationError
from app.label_wiring import Enforcement, enforcement_fingerprint, open_enforcement
from app.model_wiring import Models, build_models, open_embedder
from app.protocols import CacheStore, DocumentStore, EmbeddingModel, VectorIndex
from app.services.cache import AnswerCache
from app.services.catalog import Catalog
from app.services.complexity import ComplexityClassifier
from app.services.doctor import Doctor
from app.services.embeddings import Embeddings
from app.services.gateway import Gateway, GatewayPolicy
from app.services.indexing import Indexer
from app.services.ingestion import Ingestion
from app.services.labels import Labeller
from app.services.loaders.sandbox import Sandbox
from app.services.recorder import Recorder
from app.services.replays import Replays
from app.services.retrieval import RELEVANCE_FLOOR, Retrieval
from app.services.sessions import Sessions
from app.stores.chroma_server import ChromaServer
from app.stores.memory_cache import MemoryCache
from app.stores.memory_vectors import MemoryVectorIndex
from app.stores.sql.documents import SqlDocumentStore
from app.stores.sql.echoes import SqlEchoStore
from app.stores.sql.engine import Database
from app.stores.sql.sessions import SqlSessionStore
from app.utils.locks import locked
from app.utils.monitoring import Metrics

if TYPE_CHECKING:
    from app.stores.chroma import ChromaVectorIndex

VERSION = "0.1.0"
REFRESH_SECONDS = 15.0

# A start does not wait longer than this for providers to say how they are; they are asked again soon.
FIRST_PROBE_SECONDS = 1.0
CANCEL_AGAIN_SECONDS = 5.0


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
    enforcement: Enforcement
    catalog: Catalog
    documents: DocumentStore
    doctor: Doctor
    replays: Replays
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
async def open_services(settings: Settings, *, at_rest: bool = False) -> AsyncIterator[Services]:
    """Open the engines, build the services, start the background work; close all in reverse order on leaving.

    Services at rest do no background work: they are for commands that do one thing and end. Raises
    `ConfigurationError` for settings that cannot work, also for a data directory that another process uses.
    """
    async with AsyncExitStack() as stack:
        engines = await _open_engines(settings, stack=stack)
        metrics = Metrics(version=VERSION)
        models = build_models(settings, egress=engines.egress, metrics=metrics)
        stack.push_async_callback(models.close)
        enforcement = await stack.enter_async_context(
            open_enforcement(settings, echo_store=SqlEchoStore(engines.database), secret=engines.secret, clock=_now)
        )
        services = _build(settings, engines=engines, models=models, enforcement=enforcement, metrics=metrics)
        await services.documents.release_leases()
        if not at_rest:
            _start(stack, services.ingestion.work())
            _start(stack, _examine(services))
            await asyncio.wait({_start(stack, services.catalog.refresh())}, timeout=FIRST_PROBE_SECONDS)
            _start(stack, services.catalog.keep_fresh(every=REFRESH_SECONDS))
        yield services


async def _examine(services: Services) -> None:
    """Bring the indexes in step with the record, beside the first requests."""
    await services.doctor.examine_and_repair()
    services.ingestion.wake()


async def _open_engines(settings: Settings, *, stack: AsyncExitStack) -> Engines:
    _lock_data_dir(settings, stack=stack)
    secret = _prepare_data_dir(settings)
    chroma = _start_chroma(settings, stack=stack)  # first of all: it takes a second or two to answer
    egress = _open_egress(settings)
    stack.push_async_callback(egress.close)
    for setting, url in settings.stores.items():
        await egress.refuse_foreign(url, setting=setting)
    database = await Database.open(settings.database)
    stack.push_async_callback(database.close)
    index, embedder = await asyncio.gather(_open_index(settings, chroma=chroma), open_embedder(settings, egress=egress))
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


def _build(
    settings: Settings, *, engines: Engines, models: Models, enforcement: Enforcement, metrics: Metrics
) -> Services:
    """Plain constructor calls, from the bottom up."""
    labeller = enforcement.labeller
    documents = SqlDocumentStore(engines.database, clock=_now, new_id=_new_id)
    retrieval = Retrieval(
        documents=documents,
        index=engines.index,
        embedder=engines.embedder,
        relevance_floor=RELEVANCE_FLOOR,
        english_only=engines.embedder.model.provider == "builtin",
    )
    return Services(
        settings=settings,
        version=VERSION,
        metrics=metrics,
        gateway=_build_gateway(
            settings, engines=engines, models=models, enforcement=enforcement, retrieval=retrieval, metrics=metrics
        ),
        ingestion=Ingestion(
            documents=documents,
            indexer=_build_indexer(engines, documents=documents, enforcement=enforcement),
            audit=enforcement.audit,
            default_label=settings.document_default_label,
            metrics=metrics,
            clock=_now,
        ),
        retrieval=retrieval,
        embeddings=Embeddings(embedder=engines.embedder, labeller=labeller, metrics=metrics),
        labeller=labeller,
        enforcement=enforcement,
        catalog=models.catalog,
        documents=documents,
        doctor=Doctor(documents=documents, index=engines.index, embedder=engines.embedder),
        replays=Replays(store=engines.cache, secret=engines.secret),
        cache=engines.cache,
        index=engines.index,
        embedder=engines.embedder,
    )


def _build_indexer(engines: Engines, *, documents: DocumentStore, enforcement: Enforcement) -> Indexer:
    return Indexer(
        documents=documents,
        index=engines.index,
        embedder=engines.embedder,
        labeller=enforcement.labeller,
        echoes=enforcement.echoes,
        audit=enforcement.audit,
        sandbox=engines.sandbox,
    )


def _build_gateway(
    settings: Settings,
    *,
    engines: Engines,
    models: Models,
    enforcement: Enforcement,
    retrieval: Retrieval,
    metrics: Metrics,
) -> Gateway:
    return Gateway(
        sessions=Sessions(store=SqlSessionStore(engines.database, clock=_now), clock=_now),
        labeller=enforcement.labeller,
        complexity=ComplexityClassifier.load(),
        cache=_build_cache(settings, engines=engines),
        retrieval=retrieval,
        catalog=models.catalog,
        completion=models.completion,
        recorder=Recorder(metrics=metrics, audit=enforcement.audit),
        redactor=enforcement.redactor,
        echoes=enforcement.echoes,
        policies=enforcement.policies,
        policy=GatewayPolicy(on_denied=settings.on_denied, fingerprint=enforcement_fingerprint(settings)),
        clock=_now,
        make_id=_new_id,
    )


def _build_cache(settings: Settings, *, engines: Engines) -> AnswerCache:
    return AnswerCache(
        store=engines.cache,
        secret=engines.secret,
        ttl=settings.cache_ttl,
        max_temperature=settings.cache_max_temperature,
    )


def _start(stack: AsyncExitStack, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
    """Run background work until it ends or the services close."""
    task = asyncio.create_task(work)

    async def stop() -> None:
        # A library that is cancelled while it opens a connection may lose the word, so it is said again.
        while not task.done():
            task.cancel()
            await asyncio.wait({task}, timeout=CANCEL_AGAIN_SECONDS)

    stack.push_async_callback(stop)
    return task


def _lock_data_dir(settings: Settings, *, stack: AsyncExitStack) -> None:
    settings.data_dir.mkdir(parents=True, mode=0o700, exist_ok=True)
    try:
        stack.enter_context(locked(settings.data_dir))
    except BlockingIOError:
        raise ConfigurationError(
            f"DATA_DIR={settings.data_dir} is in use by another process of Sluice. Stop it first."
        ) from None


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


def _start_chroma(settings: Settings, *, stack: AsyncExitStack) -> ChromaServer | None:
    if settings.vector_store != "chroma" or settings.chroma_url is not None:
        return None
    server = ChromaServer.start(settings.chroma_path)
    stack.callback(server.close)
    return server


async def _open_index(settings: Settings, *, chroma: ChromaServer | None) -> VectorIndex:
    if settings.vector_store == "memory":
        return MemoryVectorIndex()
    engine = await asyncio.to_thread(_import_chroma)
    if chroma is not None:
        return await engine.attach(chroma)
    return await engine.connect(settings.chroma_url or "")


def _import_chroma() -> type[ChromaVectorIndex]:
    """Imported in a thread, beside the loading of the embedding model: it takes a second."""
    from app.stores.chroma import ChromaVectorIndex

    return ChromaVectorIndex


def _open_cache(settings: Settings) -> CacheStore:
    memory = MemoryCache(max_bytes=settings.cache_max_bytes, monotonic=time.monotonic)
    if settings.redis_url is None:
        return memory
    from app.stores.redis_cache import RedisCache

    return RedisCache(url=settings.redis_url.get_secret_value(), fallback=memory, monotonic=time.monotonic)


def _now() -> datetime:
    return datetime.now(UTC)


def _new_id() -> str:
    return uuid.uuid4().hex
