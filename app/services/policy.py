"""The policy in force: what `policy.toml` says, ready for use, and read again when the file changes."""

from __future__ import annotations

import asyncio
import hashlib
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from app.errors import ConfigurationError
from app.services.complexity import Thresholds
from app.services.detectors import DetectionPolicy, Detectors

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Policy:
    """One state of the file. `fingerprint` changes whenever the same request might be treated otherwise."""

    detectors: Detectors
    thresholds: Thresholds
    fingerprint: str

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read the file; raises `ConfigurationError` that says what is wrong with it and where."""
        detection, thresholds = DetectionPolicy.load(path), Thresholds.load(path)
        meaning = f"{detection.fingerprint}\n{thresholds}"
        return cls(Detectors(detection), thresholds, hashlib.sha256(meaning.encode()).hexdigest())


class PolicyFile:
    """Follows the file; `current` is the newest state of it that could be read.

    Raises `ConfigurationError` when it is built over a broken file; one that breaks later leaves the policy as it is.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._state = _state_of(path)
        self._asked = asyncio.Event()
        self.current = Policy.load(path)

    def ask_reload(self) -> None:
        """Have the file read again now, changed or not."""
        self._asked.set()

    async def follow(self, *, every: float) -> None:
        """For ever: look at the file so often, in seconds, and read it if it has changed or a reload was asked for."""
        while True:
            asked = await self._pause(every)
            state = _state_of(self._path)
            if asked or state != self._state:
                self._state = state
                await self.reload()

    async def reload(self) -> None:
        """Read the file; what is wrong with it is said in the log."""
        try:
            self.current = await asyncio.to_thread(Policy.load, self._path)
        except ConfigurationError as error:
            logger.error("policy not reloaded, the earlier one stays in force", extra={"reason": str(error)})
        else:
            logger.info("policy reloaded", extra={"fingerprint": self.current.fingerprint[:12]})

    async def _pause(self, seconds: float) -> bool:
        """Wait until a reload is asked for, or for so long; whether one was asked for."""
        try:
            async with asyncio.timeout(seconds):
                await self._asked.wait()
        except TimeoutError:
            return False
        self._asked.clear()
        return True


def _state_of(path: Path) -> tuple[int, int, int] | None:
    """What tells one state of a file from another without reading it; `None` if it is not there."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino
