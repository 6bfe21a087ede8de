"""The audit trail as files: JSON lines, appended off the request's path, rotated by size, the oldest given up."""

from __future__ import annotations

import asyncio
import heapq
import logging
import os
import threading
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import orjson

from app.models import JSONValue
from app.protocols import Clock

logger = logging.getLogger(__name__)

# Under DATA_DIR.
AUDIT_FOLDER = "audit"
LARGEST_FILE = 16 * 1024 * 1024
FILES_KEPT = 64
# Lines are gathered for so long, in seconds; a process that is killed loses no more than these.
GATHER_SECONDS = 0.1
# Of lines that cannot be written, the newest so many are kept for later.
LONGEST_BACKLOG = 100_000
SUFFIX = ".jsonl"


class AuditFiles:
    """Appends records to a file of this process's own; implements `AuditTrail`. `write` must be running."""

    def __init__(
        self, folder: Path, *, clock: Clock, largest_file: int = LARGEST_FILE, files_kept: int = FILES_KEPT
    ) -> None:
        self._folder = folder
        self._clock = clock
        self._largest_file = largest_file
        self._files_kept = files_kept
        self._lines: list[bytes] = []
        self._arrived = asyncio.Event()
        self._writing = threading.Lock()
        self._descriptor: int | None = None

    def append(self, record: Mapping[str, JSONValue]) -> None:
        self._lines.append(orjson.dumps(record, option=orjson.OPT_APPEND_NEWLINE))
        self._arrived.set()

    async def write(self) -> None:
        """Write what arrives, for ever."""
        while True:
            await self._arrived.wait()
            await asyncio.sleep(GATHER_SECONDS)
            await self.flush()

    async def flush(self) -> None:
        """Write what has arrived; what cannot be written stays for the next time."""
        self._arrived.clear()
        lines, self._lines = self._lines, []
        try:
            await asyncio.to_thread(self._put, lines)
        except OSError as error:
            logger.error("audit not written", extra={"errno": error.errno, "records": len(lines)})
            self._lines = (lines + self._lines)[-LONGEST_BACKLOG:]
            self._arrived.set()

    async def close(self) -> None:
        """Write what is left; waits for a write that was under way."""
        await self.flush()
        await asyncio.to_thread(self._close)

    def _put(self, lines: list[bytes]) -> None:
        with self._writing:
            if lines:
                descriptor = self._open()
                data = memoryview(b"".join(lines))
                while data:
                    data = data[os.write(descriptor, data) :]

    def _close(self) -> None:
        with self._writing:
            if self._descriptor is not None:
                os.close(self._descriptor)
                self._descriptor = None

    def _open(self) -> int:
        """The file to append to: a new one if there is none, it is full, or another process has given it up."""
        if self._descriptor is not None:
            status = os.fstat(self._descriptor)
            if status.st_size < self._largest_file and status.st_nlink:
                return self._descriptor
            os.close(self._descriptor)
            self._descriptor = None
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        name = f"{self._clock():%Y%m%dT%H%M%S%f}-{os.getpid()}{SUFFIX}"
        self._descriptor = os.open(self._folder / name, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        for old in sorted(self._folder.glob(f"*{SUFFIX}"))[: -self._files_kept]:
            old.unlink(missing_ok=True)
        return self._descriptor


def read_audit(folder: Path) -> Iterator[dict[str, Any]]:
    """Every record that is kept, oldest first; a line that a kill has cut is left out."""
    files = sorted(folder.glob(f"*{SUFFIX}"))
    yield from heapq.merge(*map(_read_file, files), key=lambda record: str(record["time"]))


def _read_file(path: Path) -> Iterator[dict[str, Any]]:
    with suppress(FileNotFoundError), path.open("rb") as file:
        for line in file:
            with suppress(orjson.JSONDecodeError):
                yield orjson.loads(line)
