"""Vectors in Chroma: a server of our own over a folder, or any by URL."""

from __future__ import annotations

import asyncio
import hashlib
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any, TypeVar, cast
from urllib.parse import urlsplit

import numpy as np
from chromadb.api import ServerAPI
from chromadb.api.collection_configuration import CreateHNSWConfiguration
from chromadb.api.models.Collection import Collection
from chromadb.config import Settings, System
from chromadb.errors import ChromaError, NotFoundError
from chromadb.types import Collection as CollectionModel

from app.errors import VectorStoreUnavailableError
from app.protocols import Vectors
from app.records import VectorHit
from app.stores.chroma_server import ChromaServer
from app.stores.memory_vectors import ranked

# Recall@10 on 10,000 random vectors of 384 dimensions, the hardest kind: 0.99 (Chroma's defaults: 0.6 to 0.7), at about
# 2 ms a query. A collection keeps what it was created with.
INDEX: CreateHNSWConfiguration = {"space": "cosine", "max_neighbors": 32, "ef_construction": 200, "ef_search": 400}

PAGE = 5_000  # Chroma takes at most 5,461 ids at once
READERS = 4
SERVER_SECONDS = 30.0
START_SECONDS = 30.0
START_POLL_SECONDS = 0.03
ROWS = 1_000
RETRY_AFTER_SECONDS = 1.0

_PLAIN_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_-]{1,510}[a-zA-Z0-9]")

Answer = TypeVar("Answer")


