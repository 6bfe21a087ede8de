"""Keeps several processes serving on one socket: starts them, replaces those that end, and ends them all."""

from __future__ import annotations

import signal
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Final, Protocol

from app.cli.serving import DRAIN_SECONDS

POLL_SECONDS: Final = 0.1
# A worker that ends at once is not started more often than this.
RESTART_SECONDS: Final = 1.0
# What uvicorn exits with when the service refuses to start.
REFUSED_TO_START: Final = 3


class Launch(Protocol):
    """Starts a worker; one of the first of them leads."""

    def __call__(self, *, leads: bool) -> subprocess.Popen[bytes]: ...


class Supervisor:
    """Runs a number of workers until it is told to stop, or until one of the first refuses to start.

    `metrics` is the folder in which they count, `revive` starts again what they lean on, if that has ended.
    """

    def __init__(self, number: int, *, launch: Launch, metrics: Path, revive: Callable[[], bool] | None = None) -> None:
        self._number = number
        self._launch = launch
        self._metrics = metrics
        self._revive = revive
        self._told_to_stop = threading.Event()
        self._workers: list[subprocess.Popen[bytes]] = []
        self._next_start = 0.0

    def run(self) -> int:
        """Return the exit status once every worker has ended."""
        signal.signal(signal.SIGTERM, self._stop)
        signal.signal(signal.SIGINT, self._stop)
        signal.signal(signal.SIGHUP, self._pass_on)
        self._workers = [self._launch(leads=number == 0) for number in range(self._number)]
        first = {worker.pid for worker in self._workers}
        status = 0
        while not self._told_to_stop.wait(POLL_SECONDS):
            for worker in self._take_ended():
                if worker.returncode == REFUSED_TO_START and worker.pid in first:
                    status = REFUSED_TO_START
                    self._told_to_stop.set()
            if not self._told_to_stop.is_set():
                self._replace()
        self._end()
        return status

    def _take_ended(self) -> list[subprocess.Popen[bytes]]:
        ended = [worker for worker in self._workers if worker.poll() is not None]
        for worker in ended:
            self._workers.remove(worker)
            for gauge in self._metrics.glob(f"gauge_live*_{worker.pid}.db"):
                gauge.unlink(missing_ok=True)  # what it counted stays, what it was doing is over
        return ended

    def _replace(self) -> None:
        if self._revive is not None:
            self._revive()
        if len(self._workers) < self._number and time.monotonic() >= self._next_start:
            self._next_start = time.monotonic() + RESTART_SECONDS
            self._workers.append(self._launch(leads=False))

    def _end(self) -> None:
        """Let running requests end, and end what does not stop after them."""
        for worker in self._workers:
            worker.terminate()
        until = time.monotonic() + DRAIN_SECONDS + 2
        for worker in self._workers:
            try:
                worker.wait(max(0.0, until - time.monotonic()))
            except subprocess.TimeoutExpired:
                worker.kill()
                worker.wait()

    def _stop(self, _number: int, _frame: FrameType | None) -> None:
        self._told_to_stop.set()

    def _pass_on(self, number: int, _frame: FrameType | None) -> None:
        for worker in self._workers:
            worker.send_signal(number)
