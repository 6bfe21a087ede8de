"""How long each call to a model takes: in all, to its first piece, and for each token after it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from app.errors import UpstreamError
from app.services.calls import Call
from app.services.request_metrics import called
from app.utils import instruments
from app.utils.monitoring import Metrics

# Of an answer in one piece, or of fewer tokens, the pace says nothing.
TOKENS_FOR_A_PACE = 2


class CallMetrics:
    """Watches calls to models, and counts each when it ends."""

    def __init__(self, metrics: Metrics) -> None:
        self._duration = metrics.histogram(instruments.OPERATION_DURATION)
        self._first_chunk = metrics.histogram(instruments.FIRST_CHUNK)
        self._time_per_token = metrics.histogram(instruments.TIME_PER_TOKEN)

    @contextmanager
    def watch(self, call: Call) -> Iterator[None]:
        """Time the block, in which the call is made and read to its end or left."""
        clock = asyncio.get_running_loop().time
        began, error = clock(), "cancelled"
        try:
            yield
            error = ""
        except UpstreamError as failure:
            error = failure.code
            raise
        finally:
            self._count(call, began=began, ended=clock(), error=error)

    def _count(self, call: Call, *, began: float, ended: float, error: str) -> None:
        labels = called(call.model.id)
        self._duration.of(*labels, error).observe(ended - began)
        if call.first_piece_at is None:
            return
        self._first_chunk.of(*labels).observe(call.first_piece_at - began)
        tokens = call.usage.completion_tokens if call.usage is not None else 0
        if not error and call.dispatch.payload.stream and tokens >= TOKENS_FOR_A_PACE:
            self._time_per_token.of(*labels).observe((ended - call.first_piece_at) / (tokens - 1))
