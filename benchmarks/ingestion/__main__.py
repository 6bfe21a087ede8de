"""Measures ingestion: `python -m benchmarks.ingestion FOLDER [--chunks N] [--rounds N] [--files FOLDER]`.

FOLDER is a collection as `benchmarks.retrieval.collection` reads it. A service of its own takes in its documents, over
and over under new ids. It prints:

- chunks a second from upload to indexed, beside those of the bare embedding model on the same chunks, in rounds;
- how long searches take beside nothing and beside the ingestion of N chunks, and how late the event loop was;
- with `--files`, what becomes of each file of a folder, and the peak memory of the service and all its processes.
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
from pathlib import Path

from app.providers.minilm.engine import MiniLM
from benchmarks.ingestion.corpus import Corpus
from benchmarks.ingestion.files import measure_files
from benchmarks.ingestion.latency import measure_latency
from benchmarks.ingestion.service import serving
from benchmarks.ingestion.throughput import measure_throughput
from benchmarks.retrieval.collection import read

CHUNKS_A_ROUND = 300


async def measure(folder: Path, *, chunks: int, rounds: int) -> None:
    collection, engine = read(folder), MiniLM.load()
    print(f"{folder.name}:", flush=True)
    corpus = Corpus(collection.documents, engine=engine)
    with tempfile.TemporaryDirectory() as directory:
        async with serving(Path(directory)) as service:
            if rounds:
                await measure_throughput(service, corpus, engine=engine, chunks=CHUNKS_A_ROUND, rounds=rounds)
            if chunks:
                await measure_latency(service, corpus, queries=collection.queries.values(), chunks=chunks)
    engine.close()


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, nargs="?", metavar="FOLDER")
    parser.add_argument("--chunks", type=int, default=10_000, metavar="N", help="to index beside searches, or 0")
    parser.add_argument("--rounds", type=int, default=5, metavar="N", help="of the comparison of throughput, or 0")
    parser.add_argument("--files", type=Path, metavar="FOLDER")
    options = parser.parse_args()
    if options.folder is not None:
        await measure(options.folder, chunks=options.chunks, rounds=options.rounds)
    if options.files is not None:
        await measure_files(options.files)


if __name__ == "__main__":
    asyncio.run(main())
