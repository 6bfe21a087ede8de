"""Many requests, one after the other: `python -m benchmarks.speed.soak [--requests 200000]`.

A third each of questions that were not asked before, of one that was, and of streams, in slices. Prints the memory of
the gateway's processes after each slice, how much it grew since the warm-up, and how many requests failed.
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
import time
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path

from benchmarks.speed.cases import CASES
from benchmarks.speed.gateways import Gateway, Surroundings, running, running_upstream, sluice
from benchmarks.speed.load import Load, drive
from benchmarks.speed.processes import read_tree

MIX = ("miss", "hit", "stream-100")
CHUNKS = 10
SLICE_SECONDS = 10.0
# What is kept of requests that are over has its bounds, which are reached by then: of the cache this one.
WARM_UP_SHARE = 0.2
CACHE_MAX_BYTES = 8 * 1024 * 1024


def load_of(name: str, *, gateway: Gateway) -> Load:
    case = CASES[name]
    body = case.request(model=gateway.model)
    return Load(path=case.path, body=body, headers=gateway.headers, connections=case.connections)


async def _main() -> None:
    parser = argparse.ArgumentParser(prog="benchmarks.speed.soak", description=__doc__)
    parser.add_argument("--requests", type=int, default=200_000)
    wanted = parser.parse_args().requests
    async with AsyncExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        upstream = await stack.enter_async_context(running_upstream(chunks=CHUNKS, chunks_per_second=0))
        gateway = sluice(Surroundings(upstream=upstream, directory=directory))
        bounded = {**gateway.environment, "CACHE_MAX_BYTES": str(CACHE_MAX_BYTES)}
        gateway = replace(gateway, environment=bounded)
        pid = await stack.enter_async_context(running(gateway, directory=directory))
        loads = [load_of(name, gateway=gateway) for name in MIX]
        done = failed = 0
        warm: int | None = None
        while done < wanted:
            for load in loads:
                run = time.time_ns() % 10**12
                outcome = await drive(load, port=gateway.port, seconds=SLICE_SECONDS, run=run, directory=directory)
                done, failed = done + outcome.requests, failed + outcome.errors
            memory = read_tree(pid).memory
            if warm is None and done >= wanted * WARM_UP_SHARE:
                warm = memory
            grown = f", {memory / warm - 1:+.1%} since the warm-up" if warm else ""
            print(f"{done:,} requests, {failed} failed: {memory / 1e6:.0f} MB{grown}", flush=True)


if __name__ == "__main__":
    asyncio.run(_main())
