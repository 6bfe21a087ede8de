"""What `/metrics` says of requests, models, documents and limits, and what it never says."""

from __future__ import annotations

import asyncio
import secrets
import shutil
import subprocess
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from app.errors import NotClearedError
from app.models import Caller, Label, RetrievalScope
from app.services.calls import Book
from app.services.decisions import Decisions
from app.services.labels import Reading
from app.services.recorder import Progress, Recorder, Watched
from app.services.retrieval import Found
from app.services.search import Search
from app.utils.instruments import INSTRUMENTS
from app.wiring import open_services
from tests.gateway.conftest import CLOUD, LOCAL, Gateway, cloud_settings
from tests.support.answer import USAGE
from tests.support.behaviours import StallMidStream, Status
from tests.support.exposition import families, read_metrics, total
from tests.support.service import Service, isolated_settings, running
from tests.support.upstream import ScriptedUpstream

PROMTOOL = shutil.which("promtool")
PLAIN = {"documents": False, "cache": False}
ANSWERED = {"outcome": "ok", "label": "public"}


async def counted(gateway: Gateway, name: str, **labels: str) -> float:
    return total(await read_metrics(gateway.service.client), name, **labels)


async def test_requests_count_by_the_surface_they_came_in_by(gateway: Gateway) -> None:
    message = {"messages": [{"role": "user", "content": "Hello"}], "model": "auto"}
    await gateway.chat("Hello", **PLAIN)
    await gateway.post("/v1/chat/completions", message)
    async with gateway.service.client.ws_connect("/websockets/chat/s1") as socket:
        await socket.send_json({"message": "Hello"})
        while "done" not in await socket.receive_json():
            assert await counted(gateway, "sluice_open_sockets") == 1
    for surface in ("chat", "openai", "socket"):
        assert await counted(gateway, "sluice_requests_total", surface=surface, **ANSWERED) == 1
    assert await counted(gateway, "sluice_http_responses_total", surface="openai", status="200") == 1


async def test_errors_count_by_their_code_on_every_endpoint(gateway: Gateway) -> None:
    await gateway.post("/chat", {"message": ""})
    await gateway.post("/search", {"query": ""})
    await gateway.post("/v1/chat/completions", {"messages": [{"role": "user", "content": "Hi"}], "model": "none"})
    async with gateway.service.client.get("/nowhere/at/all") as response:
        assert response.status == 404
    async with gateway.service.client.ws_connect("/websockets/openrouter") as socket:
        await socket.send_str("no JSON")
        await socket.receive_json()
    expected = {
        ("chat", "invalid_request"),
        ("search", "invalid_request"),
        ("openai", "model_not_found"),
        ("other", "not_found"),
        ("socket", "malformed_body"),
    }
    text = await read_metrics(gateway.service.client)
    for surface, code in expected:
        assert total(text, "sluice_errors_total", surface=surface, code=code) == 1
    assert total(text, "sluice_errors_total") == len(expected)


async def test_tokens_and_cost_count_by_model_tier_and_label(tmp_path: Path, openai_upstream: ScriptedUpstream) -> None:
    settings = cloud_settings(openai_upstream) | {"model_simple": ("openai/gpt-4o-mini",), "vector_store": "memory"}
    async with running(tmp_path, **settings) as service:
        for label in ("public", "internal", "internal"):
            body = {"message": "Hello", "sensitivity": label, "complexity": "simple", **PLAIN}
            async with service.client.post("/chat", json=body) as response:
                answer = await response.json()
        text = await read_metrics(service.client)
    labels = {"model": "openai/gpt-4o-mini", "tier": "simple", "label": "internal"}
    assert total(text, "sluice_tokens_total", kind="prompt", **labels) == 2 * USAGE.prompt_tokens
    assert total(text, "sluice_tokens_total", kind="completion", **labels) == 2 * USAGE.completion_tokens
    assert total(text, "sluice_cost_usd_total", **labels) == pytest.approx(2 * answer["cost"])
    called = {
        "gen_ai_operation_name": "chat",
        "gen_ai_provider_name": "openai",
        "gen_ai_request_model": labels["model"],
    }
    assert total(text, "gen_ai_client_token_usage_sum", gen_ai_token_type="input", **called) == 3 * USAGE.prompt_tokens
    assert total(text, "gen_ai_client_token_usage_count", gen_ai_token_type="output", **called) == 3