class ChromaVectorIndex:
    """Vectors in Chroma collections, one for each space; implements `VectorIndex`.

    Chroma's client is synchronous: writes go through one thread, which keeps them in order, reads through a few.
    """

    def __init__(self, api: ServerAPI, *, resources: ExitStack) -> None:
        self._api = api
        self._resources = resources
        self._collections: dict[str, Collection] = {}
        self._writer = ThreadPoolExecutor(max_workers=1, thread_name_prefix="chroma-writer")
        self._readers = ThreadPoolExecutor(max_workers=READERS, thread_name_prefix="chroma-reader")

    @classmethod
    async def open(cls, path: Path) -> ChromaVectorIndex:
        """Serve a folder by a Chroma server of our own, for as long as the index is open.

        Raises `ConfigurationError` if another process has the folder.
        """
        server = ChromaServer.start(path)
        try:
            index = await cls.attach(server)
        except BaseException:
            server.close()
            raise
        index.close_after(server.close)
        return index

    @classmethod
    async def attach(cls, server: ChromaServer) -> ChromaVectorIndex:
        """Use a server of our own as soon as it answers; whoever started it closes it."""
        return await asyncio.to_thread(_await_server, server)

    @classmethod
    async def connect(cls, url: str, *, within: float = 0.0) -> ChromaVectorIndex:
        """Use the Chroma server at `http[s]://host[:port]`.

        Raises `VectorStoreUnavailableError` if it does not answer within so many seconds.
        """
        return await asyncio.to_thread(_await_answer, url, until=time.monotonic() + within)

    async def upsert(self, space: str, *, ids: Sequence[str], vectors: Vectors) -> None:
        await self._run(self._writer, lambda: self._upsert(space, ids=list(ids), vectors=vectors))

    async def query(
        self, space: str, *, vector: Vectors, limit: int, within: Sequence[str] | None = None
    ) -> list[VectorHit]:
        return await self._run(self._readers, lambda: self._query(space, vector=vector, limit=limit, within=within))

    async def delete(self, space: str, *, ids: Sequence[str]) -> None:
        await self._run(self._writer, lambda: self._delete(space, ids=list(ids)))

    async def drop(self, space: str) -> None:
        await self._run(self._writer, lambda: self._drop(space))

    async def fetch(self, space: str, *, ids: Sequence[str]) -> Mapping[str, Vectors]:
        return await self._run(self._readers, lambda: self._fetch(space, ids=list(ids)))

    async def count(self, space: str) -> int:
        return await self._run(self._readers, lambda: self._count(space))

    async def ids(self, space: str) -> list[str]:
        return await self._run(self._readers, lambda: self._ids(space))

    async def ping(self) -> None:
        await self._run(self._readers, self._api.heartbeat)

    async def close(self) -> None:
        await asyncio.to_thread(self._close)

    def close_after(self, close: Callable[[], None]) -> None:
        """Have something closed once the connection is."""
        resources = ExitStack()
        resources.callback(close)
        resources.push(self._resources.pop_all())
        self._resources = resources

    async def _run(self, threads: ThreadPoolExecutor, call: Callable[[], Answer]) -> Answer:
        try:
            return await asyncio.get_running_loop().run_in_executor(threads, _translated, call)
        except VectorStoreUnavailableError:
            self._collections.clear()  # they may have been made anew on a server that came back empty
            raise

    def _upsert(self, space: str, *, ids: list[str], vectors: Vectors) -> None:
        collection = self._existing(space) or self._create(space)
        _warm(collection)
        for rows in _slices(len(ids)):
            collection.upsert(ids=ids[rows], embeddings=vectors[rows])

    def _delete(self, space: str, *, ids: list[str]) -> None:
        collection = self._existing(space)
        if collection is None:
            return
        _warm(collection)
        for rows in _slices(len(ids)):
            collection.delete(ids=ids[rows])

    def _drop(self, space: str) -> None:
        self._collections.pop(space, None)
        with suppress(NotFoundError):
            self._api.delete_collection(collection_name(space))

    def _fetch(self, space: str, *, ids: list[str]) -> dict[str, Vectors]:
        collection = self._existing(space)
        if collection is None:
            return {}
        found: dict[str, Vectors] = {}
        for start in range(0, len(ids), PAGE):
            page = collection.get(ids=ids[start : start + PAGE], include=["embeddings"])
            found.update(zip(page["ids"], np.asarray(page["embeddings"], dtype=np.float32), strict=True))
        return found

    def _ids(self, space: str) -> list[str]:
        collection = self._existing(space)
        if collection is None:
            return []
        pages = (collection.get(limit=PAGE, offset=start, include=[]) for start in range(0, collection.count(), PAGE))
        return [id for page in pages for id in page["ids"]]

    def _query(self, space: str, *, vector: Vectors, limit: int, within: Sequence[str] | None) -> list[VectorHit]:
        collection = self._existing(space)
        if collection is None or limit < 1:
            return []
        if within is None:
            return _nearest(collection, vector=vector, limit=limit)
        ids = list(dict.fromkeys(within))
        pages = (ids[start : start + PAGE] for start in range(0, len(ids), PAGE))
        hits = [hit for page in pages for hit in _nearest_within(collection, page, vector=vector, limit=limit)]
        return sorted(hits, key=lambda hit: hit.similarity, reverse=True)[:limit]

    def _count(self, space: str) -> int:
        collection = self._existing(space)
        return 0 if collection is None else int(collection.count())

    def _existing(self, space: str) -> Collection | None:
        known = self._collections.get(space)
        if known is None:
            try:
                model = self._api.get_collection(collection_name(space))
            except NotFoundError:
                return None
            known = self._collections[space] = self._opened(model)
        return known

    def _create(self, space: str) -> Collection:
        model = self._api.create_collection(
            collection_name(space), configuration={"hnsw": INDEX, "embedding_function": None}, get_or_create=True
        )
        made = self._collections[space] = self._opened(model)
        return made

    def _opened(self, model: CollectionModel) -> Collection:
        # Chroma's own embedding function would download a model at its first use.
        return Collection(client=self._api, model=model, embedding_function=None)

    def _close(self) -> None:
        self._writer.shutdown()
        self._readers.shutdown()
        self._resources.close()


def _slices(total: int) -> Iterator[slice]:
    return (slice(start, start + ROWS) for start in range(0, total, ROWS))


