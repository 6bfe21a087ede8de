"""Traces, as a collector gets them that decodes OTLP with OpenTelemetry's own messages."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.gateway.conftest import CLOUD, LOCAL, Gateway, cloud_settings
from tests.support.behaviours import CutMidStream, StallMidStream, Status
from tests.support.collector import CollectedSpan, Collector, tree
from tests.support.service import running
from tests.support.streams import sse
from tests.support.upstream import ScriptedUpstream

ADMIN_KEY = secrets.token_hex(16)
ADMIN = {"authorization": f"Bearer {ADMIN_KEY}"}
TRACE, SPAN = secrets.token_hex(16), secrets.token_hex(8)


@pytest.fixture
async def collector() -> AsyncIterator[Collector]:
    async with Collector() as collector:
        yield collector


def settings(cloud: ScriptedUpstream, local: ScriptedUpstream, collector: Collector) -> dict[str, Any]:
    """The cloud model first, the local one after it, and traces."""
    both = dict.fromkeys(("model_simple", "model_moderate", "model_complex"), (CLOUD, LOCAL))
    return {
        **cloud_settings(cloud),
        **both,
        "ollama_base_url": local.origin,
        "vector_store": "memory",
        "session_upkeep": "none",
        "otel_exporter_otlp_endpoint": collector.endpoint,
    }


@pytest.fixture
async def traced(
    tmp_path: Path, openai_upstream: ScriptedUpstream, ollama_upstream: ScriptedUpstream, collector: Collector
) -> AsyncIterator[Gateway]:
    given = settings(openai_upstream, ollama_upstream, collector)
    async with running(tmp_path, **given) as service:
        yield Gateway(service=service, cloud=openai_upstream, local=ollama_upstream)


async def test_the_tree_of_a_retrieval_augmented_request_that_falls_back_is_complete(
    tmp_path: Path, openai_upstream: ScriptedUpstream, ollama_upstream: ScriptedUpstream, collector: Collector
) -> None:
    """Every step is a span at its place, and each of the three calls one with its model and how it ended."""
    given = settings(openai_upstream, ollama_upstream, collector)
    openai_upstream.script = Status(503)
    async with running(tmp_path, auth_required=True, admin_key=ADMIN_KEY, **given) as service:
        gateway = Gateway(service=service, cloud=openai_upstream, local=ollama_upstream)
        _, made = await gateway.post("/keys", {"name": "team", "requests_per_minute": 100}, headers=ADMIN)
        service.client.headers["authorization"] = f"Bearer {made['key']}"
        await gateway.add({"title": "Tea", "content": "Tea is drunk at four in the kitchen."}, sensitivity="public")
        ask = {"message": "When is tea drunk?", "session_id": "s1", "complexity": "simple"}
        caller = f"00-{TRACE}-{SPAN}-01"
        headers = {"traceparent": caller, "tracestate": "vendor=brivolunder", "baggage": "who=brivolunder"}
        status, answer = await gateway.post("/chat", ask, headers=headers)
        assert (status, answer["model_used"]) == (200, LOCAL)
        (root,) = await collector.wait_spans("POST /chat")
    assert tree(collector.spans, root=root) == {
        "1. answer": {
            "1. admission": {},
            "2. history": {},
            "3. labelling": {},
            "4. cache": {},
            "5. retrieval": {"1. embeddings all-MiniLM-L6-v2": {}},
            "6. routing": {},
            "7. chat cloud-model": {},
            "8. chat cloud-model": {},
            "9. chat llama3:latest": {},
            "10. streaming": {},
            "11. persistence": {},
        }
    }
    assert (root.trace, root.parent, root.kind, root.failed) == (TRACE, SPAN, "SERVER", False)
    assert root.attributes["http.response.status_code"] == 200
    assert root.resource["service.name"] == "sluice"
    assert_attempts(collector)
    (whole,) = collector.named("answer")
    assert whole.attributes["gen_ai.response.finish_reasons"] == ["stop"]
    assert whole.attributes["sluice.label"] == answer["sensitivity"]
    assert whole.attributes["gen_ai.usage.output_tokens"] == answer["usage"]["completion_tokens"]
    assert collector.named("retrieval")[0].attributes["sluice.passages"] == 1
    assert b"brivolunder" not in openai_upstream.received + ollama_upstream.received + bytes(collector.received)


def assert_attempts(collector: Collector) -> None:
    first, second = collector.named("chat cloud-model")
    for failed in (first, second):
        assert (failed.kind, failed.failed) == ("CLIENT", True)
        assert failed.attributes["error.type"] == "upstream_unavailable"
        assert failed.attributes["gen_ai.provider.name"] == "openai"
        assert "gen_ai.usage.input_tokens" not in failed.attributes
    (answered,) = collector.named("chat llama3:latest")
    assert not answered.failed
    expected = {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "ollama",
        "gen_ai.request.model": "llama3:latest",
        "gen_ai.response.finish_reasons": ["stop"],
        "gen_ai.request.stream": True,
        "sluice.locality": "local",
        "server.address": "127.0.0.1",
    }
    assert {name: answered.attributes[name] for name in expected} == expected
    assert answered.attributes["gen_ai.usage.input_tokens"] > 0
    assert 0 < answered.attributes["gen_ai.response.time_to_first_chunk"] < 60
    assert first.began < first.ended <= second.began < second.ended <= answered.began < answered.ended


async def test_each_upstream_is_told_the_trace_and_the_span_of_its_own_call(
    traced: Gateway, collector: Collector
) -> None:
    """What a cloud model gets of a caller's trace is ids, as is what a local one gets."""
    traced.cloud.script = Status(429)
    await traced.post("/chat", {"message": "Hello"}, headers={"traceparent": f"00-{TRACE}-{SPAN}-01"})
    await collector.wait_spans("POST /chat")
    for upstream, name in ((traced.cloud, "chat cloud-model"), (traced.local, "chat llama3:latest")):
        told = {request.headers["traceparent"] for request in upstream.completions}
        assert told == {f"00-{TRACE}-{span.id}-01" for span in collector.named(name)}


