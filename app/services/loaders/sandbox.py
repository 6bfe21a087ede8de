"""Runs loaders in processes of their own, so that no document can take the service's memory, time or life."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from app.errors import ShuttingDownError
from app.services.loaders.document import LoadError, ParsedDocument
from app.services.loaders.process import WORKER, ParsingProcess, ProcessDiedError


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What one document may take: address space in bytes, processor and wall-clock time in seconds.

    A process whose resident size has ever exceeded `warm_bytes` is replaced instead of kept for the next document.
    """

    memory_bytes: int = 1 << 30
    processor_seconds: int = 60
    seconds: float = 180
    warm_bytes: int = 96 << 20


_DEFAULT_LIMITS: Final = Limits()


class Sandbox:
    """A bounded number of parsing processes, started when first needed and kept for the next document.

    `command` starts a process that speaks the protocol of `frames`.
    """

    def __init__(
        self, *, processes: int = 1, limits: Limits = _DEFAULT_LIMITS, command: Sequence[str] = WORKER
    ) -> None:
        self._limits = limits
        self._command = tuple(command)
        self._slots = asyncio.Semaphore(processes)
        self._idle: list[ParsingProcess] = []
        self._busy: set[ParsingProcess] = set()
        self._closed = False

    async def load(self, data: bytes, *, media_type: str, filename: str | None) -> ParsedDocument:
        """Read a document as `loading.load` does, in another process.

        Raises:
            LoadError: as `loading.load`, and `timeout`, `too_large` or `corrupt` when the process did not survive it.
            UnavailableError: no process can be started, or the sandbox is closed; the document is not to blame.
        """
        async with self._slots:
            while True:
                fresh = not self._idle
                process = await self._start() if fresh else self._idle.pop()
                try:
                    return await self._load_in(process, data, media_type=media_type, filename=filename)
                except ProcessDiedError as death:
                    self._refuse_when_closed()
                    # A process that has served before may have died of an earlier document: try again in a new one.
                    if fresh or death.code == "timeout":
                        raise LoadError(death.code) from None

    async def close(self) -> None:
        """End all processes, also those at work."""
        self._closed = True
        processes = [*self._idle, *self._busy]
        self._idle.clear()
        for process in processes:
            await process.kill()

    async def _start(self) -> ParsingProcess:
        self._refuse_when_closed()
        return await ParsingProcess.start(
            self._command,
            memory_bytes=self._limits.memory_bytes,
            processor_seconds=self._limits.processor_seconds,
        )

    async def _load_in(
        self, process: ParsingProcess, data: bytes, *, media_type: str, filename: str | None
    ) -> ParsedDocument:
        self._busy.add(process)
        try:
            async with asyncio.timeout(self._limits.seconds):
                return await process.load(data, media_type=media_type, filename=filename)
        except TimeoutError:
            raise LoadError("timeout") from None
        finally:
            self._busy.discard(process)
            if process.ready and process.peak <= self._limits.warm_bytes and not self._closed:
                self._idle.append(process)
            else:
                await process.kill()

    def _refuse_when_closed(self) -> None:
        if self._closed:
            raise ShuttingDownError
