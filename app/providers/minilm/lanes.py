"""The order in which texts reach the model: two lanes with threads of their own, in runs of bounded size."""

from __future__ import annotations

import os
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from app.errors import ShuttingDownError
from app.providers.minilm.tokens import Ids

Rows = NDArray[np.float32]

# Bulk texts get the time that nobody else has a use for: requests and searches go first on a busy machine.
BULK_NICENESS: Final = 10


@dataclass(slots=True, eq=False)
class _Job:
    """One caller's texts: those that no run has taken yet, and the rows of all of them as they fill."""

    waiting: deque[tuple[int, str]]
    rows: Rows
    unfinished: int
    result: Future[Rows] = field(default_factory=Future)


@dataclass(frozen=True, slots=True)
class _Piece:
    """One text that a run has taken, and the row of its job where its vector belongs."""

    job: _Job
    row: int
    text: str


class Lanes:
    """Threads that take texts from two lanes, interactive and bulk, and put them through the model in runs.

    Jobs in one lane take turns text by text. The bulk lane has one thread, which the system lets run when others need
    the processors less, and the interactive lane all others: its texts wait for others of their kind only.
    """

    def __init__(
        self,
        run: Callable[[Sequence[Ids]], Rows],
        *,
        encode: Callable[[str], Ids],
        dimensions: int,
        enough: int,
        threads: int,
    ) -> None:
        """`run` turns token ids of texts into one row each; a run with `enough` tokens takes no further text.

        `threads` is how many interactive runs there may be at once.
        """
        self._run = run
        self._encode = encode
        self._dimensions = dimensions
        self._enough = enough
        self._interactive: deque[_Job] = deque()
        self._bulk: deque[_Job] = deque()
        self._closed = False
        # Guards everything above, and the jobs. It is held for moments only: the event loop takes it too.
        self._lock = threading.Lock()
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="embedding")
        self._bulk_thread = ThreadPoolExecutor(1, thread_name_prefix="embedding-bulk", initializer=_give_way)

    def submit(self, texts: Sequence[str], *, bulk: bool) -> Future[Rows]:
        """Queue `texts`; the result has shape (texts, dimensions). Cancelling it drops what no run has taken.

        Raises `ShuttingDownError` after `close`; so does the result, if `close` comes first.
        """
        rows = np.empty((len(texts), self._dimensions), dtype=np.float32)
        job = _Job(waiting=deque(enumerate(texts)), rows=rows, unfinished=len(texts))
        with self._lock:
            if self._closed:
                raise ShuttingDownError
            if texts and bulk:
                self._bulk.append(job)
                self._bulk_thread.submit(self._work, self._bulk)
            elif texts:
                self._interactive.append(job)
                self._threads.submit(self._work, self._interactive)
            else:
                _settle(job)
        return job.result

    def close(self) -> None:
        """Wait for the runs under way and end the threads; jobs that need further runs fail."""
        with self._lock:
            self._closed = True
            for lane in (self._interactive, self._bulk):
                for job in lane:
                    _settle(job, error=ShuttingDownError())
                lane.clear()
        self._threads.shutdown()
        self._bulk_thread.shutdown()

    def _work(self, lane: deque[_Job]) -> None:
        """Make runs until the lane is empty."""
        while lane:
            self._run_from(lane)

    def _run_from(self, lane: deque[_Job]) -> None:
        pieces: list[_Piece] = []
        encoded: list[Ids] = []
        tokens = 0
        try:
            while tokens < self._enough and (piece := self._take(lane)):
                pieces.append(piece)
                encoded.append(self._encode(piece.text))
                tokens += len(encoded[-1])
            vectors = self._run(encoded) if encoded else ()
        except Exception as error:  # noqa: BLE001 - whatever fails belongs to the callers; the thread serves the next.
            self._fail(pieces, error=error)
        else:
            self._keep(pieces, vectors=vectors)

    def _take(self, lane: deque[_Job]) -> _Piece | None:
        """The next text of the job whose turn it is, which then goes to the end of its lane."""
        with self._lock:
            while lane:
                job = lane.popleft()
                if job.result.done():
                    continue
                row, text = job.waiting.popleft()
                if job.waiting:
                    lane.append(job)
                return _Piece(job, row, text)
            return None

    def _keep(self, pieces: Sequence[_Piece], *, vectors: Iterable[NDArray[np.float32]]) -> None:
        with self._lock:
            for piece, vector in zip(pieces, vectors, strict=True):
                piece.job.rows[piece.row] = vector
                piece.job.unfinished -= 1
                if not piece.job.unfinished:
                    _settle(piece.job)

    def _fail(self, pieces: Sequence[_Piece], *, error: Exception) -> None:
        with self._lock:
            for piece in pieces:
                _settle(piece.job, error=error)


def _settle(job: _Job, *, error: Exception | None = None) -> None:
    """Give the caller its rows or the error, unless it has left or has its answer already."""
    if job.result.done() or not job.result.set_running_or_notify_cancel():
        return
    if error is None:
        job.result.set_result(job.rows)
    else:
        job.result.set_exception(error)


def _give_way() -> None:
    """Lower this thread's priority; elsewhere than on Linux threads have none of their own."""
    if sys.platform == "linux":
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), BULK_NICENESS)
