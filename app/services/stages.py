"""The stages of an ingestion job as they are measured: a time for the metrics, and a span where there is a tracer."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from app.records import Job
from app.services.loaders import LoadError
from app.utils.instruments import STAGE_DURATION
from app.utils.monitoring import Metrics
from app.utils.tracing import NOTHING, Span, Tracer, step


class Stages:
    """Spans say how long, how much and how it ended: nothing of a document's text or name, nor of what it is in."""

    def __init__(self, metrics: Metrics, *, tracer: Tracer | None) -> None:
        self._times = metrics.histogram(STAGE_DURATION)
        self._tracer = tracer

    @contextmanager
    def job(self, job: Job) -> Iterator[Span]:
        """The whole job; its stages are steps of it."""
        with NOTHING if self._tracer is None else self._tracer.begin("ingestion") as span, _failing(span):
            span.set({"sluice.tenant": job.version.key.tenant, "sluice.attempt": job.attempts})
            yield span

    @contextmanager
    def of(self, stage: str) -> Iterator[Span]:
        """A stage of the job that is current here."""
        with self._times.of(stage).time(), step(stage) as span, _failing(span):
            yield span


@contextmanager
def _failing(span: Span) -> Iterator[None]:
    """Say why a document could not be read by the code that its reader is told."""
    try:
        yield
    except LoadError as error:
        span.fail(error.code)
        raise