@pytest.mark.parametrize("header", ["", f"00-{TRACE}-{SPAN}-01-more"])
async def test_a_traceparent_that_is_none_begins_a_trace_of_our_own(
    traced: Gateway, collector: Collector, header: str
) -> None:
    await traced.post("/chat", {"message": "Hello"}, headers={"traceparent": header})
    (root,) = await collector.wait_spans("POST /chat")
    assert root.parent == ""
    assert root.trace not in (TRACE, "0" * 32)


async def test_what_a_caller_does_not_record_is_not_recorded_but_passed_on(
    traced: Gateway, collector: Collector
) -> None:
    unrecorded = f"00-{TRACE}-{SPAN}-00"
    await traced.post("/chat", {"message": "Hello"}, headers={"traceparent": unrecorded})
    await traced.post("/chat", {"message": "Hello again"})
    await collector.wait_spans("POST /chat")
    assert TRACE not in {span.trace for span in collector.spans}
    first = traced.cloud.completions[0].headers["traceparent"]
    assert first.startswith(f"00-{TRACE}-")
    assert first.endswith("-00")


async def test_a_stream_that_the_model_cuts_is_a_trace_whose_spans_say_so(
    traced: Gateway, collector: Collector
) -> None:
    traced.cloud.script = CutMidStream()
    async with traced.service.client.post("/chat/stream", json={"message": "Hello"}) as response:
        events = [event.data async for event in sse(response)]
    assert events[-1] != "[DONE]"
    (root,) = await collector.wait_spans("POST /chat/stream")
    (call,) = collector.named("chat cloud-model")
    (streaming,) = collector.named("streaming")
    (answer,) = collector.named("answer")
    for span in (call, streaming, answer):
        assert (span.failed, span.attributes["error.type"]) == (True, "upstream_broken")
    assert len(collector.named("persistence")) == 1
    assert {streaming.parent, call.parent} == {answer.id}
    assert answer.parent == root.id


async def test_a_stream_that_the_client_leaves_is_a_trace_whose_spans_say_so(
    traced: Gateway, collector: Collector
) -> None:
    traced.cloud.script = StallMidStream()
    async with traced.service.client.post("/chat/stream", json={"message": "Hello"}) as response:
        await anext(aiter(sse(response)))
    await traced.cloud.wait_cancelled()
    await collector.wait_spans("POST /chat/stream")
    for name in ("chat cloud-model", "streaming", "answer"):
        (span,) = collector.named(name)
        assert (span.failed, span.attributes["error.type"]) == (True, "cancelled")


async def test_each_answer_on_a_socket_is_a_trace_of_its_own(traced: Gateway, collector: Collector) -> None:
    """An open socket is no span: it may stay open for days."""
    async with traced.service.client.ws_connect("/websockets/chat/s1") as socket:
        for message in ("Hello", "What is Python?"):
            await socket.send_json({"message": message})
            async for frame in socket:
                if frame.json().get("done"):
                    break
        first, second = await collector.wait_spans("answer", count=2)
    assert first.trace != second.trace
    assert {first.parent, second.parent} == {""}


async def test_an_answer_from_the_cache_and_one_of_another_request_have_no_call(
    traced: Gateway, collector: Collector
) -> None:
    gate = asyncio.Event()
    traced.cloud.script = StallMidStream(gate=gate)
    both = [asyncio.create_task(traced.chat("What is Python?")) for _ in range(2)]
    await traced.cloud.wait_requests(2)  # the first is the list of models
    gate.set()
    await asyncio.gather(*both)
    await traced.chat("What is Python?")
    answers = await collector.wait_spans("answer", count=3)
    assert sorted(span.attributes["sluice.cache"] for span in answers) == ["flight", "hit", "miss"]
    (call,) = collector.named("chat cloud-model")
    assert call.parent in {span.id for span in answers if span.attributes["sluice.cache"] == "miss"}


# What is told of whom


async def contents(gateway: Gateway, collector: Collector, **fields: Any) -> CollectedSpan:
    await gateway.post("/chat", {"message": "Who is brivolunder?", **fields})
    return (await collector.wait_spans("chat cloud-model"))[0]


async def test_content_is_in_no_span_unless_a_setting_allows_it(traced: Gateway, collector: Collector) -> None:
    span = await contents(traced, collector, sensitivity="public")
    assert "gen_ai.input.messages" not in span.attributes
    assert b"brivolunder" not in collector.received


@pytest.mark.parametrize(("label", "told"), [("public", True), ("internal", False)])
async def test_where_a_setting_allows_it_the_content_of_public_requests_is_told(
    tmp_path: Path,
    openai_upstream: ScriptedUpstream,
    ollama_upstream: ScriptedUpstream,
    collector: Collector,
    label: str,
    told: bool,
) -> None:
    given = settings(openai_upstream, ollama_upstream, collector)
    async with running(tmp_path, trace_content=True, **given) as service:
        gateway = Gateway(service=service, cloud=openai_upstream, local=ollama_upstream)
        span = await contents(gateway, collector, sensitivity=label)
    assert (b"brivolunder" in collector.received) is told
    assert ("Water boils" in str(span.attributes.get("gen_ai.output.messages"))) is told
