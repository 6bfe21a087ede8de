"""Settings to services. Engines, models and labels are wired beside this: these files alone name adapters."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from app.access_wiring import Access, build_access
from app.cache_wiring import Caching, build_caching
from app.config import Settings
from app.engine_wiring import Engines, new_id, now, open_engines
from app.label_wiring import Enforcement, enforcement_fingerprint, open_enforcement
from app.model_wiring import Models, build_models
from app.protocols import CacheStore, DocumentStore, EmbeddingModel, VectorIndex
from app.services.admission import Admission
from app.services.auth import Authenticator
from app.services.catalog import Catalog
from app.services.complexity import ComplexityClassifier
from app.services.doctor import Doctor
from app.services.embeddings import Embeddings
from app.services.gateway import Gateway, GatewayPolicy
from app.services.indexing import Indexer
from app.services.ingestion import Ingestion
from app.services.keys import Keys
from app.services.labels import Labeller
from app.services.recorder import Recorder
from app.services.replays import Replays
from app.services.retrieval import RELEVANCE_FLOOR, Retrieval
from app.services.sessions import Sessions
from app.stores.sql.documents import SqlDocumentStore
from app.stores.sql.echoes import SqlEchoStore
from app.stores.sql.sessions import SqlSessionStore
from app.utils.monitoring import Metrics

if TYPE_CHECKING:
    pass

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
    authenticator: Authenticator
    keys: Keys
    admission: Admission
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
    caching: Caching
    index: VectorIndex
    embedder: EmbeddingModel


@asynccontextmanager
async def open_services(settings: Settings, *, at_rest: bool = False) -> AsyncIterator[Services]:
    """Open the engines, build the services, start the background work; close all in reverse order on leaving.

    Services at rest do no background work: they are for commands that do one thing and end. Raises
    `ConfigurationError` for settings that cannot work, also for a data directory that another process uses.
    """
    async with AsyncExitStack() as stack:
        engines = await open_engines(settings, stack=stack)
        metrics = Metrics(version=VERSION)
        models = build_models(settings, egress=engines.egress, metrics=metrics)
        stack.push_async_callback(models.close)
        enforcement = await stack.enter_async_context(
            open_enforcement(settings, echo_store=SqlEchoStore(engines.database), secret=engines.secret, clock=now)
        )
        access = build_access(settings, engines=engines)
        stack.push_async_callback(access.windows.close)
        services = _build(
            settings, engines=engines, models=models, enforcement=enforcement, access=access, metrics=metrics
        )
        await services.documents.release_leases()
        if not at_rest:
            _start(stack, services.ingestion.work())
            _start(stack, access.windows.keep())
            if access.key_set is not None:
                _start(stack, access.key_set.keep_fresh())
            _start(stack, _examine(services))
            await asyncio.wait({_start(stack, services.catalog.refresh())}, timeout=FIRST_PROBE_SECONDS)
            _start(stack, services.catalog.keep_fresh(every=REFRESH_SECONDS))
        yield services


async def _examine(services: Services) -> None:
    """Bring the indexes in step with the record, beside the first requests."""
    await services.doctor.examine_and_repair()
    services.ingestion.wake()


def _build(
    settings: Settings,
    *,
    engines: Engines,
    models: Models,
    enforcement: Enforcement,
    access: Access,
    metrics: Metrics,
) -> Services:
    """Plain constructor calls, from the bottom up."""
    labeller = enforcement.labeller
    documents = SqlDocumentStore(engines.database, clock=now, new_id=new_id)
    retrieval = _build_retrieval(engines, documents=documents)
    caching = build_caching(settings, engines=engines, metrics=metrics)
    return Services(
        settings=settings,
        version=VERSION,
        metrics=metrics,
        authenticator=access.authenticator,
        keys=access.keys,
        admission=access.admission,
        gateway=_build_gateway(
            settings,
            engines=engines,
            models=models,
            enforcement=enforcement,
            access=access,
            retrieval=retrieval,
            caching=caching,
            metrics=metrics,
        ),
        ingestion=_build_ingestion(
            settings, engines=engines, documents=documents, enforcement=enforcement, metrics=metrics
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
        caching=caching,
        index=engines.index,
        embedder=engines.embedder,
    )


def _build_retrieval(engines: Engines, *, documents: DocumentStore) -> Retrieval:
    return Retrieval(
        documents=documents,
        index=engines.index,
        embedder=engines.embedder,
        relevance_floor=RELEVANCE_FLOOR,
        english_only=engines.embedder.model.provider == "builtin",
    )


def _build_ingestion(
    settings: Settings, *, engines: Engines, documents: DocumentStore, enforcement: Enforcement, metrics: Metrics
) -> Ingestion:
    return Ingestion(
        documents=documents,
        indexer=_build_indexer(engines, documents=documents, enforcement=enforcement),
        audit=enforcement.audit,
        default_label=settings.document_default_label,
        metrics=metrics,
        clock=now,
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
    access: Access,
    retrieval: Retrieval,
    caching: Caching,
    metrics: Metrics,
) -> Gateway:
    return Gateway(
        admission=access.admission,
        sessions=Sessions(store=SqlSessionStore(engines.database, clock=now), clock=now),
        labeller=enforcement.labeller,
        complexity=ComplexityClassifier.load(),
        cache=caching.reuse,
        retrieval=retrieval,
        catalog=models.catalog,
        completion=models.completion,
        recorder=Recorder(metrics=metrics, audit=enforcement.audit),
        redactor=enforcement.redactor,
        echoes=enforcement.echoes,
        policies=enforcement.policies,
        policy=GatewayPolicy(on_denied=settings.on_denied, fingerprint=enforcement_fingerprint(settings)),
        clock=now,
        make_id=new_id,
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
