"""Settings to services. Engines, models and labels are wired beside this: these files alone name adapters."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from app.access_wiring import Access, build_access
from app.background_wiring import settle, start
from app.cache_wiring import Caching, build_caching
from app.config import Settings
from app.embedding_wiring import NamedEmbeddings
from app.engine_wiring import ALONE, Engines, ProcessRole, metrics_folder, new_id, now, open_engines
from app.errors import UnknownModelError
from app.label_wiring import Enforcement, enforcement_fingerprint, open_enforcement
from app.model_wiring import Models, build_models
from app.protocols import CacheStore, DocumentStore, EmbeddingModel, VectorIndex
from app.services.admission import Admission
from app.services.auth import Authenticator
from app.services.budgets import Budgets
from app.services.catalog import Catalog
from app.services.chores import Chores
from app.services.complexity import ComplexityClassifier
from app.services.decisions import Decisions
from app.services.doctor import Doctor
from app.services.embeddings import Embeddings
from app.services.gateway import Gateway, GatewayPolicy
from app.services.indexing import Indexer
from app.services.ingestion import Ingestion
from app.services.keys import Keys
from app.services.labels import Labeller
from app.services.recorder import Recorder
from app.services.relabelling import Relabelling
from app.services.replays import Replays
from app.services.retrieval import RELEVANCE_FLOOR, Retrieval
from app.services.search import Search
from app.services.session_access import SessionAccess
from app.services.session_upkeep import SessionUpkeep
from app.services.sessions import Sessions
from app.services.usage import Ledger
from app.trace_wiring import open_tracer
from app.utils.monitoring import Metrics
from app.utils.tracing import Tracer

VERSION = "0.1.0"
REFRESH_SECONDS = 15.0

# A start does not wait longer than this for providers to say how they are; they are asked again soon.
FIRST_PROBE_SECONDS = 1.0
# For commands that work off the queue where the service is told not to. While some documents are embedded others are
# read and written; with fewer at once, the embedding model stands still between documents of a chunk or two.
DEFAULT_JOBS_AT_ONCE = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """Everything a router may call, built once for a process."""

    settings: Settings
    version: str
    metrics: Metrics
    tracer: Tracer | None
    authenticator: Authenticator
    keys: Keys
    admission: Admission
    gateway: Gateway
    ingestion: Ingestion
    relabelling: Relabelling
    retrieval: Retrieval
    search: Search
    embeddings: Embeddings
    ledger: Ledger
    budgets: Budgets
    labeller: Labeller
    enforcement: Enforcement
    catalog: Catalog
    documents: DocumentStore
    decisions: Decisions
    sessions: SessionAccess
    session_upkeep: SessionUpkeep
    doctor: Doctor
    replays: Replays
    cache: CacheStore
    caching: Caching
    index: VectorIndex
    embedder: EmbeddingModel
    settle: Callable[[], Awaitable[None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What the services are built from; `shared` says that other processes use the same record."""

    settings: Settings
    engines: Engines
    models: Models
    enforcement: Enforcement
    access: Access
    metrics: Metrics
    tracer: Tracer | None
    shared: bool


