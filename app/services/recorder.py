"""What is recorded of each request: metrics and one log line, with names, numbers and fixed words only."""

from __future__ import annotations

import logging
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing

from app.errors import SluiceError
from app.models import Caller, Event, Finished, Started
from app.utils.monitoring import Metrics

logger = logging.getLogger(__name__)


class Recorder:
    """Watches answers go by and records each once, however it ends."""

    def __init__(self, *, metrics: Metrics, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._metrics = metrics
        self._monotonic = monotonic

    async def watch(self, events: AsyncGenerator[Event, None], *, caller: Caller) -> AsyncGenerator[Event, None]:
        """Yield the events as they are and record the request when they end, fail or are left."""
        began = self._monotonic()
        started: Started | None = None
        finished: Finished | None = None
        outcome = "cancelled"
        self._metrics.in_flight.inc()
        try:
            async with aclosing(events):
                async for event in events:
                    if isinstance(event, Started):
                        started = event
                        self._metrics.first_token.observe(self._monotonic() - began)
                    elif isinstance(event, Finished):
                        finished = event
                        outcome = "ok"
                    yield event
        except SluiceError as error:
            outcome = error.code
            raise
        except Exception:
            outcome = "internal_error"
            raise
        finally:
            self._metrics.in_flight.dec()
            self._record(started, finished, caller=caller, outcome=outcome, seconds=self._monotonic() - began)

    def _record(
        self, started: Started | None, finished: Finished | None, *, caller: Caller, outcome: str, seconds: float
    ) -> None:
        label = started.route.label.word if started else "unknown"
        cache = started.route.cache if started else "none"
        self._metrics.requests.labels(outcome=outcome, label=label, cache=cache).inc()
        self._metrics.duration.observe(seconds)
        if started is not None:
            for attempt in started.route.attempts:
                self._metrics.attempts.labels(model=attempt.model, outcome=attempt.outcome).inc()
        if started is not None and finished is not None and not finished.cached:
            self._count_tokens(finished, model=started.model)
        logger.info(
            "request",
            extra={
                "tenant": caller.tenant,
                "outcome": outcome,
                "label": label,
                "cache": cache,
                "model": started.model if started else None,
                "seconds": round(seconds, 4),
                "tokens": finished.usage.total_tokens if finished else None,
            },
        )

    def _count_tokens(self, finished: Finished, *, model: str) -> None:
        self._metrics.tokens.labels(model=model, kind="prompt").inc(finished.usage.prompt_tokens)
        self._metrics.tokens.labels(model=model, kind="completion").inc(finished.usage.completion_tokens)
        if finished.cost is not None:
            self._metrics.cost.labels(model=model).inc(finished.cost)
