"""A retrieval collection in files, and the measures of a ranking of its documents."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

DEPTH_OF_NDCG = 10
DEPTH_OF_RECALL = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    id: str
    title: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Collection:
    """Documents, queries by id, and for each query the relevance of the documents that were judged."""

    documents: tuple[Document, ...]
    queries: Mapping[str, str]
    judgements: Mapping[str, Mapping[str, int]]


def read(folder: Path) -> Collection:
    """Read docs.jsonl `{id, title, text}`, queries.jsonl `{id, text}` and qrels.tsv `query document relevance`."""
    judgements: dict[str, dict[str, int]] = {}
    for line in (folder / "qrels.tsv").read_text(encoding="utf-8").splitlines():
        query, document, relevance = line.split()
        judgements.setdefault(query, {})[document] = max(0, int(relevance))
    return Collection(
        documents=tuple(
            Document(id=row["id"], title=row.get("title") or "", text=row["text"])
            for row in _rows(folder / "docs.jsonl")
            if row["text"].strip()
        ),
        queries={row["id"]: row["text"] for row in _rows(folder / "queries.jsonl")},
        judgements={query: judged for query, judged in judgements.items() if any(judged.values())},
    )


def ndcg(ranked: Sequence[str], *, judged: Mapping[str, int]) -> float:
    """The nDCG@10 with linear gain (Järvelin and Kekäläinen, 2002); some document must be relevant."""
    ideal = _gain(sorted(judged.values(), reverse=True))
    return _gain([judged.get(document, 0) for document in ranked]) / ideal


def recall(ranked: Sequence[str], *, judged: Mapping[str, int]) -> float:
    """The share of the relevant documents among the first 100."""
    relevant = {document for document, relevance in judged.items() if relevance}
    return len(relevant.intersection(ranked[:DEPTH_OF_RECALL])) / len(relevant)


def _gain(relevances: Sequence[int]) -> float:
    return sum(relevance / math.log2(place + 1) for place, relevance in enumerate(relevances[:DEPTH_OF_NDCG], start=1))


def _rows(path: Path) -> list[dict[str, str]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
