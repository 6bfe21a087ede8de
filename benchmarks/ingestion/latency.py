"""Searches while nothing is being indexed and while much is, and how late the event loop is meanwhile."""

from __future__ import annotations

import asyncio
import itertools
import os
import time
from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from benchmarks.ingestion.corpus import Corpus, upload
from benchmarks.ingestion.service import Service

PAUSE_SECONDS = 0.05
QUIET_SECONDS = 15.0
LONGEST_QUERY = 500


async def measure_latency(service: Service, corpus: Corpus, *, queries: Iterable[str], chunks: int) -> None:
    """The same searches before, during and after an ingestion of so many chunks."""
    sample = corpus.take(chunks)
    asked = itertools.cycle(query[:LONGEST_QUERY] for query in queries)
    idle = asyncio.Event()
    asyncio.get_running_loop().call_later(QUIET_SECONDS, idle.set)
    await _search(service, asked, until=idle, title="nothing else")
    ended, busy = await service.ended(), asyncio.Event()

    async def ingest() -> None:
        await upload(service.client, sample.documents)
        await service.until_ended(ended + len(sample.documents))
        busy.set()

    await asyncio.gather(
        ingest(), _search(service, asked, until=busy, title=f"an ingestion of {len(sample.texts)} chunks")
    )


async def _search(service: Service, queries: Iterator[str], *, until: asyncio.Event, title: str) -> None:
    """Search with a pause after each answer until the event, and print how long answers took."""
    lag, began = await service.lag(), time.perf_counter()
    times: list[float] = []
    while not until.is_set():
        asked = time.perf_counter()
        async with service.client.post("/search", json={"query": next(queries)}) as response:
            await response.read()
            response.raise_for_status()
        times.append(time.perf_counter() - asked)
        await asyncio.sleep(PAUSE_SECONDS)
    _print(times, title=title, seconds=time.perf_counter() - began)
    print(f"    {await service.lag() - lag}")


def _print(times: Sequence[float], *, title: str, seconds: float) -> None:
    p50, p99 = np.percentile(times, (50, 99))
    print(
        f"  {len(times)} searches beside {title} in {seconds:.0f} s (load {os.getloadavg()[0]:.1f}): "
        f"p50 {1000 * p50:.0f} ms, p99 {1000 * p99:.0f} ms, longest {1000 * max(times):.0f} ms"
    )