@asynccontextmanager
async def open_services(
    settings: Settings, *, at_rest: bool = False, role: ProcessRole = ALONE
) -> AsyncIterator[Services]:
    """Open the engines, build the services, start the background work; close all in reverse order on leaving.

    Services at rest do no background work: they are for commands that do one thing and end. Raises
    `ConfigurationError` for settings that cannot work, also for a data directory that another process uses.
    """
    async with AsyncExitStack() as stack:
        shared = settings.shared_database or not role.owns
        engines = await open_engines(settings, role=role, stack=stack)
        metrics = Metrics(version=VERSION, shared=None if role.owns else metrics_folder(settings))
        tracer = await stack.enter_async_context(open_tracer(settings, egress=engines.egress, version=VERSION))
        models = build_models(settings, egress=engines.egress, metrics=metrics)
        stack.push_async_callback(models.close)
        enforcement = await stack.enter_async_context(
            open_enforcement(
                settings, echo_store=engines.record.echoes, secret=engines.secret, clock=now, shared=shared
            )
        )
        access = build_access(settings, engines=engines, metrics=metrics)
        stack.push_async_callback(access.windows.close)
        services = _build(
            Parts(
                settings=settings,
                engines=engines,
                models=models,
                enforcement=enforcement,
                access=access,
                metrics=metrics,
                tracer=tracer,
                shared=shared,
            )
        )
        if not shared:  # else others may be at work on what is leased
            await services.documents.release_leases()
        if not at_rest:
            await asyncio.wait({start(stack, services.catalog.refresh())}, timeout=FIRST_PROBE_SECONDS)
        if not at_rest and not settings.serverless:
            _start_work(stack, services, engines=engines, access=access, role=role)
        yield services


def _start_work(
    stack: AsyncExitStack, services: Services, *, engines: Engines, access: Access, role: ProcessRole
) -> None:
    """What goes on beside the requests."""
    start(stack, services.metrics.watch_event_loop())
    start(stack, services.metrics.keep_sampled())
    start(stack, services.catalog.keep_fresh(every=REFRESH_SECONDS))
    start(stack, services.ledger.keep_writing())  # ends last: it writes what the others use up to their end
    if services.settings.ingest_workers:
        start(stack, services.ingestion.work())
        if engines.bell is not None:
            start(stack, engines.bell.listen(services.ingestion.wake))
    start(stack, access.windows.keep())
    start(stack, access.budgets.keep_fresh())
    start(stack, access.alerts.keep_giving())
    start(stack, access.alerts.keep_delivering())
    if access.key_set is not None:
        start(stack, access.key_set.keep_fresh())
    start(stack, services.session_upkeep.work())
    if role.leads:
        start(stack, _examine(services))


async def _examine(services: Services) -> None:
    """Bring the indexes in step with the record, beside the first requests."""
    await services.doctor.examine_and_repair()
    services.ingestion.wake()


def _build(parts: Parts) -> Services:
    """Plain constructor calls, from the bottom up."""
    settings, engines, enforcement, access = parts.settings, parts.engines, parts.enforcement, parts.access
    documents = engines.record.documents
    recorder = _build_recorder(parts)
    retrieval = _build_retrieval(parts, documents=documents)
    ingestion = _build_ingestion(parts, documents=documents)
    chores = Chores()
    caching = build_caching(settings, engines=engines, metrics=parts.metrics)
    gateway = _build_gateway(parts, retrieval=retrieval, caching=caching, chores=chores, recorder=recorder)
    return Services(
        settings=settings,
        version=VERSION,
        metrics=parts.metrics,
        tracer=parts.tracer,
        authenticator=access.authenticator,
        keys=access.keys,
        admission=access.admission,
        gateway=gateway,
        ingestion=ingestion,
        relabelling=Relabelling(documents=documents, audit=enforcement.audit, wake=ingestion.wake),
        retrieval=retrieval,
        search=Search(retrieval=retrieval, labeller=enforcement.labeller, audit=enforcement.audit),
        embeddings=_build_embeddings(parts),
        ledger=access.ledger,
        budgets=access.budgets,
        labeller=enforcement.labeller,
        enforcement=enforcement,
        catalog=parts.models.catalog,
        documents=documents,
        decisions=recorder.decisions,
        sessions=SessionAccess(store=engines.record.sessions, chores=chores, clock=now, make_id=new_id),
        session_upkeep=_build_session_upkeep(parts, gateway=gateway, chores=chores),
        doctor=Doctor(documents=documents, index=engines.index, embedder=engines.embedder),
        replays=Replays(store=engines.record.replays, secret=engines.secret),
        cache=engines.cache,
        caching=caching,
        index=engines.index,
        embedder=engines.embedder,
        settle=lambda: settle(access, ingestion, chores),
    )


