"""A service of its own to measure, and what can be read of it from outside: its metrics and its memory."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import socket
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import aiohttp

START_SECONDS: Final = 60
POLL_SECONDS: Final = 0.05
# How often to look while more documents than these are left.
LONG_POLL_SECONDS: Final = 0.5
FEW_LEFT: Final = 16
_ENDED: Final = re.compile(r'^sluice_documents_total\{outcome="[^"]+"\} (\S+)', re.MULTILINE)
_LAG: Final = re.compile(r'^sluice_event_loop_lag_seconds_bucket\{le="([^"]+)"\} (\S+)', re.MULTILINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """A running service: a client of it, and the id of its process."""

    client: aiohttp.ClientSession
    pid: int

    async def ended(self) -> int:
        """How many documents have been indexed or have failed since the start."""
        return int(sum(float(count) for count in _ENDED.findall(await self._metrics())))

    async def lag(self) -> Lag:
        return Lag({float(bound): int(float(count)) for bound, count in _LAG.findall(await self._metrics())})

    async def until_ended(self, count: int) -> float:
        """When so many documents have ended since the start, on the clock of `time.perf_counter`."""
        while (left := count - await self.ended()) > 0:  # noqa: ASYNC110  # it happens in another process
            # An answer costs the service milliseconds, which would be measured too.
            await asyncio.sleep(POLL_SECONDS if left <= FEW_LEFT else LONG_POLL_SECONDS)
        return time.perf_counter()

    async def _metrics(self) -> str:
        async with self.client.get("/metrics") as response:
            return await response.text()


@dataclass(frozen=True, slots=True)
class Lag:
    """How late the event loop was: how many probes were late by at most each bound, in seconds."""

    probes: dict[float, int]

    def __sub__(self, earlier: Lag) -> Lag:
        """What came after an earlier reading."""
        return Lag({bound: count - earlier.probes.get(bound, 0) for bound, count in self.probes.items()})

    def __str__(self) -> str:
        bounds = sorted(self.probes)
        total = self.probes[bounds[-1]]
        late = ", ".join(f"{share:.1%} <= {1000 * self.at(share):.0f} ms" for share in (0.5, 0.99, 0.999, 1.0))
        return f"event loop late in {total} probes: {late}"

    def at(self, share: float) -> float:
        """The least bound that so many of the probes stayed within."""
        bounds = sorted(self.probes)
        return next(bound for bound in bounds if self.probes[bound] >= share * self.probes[bounds[-1]])


@asynccontextmanager
async def serving(directory: Path) -> AsyncIterator[Service]:
    """A service with the default engines and its data in this folder."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = os.environ | {
        "PORT": str(port),
        "DATA_DIR": str(directory / "data"),
        "CHROMA_PATH": str(directory / "chroma"),
        "RATE_LIMIT_PER_MINUTE": "0",
        "LOG_LEVEL": "ERROR",
    }
    with (directory / "log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "app", "serve", env=environment, stdout=log, stderr=log
        )
    try:
        async with aiohttp.ClientSession(base_url=f"http://127.0.0.1:{port}") as client:
            await _until_ready(client)
            yield Service(client=client, pid=process.pid)
    finally:
        process.send_signal(signal.SIGTERM)
        await process.wait()


async def _until_ready(client: aiohttp.ClientSession) -> None:
    async with asyncio.timeout(START_SECONDS):
        while True:
            try:
                async with client.get("/ready") as response:
                    if response.ok:
                        return
            except aiohttp.ClientError:
                pass
            await asyncio.sleep(POLL_SECONDS)


async def watch_memory(pid: int, *, peaks: dict[str, int]) -> None:
    """Note for ever the largest resident sizes, in bytes: of each kind of process below this one, and of `all`."""
    while True:
        sizes = list(_sizes(pid))
        for name, size in sizes:
            peaks[name] = max(peaks.get(name, 0), size)
        peaks["all"] = max(peaks.get("all", 0), sum(size for _, size in sizes))
        await asyncio.sleep(POLL_SECONDS)


def _sizes(pid: int) -> Iterator[tuple[str, int]]:
    """Resident sizes in bytes of a process and of all that it has started, by what they are."""
    try:
        command = Path(f"/proc/{pid}/cmdline").read_bytes()
        children = " ".join(path.read_text() for path in Path(f"/proc/{pid}/task").glob("*/children")).split()
        resident = int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return
    yield _name(command), resident
    for child in children:
        yield from _sizes(int(child))


def _name(command: bytes) -> str:
    if b"loaders.worker" in command:
        return "parser"
    return "chroma" if b"--path" in command or b"chroma_server" in command else "service"
