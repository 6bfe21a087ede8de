"""Start and rest: `python -m benchmarks.speed.starting` prints the time until ready and the idle memory."""

from __future__ import annotations

import argparse
import asyncio
import tempfile
import time
from contextlib import AsyncExitStack
from pathlib import Path
from statistics import median

from benchmarks.speed.documents import put_in
from benchmarks.speed.gateways import Surroundings, running, running_upstream, sluice
from benchmarks.speed.processes import read_tree


async def _main() -> None:
    parser = argparse.ArgumentParser(prog="benchmarks.speed.starting", description=__doc__)
    parser.add_argument("--starts", type=int, default=5)
    starts = parser.parse_args().starts
    async with AsyncExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        upstream = await stack.enter_async_context(running_upstream(chunks=1, chunks_per_second=0))
        gateway = sluice(Surroundings(upstream=upstream, directory=directory))
        seconds, memory = [], []
        for _ in range(starts + 1):
            begun = time.perf_counter()
            async with running(gateway, directory=directory) as pid:
                seconds.append(time.perf_counter() - begun)
                await put_in(gateway, count=1)  # which loads the embedding model
                memory.append(read_tree(pid).memory)
        first, *later = seconds
        print(f"ready: first start {first:.1f} s, later ones {median(later):.1f} s ({max(later):.1f} most)")
        print(f"idle memory, one document put in: {median(memory) / 1e6:.0f} MB")


if __name__ == "__main__":
    asyncio.run(_main())
