"""A folder that one process at a time may use."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

LOCK_FILE: Final = ".lock"
# Children that share a lock are gone milliseconds after a parent that was killed.
LEFTOVER_SECONDS: Final = 1.0
POLL_SECONDS: Final = 0.02


@contextmanager
def locked(folder: Path) -> Iterator[int]:
    """Hold the lock of the folder, which ends with the process and the children that were handed its descriptor.

    Raises `BlockingIOError` if another process holds it, and goes on holding it.
    """
    lock = os.open(folder / LOCK_FILE, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        _take(lock)
        yield lock
    finally:
        os.close(lock)


def _take(lock: int) -> None:
    until = time.monotonic() + LEFTOVER_SECONDS
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            if time.monotonic() > until:
                raise
            time.sleep(POLL_SECONDS)
