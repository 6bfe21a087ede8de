"""Measures the service while it indexes: `python -m benchmarks.ingestion FOLDER [--chunks N] [--file FILE]`.

FOLDER is a collection as `benchmarks.retrieval.collection` reads it. A service of its own takes in its documents, over
and over under new ids, until there are N chunks, while searches come in one after the other. It prints:

- chunks a second, beside those of the bare embedding model on the same texts (before and after, nothing else running);
- how long searches take meanwhile, and by how much the service's event loop was late;
- with FILE, the peak memory of the service, of its Chroma server and of its parser while the file is ingested.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import os
import re
import signal
import socket
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import numpy as np

from app.providers.minilm.engine import MiniLM
from benchmarks.retrieval.collection import Document, read

BATCH = 100
PARALLEL_TEXTS = 96
SAMPLE_SECONDS = 0.05
START_SECONDS = 60
BUCKET = re.compile(r'sluice_event_loop_lag_seconds_bucket\{le="([^"]+)"\} (\S+)')
LONGEST = re.compile(r"^sluice_event_loop_lag_max_seconds (\S+)", re.MULTILINE)


@asynccontextmanager
async def serving(directory: Path) -> AsyncIterator[tuple[aiohttp.ClientSession, int]]:
    """A service of its own with the default engines; a client of it and its process id."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = os.environ | {
        "PORT": str(port),
        "DATA_DIR": str(directory / "data"),
        "CHROMA_PATH": str(directory / "chroma"),
        "RATE_LIMIT_PER_MINUTE": "0",
        "DEBUG": "true",
        "LOG_LEVEL": "ERROR",
    }
    with (directory / "log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "app", "serve", env=environment, stdout=log, stderr=log
        )
    try:
        async with aiohttp.ClientSession(base_url=f"http://127.0.0.1:{port}") as client:
            await until_ready(client)
            yield client, process.pid
    finally:
        process.send_signal(signal.SIGTERM)
        await process.wait()


async def until_ready(client: aiohttp.ClientSession) -> None:
    async with asyncio.timeout(START_SECONDS):
        while True:
            try:
                async with client.get("/ready") as response:
                    if response.ok:
                        return
            except aiohttp.ClientError:
                pass
            await asyncio.sleep(SAMPLE_SECONDS)


async def bare_rate(texts: Sequence[str]) -> float:
    """Texts a second of the embedding model alone, in bulk."""
    engine = MiniLM.load()
    began = time.perf_counter()
    for batch in _batched(texts):
        await engine.embed(list(batch), bulk=True)
    elapsed = time.perf_counter() - began
    engine.close()
    return len(texts) / elapsed


def _batched(texts: Sequence[str]) -> Iterator[Sequence[str]]:
    return (texts[start : start + PARALLEL_TEXTS] for start in range(0, len(texts), PARALLEL_TEXTS))


async def upload(client: aiohttp.ClientSession, documents: Sequence[Document]) -> None:
    for start in range(0, len(documents), BATCH):
        rows = [
            {"id": document.id, "title": document.title or None, "content": document.text, "sensitivity": "public"}
            for document in documents[start : start + BATCH]
        ]
        async with client.post("/documents", json={"documents": rows}) as response:
            response.raise_for_status()


async def until_indexed(client: aiohttp.ClientSession, *, ids: set[str]) -> int:
    """Wait until the documents are indexed; how many chunks they have."""
    left, chunks = set(ids), 0
    while left:
        await asyncio.sleep(1)
        for row in [row async for row in all_documents(client)]:
            if row["id"] in left and row["status"] in ("indexed", "failed"):
                left.discard(row["id"])
                chunks += row["chunks"]
    return chunks


async def all_documents(client: aiohttp.ClientSession) -> AsyncIterator[dict[str, Any]]:
    after: str | None = None
    while True:
        async with client.get("/documents", params={"limit": 1000} | ({"after": after} if after else {})) as response:
            page = await response.json()
        for row in page["documents"]:
            yield row
        if (after := page["next"]) is None:
            return


async def search_for_ever(client: aiohttp.ClientSession, queries: Sequence[str], *, times: list[float]) -> None:
    for query in itertools.cycle(queries):
        began = time.perf_counter()
        async with client.post("/search", json={"query": query[:500]}) as response:
            await response.read()
            response.raise_for_status()
        times.append(time.perf_counter() - began)
        await asyncio.sleep(SAMPLE_SECONDS)


