"""Settings to the tracer: neither the exporter nor protobuf is imported unless the settings name a collector."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from urllib.parse import unquote

from app.config import Settings
from app.egress import Egress
from app.errors import ConfigurationError
from app.utils.tracing import Tracer

TRACES_PATH = "/v1/traces"


@asynccontextmanager
async def open_tracer(settings: Settings, *, egress: Egress, version: str) -> AsyncIterator[Tracer | None]:
    """A tracer whose spans go to the collector, `None` without one. On leaving, what is left is sent if it can be."""
    if settings.otel_exporter_otlp_endpoint is None:
        yield None
        return
    from app.exporters.otlp import SpanExporter

    exporter = SpanExporter(
        url=settings.otel_exporter_otlp_endpoint.rstrip("/") + TRACES_PATH,
        headers=_read_headers(settings),
        resource={
            "service.name": settings.otel_service_name,
            "service.version": version,
            "service.instance.id": f"{socket.gethostname()}:{os.getpid()}",
            "deployment.environment.name": settings.env,
        },
        egress=egress,
    )
    exporting = asyncio.create_task(exporter.run())
    try:
        yield Tracer(exporter.offer, share=settings.otel_traces_sampler_arg, content=settings.trace_content)
    finally:
        exporting.cancel()
        await asyncio.wait({exporting})


def _read_headers(settings: Settings) -> Mapping[str, str]:
    """`name=value,name=value` with percent-encoded values, as OpenTelemetry has it."""
    given = settings.otel_exporter_otlp_headers
    pairs = [pair.partition("=") for pair in given.get_secret_value().split(",")] if given else []
    if any(not separator or not name.strip() for name, separator, _ in pairs):
        raise ConfigurationError("OTEL_EXPORTER_OTLP_HEADERS must be NAME=VALUE,NAME=VALUE.")
    return {name.strip(): unquote(value.strip()) for name, _, value in pairs}
