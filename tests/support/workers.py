"""The workers under a service process: to be told apart, held still, and killed."""

from __future__ import annotations

import os
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import aiohttp

from tests.support.process import ServiceProcess

WORKER = b"app.cli.serving"


def children(pid: int) -> list[int]:
    """The processes that a process has started and that still run."""
    try:
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except FileNotFoundError:
        return []


def workers(pid: int) -> list[int]:
    """Those of its children that serve."""
    return [child for child in children(pid) if WORKER in Path(f"/proc/{child}/cmdline").read_bytes()]


def is_running(pid: int) -> bool:
    try:
        status = Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return False
    return status.rpartition(")")[2].split()[0] != "Z"


@contextmanager
def only(worker: int, *, of: int) -> Iterator[None]:
    """Hold all other workers of the service still, so that this one answers every new connection."""
    others = [each for each in workers(of) if each != worker]
    for each in others:
        os.kill(each, signal.SIGSTOP)
    try:
        yield
    finally:
        for each in others:
            os.kill(each, signal.SIGCONT)


@asynccontextmanager
async def connected_to(worker: int, service: ServiceProcess) -> AsyncIterator[aiohttp.ClientSession]:
    """A client over one connection, which this worker alone could take; the others run again by then."""
    async with aiohttp.ClientSession(service.url, connector=aiohttp.TCPConnector(limit=1)) as client:
        with only(worker, of=service.pid):
            async with client.get("/openapi.json") as response:
                await response.read()
        yield client