def collection_name(space: str) -> str:
    """The collection of a space: its own name where Chroma takes it, else a digest of it."""
    if _PLAIN_NAME.fullmatch(space):
        return space
    return f"sha256-{hashlib.sha256(space.encode()).hexdigest()}"


def _warm(collection: Collection) -> None:
    """Load the index through a reader before it is written to.

    Chroma 1.5.9 otherwise adds all rows since the last time it saved the index once more at the first write after the
    first query, holding the interpreter's lock: 2 to 7 seconds for 1,000 rows.
    """
    collection.get(limit=1, include=["embeddings"])


def _nearest(collection: Collection, *, vector: Vectors, limit: int, ids: list[str] | None = None) -> list[VectorHit]:
    found = collection.query(query_embeddings=vector[np.newaxis], n_results=limit, ids=ids, include=["distances"])
    distances = found["distances"] or [[]]
    return [
        VectorHit(chunk_id=id, similarity=max(-1.0, min(1.0, 1.0 - distance)))
        for id, distance in zip(found["ids"][0], distances[0], strict=True)
    ]


def _nearest_within(collection: Collection, ids: list[str], *, vector: Vectors, limit: int) -> list[VectorHit]:
    try:
        return _nearest(collection, vector=vector, limit=limit, ids=ids)
    except NotFoundError:
        raise
    except ChromaError:
        # One id that it does not hold makes Chroma refuse the whole query; those that it holds are compared here.
        held = collection.get(ids=ids, include=["embeddings"])
        if not held["ids"]:
            return []
        return ranked(held["ids"], np.asarray(held["embeddings"], dtype=np.float32), vector=vector, limit=limit)


def _await_server(server: ChromaServer) -> ChromaVectorIndex:
    return _await_answer(server.url, until=time.monotonic() + START_SECONDS, server=server)


def _await_answer(url: str, *, until: float, server: ChromaServer | None = None) -> ChromaVectorIndex:
    """Try until then; no longer if it is a server of our own that has ended."""
    while True:
        try:
            return _connect(url)
        except VectorStoreUnavailableError:
            if (server is not None and not server.running) or time.monotonic() >= until:
                raise
            time.sleep(START_POLL_SECONDS)


def _connect(url: str) -> ChromaVectorIndex:
    with ExitStack() as opened:
        api = _translated(lambda: _remote(url, opened=opened))
        return ChromaVectorIndex(api, resources=opened.pop_all())


def _remote(url: str, *, opened: ExitStack) -> ServerAPI:
    address = urlsplit(url)
    secure = address.scheme == "https"
    settings = Settings(
        _env_file=None,
        anonymized_telemetry=False,
        chroma_api_impl="chromadb.api.fastapi.FastAPI",
        chroma_server_host=address.hostname,
        chroma_server_http_port=address.port or (443 if secure else 80),
        chroma_server_ssl_enabled=secure,
    )
    system = System(settings)
    api = system.instance(ServerAPI)  # type: ignore[type-abstract]  # Chroma looks the class up
    _talk_directly(api, opened=opened)
    system.start()
    opened.callback(system.stop)
    api.heartbeat()
    return api


def _talk_directly(api: ServerAPI, *, opened: ExitStack) -> None:
    """Give the client a session with a time-out that is closed in the end and obeys no proxy of the environment."""
    session = cast("Any", api)._session  # noqa: SLF001  # there is no other way to it
    session.close()
    direct = type(session)(headers=session.headers, timeout=SERVER_SECONDS, trust_env=False)
    opened.callback(direct.close)
    cast("Any", api)._session = direct  # noqa: SLF001  # as above


def _translated(call: Callable[[], Answer]) -> Answer:
    try:
        return call()
    except Exception:  # noqa: BLE001  # Chroma, its bindings and its HTTP client raise all kinds, quoting records
        raise VectorStoreUnavailableError(retry_after=RETRY_AFTER_SECONDS) from None
