"""Ingestion beside the bare embedding model, on the same chunks, one after the other in one run."""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Iterator, Sequence

from app.providers.minilm.engine import MiniLM
from benchmarks.ingestion.corpus import Corpus, Sample, upload
from benchmarks.ingestion.service import Service

PARALLEL_TEXTS = 96


async def measure_throughput(service: Service, corpus: Corpus, *, engine: MiniLM, chunks: int, rounds: int) -> None:
    """Each round embeds a sample, has the service take it in, and embeds it again: others may use the machine."""
    await _ingest(service, corpus.take(chunks))
    shares = []
    for number in range(1, rounds + 1):
        sample = corpus.take(chunks)
        before = await bare_rate(sample.texts, engine=engine)
        whole = await _ingest(service, sample)
        bare = statistics.mean((before, await bare_rate(sample.texts, engine=engine)))
        shares.append(whole / bare)
        print(
            f"  round {number}: the embedding model alone {bare:.1f} chunks a second, end to end {whole:.1f}: "
            f"{whole / bare:.0%} (load {os.getloadavg()[0]:.1f})"
        )
    print(f"  median of {rounds} rounds: {statistics.median(shares):.0%} of the bare embedding model")


async def _ingest(service: Service, sample: Sample) -> float:
    """Chunks a second from the first byte sent to the last document indexed."""
    ended = await service.ended()
    began = time.perf_counter()
    await upload(service.client, sample.documents)
    return len(sample.texts) / (await service.until_ended(ended + len(sample.documents)) - began)


async def bare_rate(texts: Sequence[str], *, engine: MiniLM) -> float:
    """Texts a second of the embedding model alone, in bulk."""
    began = time.perf_counter()
    for batch in _batched(texts):
        await engine.embed(list(batch), bulk=True)
    return len(texts) / (time.perf_counter() - began)


def _batched(texts: Sequence[str]) -> Iterator[Sequence[str]]:
    return (texts[start : start + PARALLEL_TEXTS] for start in range(0, len(texts), PARALLEL_TEXTS))
