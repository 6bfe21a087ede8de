"""Searches while nothing is being indexed and while much is, and how late the event loop is meanwhile."""

from __future__ import annotations

import asyncio
import itertools
import os
import time
from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from benchmarks.ingestion.corpus import Corpus, upload
from benchmarks.ingestion.service import Lag, Service

PAUSE_SECONDS = 0.05
QUIET_SECONDS = 15.0
LONGEST_QUERY = 500
# What an ingestion may do to those who search, and to the event loop.
SEARCH_P99_SECONDS = 0.1
LAG_P99_SECONDS = 0.05
LAG_MOST_SECONDS = 0.1


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

    title = f"an ingestion of {len(sample.texts)} chunks"
    _, (times, lag) = await asyncio.gather(ingest(), _search(service, asked, until=busy, title=title))
    _judge(times, lag=lag)


async def _search(
    service: Service, queries: Iterator[str], *, until: asyncio.Event, title: str
) -> tuple[Sequence[float], Lag]:
    """Search with a pause after each answer until the event, and print how long answers took, in seconds."""
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
    lag = await service.lag() - lag
    print(f"    {lag}")
    return times, lag


def _judge(times: Sequence[float], *, lag: Lag) -> None:
    """Print which of the bounds were kept."""
    measured = (
        ("searches p99", float(np.percentile(times, 99)), SEARCH_P99_SECONDS),
        ("event loop p99", lag.at(0.99), LAG_P99_SECONDS),
        ("event loop at most", lag.at(1.0), LAG_MOST_SECONDS),
    )
    for what, seconds, bound in measured:
        print(
            f"    {what}: {1000 * seconds:.0f} ms, {'within' if seconds <= bound else 'BEYOND'} {1000 * bound:.0f} ms"
        )


def _print(times: Sequence[float], *, title: str, seconds: float) -> None:
    p50, p99 = np.percentile(times, (50, 99))
    print(
        f"  {len(times)} searches beside {title} in {seconds:.0f} s (load {os.getloadavg()[0]:.1f}): "
        f"p50 {1000 * p50:.0f} ms, p99 {1000 * p99:.0f} ms, longest {1000 * max(times):.0f} ms"
    )
