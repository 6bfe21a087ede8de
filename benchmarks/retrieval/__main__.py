"""Measures retrieval as the service does it: `python -m benchmarks.retrieval FOLDER...`.

Each FOLDER holds a collection as `collection` reads it. Its documents are ingested, and each query is looked up by
meaning alone, by words alone, and by both; a document stands where its best chunk does. With two folders or more it
also prints how many queries reach the relevance floor on their own collection and on the others.
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
import time
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np

from app.config import Settings
from app.models import Caller, Dispatch, Label, RetrievalScope
from app.services.ingestion import Upload
from app.services.retrieval import SearchQuery
from app.services.vector_store import nearest
from app.wiring import Services, open_services
from benchmarks.retrieval.collection import DEPTH_OF_RECALL, Collection, ndcg, read, recall

# Chunks in each ranking: enough for a hundred documents of a few chunks.
DEPTH = 3 * DEPTH_OF_RECALL
CALLER = Caller()


async def ingest(services: Services, collection: Collection, *, name: str) -> dict[str, str]:
    """Index the documents into a collection of this name; their ids by version."""
    uploads = [
        Upload(
            id=document.id,
            collection=name,
            title=document.title or None,
            content=document.text.encode(),
            media_type="text/plain",
            filename=None,
            label=Label.PUBLIC,
            metadata={},
        )
        for document in collection.documents
    ]
    began = time.perf_counter()
    versions = await services.ingestion.accept(uploads, caller=CALLER)
    await services.ingestion.work_off()
    left = await services.documents.unfinished([version.id for version in versions])
    print(f"{name}: {len(versions)} documents ingested in {time.perf_counter() - began:.0f} s, {left} left")
    return {version.id: version.key.id for version in versions}


def search_query(text: str, *, name: str) -> SearchQuery:
    return SearchQuery(text=text, label=Label.PUBLIC, scope=RetrievalScope(collection=name, limit=DEPTH_OF_RECALL))


async def rank(services: Services, text: str, *, name: str) -> dict[str, list[str]]:
    """Chunk ids by meaning, by words and by both."""
    spaces = await services.documents.spaces(tenant=CALLER.tenant, collection=name, clearance=CALLER.clearance)
    vectors = await services.embedder.embed(Dispatch((text,), Label.PUBLIC, services.embedder.model))
    meaning = await nearest(services.index, spaces, vector=vectors[0], limit=DEPTH)
    words = await services.documents.search_words(
        text, tenant=CALLER.tenant, collection=name, clearance=CALLER.clearance, limit=DEPTH
    )
    both = await services.retrieval.rank(search_query(text, name=name), caller=CALLER, depth=DEPTH)
    return {
        "meaning": [hit.chunk_id for hit in meaning],
        "words": [hit.chunk_id for hit in words],
        "hybrid": [each.chunk_id for each in both],
    }


def documents_of(chunk_ids: Iterable[str], *, owners: Mapping[str, str]) -> list[str]:
    return list(dict.fromkeys(owners[id.rpartition(":")[0]] for id in chunk_ids))


async def measure(services: Services, collection: Collection, *, name: str) -> None:
    owners = await ingest(services, collection, name=name)
    scores: dict[str, list[tuple[float, float]]] = {}
    for query, judged in collection.judgements.items():
        for ranking, chunk_ids in (await rank(services, collection.queries[query], name=name)).items():
            ranked = documents_of(chunk_ids, owners=owners)
            scores.setdefault(ranking, []).append((ndcg(ranked, judged=judged), recall(ranked, judged=judged)))
    for ranking, pairs in scores.items():
        gain, found = np.mean(pairs, axis=0)
        print(f"  {ranking:<8} nDCG@10 {gain:.4f}   recall@100 {found:.4f}")


async def measure_floor(services: Services, collections: Mapping[str, Collection]) -> None:
    """How many queries find a passage that is taken to bear on them, on each collection."""
    for asked, collection in collections.items():
        texts = list(collection.queries.values())[:: max(1, len(collection.queries) // 300)]
        for name in collections:
            lookups = [await services.retrieval.ground(search_query(text, name=name), caller=CALLER) for text in texts]
            above = np.mean([bool(lookup.passages) for lookup in lookups])
            print(f"  queries of {asked} on {name}: {above:.3f} above the floor")


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="+", type=Path, metavar="FOLDER")
    parser.add_argument(
        "--database", metavar="URL", help="keep the record there instead of in SQLite; it must be empty"
    )
    parser.add_argument("--vectors", choices=("memory", "chroma", "pgvector"), default="memory")
    parser.add_argument("--pgvector", metavar="URL", help="the database of `--vectors pgvector`; it must be empty")
    options = parser.parse_args()
    folders = options.folders
    collections = {folder.name: read(folder) for folder in folders}
    with tempfile.TemporaryDirectory() as directory:
        settings = Settings(
            data_dir=Path(directory),
            chroma_path=Path(directory) / "chroma",
            vector_store=options.vectors,
            pgvector_url=options.pgvector,
            database_url=options.database,
            redis_url=None,
        )
        async with open_services(settings, at_rest=True) as services:
            for name, collection in collections.items():
                await measure(services, collection, name=name)
            if len(collections) > 1:
                await measure_floor(services, collections)


if __name__ == "__main__":
    asyncio.run(main())
