"""What a step costs while nobody collects traces and while somebody does: `python -m benchmarks.tracing`."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

from app.exporters.otlp import LARGEST_BATCH, encode
from app.utils.tracing import AttributeValue, RecordedSpan, Tracer, step, traced

ROUNDS, REPETITIONS = 20_000, 9
DESCRIBED: dict[str, AttributeValue] = {
    "gen_ai.operation.name": "chat",
    "gen_ai.request.model": "some-model",
    "sluice.label": "public",
    "gen_ai.usage.input_tokens": 3,
}


@traced("step")
async def traced_work() -> None:
    """Do nothing as a step."""


async def bare_work() -> None:
    """Do nothing."""


async def seconds_of(work: Callable[[], Awaitable[None]]) -> float:
    """Of one call, the best of some repetitions."""
    best = float("inf")
    for _ in range(REPETITIONS):
        began = time.perf_counter()
        for _ in range(ROUNDS):
            await work()
        best = min(best, (time.perf_counter() - began) / ROUNDS)
    return best


async def stretch() -> None:
    with step("step"):
        pass


async def measure() -> None:
    bare = await seconds_of(bare_work)
    method, block = await seconds_of(traced_work) - bare, await seconds_of(stretch) - bare
    print(f"without a collector: a traced method {method * 1e6:.2f} us, a block {block * 1e6:.2f} us")
    ended: list[RecordedSpan] = []
    with Tracer(ended.append).begin("request"):
        method, block = await seconds_of(traced_work) - bare, await seconds_of(stretch) - bare
    print(f"with one: a traced method {method * 1e6:.2f} us, a block {block * 1e6:.2f} us")
    batch = ended[:LARGEST_BATCH]
    for span in batch:
        span.set(DESCRIBED)
    began = time.perf_counter()
    body = encode(batch, resource={})
    print(
        f"to write one down: {(time.perf_counter() - began) / len(batch) * 1e6:.2f} us, {len(body) // len(batch)} bytes"
    )


if __name__ == "__main__":
    asyncio.run(measure())
