"""Settings to engines: the way out, the stores, the embedding model; slow adapters are imported on demand."""

from __future__ import annotations

import asyncio
import os
import secrets
import shutil
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from app.config import Settings
from app.egress import Egress, LocalNetworks
from app.embedding_wiring import open_embedder
from app.errors import ConfigurationError
from app.model_wiring import open_reranker
from app.protocols import CacheStore, EmbeddingModel, Reranker, VectorIndex
from app.record_wiring import Record, open_record
from app.services.loaders.sandbox import Sandbox
from app.stores.chroma_server import ChromaServer
from app.stores.deferred_index import DeferredVectorIndex
from app.stores.memory_cache import MemoryCache
from app.stores.memory_vectors import MemoryVectorIndex
from app.utils.locks import locked

CHROMA_SECONDS = 30.0

if TYPE_CHECKING:
    from app.stores.chroma import ChromaVectorIndex
    from app.stores.redis_bell import RedisBell


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessRole:
    """What this process is among those over one data directory.

    `owns` says that it holds the directory and what lies in it, `leads` that it does what one of them has to do.
    """

    owns: bool = True
    leads: bool = True


ALONE = ProcessRole()


@dataclass(frozen=True, slots=True, kw_only=True)
class Engines:
    """What the services stand on: the way out, the stores, the embedding model, the parsing processes.

    `coordination` is the cache by connections of its own: the few questions that decide for many requests do not
    queue behind theirs. `memory_cache` is what of it is in this process.
    """

    egress: Egress
    record: Record
    index: VectorIndex
    embedder: EmbeddingModel
    reranker: Reranker | None
    cache: CacheStore
    coordination: CacheStore
    memory_cache: MemoryCache
    sandbox: Sandbox
    bell: RedisBell | None
    secret: bytes


async def open_engines(settings: Settings, *, role: ProcessRole, stack: AsyncExitStack) -> Engines:
    """Open every engine; `stack` closes them. Raises `ConfigurationError` for settings that cannot work."""
    chroma = None
    if role.owns:
        stack.enter_context(owned_data_dir(settings))
        chroma = start_chroma(settings, stack=stack)  # first of all: it takes a second or two to answer
    tempfile.tempdir = str(temporary_folder(settings))
    egress = _open_egress(settings)
    stack.push_async_callback(egress.close)
    await _refuse_foreign_stores(settings, egress=egress)
    record = await open_record(settings.database, stack=stack, clock=now, new_id=new_id)
    secret = await _agree_on_secret(settings, record)
    index, embedder = await asyncio.gather(
        _open_index(settings, chroma=chroma, role=role), open_embedder(settings, egress=egress)
    )
    memory = MemoryCache(max_bytes=settings.cache_max_bytes, monotonic=time.monotonic)
    cache, coordination = await _open_caches(settings, memory=memory, egress=egress)
    sandbox = Sandbox()
    bell = _open_bell(settings, egress=egress)
    for engine in (index, embedder, cache, coordination, sandbox, *((bell,) if bell else ())):
        stack.push_async_callback(engine.close)
    return Engines(
        egress=egress,
        record=record,
        index=index,
        embedder=embedder,
        reranker=await open_reranker(settings, egress=egress),
        cache=cache,
        coordination=coordination,
        memory_cache=memory,
        sandbox=sandbox,
        bell=bell,
        secret=secret,
    )


async def prepare_database(settings: Settings) -> None:
    """Bring the schema up to date before several processes work on it, and free what an earlier start left leased.

    On a server other machines may be at work on those jobs: there a lease that nobody renews runs out.
    """
    async with _record(settings, migrate=True) as record:
        if not settings.shared_database:
            await record.documents.release_leases()


async def is_up_to_date(settings: Settings) -> bool:
    """Whether the schema is the one that this code works on."""
    async with _record(settings, migrate=False) as record:
        return await record.is_current()


@asynccontextmanager
async def _record(settings: Settings, *, migrate: bool) -> AsyncIterator[Record]:
    async with AsyncExitStack() as stack:
        egress = _open_egress(settings)
        stack.push_async_callback(egress.close)
        await _refuse_foreign_stores(settings, egress=egress)
        yield await open_record(settings.database, stack=stack, clock=now, new_id=new_id, migrate=migrate)


async def _refuse_foreign_stores(settings: Settings, *, egress: Egress) -> None:
    for setting, url in settings.stores.items():
        await egress.refuse_foreign(url, setting=setting)