async def report_lag(client: aiohttp.ClientSession) -> None:
    async with client.get("/metrics") as response:
        text = await response.text()
    buckets = [(float(bound), float(count)) for bound, count in BUCKET.findall(text)]
    total = buckets[-1][1]
    at_99 = next(bound for bound, count in buckets if count >= 0.99 * total)
    longest = LONGEST.search(text)
    print(f"  event loop late by at most {1000 * at_99:.0f} ms in 99 % of {total:.0f} probes, ", end="")
    print(f"{1000 * float(longest[1]) if longest else 0:.0f} ms at worst")


def make_documents(collection: Sequence[Document], *, count: int) -> list[Document]:
    rounds = range(1, 1 + -(-count // len(collection)))
    documents = [
        Document(id=f"{number}-{each.id}", title=each.title, text=f"{each.text}\n{number}")
        for number in rounds
        for each in collection
    ]
    return documents[:count]


async def measure_load(folder: Path, *, chunks: int) -> None:
    collection = read(folder)
    queries = list(collection.queries.values())
    with tempfile.TemporaryDirectory() as directory:
        async with serving(Path(directory)) as (client, _):
            warm_up = make_documents(collection.documents, count=20)
            await upload(client, warm_up)
            each = await until_indexed(client, ids={document.id for document in warm_up}) / len(warm_up)
            documents = make_documents(collection.documents, count=20 + round(chunks / each))[20:]
            sample = [f"{document.title}\n{document.text}" for document in documents[:200]]
            before = await bare_rate(sample)
            times: list[float] = []
            searches = asyncio.create_task(search_for_ever(client, queries, times=times))
            began = time.perf_counter()
            await upload(client, documents)
            made = await until_indexed(client, ids={document.id for document in documents})
            elapsed = time.perf_counter() - began
            searches.cancel()
            after = await bare_rate(sample)
            print(f"{folder.name}: {len(documents)} documents, {made} chunks in {elapsed:.1f} s")
            print(f"  {len(documents) / elapsed:.1f} documents and {made / elapsed:.1f} chunks a second")
            print(f"  the embedding model alone: {before:.1f} and {after:.1f} documents a second before and after")
            p50, p99 = np.percentile(times, (50, 99))
            print(f"  {len(times)} searches meanwhile: p50 {1000 * p50:.0f} ms, p99 {1000 * p99:.0f} ms")
            await report_lag(client)


async def measure_memory(file: Path) -> None:
    with tempfile.TemporaryDirectory() as directory:
        async with serving(Path(directory)) as (client, pid):
            peaks: dict[str, int] = {}
            watch = asyncio.create_task(_watch_memory(pid, peaks=peaks))
            form = aiohttp.FormData()
            form.add_field("files", await asyncio.to_thread(file.read_bytes), filename=file.name)
            async with client.post("/documents", data=form) as response:
                response.raise_for_status()
                [document] = (await response.json())["documents"]
            chunks = await until_indexed(client, ids={document["id"]})
            watch.cancel()
            shown = ", ".join(f"{name} {peak >> 20} MB" for name, peak in sorted(peaks.items()))
            print(f"{file.name}: {chunks} chunks; peak memory: {shown}")


async def _watch_memory(pid: int, *, peaks: dict[str, int]) -> None:
    while True:
        for name, size in _sizes(pid):
            peaks[name] = max(peaks.get(name, 0), size)
        await asyncio.sleep(SAMPLE_SECONDS)


def _sizes(pid: int) -> Iterator[tuple[str, int]]:
    """Resident sizes in bytes of a process and of all that it has started, by what they are."""
    try:
        command = Path(f"/proc/{pid}/cmdline").read_bytes()
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        resident = _resident(pid)
    except OSError:
        return
    parsers, vectors = b"loaders.worker" in command, b"--path" in command
    yield ("parser" if parsers else "chroma" if vectors else "service"), resident
    for child in children:
        yield from _sizes(int(child))


def _resident(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, metavar="FOLDER")
    parser.add_argument("--chunks", type=int, default=10_000, metavar="N")
    parser.add_argument("--file", type=Path, metavar="FILE")
    options = parser.parse_args()
    await measure_load(options.folder, chunks=options.chunks)
    if options.file is not None:
        await measure_memory(options.file)


if __name__ == "__main__":
    asyncio.run(main())
