"""Measures how follow-up questions are looked up: `python -m benchmarks.followups`.

Prints the share of questions whose passage is found first, and their mean reciprocal rank among the first ten: as they
were asked, as the service rewrites them, and put in full by hand.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from app.config import Settings
from app.models import Label, Message, RetrievalScope
from app.services.followups import search_text
from app.services.retrieval import SearchQuery
from app.wiring import Services, open_services
from benchmarks.followups.dialogues import ALONE, LEANING, Dialogue, passages
from benchmarks.retrieval.__main__ import CALLER, ingest
from benchmarks.retrieval.collection import Collection, Document

NAME = "followups"
SCOPE = RetrievalScope(collection=NAME, limit=10)


def rewrite(dialogue: Dialogue) -> str:
    said = [Message.of("assistant" if place % 2 else "user", text) for place, text in enumerate(dialogue.history)]
    return search_text([*said, Message.of("user", dialogue.question)])


async def reciprocal_rank(services: Services, text: str, *, passage: str) -> float:
    query = SearchQuery(text=text, label=Label.PUBLIC, scope=SCOPE)
    found = await services.retrieval.search(query, caller=CALLER)
    ids = [each.passage.document_id for each in found]
    return 1 / (1 + ids.index(passage)) if passage in ids else 0.0


async def measure(services: Services, dialogues: Sequence[Dialogue], *, text_of: Callable[[Dialogue], str]) -> str:
    ranks = [await reciprocal_rank(services, text_of(each), passage=each.passage) for each in dialogues]
    return f"first {np.mean([rank == 1 for rank in ranks]):.2f}   MRR@10 {np.mean(ranks):.3f}"


async def main() -> None:
    documents = tuple(Document(id=id, title="", text=text) for id, text in passages().items())
    with tempfile.TemporaryDirectory() as directory:
        settings = Settings(data_dir=Path(directory), vector_store="memory", database_url=None, redis_url=None)
        async with open_services(settings, at_rest=True) as services:
            await ingest(services, Collection(documents=documents, queries={}, judgements={}), name=NAME)
            for name, dialogues in (("leaning", LEANING), ("standing alone", ALONE)):
                print(f"{len(dialogues)} questions {name}")
                print("  as asked   ", await measure(services, dialogues, text_of=lambda each: each.question))
                print("  rewritten  ", await measure(services, dialogues, text_of=rewrite))
                print(
                    "  in full    ", await measure(services, dialogues, text_of=lambda each: each.full or each.question)
                )


if __name__ == "__main__":
    asyncio.run(main())