@contextmanager
def owned_data_dir(settings: Settings) -> Iterator[int]:
    """Hold the data directory, with an empty place for temporary files; the lock's descriptor, for children to share.

    Raises `ConfigurationError` if another process holds it.
    """
    settings.data_dir.mkdir(parents=True, mode=0o700, exist_ok=True)
    with ExitStack() as lock:
        try:
            descriptor = lock.enter_context(locked(settings.data_dir))
        except BlockingIOError:
            raise ConfigurationError(
                f"DATA_DIR={settings.data_dir} is in use by another process of Sluice. Stop it first."
            ) from None
        temporary = temporary_folder(settings)
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir(parents=True, mode=0o700)
        yield descriptor


def temporary_folder(settings: Settings) -> Path:
    """Where files lie that are gone at the next start."""
    return settings.data_dir / "tmp"


def metrics_folder(settings: Settings) -> Path:
    """Where processes of one data directory count together."""
    return temporary_folder(settings) / "metrics"


async def _agree_on_secret(settings: Settings, record: Record) -> bytes:
    """The secret that keys digests: on a shared database the one that the first process over it brought along.

    Machines with different secrets would not know each other's answers again.
    """
    own = _read_secret(settings.data_dir / "secret.key")
    return await record.agree_on_secret(own) if settings.shared_database else own


def _read_secret(path: Path) -> bytes:
    """The secret in the file, made first if there is none: whole and readable for its owner only, or not at all."""
    if not path.exists():
        unfinished = path.with_suffix(".new")
        descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(secrets.token_bytes(32))
        unfinished.replace(path)
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


def start_chroma(settings: Settings, *, stack: ExitStack | AsyncExitStack) -> ChromaServer | None:
    """A Chroma server of our own, unless the settings name one or none is needed; `stack` closes it."""
    if settings.vector_store != "chroma" or settings.chroma_url is not None:
        return None
    server = ChromaServer.start(settings.chroma_path)
    stack.callback(server.close)
    return server


async def _open_index(settings: Settings, *, chroma: ChromaServer | None, role: ProcessRole) -> VectorIndex:
    if settings.vector_store == "memory":
        return MemoryVectorIndex()
    if settings.vector_store == "pgvector":
        return await _open_pgvector(settings)
    if settings.serverless:
        return DeferredVectorIndex(lambda: _connect_chroma(settings.chroma_url or ""))
    engine = await asyncio.to_thread(_import_chroma)
    if chroma is not None:
        return await engine.attach(chroma)
    # Beside several processes it is started along with them, and takes a second or two to answer.
    return await engine.connect(settings.chroma_url or "", within=0.0 if role.owns else CHROMA_SECONDS)


async def _open_pgvector(settings: Settings) -> VectorIndex:
    from app.stores.pgvector import PgVectorIndex

    return await PgVectorIndex.connect(settings.vector_database)


async def _connect_chroma(url: str) -> VectorIndex:
    engine = await asyncio.to_thread(_import_chroma)
    return await engine.connect(url, within=0.0)


def _import_chroma() -> type[ChromaVectorIndex]:
    """Imported in a thread, beside the loading of the embedding model: it takes a second."""
    from app.stores.chroma import ChromaVectorIndex

    return ChromaVectorIndex


async def _open_caches(settings: Settings, *, memory: MemoryCache, egress: Egress) -> tuple[CacheStore, CacheStore]:
    """Both are asked once, so that the first requests find connections; a Redis that is away is looked for later."""
    if settings.redis_url is None:
        return memory, memory
    from app.stores.redis_cache import RedisCache

    url = settings.redis_url.get_secret_value()
    cache, coordination = (RedisCache(url, fallback=memory, admits=egress.is_ours) for _ in range(2))
    await asyncio.gather(cache.ping(), coordination.ping(), return_exceptions=True)
    return cache, coordination


def _open_bell(settings: Settings, *, egress: Egress) -> RedisBell | None:
    """What wakes the workers of other processes; without one they look for themselves."""
    if settings.redis_url is None:
        return None
    from app.stores.redis_bell import RedisBell

    return RedisBell(settings.redis_url.get_secret_value(), admits=egress.is_ours)


def now() -> datetime:
    return datetime.now(UTC)


def new_id() -> str:
    return secrets.token_hex(16)
