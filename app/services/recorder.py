"""What is recorded of each request: metrics, a log line and an audit record, of names, numbers and fixed words only."""

from __future__ import annotations

import logging
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from datetime import datetime

from app.errors import NotClearedError, SluiceError
from app.models import Caller, Charge, Delta, Event, Finding, Finished, Message, Route, Started
from app.protocols import Clock
from app.services.audit import Audit, RequestAccount, TextDigest
from app.services.calls import Book
from app.services.decisions import Decision, Decisions
from app.services.labels import Reading
from app.services.request_metrics import RequestMetrics, RequestSummary
from app.services.spans import trace_answer
from app.services.usage import Ledger
from app.utils.instruments import EGRESS_DENIALS
from app.utils.logging import REQUEST_ID
from app.utils.monitoring import Metrics
from app.utils.surfaces import SURFACE
from app.utils.tracing import Tracer

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """What is known of a request at one point; the pipeline yields one whenever more is, for the recorder alone.

    `called_seconds` is for how long its call, or the one that it shared, was under way.
    """

    reading: Reading
    messages: tuple[Message, ...]
    route: Route | None = None
    called_seconds: float = 0.0


# What the pipeline yields: the events that come together, and what is for the recorder alone.
Watched = AsyncGenerator[Sequence[Event] | Progress, None]


@dataclass(slots=True, kw_only=True)
class _Watch:
    """One request while it goes by."""

    caller: Caller
    began: float
    answer: TextDigest
    progress: Progress | None = None
    started: Started | None = None
    first_token_seconds: float | None = None
    finished: Finished | None = None
    charges: list[Charge] = field(default_factory=list)
    outcome: str = "cancelled"

    @property
    def route(self) -> Route | None:
        """The newest there is; an answer from the cache has one of its own."""
        if self.started is not None:
            return self.started.route
        return self.progress.route if self.progress else None

    @property
    def raised_by(self) -> tuple[Finding, ...]:
        if self.route is not None:
            return self.route.raised_by
        return self.progress.reading.raised_by if self.progress else ()

    @property
    def label(self) -> str:
        if self.started is not None:
            return self.started.route.label.word
        return self.progress.reading.label.word if self.progress else "unknown"


class Recorder:
    """Watches answers go by and records each once, however it ends."""

    def __init__(
        self,
        *,
        metrics: Metrics,
        tracer: Tracer | None,
        audit: Audit,
        decisions: Decisions,
        ledger: Ledger,
        clock: Clock,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._metrics = RequestMetrics(metrics)
        self._denials = metrics.counter(EGRESS_DENIALS)
        self._tracer = tracer
        self._audit = audit
        self.decisions = decisions
        self._ledger = ledger
        self._clock = clock
        self._monotonic = monotonic

    def watch(self, make_events: Callable[[Book], Watched], *, caller: Caller) -> AsyncGenerator[Sequence[Event], None]:
        """Yield the events as they are and record the request when they end, fail or are left.

        What they book is on the record too, whether anybody saw the answer or not.
        """
        return trace_answer(self._watch(make_events, caller=caller), caller=caller, tracer=self._tracer)

    async def _watch(
        self, make_events: Callable[[Book], Watched], *, caller: Caller
    ) -> AsyncGenerator[Sequence[Event], None]:
        watch = _Watch(caller=caller, began=self._monotonic(), answer=self._audit.digest_text())

        def book(charge: Charge) -> None:
            watch.charges.append(charge)
            self._ledger.book(charge, caller=caller, label=watch.label)

        batches = make_events(book)
        self._metrics.in_flight.inc()
        try:
            async with aclosing(batches):
                async for events in batches:
                    if isinstance(events, Progress):
                        watch.progress = events
                        continue
                    self._note(watch, events)
                    yield events
        except SluiceError as error:
            watch.outcome = error.code
            if isinstance(error, NotClearedError):
                self._denials.of(error.model).inc()
            raise
        except Exception:
            watch.outcome = "internal_error"
            raise
        finally:
            self._metrics.in_flight.dec()
            self._record(watch, seconds=self._monotonic() - watch.began)

    def _note(self, watch: _Watch, events: Sequence[Event]) -> None:
        texts = []
        for event in events:
            match event:
                case Delta():
                    texts.append(event.content)
                    texts += [call.arguments for call in event.tool_calls]
                case Started():
                    watch.started = event
                    watch.first_token_seconds = self._monotonic() - watch.began
                case Finished():
                    watch.finished = event
                    watch.outcome = "ok"
        watch.answer.add(*texts)

    def _record(self, watch: _Watch, *, seconds: float) -> None:
        started = watch.started
        summary = _summary(watch, seconds=seconds)
        self._metrics.count(summary)
        if started is not None:
            cached = summary.cached
            self._ledger.count_request(caller=watch.caller, model=started.model, label=watch.label, cached=cached)
        self._audit.record_request(_account(watch))
        self.decisions.add(_decision(watch, time=self._clock(), seconds=seconds))
        if logger.isEnabledFor(logging.INFO):
            _log(watch, summary)


def _summary(watch: _Watch, *, seconds: float) -> RequestSummary:
    started = watch.started
    return RequestSummary(
        surface=SURFACE.get(),
        outcome=watch.outcome,
        label=watch.label,
        cache=started.route.cache if started else "none",
        cached=watch.finished is not None and watch.finished.cached,
        model=started.model if started else None,
        seconds=seconds,
        first_token_seconds=watch.first_token_seconds,
        called_seconds=watch.progress.called_seconds if watch.progress else 0.0,
        route=watch.route,
        charges=watch.charges,
    )


def _log(watch: _Watch, summary: RequestSummary) -> None:
    logger.info(
        "request",
        extra={
            "tenant": watch.caller.tenant,
            "outcome": summary.outcome,
            "label": summary.label,
            "cache": summary.cache,
            "model": summary.model,
            "seconds": round(summary.seconds, 4),
            "first_token_seconds": summary.first_token_seconds and round(summary.first_token_seconds, 4),
            "tokens": sum(charge.usage.total_tokens for charge in watch.charges),
        },
    )


def _decision(watch: _Watch, *, time: datetime, seconds: float) -> Decision:
    route, finished = watch.route, watch.finished
    return Decision(
        time=time,
        request_id=REQUEST_ID.get() or "",
        tenant=watch.caller.tenant,
        label=watch.label,
        raised_by=tuple(dict.fromkeys(finding.detector for finding in watch.raised_by)),
        rule=route.rule if route else None,
        model=watch.started.model if watch.started else None,
        outcome=watch.outcome,
        cached=finished.cached if finished else False,
        seconds=seconds,
        first_token_seconds=watch.first_token_seconds,
        usage=finished.usage if finished else None,
        cost=finished.cost if finished else None,
    )


def _account(watch: _Watch) -> RequestAccount:
    progress, route = watch.progress, watch.route
    return RequestAccount(
        caller=watch.caller,
        label=watch.label,
        raised_by=watch.raised_by,
        route=route,
        model=watch.started.model if watch.started else None,
        outcome=watch.outcome,
        messages=progress.messages if progress else (),
        answer=watch.answer,
    )
