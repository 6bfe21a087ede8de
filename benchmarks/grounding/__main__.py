"""Measures the check of citations: `python -m benchmarks.grounding FOLDER...`.

Each FOLDER holds questions with their answers over documents, as `benchmarks.retrieval.collection` reads them. A
question and its answer, put side by side, are a claim in a reader's own words. It prints how many claims count as
supported: on their own document, on the one before it, on any other, and on their own with the answer to some other
question.
"""

from __future__ import annotations

import argparse
import json
import random
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from app.models import Label, Passage
from app.services.grounding import check
from benchmarks.retrieval.collection import Document, read

SEED = 0
MOST_CLAIMS = 400


def is_supported(claim: str, document: Document) -> bool:
    passage = Passage(
        id="v:0",
        document_id=document.id,
        collection="default",
        version="v",
        title=document.title,
        content=document.text,
        score=1.0,
        label=Label.PUBLIC,
    )
    return check(f"{claim} [1].", passages=(passage,), searched=True).outcome == "supported"


def judge(folder: Path) -> Iterator[Mapping[str, bool]]:
    """For each question whether the claims made of it are supported."""
    collection, chance = read(folder), random.Random(SEED)  # a sample, not a secret
    rows = [json.loads(line) for line in (folder / "queries.jsonl").read_text(encoding="utf-8").splitlines()]
    answers = {row["id"]: row["answers"][0] for row in rows if row.get("answers")}
    places = {document.id: place for place, document in enumerate(collection.documents)}
    for query in list(answers)[:: max(1, len(answers) // MOST_CLAIMS)]:
        own = places[next(iter(collection.judgements[query]))]
        asked = collection.queries[query].rstrip("?\uff1f ")
        claim = f"{asked} {answers[query]}"
        yield {
            "own document": is_supported(claim, collection.documents[own]),
            "the one before": is_supported(claim, collection.documents[own - 1]),
            "any other": is_supported(claim, chance.choice(collection.documents)),
            "another answer": is_supported(
                f"{asked} {answers[chance.choice(list(answers))]}", collection.documents[own]
            ),
        }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="+", type=Path, metavar="FOLDER")
    for folder in parser.parse_args().folders:
        judged = list(judge(folder))
        shares = ", ".join(f"{name} {np.mean([each[name] for each in judged]):.3f}" for name in judged[0])
        print(f"{folder.name} ({len(judged)} claims): supported on {shares}")


if __name__ == "__main__":
    main()
