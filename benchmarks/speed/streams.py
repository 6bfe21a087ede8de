"""Many slow streams at once: `python -m benchmarks.speed.streams [--streams 500] [--chunks-per-second 20]`.

Prints the largest gap between two pieces of one stream, through the gateway and straight from the upstream, and the
memory that the gateway's processes take for each open stream.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

from benchmarks.speed.gateways import HOST, Surroundings, running, running_upstream, sluice
from benchmarks.speed.processes import read_tree

SAMPLE_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class Stream:
    """When each piece of one stream came, in seconds; whole if it came to its end."""

    times: Sequence[float]
    whole: bool

    @property
    def largest_gap(self) -> float:
        return max((later - earlier for earlier, later in zip(self.times, self.times[1:], strict=False)), default=0.0)


async def read_stream(port: int, *, headers: Mapping[str, str], model: str, number: int) -> Stream:
    """Ask for one stream over a connection of its own and note when each read of it came."""
    reader, writer = await asyncio.open_connection(HOST, port)
    body = json.dumps(
        {"model": model, "stream": True, "messages": [{"role": "user", "content": f"Stream number {number}, please."}]}
    ).encode()
    lines = [
        "POST /v1/chat/completions HTTP/1.1",
        f"host: {HOST}:{port}",
        "content-type: application/json",
        f"content-length: {len(body)}",
        *(f"{name}: {value}" for name, value in headers.items()),
    ]
    writer.write("\r\n".join([*lines, "", ""]).encode() + body)
    times: list[float] = []
    tail = b""
    while b"[DONE]" not in tail and (data := await reader.read(65536)):
        if b"data:" in data:
            times.append(time.perf_counter())
        tail = (tail + data)[-64:]
    writer.close()
    return Stream(times, whole=b"[DONE]" in tail)


async def read_many(count: int, *, port: int, headers: Mapping[str, str], model: str) -> list[Stream]:
    return await asyncio.gather(
        *(read_stream(port, headers=headers, model=model, number=number) for number in range(count))
    )


async def most_memory(pid: int, *, until: asyncio.Future[list[Stream]]) -> int:
    most = 0
    while not until.done():
        most = max(most, (await asyncio.to_thread(read_tree, pid)).memory)
        await asyncio.sleep(SAMPLE_SECONDS)
    return most


def describe(name: str, streams: Sequence[Stream]) -> str:
    gaps = sorted(stream.largest_gap * 1e3 for stream in streams)
    whole = sum(stream.whole for stream in streams)
    middle, most = gaps[len(gaps) // 2], gaps[-1]
    return f"{name}: {whole} of {len(streams)} whole; largest gap: median {middle:.0f} ms, most {most:.0f} ms"


async def _main() -> None:
    parser = argparse.ArgumentParser(prog="benchmarks.speed.streams", description=__doc__)
    parser.add_argument("--streams", type=int, default=500)
    parser.add_argument("--chunks", type=int, default=100)
    parser.add_argument("--chunks-per-second", type=float, default=20.0)
    options = parser.parse_args()
    async with AsyncExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        upstream = await stack.enter_async_context(
            running_upstream(chunks=options.chunks, chunks_per_second=options.chunks_per_second)
        )
        gateway = sluice(Surroundings(upstream=upstream, directory=directory))
        pid = await stack.enter_async_context(running(gateway, directory=directory))
        print(describe("upstream", await read_many(options.streams, port=upstream, headers={}, model="small-model")))
        await read_many(10, port=gateway.port, headers=gateway.headers, model=gateway.model)
        idle = read_tree(pid).memory
        reading = asyncio.ensure_future(
            read_many(options.streams, port=gateway.port, headers=gateway.headers, model=gateway.model)
        )
        most = await most_memory(pid, until=reading)
        print(describe("gateway", reading.result()))
        print(f"memory: {(most - idle) / options.streams / 1e3:.0f} KB a stream over {idle / 1e6:.0f} MB")


if __name__ == "__main__":
    asyncio.run(_main())
