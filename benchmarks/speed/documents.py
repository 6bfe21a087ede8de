"""Documents to search: sentences of invented surveys, each document different from every other."""

from __future__ import annotations

import asyncio
import json
import random
import urllib.request
from collections.abc import Iterator

from benchmarks.speed.gateways import HOST, Gateway

BATCH = 200
SENTENCES = 6
SUBJECTS = ("The ridge", "A heron", "The spring", "Our boat", "The old mill", "A marker", "The glacier", "The road")
VERBS = ("was measured", "was seen", "had moved", "stood", "was repaired", "was counted", "lay")
PLACES = ("near the lake", "at the northern gate", "above the tree line", "beside the railway", "in the second valley")


async def put_in(gateway: Gateway, *, count: int) -> None:
    """Ingest `count` documents and wait until each is indexed."""
    for start in range(0, count, BATCH):
        batch = list(_documents(start, min(start + BATCH, count)))
        await asyncio.to_thread(_post, gateway, batch)


def _documents(start: int, end: int) -> Iterator[dict[str, str]]:
    for number in range(start, end):
        chance = random.Random(number)
        yield {"id": f"survey-{number}", "content": " ".join(_sentence(chance) for _ in range(SENTENCES))}


def _sentence(chance: random.Random) -> str:
    parts = (chance.choice(SUBJECTS), chance.choice(VERBS), chance.choice(PLACES))
    return f"{' '.join(parts)} on day {chance.randrange(1, 9999)} at {chance.randrange(100, 2900)} metres."


def _post(gateway: Gateway, batch: list[dict[str, str]]) -> None:
    request = urllib.request.Request(
        f"http://{HOST}:{gateway.port}/documents?wait=true",
        data=json.dumps({"documents": batch, "sensitivity": "public"}).encode(),
        headers={"content-type": "application/json", **gateway.headers},
    )
    with urllib.request.urlopen(request, timeout=300) as answer:  # noqa: S310 - a fixed loopback address
        statuses = {document["status"] for document in json.load(answer)["documents"]}
    if statuses != {"indexed"}:
        raise RuntimeError(f"documents ended {', '.join(sorted(statuses))}")