async def test_a_call_that_failed_has_its_duration_and_error_and_the_answer_its_times(gateway: Gateway) -> None:
    gateway.cloud.script = Status(400)
    await gateway.post("/chat", {"message": "Hello", "model": CLOUD, **PLAIN})
    await gateway.chat("Hello", model=LOCAL, **PLAIN)
    text = await read_metrics(gateway.service.client)
    duration = "gen_ai_client_operation_duration_seconds_count"
    assert total(text, duration, gen_ai_request_model=CLOUD, error_type="upstream_rejected") == 1
    assert total(text, duration, gen_ai_request_model=LOCAL, error_type="") == 1
    assert total(text, "gen_ai_client_operation_time_to_first_chunk_seconds_count") == 1
    assert total(text, "gen_ai_server_time_per_output_token_seconds_count", gen_ai_request_model=LOCAL) == 1
    for name in ("gen_ai_server_request_duration_seconds", "gen_ai_server_time_to_first_token_seconds"):
        assert total(text, f"{name}_count", gen_ai_request_model=LOCAL, cached="false") == 1
        assert total(text, f"{name}_count") == 1


async def test_the_overhead_is_what_the_gateway_takes_and_not_what_the_model_takes(
    gateway: Gateway, openai_upstream: ScriptedUpstream
) -> None:
    go_on = asyncio.Event()
    openai_upstream.script = StallMidStream(after=1, gate=go_on)
    async with gateway.service.client.post("/chat/stream", json={"message": "Hello", **PLAIN}) as response:
        await response.content.readline()
        assert await counted(gateway, "sluice_open_streams") == 1
        assert await counted(gateway, "sluice_requests_in_flight") == 1
        go_on.set()
        await response.read()
    text = await read_metrics(gateway.service.client)
    spent = total(text, "gen_ai_server_request_duration_seconds_sum")
    called = total(text, "gen_ai_client_operation_duration_seconds_sum")
    assert 0 < total(text, "sluice_gateway_overhead_seconds_sum") <= spent - called
    assert total(text, "sluice_open_streams") == total(text, "sluice_requests_in_flight") == 0


async def test_decisions_count_by_rule_and_dropped_candidates_by_reason(gateway: Gateway) -> None:
    await gateway.chat("Hello", complexity="simple", **PLAIN)
    _, explained = await gateway.post("/route", {"message": "Hello", "sensitivity": "confidential"})
    await gateway.chat("Hello", sensitivity="confidential", **PLAIN)
    await gateway.chat("Once more", cache=True, documents=False, complexity="simple")
    await gateway.chat("Once more", cache=True, documents=False, complexity="simple")
    text = await read_metrics(gateway.service.client)
    decisions = "sluice_route_decisions_total"
    assert total(text, decisions, rule="simple", complexity="simple", label="public") == 2
    assert total(text, decisions, rule="confidential", label="confidential") == 1
    drops = [candidate["dropped"] for candidate in explained["route"]["candidates"]]
    assert total(text, "sluice_candidates_dropped_total", reason="not_cleared") >= drops.count("not_cleared")


async def test_the_cache_says_what_it_holds_and_saved(gateway: Gateway) -> None:
    for _ in range(3):
        await gateway.chat("What is Python?")
    text = await read_metrics(gateway.service.client)
    assert total(text, "sluice_cache_held_bytes") >= total(text, "sluice_cache_kept_bytes_total") > 0
    assert total(text, "sluice_cache_saved_seconds_total") > 0
    assert total(text, "gen_ai_server_request_duration_seconds_count", cached="true") == 2
    assert total(text, "sluice_gateway_overhead_seconds_count", cached="true") == 2