def _build_recorder(parts: Parts) -> Recorder:
    return Recorder(
        metrics=parts.metrics,
        tracer=parts.tracer,
        audit=parts.enforcement.audit,
        decisions=Decisions(),
        ledger=parts.access.ledger,
        clock=now,
    )


def _build_embeddings(parts: Parts) -> Embeddings:
    engines, models, enforcement = parts.engines, parts.models, parts.enforcement
    named = NamedEmbeddings(parts.settings, egress=engines.egress)

    async def find(name: str, dimensions: int | None) -> EmbeddingModel:
        """A provider's embedding model by name; the models that the catalog chats with are none."""
        if models.catalog.view.chats(name):
            raise UnknownModelError(param="model")
        return await named.find(name, dimensions)

    return Embeddings(
        embedder=engines.embedder,
        find_model=find,
        labeller=enforcement.labeller,
        audit=enforcement.audit,
        metrics=parts.metrics,
        ledger=parts.access.ledger,
        is_known=lambda name: name in models.catalog.view.models,
    )


def _build_retrieval(parts: Parts, *, documents: DocumentStore) -> Retrieval:
    engines = parts.engines
    return Retrieval(
        documents=documents,
        index=engines.index,
        embedder=engines.embedder,
        relevance_floor=RELEVANCE_FLOOR,
        english_only=engines.embedder.model.provider == "builtin",
        metrics=parts.metrics,
        reranker=engines.reranker,
    )


def _build_ingestion(parts: Parts, *, documents: DocumentStore) -> Ingestion:
    settings, engines, enforcement = parts.settings, parts.engines, parts.enforcement
    return Ingestion(
        documents=documents,
        indexer=_build_indexer(parts, documents=documents),
        audit=enforcement.audit,
        default_label=settings.document_default_label,
        metrics=parts.metrics,
        clock=now,
        at_once=settings.ingest_workers or DEFAULT_JOBS_AT_ONCE,
        shared=parts.shared,
        announce=engines.bell.ring if engines.bell else None,
        beside=not settings.serverless,
    )


def _build_indexer(parts: Parts, *, documents: DocumentStore) -> Indexer:
    engines, enforcement = parts.engines, parts.enforcement
    return Indexer(
        documents=documents,
        index=engines.index,
        embedder=engines.embedder,
        labeller=enforcement.labeller,
        echoes=enforcement.echoes,
        audit=enforcement.audit,
        sandbox=engines.sandbox,
        metrics=parts.metrics,
        tracer=parts.tracer,
    )


def _build_gateway(
    parts: Parts, *, retrieval: Retrieval, caching: Caching, chores: Chores, recorder: Recorder
) -> Gateway:
    settings, models, enforcement = parts.settings, parts.models, parts.enforcement
    return Gateway(
        admission=parts.access.admission,
        budgets=parts.access.budgets,
        sessions=Sessions(store=parts.engines.record.sessions, chores=chores, clock=now, make_id=new_id),
        labeller=enforcement.labeller,
        complexity=ComplexityClassifier.load(),
        cache=caching.reuse,
        retrieval=retrieval,
        catalog=models.catalog,
        completion=models.completion,
        recorder=recorder,
        audit=enforcement.audit,
        redactor=enforcement.redactor,
        echoes=enforcement.echoes,
        policies=enforcement.policies,
        policy=GatewayPolicy(on_denied=settings.on_denied, fingerprint=enforcement_fingerprint(settings)),
        clock=now,
        make_id=new_id,
    )


def _build_session_upkeep(parts: Parts, *, gateway: Gateway, chores: Chores) -> SessionUpkeep:
    return SessionUpkeep(
        store=parts.engines.record.sessions,
        chores=chores,
        ask=lambda request, caller: gateway.answer(request, caller=caller),
        clock=now,
        asks_models=parts.settings.session_upkeep == "model",
        retention_days=parts.settings.session_retention_days,
    )
