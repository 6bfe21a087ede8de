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
    lock = _opened(folder / LOCK_FILE)
    try:
        _take(lock, patience=LEFTOVER_SECONDS)
        yield lock
    finally:
        os.close(lock)


def lock_for_life(file: Path, *, patience: float) -> None:
    """Hold a file as long as this process lives, whatever program it becomes.

    Raises `BlockingIOError` if another process goes on holding it for `patience` seconds.
    """
    lock = _opened(file)
    os.set_inheritable(lock, True)
    _take(lock, patience=patience)


def _opened(file: Path) -> int:
    return os.open(file, os.O_RDWR | os.O_CREAT, 0o600)


def _take(lock: int, *, patience: float) -> None:
    until = time.monotonic() + patience
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            if time.monotonic() > until:
                raise
            time.sleep(POLL_SECONDS)
