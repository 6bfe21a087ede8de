"""The gateway as a process of its own, to be killed, restarted and read the log of."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from asyncio.subprocess import DEVNULL, STDOUT, Process
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import aiohttp

from tests.support.ports import HOST, free_port

REPOSITORY = Path(__file__).resolve().parents[2]
SERVE = ("-m", "app", "serve")
PATIENCE = 30.0
POLL_SECONDS = 0.05
LOG_TAIL = 4000


class ServiceProcess:
    """`python -m app serve` in a directory of its own, with nothing of this process's environment.

    `directory` holds its data, its log and its working directory. Port and data stay the same over `restart`.
    `client` is an aiohttp session whose relative URLs go to the service; a start may take `patience` seconds.
    """

    def __init__(
        self,
        directory: Path,
        *,
        environment: Mapping[str, str] | None = None,
        command: Sequence[str] = SERVE,
        patience: float = PATIENCE,
    ) -> None:
        self.directory = directory
        self.environment = dict(environment or {})
        self.port = free_port()
        self._command = command
        self._patience = patience
        self._process: Process | None = None
        self._groups: list[int] = []

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.port}"

    @property
    def data_dir(self) -> Path:
        return self.directory / "data"

    @property
    def logs(self) -> bytes:
        """All it has written to its output and error streams, over all starts."""
        return self._log_file.read_bytes() if self._log_file.exists() else b""

    @property
    def pid(self) -> int:
        return self._running.pid

    @property
    def variables(self) -> dict[str, str]:
        """The environment that it runs in, for other commands over the same data."""
        return self._environment()

    async def start(self) -> None:
        """Return once `GET /ready` answers 200."""
        await self.launch()
        await self.ready(within=self._patience)

    async def launch(self) -> None:
        """Start it and return at once."""
        with self._log_file.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable,
                *self._command,
                cwd=self.directory,
                env=self._environment(),
                stdin=DEVNULL,
                stdout=log,
                stderr=STDOUT,
                start_new_session=True,
            )
        self._groups.append(self._process.pid)

    async def ready(self, *, within: float = PATIENCE) -> None:
        """Poll until `GET /ready` answers 200; raises with the end of the log if the process ends before that."""
        async with asyncio.timeout(within):
            while not await self._answers():
                if self._running.returncode is not None:
                    tail = self.logs[-LOG_TAIL:].decode(errors="replace")
                    raise RuntimeError(f"the service ended with {self._running.returncode}:\n{tail}")
                await asyncio.sleep(POLL_SECONDS)

    async def kill(self) -> None:
        """SIGKILL to the main process alone, as a crash would have it: children are left to notice."""
        if self._running.returncode is None:
            self._running.kill()
        await self._running.wait()

    async def terminate(self, *, within: float = PATIENCE) -> int:
        """SIGTERM; returns the exit code."""
        self._running.terminate()
        async with asyncio.timeout(within):
            return await self._running.wait()

    async def wait(self, *, within: float = PATIENCE) -> int:
        """The exit code of a process that ends by itself."""
        async with asyncio.timeout(within):
            return await self._running.wait()

    async def restart(self) -> None:
        """SIGKILL and a new start on the same port and data."""
        await self.kill()
        await self.start()

    async def __aenter__(self) -> Self:
        self.client = aiohttp.ClientSession(base_url=self.url)
        try:
            await self.start()
        except BaseException:
            await self._close()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._close()

    @property
    def _log_file(self) -> Path:
        return self.directory / "service.log"

    @property
    def _running(self) -> Process:
        if self._process is None:
            raise ProcessLookupError("the service has not been started")
        return self._process

    async def _close(self) -> None:
        await self.client.close()
        for group in self._groups:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(group, signal.SIGKILL)
        if self._process is not None:
            await self._process.wait()

    def _environment(self) -> dict[str, str]:
        return {
            "PATH": os.environ["PATH"],
            "HOME": str(self.directory),
            "PYTHONPATH": str(REPOSITORY),
            "PYTHONUNBUFFERED": "1",
            "HOST": HOST,
            "PORT": str(self.port),
            "DATA_DIR": str(self.data_dir),
            "CHROMA_PATH": str(self.directory / "chroma"),
            "CATALOG_FILE": str(REPOSITORY / "catalog.toml"),
            "POLICY_FILE": str(REPOSITORY / "policy.toml"),
            # Nobody listens there: an Ollama that happens to run on the machine is no part of a test.
            "OLLAMA_BASE_URL": f"http://{HOST}:{free_port()}",
            "RATE_LIMIT_PER_MINUTE": "0",
            **self.environment,
        }

    async def _answers(self) -> bool:
        try:
            async with self.client.get("/ready") as response:
                return response.status == 200
        except aiohttp.ClientError:
            return False
