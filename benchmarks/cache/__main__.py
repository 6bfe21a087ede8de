"""Print how often the semantic cache is right: `python -m benchmarks.cache FOLDER [--most N]`.

FOLDER holds files of pairs, `*.jsonl` with `a`, `b`, `label` (1 = the same) a line. Each pair goes through the whole
pipeline: `a` is asked and kept, then `b` is asked; a pair is served if `b` gets the answer to `a`. Pairs are kept apart
by a system prompt of their own. Beside it stands plain cosine of the same embedding model.
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from app.config import Settings
from app.models import CacheUse, Caller, ChatRequest, Dispatch, Label, Message, Started
from app.wiring import Services, open_services
from benchmarks.cache.lookalikes import lookalikes
from benchmarks.cache.near_misses import near_misses
from benchmarks.cache.pairs import Pair, Score, read_pairs, score

THRESHOLDS = (0.8, 0.9, 0.95)
BATCH = 64
REQUEST = ChatRequest(
    messages=(), model="builtin/extractive", documents=None, cache=CacheUse(semantic=True, asked=True)
)


async def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.cache")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--most", type=int, help="pairs of each file, evenly taken")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        settings = Settings(data_dir=Path(directory), vector_store="memory", redis_url=None, cache_max_bytes=2**30)
        async with open_services(settings) as services:
            for file in sorted(arguments.folder.glob("*.jsonl")):
                pairs = read_pairs(file)
                await report(file.name, _some(pairs, most=arguments.most), services=services)
            written = list(lookalikes())
            await report("pairs written by hand", written, services=services)
            await report_kinds([*near_misses(), *(pair for pair in written if not pair.same)], services=services)


async def report(name: str, pairs: Sequence[Pair], *, services: Services) -> None:
    print(f"{name}: {len(pairs)} pairs, {sum(pair.same for pair in pairs)} of them the same")
    _print("semantic cache", score(pairs, [await served(pair, services=services) for pair in pairs]))
    cosines = await cosines_of(pairs, services=services)
    for threshold in THRESHOLDS:
        _print(f"cosine >= {threshold}", score(pairs, [cosine >= threshold for cosine in cosines]))


async def report_kinds(pairs: Sequence[Pair], *, services: Services) -> None:
    """How many pairs that ask for something else are served, by kind."""
    print("near misses, from templates and by hand: served by the semantic cache, by cosine >= 0.9")
    cosines = await cosines_of(pairs, services=services)
    for kind in sorted({pair.kind for pair in pairs}):
        chosen = [position for position, pair in enumerate(pairs) if pair.kind == kind]
        # Under another system prompt than any report before: what was asked there is no exact hit here.
        hits = sum([await served(pairs[position], services=services, apart=kind) for position in chosen])
        near = sum(cosines[position] >= THRESHOLDS[1] for position in chosen)
        print(f"  {kind:20} {len(chosen):4} pairs {hits / len(chosen):7.1%} {near / len(chosen):7.1%}")


async def served(pair: Pair, *, services: Services, apart: str = "") -> bool:
    """Whether the answer to one of the pair was given to the other."""
    system = Message.of("system", f"{apart}\n{pair.one}\n{pair.other}")
    await _ask(system, pair.one, services=services)
    return await _ask(system, pair.other, services=services) in ("semantic", "hit")


async def _ask(system: Message, text: str, *, services: Services) -> str:
    """What the cache did."""
    request = replace(REQUEST, messages=(system, Message.of("user", text)))
    batches = services.gateway.answer(request, caller=Caller())
    started = [event async for events in batches for event in events if isinstance(event, Started)]
    return started[0].route.cache


async def cosines_of(pairs: Sequence[Pair], *, services: Services) -> Sequence[float]:
    texts = [text for pair in pairs for text in (pair.one, pair.other)]
    model = services.embedder.model
    batches = [
        await services.embedder.embed(Dispatch(tuple(texts[start : start + BATCH]), Label.PUBLIC, model), bulk=True)
        for start in range(0, len(texts), BATCH)
    ]
    vectors = np.concatenate(batches)
    return [float(cosine) for cosine in (vectors[::2] * vectors[1::2]).sum(axis=1)]


def _some(pairs: Sequence[Pair], *, most: int | None) -> Sequence[Pair]:
    return pairs[:: -(-len(pairs) // most)] if most else pairs


def _print(name: str, found: Score) -> None:
    precision = "     -" if found.precision is None else f"{found.precision:6.3f}"
    recall = "     -" if found.recall is None else f"{found.recall:6.3f}"
    print(f"  {name:16} {found.hits:5} served   precision {precision}   recall {recall}")


if __name__ == "__main__":
    asyncio.run(main())
