"""Measures the engine on a retrieval set, in single precision and in 8 bits: `python -m benchmarks.embedding FOLDER`.

FOLDER holds docs.jsonl and queries.jsonl (`{id, text}` a line) and qrels.tsv (query, document, relevance). Retrieval is
dense alone, by brute force, one vector a document.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import shutil
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from onnxruntime.quantization import QuantType, quantize_dynamic  # type: ignore[import-untyped]  # it ships no types

from app.providers.minilm import files
from app.providers.minilm.engine import MiniLM

DEPTH = 10
QUERIES_BESIDE_AN_INGESTION = 100

Rows = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Collection:
    """Texts by id, and for each query the relevance of the documents that were judged."""

    documents: dict[str, str]
    queries: dict[str, str]
    judgements: dict[str, dict[str, int]]


@dataclass(frozen=True, slots=True)
class Measurement:
    """What one engine did; times are CPU seconds, `gains` is nDCG@10 of each judged query."""

    documents: Rows
    gains: NDArray[np.float64]
    per_document: float
    per_query: float


def read(folder: Path) -> Collection:
    judgements: dict[str, dict[str, int]] = {}
    for line in (folder / "qrels.tsv").read_text().splitlines():
        query, document, relevance = line.split()
        judgements.setdefault(query, {})[document] = max(0, int(relevance))
    return Collection(_texts(folder / "docs.jsonl"), _texts(folder / "queries.jsonl"), judgements)


def ndcg(ranked: Sequence[str], *, judged: dict[str, int]) -> float:
    """The nDCG at the length of `ranked`, linear gain (Järvelin & Kekäläinen 2002); some document must be relevant."""
    discounts = 1 / np.log2(np.arange(len(ranked)) + 2)
    ideal = sorted(judged.values(), reverse=True)[: len(ranked)]
    reached = np.array([judged.get(document, 0) for document in ranked]) @ discounts
    return float(reached / (np.array(ideal) @ discounts[: len(ideal)]))


async def measure(engine: MiniLM, *, collection: Collection) -> Measurement:
    begun = time.process_time()
    documents = await engine.embed(list(collection.documents.values()), bulk=True)
    embedded = time.process_time()
    queries = np.concatenate([await engine.embed([text]) for text in collection.queries.values()])
    ended = time.process_time()
    return Measurement(
        documents=documents,
        gains=_gains(collection, documents=documents, queries=queries),
        per_document=(embedded - begun) / len(documents),
        per_query=(ended - embedded) / len(queries),
    )


async def wait_beside_ingestion(engine: MiniLM, *, collection: Collection) -> NDArray[np.float64]:
    """Seconds that each of some queries takes while documents are embedded in bulk."""
    ingestion = asyncio.ensure_future(engine.embed(list(collection.documents.values()), bulk=True))
    waits = []
    for text in list(collection.queries.values())[:QUERIES_BESIDE_AN_INGESTION]:
        begun = time.perf_counter()
        await engine.embed([text])
        waits.append(time.perf_counter() - begun)
    ingestion.cancel()
    return np.array(waits)


def quantise(folder: Path, *, target: Path) -> Path:
    """The built graph with 8-bit weights, one scale a channel, and activations quantised as they come."""
    quantize_dynamic(
        folder / files.GRAPH,
        target / files.GRAPH,
        op_types_to_quantize=["Gemm", "MatMul"],
        per_channel=True,
        weight_type=QuantType.QInt8,
        extra_options={"MatMulConstBOnly": True},
    )
    shutil.copyfile(folder / files.TOKENIZER, target / files.TOKENIZER)
    return target


def report(name: str, measured: Measurement, *, reference: Measurement) -> None:
    shift = measured.gains - reference.gains
    cosines = (measured.documents * reference.documents).sum(axis=1)
    print(
        f"{name}: nDCG@{DEPTH} {measured.gains.mean():.4f}"
        f" ({shift.mean():+.4f}, standard error {shift.std() / np.sqrt(len(shift)):.4f}),"
        f" CPU {measured.per_document * 1e3:.1f} ms a document and {measured.per_query * 1e3:.2f} ms a query,"
        f" cosine to fp32 {cosines.mean():.4f} (least {cosines.min():.4f})"
    )


def _texts(path: Path) -> dict[str, str]:
    return {row["id"]: row["text"] for row in map(json.loads, path.read_text().splitlines())}


def _gains(collection: Collection, *, documents: Rows, queries: Rows) -> NDArray[np.float64]:
    names = list(collection.documents)
    best = np.argsort(-(queries @ documents.T), axis=1)[:, :DEPTH]
    judged = [collection.judgements.get(query, {}) for query in collection.queries]
    return np.array(
        [
            ndcg([names[place] for place in places], judged=relevance)
            for places, relevance in zip(best, judged, strict=True)
            if any(relevance.values())
        ]
    )


async def _main(folder: Path) -> None:
    collection = read(folder)
    engine = MiniLM.load()
    single = await measure(engine, collection=collection)
    report("fp32", single, reference=single)
    with tempfile.TemporaryDirectory() as scratch:
        small = MiniLM(quantise(files.built_folder(), target=Path(scratch)))
        report("int8", await measure(small, collection=collection), reference=single)
        small.close()
    for threads in (1, 2):
        lanes = MiniLM.load(threads=threads)
        waits = await wait_beside_ingestion(lanes, collection=collection) * 1e3
        lanes.close()
        middle, late, last = np.percentile(waits, [50, 95, 100])
        print(f"query beside an ingestion, {threads} thread(s): {middle:.1f} ms, p95 {late:.1f}, most {last:.1f}")
    engine.close()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    asyncio.run(_main(parser.parse_args().folder))
