"""A collector of spans: OTLP over HTTP on a port of its own, decoded by OpenTelemetry's own messages."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

from aiohttp import web
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span as WireSpan
from opentelemetry.proto.trace.v1.trace_pb2 import Status

from tests.support.ports import HOST

PATIENCE = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class CollectedSpan:
    """A span as it arrived. Ids are hexadecimal, times in nanoseconds; the first of a trace has an empty `parent`."""

    trace: str
    id: str
    parent: str
    name: str
    kind: str
    failed: bool
    began: int
    ended: int
    attributes: Mapping[str, Any]
    resource: Mapping[str, Any]


class Collector:
    """Used as `async with Collector() as collector`. Answers `status`, once `gate` is open."""

    def __init__(self) -> None:
        self.status = 200
        self.gate = asyncio.Event()
        self.gate.set()
        self.received = bytearray()
        self.spans: list[CollectedSpan] = []
        self.paths: set[str] = set()
        self.headers: list[Mapping[str, str]] = []
        self._news = asyncio.Condition()
        self._runner: web.AppRunner | None = None
        self._port = 0
        self.requests = 0

    @property
    def endpoint(self) -> str:
        return f"http://{HOST}:{self._port}"

    async def start(self) -> None:
        """Listen, on the port it had before if it was stopped."""
        app = web.Application(client_max_size=2**26)
        app.router.add_post("/{path:.*}", self._take)
        self._runner = web.AppRunner(app, shutdown_timeout=0)
        await self._runner.setup()
        site = web.TCPSite(self._runner, HOST, self._port, reuse_address=True)
        await site.start()
        self._port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.gate.set()
        await self.stop()

    async def wait_requests(self, count: int, *, within: float = PATIENCE) -> None:
        async with asyncio.timeout(within), self._news:
            await self._news.wait_for(lambda: self.requests >= count)

    async def wait_spans(self, name: str, *, count: int = 1, within: float = PATIENCE) -> list[CollectedSpan]:
        """The spans of this name, once there are so many."""
        async with asyncio.timeout(within), self._news:
            await self._news.wait_for(lambda: len(self.named(name)) >= count)
        return self.named(name)

    def named(self, name: str) -> list[CollectedSpan]:
        return [span for span in self.spans if span.name == name]

    async def _take(self, request: web.Request) -> web.Response:
        body = await request.read()
        self.received += body
        self.paths.add(request.path)
        self.headers.append(dict(request.headers))
        self.requests += 1
        async with self._news:
            self._news.notify_all()
        await self.gate.wait()
        if self.status == 200:
            self.spans.extend(decode(body))
        async with self._news:
            self._news.notify_all()
        return web.Response(status=self.status)


def decode(body: bytes) -> Iterator[CollectedSpan]:
    """The spans in the body of an export request."""
    for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
        described = {pair.key: _value(pair.value) for pair in resource.resource.attributes}
        for scope in resource.scope_spans:
            for span in scope.spans:
                yield _span(span, resource=described)


def _span(span: WireSpan, *, resource: Mapping[str, Any]) -> CollectedSpan:
    return CollectedSpan(
        trace=span.trace_id.hex(),
        id=span.span_id.hex(),
        parent=span.parent_span_id.hex(),
        name=span.name,
        kind=WireSpan.SpanKind.Name(span.kind).removeprefix("SPAN_KIND_"),
        failed=span.status.code == Status.STATUS_CODE_ERROR,
        began=span.start_time_unix_nano,
        ended=span.end_time_unix_nano,
        attributes={pair.key: _value(pair.value) for pair in span.attributes},
        resource=resource,
    )


def _value(value: AnyValue) -> Any:
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return [_value(each) for each in value.array_value.values]
    return getattr(value, kind) if kind else None


def tree(spans: list[CollectedSpan], *, root: CollectedSpan) -> dict[str, Any]:
    """The names below a span, those that began earlier first; spans of one name stand beside each other."""
    below = sorted((span for span in spans if span.parent == root.id), key=lambda span: span.began)
    return {f"{number}. {span.name}": tree(spans, root=span) for number, span in enumerate(below, start=1)}