async def test_documents_count_by_stage_queue_and_what_is_found(gateway: Gateway) -> None:
    await gateway.add({"id": "a", "content": "The rabbit runs over the hill."})
    await gateway.chat("Where does the rabbit run?")
    await gateway.post("/search", {"query": "rabbit"})
    text = await read_metrics(gateway.service.client)
    for stage in ("parse", "classify", "chunk", "store", "fingerprint", "embed", "publish"):
        assert total(text, "sluice_ingestion_stage_duration_seconds_count", stage=stage) == 1
    for purpose in ("chat", "search"):
        assert total(text, "sluice_retrieval_duration_seconds_count", purpose=purpose) == 1
        assert total(text, "sluice_retrieval_passages_sum", purpose=purpose) == 1


async def test_jobs_that_nobody_works_off_are_in_the_queue(tmp_path: Path) -> None:
    async with running(tmp_path, vector_store="memory", ingest_workers=0) as service:
        async with service.client.post("/documents", json={"documents": [{"content": "A"}, {"content": "B"}]}) as reply:
            assert reply.status == 202
        text = await read_metrics(service.client)
    assert total(text, "sluice_ingestion_queue_jobs", kind="index", state="due") == 2
    assert total(text, "sluice_ingestion_queue_jobs") == 2


async def test_limits_count_by_which_refused(tmp_path: Path) -> None:
    async with running(tmp_path, vector_store="memory", rate_limit_per_minute=1) as service:
        for _ in range(3):
            async with service.client.post("/search", json={"query": "x"}) as response:
                await response.read()
        text = await read_metrics(service.client)
    assert total(text, "sluice_limit_rejections_total", limit="address") == 2
    assert total(text, "sluice_limit_rejections_total") == 2


async def test_a_breaker_that_is_open_is_shown_and_so_is_one_that_is_closed(gateway: Gateway) -> None:
    gateway.cloud.script = Status(503)
    for _ in range(2):
        await gateway.post("/chat", {"message": "Hello", "model": CLOUD, **PLAIN})
    await gateway.chat("Hello", model=LOCAL, **PLAIN)
    assert await counted(gateway, "sluice_breaker_open", model=CLOUD) == 1
    text = await read_metrics(gateway.service.client)
    assert f'sluice_breaker_open{{model="{LOCAL}"}} 0.0' in text


async def test_a_name_that_only_a_caller_knows_is_no_label(gateway: Gateway, canary: str) -> None:
    """Nobody's name is not counted at all; an embedding model's that its provider took, with its provider's others."""
    for name in (f"openai/{canary}", canary, f"nobody/{canary}", f"text-embedding-{canary}"):
        await gateway.post("/chat", {"message": "Hello", "model": name})
        await gateway.post("/v1/chat/completions", {"messages": [{"role": "user", "content": "Hi"}], "model": name})
        await gateway.post("/v1/embeddings", {"model": name, "input": "A cat"})
    text = await read_metrics(gateway.service.client)
    assert canary not in text
    assert total(text, "sluice_tokens_total", model="openai/other", kind="prompt") > 0


async def test_no_word_of_a_prompt_an_answer_or_a_document_is_in_the_metrics(gateway: Gateway, canary: str) -> None:
    """Nor of anything else that a caller names: ids, titles, sessions, users, collections, file names, fields."""
    named = {"session_id": canary, "user_id": canary}
    document = {"id": canary, "title": canary, "content": f"About {canary}.", "metadata": {canary: canary}}
    await gateway.post("/documents?wait=true", {"documents": [document], "collection": canary})
    for label in ("public", "internal", "confidential"):
        await gateway.chat(f"What is {canary}?", sensitivity=label, documents={"collection": canary}, **named)
        await gateway.chat(f"What is {canary}?", sensitivity=label, documents={"collection": canary})
    await gateway.post("/search", {"query": canary, "collection": canary})
    await gateway.post("/chat", {"message": canary, canary: canary})
    await gateway.post(f"/{canary}", {"message": canary})
    await gateway.post("/chat", {"message": canary}, headers={"x-sluice-sensitivity": canary})
    async with gateway.service.client.ws_connect(f"/websockets/chat/{canary}") as socket:
        await socket.send_json({"message": canary})
        await socket.receive_json()
    text = await read_metrics(gateway.service.client)
    assert canary.lower() not in text.lower()
    assert total(text, "sluice_documents_total") == 1


