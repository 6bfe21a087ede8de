"""A collector in trouble is the exporter's concern: no request, and no shutdown, waits for it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from app.egress import Egress, LocalNetworks
from app.exporters.otlp import LAST_SECONDS, MOST_WAITING, SpanExporter, encode
from app.models import Label
from app.utils.tracing import AttributeValue, RecordedSpan, Tracer
from tests.support.collector import Collector, decode
from tests.support.ports import HOST, free_port

# What a busy machine may add to a time that is measured.
SLACK = 3.0


class NothingIsLocal(LocalNetworks):
    """As if the loopback address were somebody else's."""

    def __contains__(self, address: str) -> bool:
        return False


@asynccontextmanager
async def exporting(endpoint: str, *, networks: LocalNetworks | None = None) -> AsyncIterator[SpanExporter]:
    """An exporter at work; it has sent or given up what it had on leaving."""
    egress = Egress(
        cloud_clearance=Label.INTERNAL, networks=networks or LocalNetworks(), connect_timeout=5, total_timeout=10
    )
    exporter = SpanExporter(url=f"{endpoint}/v1/traces", headers={"x-team": "a"}, resource={}, egress=egress)
    running = asyncio.create_task(exporter.run())
    await asyncio.sleep(0)  # what is cancelled before it runs does nothing at all
    try:
        yield exporter
    finally:
        running.cancel()
        await asyncio.wait({running})
        await egress.close()


def offer(exporter: SpanExporter, *names: str) -> None:
    tracer = Tracer(exporter.offer)
    for name in names:
        tracer.begin(name).end()


async def test_spans_arrive_while_it_runs_with_the_headers_of_the_setting() -> None:
    async with Collector() as collector, exporting(collector.endpoint) as exporter:
        offer(exporter, "one")
        await collector.wait_spans("one")
    assert collector.headers[0]["x-team"] == "a"
    assert collector.headers[0]["Content-Type"] == "application/x-protobuf"


async def test_what_is_left_at_the_end_is_sent() -> None:
    async with Collector() as collector:
        async with exporting(collector.endpoint) as exporter:
            offer(exporter, *(f"span {number}" for number in range(MOST_WAITING)))
        assert len(collector.spans) == MOST_WAITING


async def test_a_collector_that_hangs_holds_up_the_end_for_two_seconds_at_most() -> None:
    async with Collector() as collector:
        collector.gate.clear()
        async with exporting(collector.endpoint) as exporter:
            offer(exporter, "one")
            await collector.wait_requests(1)
            began = time.monotonic()
        assert time.monotonic() - began < LAST_SECONDS + SLACK


async def test_spans_that_find_the_queue_full_are_dropped_and_counted() -> None:
    async with Collector() as collector:
        collector.gate.clear()
        async with exporting(collector.endpoint) as exporter:
            offer(exporter, *(["one"] * (MOST_WAITING + 3)))
            assert exporter.dropped == 3
            collector.gate.set()


@pytest.mark.parametrize("status", [503, 429])
async def test_what_a_collector_puts_off_is_sent_again(status: int) -> None:
    async with Collector() as collector, exporting(collector.endpoint) as exporter:
        collector.status = status
        offer(exporter, "one")
        await collector.wait_requests(1)
        collector.status = 200
        await collector.wait_spans("one")


async def test_what_a_collector_refuses_is_not_sent_again(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", logger="app.exporters.otlp")
    async with Collector() as collector, exporting(collector.endpoint) as exporter:
        collector.status = 400
        offer(exporter, "one")
        await collector.wait_requests(1)
        collector.status = 200
        offer(exporter, "two")
        await collector.wait_spans("two")
        assert collector.named("one") == []
        assert exporter.dropped == 1
    assert [record.message for record in caplog.records if record.name == "app.exporters.otlp"] == [
        "spans are not exported",
        "spans are exported again",
    ]


async def test_a_collector_that_comes_up_later_gets_what_was_kept() -> None:
    async with Collector() as collector:
        await collector.stop()
        async with exporting(collector.endpoint) as exporter:
            offer(exporter, "one")
            await collector.start()
            await collector.wait_spans("one")


async def test_nothing_is_written_to_an_address_that_is_not_ours() -> None:
    """The connected peer is looked at, whatever the name in the setting was resolved to at the start."""
    async with Collector() as collector, exporting(collector.endpoint, networks=NothingIsLocal()) as exporter:
        offer(exporter, "one")
    assert (collector.requests, bytes(collector.received)) == (0, b"")


async def test_nobody_at_the_address_is_no_failure() -> None:
    async with exporting(f"http://{HOST}:{free_port()}") as exporter:
        offer(exporter, "one")


def test_every_kind_of_value_arrives_as_what_it_is() -> None:
    spans: list[RecordedSpan] = []
    span = Tracer(spans.append).begin("one")
    given: dict[str, AttributeValue | None] = {
        "text": "é",
        "truth": True,
        "count": 3,
        "share": 0.5,
        "list": ["a", "b"],
        "nothing": None,
    }
    span.set(given)
    span.end()
    (decoded,) = decode(encode(spans, resource={"service.name": "sluice"}))
    assert decoded.attributes == {name: value for name, value in given.items() if value is not None}
    assert decoded.resource == {"service.name": "sluice"}
