"""A real Redis server that a test can pause, kill and look into."""

from __future__ import annotations

import asyncio
import shutil
import signal
from asyncio.subprocess import PIPE, STDOUT, Process
from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import aclosing
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from redis.asyncio import Redis

from tests.support.ports import HOST, free_port

PATIENCE = 10.0
READY = (b"Ready to accept connections", b"Sentinel ID is")
EXECUTABLE = shutil.which("redis-server")


class RedisServer:
    """A `redis-server` process without persistence, on a port of its own that survives `restart`.

    `options` are added to its own; `mode` are the words before them, such as `--sentinel`.
    """

    def __init__(self, directory: Path, *, options: Mapping[str, str] | None = None, mode: Sequence[str] = ()) -> None:
        self._directory = directory
        self._options = options or {}
        self._mode = mode
        self._port = free_port()
        self._process: Process | None = None
        self._draining: asyncio.Task[None] | None = None

    def add_option(self, name: str, value: str) -> None:
        """For what depends on the port, before the start."""
        self._options = {**self._options, name: value}

    @property
    def url(self) -> str:
        return f"redis://{HOST}:{self._port}/0"

    @property
    def port(self) -> int:
        return self._port

    async def start(self) -> None:
        """Return once it accepts connections."""
        if EXECUTABLE is None:
            raise FileNotFoundError("redis-server is not installed")
        options = {
            "port": str(self._port),
            "bind": HOST,
            "dir": str(self._directory),
            "save": "",
            "appendonly": "no",
            # DUMP would hide what a value holds behind its compression.
            "rdbcompression": "no",
            **self._options,
        }
        arguments = [word for name, value in options.items() for word in (f"--{name}", *(value.split() or [""]))]
        self._process = await asyncio.create_subprocess_exec(
            EXECUTABLE, *self._mode, *arguments, stdout=PIPE, stderr=STDOUT
        )
        async with asyncio.timeout(PATIENCE):
            await self._await_readiness(_output(self._process))
        self._draining = asyncio.create_task(_drain(_output(self._process)))

    def pause(self) -> None:
        """Stop answering without closing anything: connections hang."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        self._signal(signal.SIGCONT)

    async def kill(self) -> None:
        """End it at once; connections are reset and everything it held is lost. Does nothing if it has ended."""
        process, self._process = self._process, None
        if process is None:
            return
        if process.returncode is None:
            process.kill()
        await process.wait()
        if self._draining is not None:
            await self._draining

    async def restart(self) -> None:
        """Kill it and start an empty one on the same port."""
        await self.kill()
        await self.start()

    async def ask(self, *words: str | int) -> Any:
        """The answer to a command, as the client reads it."""
        async with aclosing(Redis(host=HOST, port=self._port)) as client:
            return await client.execute_command(*words)  # type: ignore[no-untyped-call]  # the library leaves it so

    async def contents(self) -> bytes:
        """Every key and value it holds, uncompressed, for tests that look for text that must not be there."""
        async with aclosing(Redis(host=HOST, port=self._port)) as client:
            keys = [key async for key in client.scan_iter()]
            return b"\n".join([key + b" " + (await client.dump(key) or b"") for key in keys])

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.kill()

    def _signal(self, number: signal.Signals) -> None:
        if self._process is None:
            raise ProcessLookupError("this redis-server is not running")
        self._process.send_signal(number)

    async def _await_readiness(self, output: asyncio.StreamReader) -> None:
        seen: deque[bytes] = deque(maxlen=20)
        async for line in output:
            seen.append(line)
            if any(word in line for word in READY):
                return
        raise RuntimeError(f"redis-server ended at start:\n{b''.join(seen).decode(errors='replace')}")


def _output(process: Process) -> asyncio.StreamReader:
    assert process.stdout is not None
    return process.stdout


async def _drain(output: asyncio.StreamReader) -> None:
    """Read and drop, so that the process never blocks on a full pipe."""
    while await output.read(65_536):
        pass
