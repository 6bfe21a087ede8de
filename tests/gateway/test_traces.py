"""Traces, as a collector gets them that decodes OTLP with OpenTelemetry's own messages."""

from __future__ import annotations

import asyncio
import secrets
import subprocess
import sys
import textwrap
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from app.errors import ConfigurationError
from app.exporters.otlp import EXPORT_SECONDS, LAST_SECONDS
from app.wiring import open_services
from tests.gateway.conftest import CLOUD, LOCAL, Gateway, cloud_settings
from tests.support.behaviours import CutMidStream, StallMidStream, Status
from tests.support.canaries import find_canary
from tests.support.collector import CollectedSpan, Collector, tree
from tests.support.process import REPOSITORY, ServiceProcess
from tests.support.service import isolated_settings, running
from tests.support.streams import sse
from tests.support.upstream import ScriptedUpstream
from tests.support.workers import only, workers

ADMIN_KEY = secrets.token_hex(16)
ADMIN = {"authorization": f"Bearer {ADMIN_KEY}"}
# What a busy machine may add to a time that is measured.
SLACK = 5.0
TRACE, SPAN = "4b" * 16, "7d" * 8


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


# Ingestion

STAGES = ["parse", "classify", "chunk", "store", "fingerprint", "embed", "publish"]


async def test_a_document_that_is_indexed_is_a_trace_of_its_stages(traced: Gateway, collector: Collector) -> None:
    """Each stage is a span, below embedding one for each batch that is embedded and put into the index."""
    await traced.add({"title": "Tea", "content": "Tea is drunk at four in the kitchen."}, sensitivity="public")
    (root,) = await collector.wait_spans("ingestion")
    below = tree(collector.spans, root=root)
    assert list(below) == [f"{number}. {stage}" for number, stage in enumerate(STAGES, start=1)]
    assert below["6. embed"] == {"1. embeddings all-MiniLM-L6-v2": {}, "2. index": {}}
    assert (root.parent, root.failed) == ("", False)
    expected = {"sluice.tenant": "default", "sluice.label": "public", "sluice.chunks": 1, "sluice.warnings": 0}
    assert {name: root.attributes[name] for name in expected} == expected
    assert collector.named("index")[0].attributes["sluice.chunks"] == 1


async def test_a_document_that_cannot_be_read_is_a_trace_that_says_why(traced: Gateway, collector: Collector) -> None:
    async with traced.service.client.post(
        "/documents?wait=true", json={"documents": [{"id": "blank", "content": "\u200b"}]}
    ) as response:
        assert (await response.json())["documents"][0]["status"] == "failed"
    (root,) = await collector.wait_spans("ingestion")
    (parse,) = collector.named("parse")
    assert (root.attributes["error.type"], parse.attributes["error.type"]) == ("empty", "empty")
    assert list(tree(collector.spans, root=root)) == ["1. parse"]


async def test_nothing_of_a_document_is_in_the_spans_of_its_ingestion(traced: Gateway, collector: Collector) -> None:
    """Neither its text nor what it is called, where it lies and what is said about it."""
    word = "brivolunder"
    document = {"id": word, "title": word, "content": f"{word} boils at four.", "metadata": {word: word}}
    await traced.add(document, sensitivity="public", collection=word)
    await collector.wait_spans("ingestion")
    assert word.encode() not in collector.received


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


# Off, and in trouble


def test_without_a_collector_a_start_imports_no_exporter_and_no_protobuf(tmp_path: Path) -> None:
    """FastAPI imports OpenTelemetry's interface itself, and Chroma's client more: the store is in memory here."""
    program = """
        import asyncio, sys
        from pathlib import Path
        from app.wiring import open_services
        from tests.support.service import isolated_settings

        async def start():
            async with open_services(isolated_settings(Path(sys.argv[1]), vector_store="memory")) as services:
                assert services.tracer is None

        asyncio.run(start())
        unwanted = ("app.exporters", "google.protobuf", "opentelemetry.sdk", "opentelemetry.proto")
        print(sorted(name for name in sys.modules if name.startswith(unwanted)))
    """
    command = [sys.executable, "-c", textwrap.dedent(program), str(tmp_path)]
    run = subprocess.run(command, capture_output=True, text=True, cwd=REPOSITORY, check=False)
    assert run.stdout == "[]\n", run.stderr


