"""What is counted of the answers that clients get, whatever they asked for."""

from __future__ import annotations

from starlette.types import Scope

from app.errors import NotClearedError, SluiceError
from app.services.embeddings import OTHER
from app.utils.instruments import EGRESS_DENIALS, ERRORS, HTTP_RESPONSES, LIMIT_REJECTIONS
from app.utils.monitoring import Metrics
from app.utils.surfaces import SURFACE
from app.wiring import Services


def metrics_of(scope: Scope) -> Metrics:
    """The metrics of the service that a request came to."""
    metrics: Metrics = scope["app"].state.services.metrics
    return metrics


def count_error(error: SluiceError, *, scope: Scope) -> None:
    """Count an error that a client is told, and the limit that it is from."""
    metrics = metrics_of(scope)
    metrics.counter(ERRORS).of(SURFACE.get(), error.code).inc()
    if error.limit is not None:
        metrics.counter(LIMIT_REJECTIONS).of(error.limit).inc()


def count_denial(error: NotClearedError, *, scope: Scope) -> None:
    """Count what the gate stopped outside the pipeline; a model that only a caller knows has no name here."""
    services: Services = scope["app"].state.services
    model = error.model if error.model in services.catalog.view.models else OTHER
    services.metrics.counter(EGRESS_DENIALS).of(model).inc()


def count_response(status: int, *, scope: Scope) -> None:
    """Count a response whose head is sent."""
    metrics_of(scope).counter(HTTP_RESPONSES).of(SURFACE.get(), str(status)).inc()
