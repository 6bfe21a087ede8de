"""Settings to engines: the way out, the stores, the embedding model; slow adapters are imported on demand."""

from __future__ import annotations

import asyncio
import os
import secrets
import shutil
import tempfile
import time
import uuid
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from app.config import Settings
from app.egress import Egress, LocalNetworks
from app.errors import ConfigurationError
from app.model_wiring import open_embedder
from app.protocols import CacheStore, EmbeddingModel, VectorIndex
from app.services.loaders.sandbox import Sandbox
from app.stores.chroma_server import ChromaServer
from app.stores.memory_cache import MemoryCache
from app.stores.memory_vectors import MemoryVectorIndex
from app.stores.sql.engine import Database
from app.utils.locks import locked

if TYPE_CHECKING:
    from app.stores.chroma import ChromaVectorIndex


@dataclass(frozen=True, slots=True, kw_only=True)
class Engines:
    """What the services stand on: the way out, the stores, the embedding model, the parsing processes.

    `coordination` is the cache by connections of its own: the few questions that decide for many requests do not
    queue behind theirs.
    """

    egress: Egress
    database: Database
    index: VectorIndex
    embedder: EmbeddingModel
    cache: CacheStore
    coordination: CacheStore
    sandbox: Sandbox
    secret: bytes


async def open_engines(settings: Settings, *, stack: AsyncExitStack) -> Engines:
    """Open every engine; `stack` closes them. Raises `ConfigurationError` for settings that cannot work."""
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
    cache, coordination = await _open_caches(settings)
    sandbox = Sandbox()
    for engine in (index, embedder, cache, coordination, sandbox):
        stack.push_async_callback(engine.close)
    return Engines(
        egress=egress,
        database=database,
        index=index,
        embedder=embedder,
        cache=cache,
        coordination=coordination,
        sandbox=sandbox,
        secret=secret,
    )


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
    return _read_secret(settings.data_dir / "secret.key")


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


async def _open_caches(settings: Settings) -> tuple[CacheStore, CacheStore]:
    """Both are asked once, so that the first requests find connections; a Redis that is away is looked for later."""
    memory = MemoryCache(max_bytes=settings.cache_max_bytes, monotonic=time.monotonic)
    if settings.redis_url is None:
        return memory, memory
    from app.stores.redis_cache import RedisCache

    url = settings.redis_url.get_secret_value()
    caches = RedisCache(url, fallback=memory), RedisCache(url, fallback=memory)
    await asyncio.gather(*(cache.ping() for cache in caches), return_exceptions=True)
    return caches


def now() -> datetime:
    return datetime.now(UTC)


def new_id() -> str:
    return uuid.uuid4().hex
