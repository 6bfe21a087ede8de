"""Spans to a collector, over OTLP/HTTP in protobuf (https://opentelemetry.io/docs/specs/otlp/), beside the requests.

A request leaves its spans in a queue that never waits: what finds it full is dropped and counted.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from http import HTTPStatus
from itertools import islice

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, ArrayValue, InstrumentationScope, KeyValue
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans, Status
from opentelemetry.proto.trace.v1.trace_pb2 import Span as WireSpan

from app.egress import Egress
from app.utils.tracing import AttributeValue, RecordedSpan

logger = logging.getLogger(__name__)

# As OpenTelemetry's batch processors have it.
MOST_WAITING = 2048
LARGEST_BATCH = 512
# How long a span waits for others to be sent along with.
GATHERING_SECONDS = 0.5
# How long a collector may take for a batch, and all of what is left at the end.
EXPORT_SECONDS = 5.0
LAST_SECONDS = 2.0
FIRST_REST, LONGEST_REST = 1.0, 30.0
# What the protocol lets a client send again, besides a connection that failed.
PASSING = frozenset(
    {
        HTTPStatus.TOO_MANY_REQUESTS,
        HTTPStatus.BAD_GATEWAY,
        HTTPStatus.SERVICE_UNAVAILABLE,
        HTTPStatus.GATEWAY_TIMEOUT,
    }
)


class SpanExporter:
    """Sends what it is offered to one collector, in batches, for as long as `run` runs."""

    def __init__(
        self, *, url: str, headers: Mapping[str, str], resource: Mapping[str, AttributeValue], egress: Egress
    ) -> None:
        self._url = url
        self._headers = {**headers, "Content-Type": "application/x-protobuf"}
        self._resource = resource
        self._egress = egress
        self._waiting: deque[RecordedSpan] = deque()
        self._some = asyncio.Event()
        self._enough = asyncio.Event()
        self._rest = 0.0
        self.dropped = 0

    def offer(self, span: RecordedSpan) -> None:
        """Take a span that is over; with too many waiting, it is dropped."""
        if len(self._waiting) >= MOST_WAITING:
            self.dropped += 1
            return
        self._waiting.append(span)
        self._some.set()
        if len(self._waiting) >= LARGEST_BATCH:
            self._enough.set()

    async def run(self) -> None:
        """Send for ever. When this is cancelled, what is left is sent if the collector takes it soon."""
        try:
            while True:
                await self._pause()
                await self._send_waiting()
        finally:
            with suppress(TimeoutError):
                async with asyncio.timeout(LAST_SECONDS):
                    await self._send_waiting()

    async def _pause(self) -> None:
        """Until there is a batch, or a span that has waited for one; longer while the collector is in trouble."""
        await asyncio.sleep(self._rest)
        await self._some.wait()
        with suppress(TimeoutError):
            async with asyncio.timeout(GATHERING_SECONDS):
                await self._enough.wait()
        self._some.clear()
        self._enough.clear()

    async def _send_waiting(self) -> None:
        while self._waiting:
            batch = list(islice(self._waiting, LARGEST_BATCH))
            # In a thread: to write a full batch takes longer than the event loop may stand still.
            body = await asyncio.to_thread(encode, batch, resource=self._resource)
            status = await self._egress.report(self._url, body=body, headers=self._headers, within=EXPORT_SECONDS)
            delivered = status is not None and status < HTTPStatus.MULTIPLE_CHOICES
            if status is not None and status not in PASSING:
                # Only now: what was being sent when this was cancelled is sent once more.
                for _ in batch:
                    self._waiting.popleft()
                self.dropped += 0 if delivered else len(batch)
            self._note(delivered=delivered, status=status)
            if not delivered:
                self._some.set()
                return

    def _note(self, *, delivered: bool, status: int | None) -> None:
        """Say when the collector ceases and begins again to take spans, and leave it alone in between."""
        if delivered and self._rest:
            logger.info("spans are exported again", extra={"dropped": self.dropped})
        elif not delivered and not self._rest:
            logger.warning("spans are not exported", extra={"status": status})
        self._rest = 0.0 if delivered else min(LONGEST_REST, self._rest * 2 or FIRST_REST)


def encode(spans: Sequence[RecordedSpan], *, resource: Mapping[str, AttributeValue]) -> bytes:
    """The spans as the body of an export request."""
    scope = ScopeSpans(scope=InstrumentationScope(name="sluice"), spans=[_span(span) for span in spans])
    described = ResourceSpans(resource=Resource(attributes=_attributes(resource)), scope_spans=[scope])
    body: bytes = ExportTraceServiceRequest(resource_spans=[described]).SerializeToString()
    return body


def _span(span: RecordedSpan) -> WireSpan:
    return WireSpan(
        trace_id=span.context.trace_id,
        span_id=span.context.span_id,
        parent_span_id=span.parent_id or b"",
        name=span.name,
        kind=int(span.kind),  # type: ignore[arg-type]  # the numbers are the protocol's
        start_time_unix_nano=span.began,
        end_time_unix_nano=span.ended or span.began,
        attributes=_attributes(span.attributes),
        status=Status(code=Status.STATUS_CODE_ERROR) if span.error is not None else None,
    )


def _attributes(attributes: Mapping[str, AttributeValue]) -> Iterable[KeyValue]:
    return [KeyValue(key=name, value=_value(value)) for name, value in attributes.items()]


def _value(value: AttributeValue) -> AnyValue:
    match value:
        case bool():
            return AnyValue(bool_value=value)
        case int():
            return AnyValue(int_value=value)
        case float():
            return AnyValue(double_value=value)
        case str():
            return AnyValue(string_value=value)
        case _:
            return AnyValue(array_value=ArrayValue(values=[_value(each) for each in value]))
