"""One parsing process, seen from the service: starts it, asks it, tells why it died."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pydantic import TypeAdapter, ValidationError

from app.errors import UnavailableError
from app.services.loaders.document import (
    MAX_CHARACTERS,
    MAX_SECTIONS,
    LoadError,
    LoadErrorCode,
    ParsedDocument,
    Section,
)
from app.services.loaders.frames import LENGTH, PIECE

WORKER: Final = (sys.executable, "-P", "-m", "app.services.loaders.worker")

_IMPORT_ROOT: Final = Path(__file__).resolve().parents[3]
# No variable of the service is passed on: keys are among them. Arenas and threads take address space, core by core.
_ENVIRONMENT: Final = {"PYTHONPATH": str(_IMPORT_ROOT), "MALLOC_ARENA_MAX": "1", "OPENBLAS_NUM_THREADS": "1"}
_START_SECONDS: Final = 60
_MAX_HEAD_BYTES: Final = 256 * MAX_SECTIONS
_MAX_PIECE_BYTES: Final = 4 * PIECE

_DEATHS: Final[dict[int, LoadErrorCode]] = {
    -signal.SIGXCPU: "timeout",
    # Nobody but the kernel, when memory runs out, kills a worker from outside.
    -signal.SIGKILL: "too_large",
}


class ProcessDiedError(Exception):
    """The process did not survive a document; `code` is what that means for the document."""

    def __init__(self, code: LoadErrorCode) -> None:
        super().__init__(code)
        self.code: Final = code


@dataclass(frozen=True, slots=True, kw_only=True)
class _SectionHead:
    length: int
    page: int | None
    heading: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Head:
    """The first frame of an answer; who wrote it has read a hostile document, so it is checked like any input."""

    peak: int
    error: LoadErrorCode | None = None
    title: str | None = None
    media_type: str = ""
    warnings: tuple[str, ...] = ()
    sections: tuple[_SectionHead, ...] = ()


_HEAD: Final = TypeAdapter(_Head)


class ParsingProcess:
    """A worker process. `ready` says that it waits for a document, `peak` its largest resident size so far (bytes)."""

    def __init__(self, process: Process) -> None:
        if process.stdin is None or process.stdout is None:
            raise ValueError("the process must be connected by pipes")
        self._process = process
        self._stdin = process.stdin
        self._stdout = process.stdout
        self.ready = False
        self.peak = 0

    @classmethod
    async def start(
        cls, command: Sequence[str] = WORKER, *, memory_bytes: int, processor_seconds: int
    ) -> ParsingProcess:
        """Start a process and wait until it can take a document.

        Raises:
            UnavailableError: it does not come up, which no document is to blame for.
        """
        process = cls(
            await asyncio.create_subprocess_exec(
                *command,
                *map(str, (os.getpid(), memory_bytes, processor_seconds)),
                stdin=PIPE,
                stdout=PIPE,
                stderr=DEVNULL,  # what parsers print there quotes documents
                limit=PIECE,
                env=_ENVIRONMENT,
            )
        )
        try:
            async with asyncio.timeout(_START_SECONDS):
                await process._read_frame(limit=0)
        except (TimeoutError, ProcessDiedError):
            raise UnavailableError("Documents cannot be read at the moment; try again.") from None
        else:
            process.ready = True
        finally:
            if not process.ready:
                await process.kill()
        return process

    async def load(self, data: bytes, *, media_type: str, filename: str | None) -> ParsedDocument:
        """Have one document read.

        Raises:
            LoadError: there is no text in it; the process can go on.
            ProcessDiedError: the process cannot.
        """
        self.ready = False
        await self._write_frame(json.dumps({"media_type": media_type, "filename": filename}).encode())
        await self._write_frame(data)
        head = await self._read_head()
        sections = [await self._read_section(section) for section in head.sections]
        self.peak = head.peak
        self.ready = True
        if head.error is not None:
            raise LoadError(head.error)
        return ParsedDocument(
            title=head.title, media_type=head.media_type, sections=tuple(sections), warnings=head.warnings
        )

    async def kill(self) -> None:
        """End the process at once."""
        self.ready = False
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()
        await self._process.wait()

    async def _read_head(self) -> _Head:
        frame = await self._read_frame(limit=_MAX_HEAD_BYTES)
        try:
            head = _HEAD.validate_json(frame)
        except ValidationError:
            raise ProcessDiedError("corrupt") from None
        if sum(section.length for section in head.sections) > MAX_CHARACTERS:
            raise ProcessDiedError("too_large")
        return head

    async def _read_section(self, head: _SectionHead) -> Section:
        pieces: list[str] = []
        missing = head.length
        while missing > 0:
            frame = await self._read_frame(limit=_MAX_PIECE_BYTES)
            try:
                piece = frame.decode()
            except UnicodeDecodeError:
                raise ProcessDiedError("corrupt") from None
            missing -= len(piece) or missing + 1
            pieces.append(piece)
        if missing < 0:
            raise ProcessDiedError("corrupt")
        return Section(text="".join(pieces), page=head.page, heading=head.heading)

    async def _write_frame(self, payload: bytes) -> None:
        try:
            self._stdin.write(LENGTH.pack(len(payload)))
            for start in range(0, len(payload), PIECE):
                self._stdin.write(payload[start : start + PIECE])
                await self._stdin.drain()
        except (BrokenPipeError, ConnectionResetError):
            raise ProcessDiedError(await self._cause_of_death()) from None

    async def _read_frame(self, *, limit: int) -> bytes:
        try:
            (length,) = LENGTH.unpack(await self._stdout.readexactly(LENGTH.size))
            if length > limit:
                raise ProcessDiedError("corrupt")
            return await self._stdout.readexactly(length)
        except asyncio.IncompleteReadError:
            raise ProcessDiedError(await self._cause_of_death()) from None

    async def _cause_of_death(self) -> LoadErrorCode:
        return _DEATHS.get(await self._process.wait(), "corrupt")