async def test_without_a_collector_nothing_of_a_callers_trace_is_passed_on(quiet: Gateway) -> None:
    await quiet.post("/chat", {"message": "Hello"}, headers={"traceparent": f"00-{TRACE}-{SPAN}-01"})
    assert TRACE.encode() not in quiet.cloud.received


@pytest.mark.parametrize("trouble", ["hangs", "refuses", "is away"])
async def test_a_collector_in_trouble_delays_no_request_and_no_end(
    tmp_path: Path,
    openai_upstream: ScriptedUpstream,
    ollama_upstream: ScriptedUpstream,
    collector: Collector,
    trouble: str,
) -> None:
    """A batch has been under way to it since before the requests, which are answered meanwhile."""
    given = settings(openai_upstream, ollama_upstream, collector)
    collector.status = 500
    if trouble == "hangs":
        collector.gate.clear()
    elif trouble == "is away":
        await collector.stop()
    async with running(tmp_path, **given) as service:
        gateway = Gateway(service=service, cloud=openai_upstream, local=ollama_upstream)
        await gateway.chat("Hello")
        if trouble != "is away":
            await collector.wait_requests(1)
        async with asyncio.timeout(EXPORT_SECONDS):
            for number in range(20):
                await gateway.chat(f"Hello {number}")
        began = time.monotonic()
    assert time.monotonic() - began < LAST_SECONDS + SLACK


async def test_a_collector_that_is_not_ours_stops_the_start(tmp_path: Path) -> None:
    """192.0.2.0/24 is nobody's; an operator who means it lists it in LOCAL_ADDRESSES."""
    foreign = {"vector_store": "memory", "otel_exporter_otlp_endpoint": "http://192.0.2.1:4318"}
    with pytest.raises(ConfigurationError, match="OTEL_EXPORTER_OTLP_ENDPOINT leads to an address outside"):
        async with open_services(isolated_settings(tmp_path, **foreign)):
            pass
    async with open_services(isolated_settings(tmp_path, **foreign, local_addresses=("192.0.2.1",))) as services:
        assert services.tracer is not None


@pytest.mark.parametrize(
    "wrong",
    [
        {"otel_exporter_otlp_endpoint": "127.0.0.1:4318"},
        {"otel_exporter_otlp_endpoint": "grpc://127.0.0.1:4317"},
        {"otel_exporter_otlp_endpoint": "http://127.0.0.1:4318", "otel_exporter_otlp_headers": "brivolunder"},
    ],
)
async def test_settings_that_cannot_work_stop_the_start_and_are_not_quoted(
    tmp_path: Path, wrong: dict[str, Any]
) -> None:
    with pytest.raises(ConfigurationError, match="OTEL_EXPORTER_OTLP_") as refused:
        async with open_services(isolated_settings(tmp_path, vector_store="memory", **wrong)):
            pass
    assert "brivolunder" not in str(refused.value)


@pytest.mark.slow
async def test_each_worker_sends_its_own_spans_to_the_last(
    tmp_path: Path, ollama_upstream: ScriptedUpstream, collector: Collector, canary: str
) -> None:
    """Also where the environment asks FastAPI for telemetry of its own, which would hold what was refused."""
    environment = {
        "WORKERS": "2",
        "OLLAMA_BASE_URL": ollama_upstream.origin,
        "OTEL_EXPORTER_OTLP_ENDPOINT": collector.endpoint,
        "OTEL_EXPORTER_OTLP_HEADERS": "x-team=a%20b",
        "FASTAPI_OTEL_AUTO_CONFIGURE": "true",
    }
    async with ServiceProcess(tmp_path, environment=environment) as process:
        for worker in workers(process.pid):
            async with aiohttp.ClientSession(process.url, connector=aiohttp.TCPConnector(limit=1)) as client:
                with only(worker, of=process.pid):
                    await (await client.get("/openapi.json")).read()
                for body, status in (({"cache": False}, 200), ({canary: 1}, 422)):
                    async with client.post("/chat", json={"message": "Hello", **body}) as response:
                        assert response.status == status
        # At once, so that the last spans are still with the workers.
        await process.terminate()
    answers = collector.named("answer")
    assert len({span.resource["service.instance.id"] for span in answers}) == len(answers) == 2
    assert len(collector.named("POST /chat")) == 4
    assert {headers["x-team"] for headers in collector.headers} == {"a b"}
    assert collector.paths == {"/v1/traces"}
    assert find_canary(canary, within=bytes(collector.received) + process.logs) == []
