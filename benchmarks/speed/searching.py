"""Searches over many chunks: `python -m benchmarks.speed.searching [--chunks 50000] [--data FOLDER]`.

Each `/search` takes turns with the least that a search by meaning is: the same query embedded by the same model, and
one query of the same Chroma server. With `--data` the chunks stay in a folder and are put in once.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import tempfile
import time
from collections.abc import Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from statistics import median, quantiles

import aiohttp
from chromadb import HttpClient
from chromadb.api.models.Collection import Collection
from chromadb.config import Settings

from app.providers.minilm.engine import MiniLM
from benchmarks.speed.documents import PLACES, SUBJECTS, VERBS, put_in
from benchmarks.speed.gateways import HOST, Gateway, Surroundings, running, running_upstream, sluice
from benchmarks.speed.processes import read_option

LIMIT = 5
WARM_UP = 20


def make_queries(count: int) -> Iterator[str]:
    chance = random.Random(0)
    for _ in range(count):
        what = f"{chance.choice(SUBJECTS)} {chance.choice(VERBS)} {chance.choice(PLACES)}"
        yield f"{what} at {chance.randrange(100, 2900)} metres"


class Bare:
    """The least that a search by meaning is: one embedding and one query."""

    def __init__(self, collection: Collection, *, model: MiniLM) -> None:
        self._collection = collection
        self._model = model

    async def search(self, query: str) -> None:
        vectors = await self._model.embed([query])
        await asyncio.to_thread(
            lambda: self._collection.query(query_embeddings=vectors, n_results=LIMIT, include=["distances"])
        )


class Searching:
    """`/search` of a gateway, over one connection."""

    def __init__(self, gateway: Gateway, *, client: aiohttp.ClientSession) -> None:
        self._url = f"http://{HOST}:{gateway.port}/search"
        self._headers = gateway.headers
        self._client = client

    async def search(self, query: str) -> None:
        body = {"query": query, "limit": LIMIT}
        async with self._client.post(self._url, json=body, headers=self._headers) as answer:
            found = json.loads(await answer.read())
        if found["count"] != LIMIT:
            raise RuntimeError(f"{found['count']} passages")


async def measure(search: Searching | Bare, query: str) -> float:
    """Milliseconds."""
    began = time.perf_counter()
    await search.search(query)
    return (time.perf_counter() - began) * 1e3


def describe(name: str, times: list[float]) -> str:
    return f"{name}: median {median(times):.1f} ms, 95th percentile {quantiles(times, n=20)[-1]:.1f} ms"


def _connect(pid: int) -> Collection:
    """The collection of the Chroma server that the gateway with this process id has started."""
    client = HttpClient(host=HOST, port=int(read_option(pid, "--port")), settings=Settings(anonymized_telemetry=False))
    return max(client.list_collections(), key=lambda collection: collection.count())


async def _main() -> None:
    parser = argparse.ArgumentParser(prog="benchmarks.speed.searching", description=__doc__)
    parser.add_argument("--chunks", type=int, default=50_000)
    parser.add_argument("--queries", type=int, default=300)
    parser.add_argument("--data", type=Path)
    options = parser.parse_args()
    async with AsyncExitStack() as stack:
        directory = options.data or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        directory.mkdir(parents=True, exist_ok=True)
        upstream = await stack.enter_async_context(running_upstream(chunks=1, chunks_per_second=0))
        gateway = sluice(Surroundings(upstream=upstream, directory=directory.resolve()))
        pid = await stack.enter_async_context(running(gateway, directory=directory))
        # What is in already is recognised by its content.
        await put_in(gateway, count=options.chunks)
        collection = await asyncio.to_thread(_connect, pid)
        print(f"{collection.count():,} chunks")
        client = await stack.enter_async_context(aiohttp.ClientSession())
        ours, bare = Searching(gateway, client=client), Bare(collection, model=MiniLM.load())
        pairs = [(await measure(ours, query), await measure(bare, query)) for query in make_queries(options.queries)]
        kept = pairs[WARM_UP:]
        print(describe("/search", [pair[0] for pair in kept]))
        print(describe("embedding and a bare query", [pair[1] for pair in kept]))
        print(f"median of the ratios: {median(own / least for own, least in kept):.2f}")


if __name__ == "__main__":
    asyncio.run(_main())