async def test_all_metrics_that_there_are_and_no_others_are_shown_without_fault(gateway: Gateway) -> None:
    """What Prometheus' own linter finds is none, where it is installed."""
    await gateway.add({"id": "a", "content": "The rabbit runs over the hill."})
    for _ in range(2):
        await gateway.chat("Where does the rabbit run?")
    await gateway.post("/chat", {"message": ""})
    text = await read_metrics(gateway.service.client)
    shown = {f"{name}_total" if family.type == "counter" else name for name, family in families(text).items()}
    assert shown == {instrument.name for instrument in INSTRUMENTS}
    if PROMTOOL is not None:
        run = subprocess.run([PROMTOOL, "check", "metrics"], input=text.encode(), capture_output=True, check=False)  # noqa: ASYNC221  (a moment)
        assert (run.returncode, run.stdout + run.stderr) == (0, b"")


class DenyingSearch(Search):
    """Tries to send to a model what it must not, and is stopped."""

    def __init__(self, model: str) -> None:
        self._model = model

    async def find(self, query: str, *, scope: RetrievalScope, stated: Label | None, caller: Caller) -> list[Found]:
        raise NotClearedError(model=self._model)


async def refuse(_book: Book) -> Watched:
    for model in (CLOUD,):
        raise NotClearedError(model=model)
    yield Progress(reading=Reading(), messages=())


async def test_what_the_gate_stops_counts_inside_the_pipeline_and_outside_it(tmp_path: Path, canary: str) -> None:
    settings = isolated_settings(tmp_path, vector_store="memory", model_simple=(CLOUD,))
    async with open_services(settings) as services:
        recorder = Recorder(
            metrics=services.metrics,
            tracer=services.tracer,
            audit=services.enforcement.audit,
            decisions=Decisions(),
            ledger=services.ledger,
            clock=lambda: datetime.now(UTC),
        )
        with pytest.raises(NotClearedError):
            await anext(recorder.watch(refuse, caller=Caller()))
        for model in (CLOUD, f"openai/{canary}"):
            denying = replace(services, search=DenyingSearch(model))
            async with running(tmp_path, services=denying) as service:
                async with service.client.post("/search", json={"query": "x"}) as response:
                    assert response.status == 503
                text = await read_metrics(service.client)
    assert total(text, "sluice_egress_denials_total", model=CLOUD) == 2
    assert total(text, "sluice_egress_denials_total", model="other") == 1
    assert canary not in text


async def test_the_limits_of_keys_count_by_what_they_limit(tmp_path: Path, openai_upstream: ScriptedUpstream) -> None:
    key = secrets.token_hex(16)
    admin = {"authorization": f"Bearer {key}"}
    settings = cloud_settings(openai_upstream) | {"vector_store": "memory"}
    async with running(tmp_path, auth_required=True, admin_key=key, **settings) as service:
        for limits in ({"requests_per_minute": 1}, {"tokens_per_minute": 265}):
            await use_up(service, limits, admin=admin)
        text = await read_metrics(service.client)
    for limit in ("key_requests", "key_tokens"):
        assert total(text, "sluice_limit_rejections_total", limit=limit) == 1


async def use_up(service: Service, limits: dict[str, Any], *, admin: dict[str, str]) -> None:
    async with service.client.post("/keys", json={"name": "test", **limits}, headers=admin) as response:
        headers = {"authorization": f"Bearer {(await response.json())['key']}"}
    for _ in range(2):
        async with service.client.post("/chat", json={"message": "Hello", **PLAIN}, headers=headers) as response:
            await response.read()
