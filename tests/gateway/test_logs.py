"""Logs from the front door: a line for each request, none of them with a word of a client's."""

from __future__ import annotations

import io
import json
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from app.utils.logging import configure_logging
from tests.gateway.conftest import CLOUD, Gateway, cloud_settings
from tests.support.answer import Answer
from tests.support.behaviours import CutMidStream, Status
from tests.support.canaries import find_canary
from tests.support.collector import Collector
from tests.support.service import running
from tests.support.streams import sse
from tests.support.upstream import ScriptedUpstream

ADMIN_KEY = secrets.token_hex(16)
MINIMAL_PDF = b"%PDF-1.4\n% "


def lines(captured: str) -> list[dict[str, Any]]:
    """What was logged; each line is one JSON object."""
    return [json.loads(line) for line in captured.splitlines() if not line.startswith("Sluice ")]


def named(captured: str, message: str) -> list[dict[str, Any]]:
    return [line for line in lines(captured) if line["message"] == message]


@pytest.fixture(name="log")
def fixture_log(gateway: Gateway) -> io.StringIO:
    """What the running gateway logs from now on."""
    stream = io.StringIO()
    configure_logging("INFO", stream=stream)
    return stream


@asynccontextmanager
async def protected(
    tmp_path: Path, cloud: ScriptedUpstream, local: ScriptedUpstream, **overrides: Any
) -> AsyncIterator[Gateway]:
    given = {**cloud_settings(cloud), "ollama_base_url": local.origin, "vector_store": "memory", **overrides}
    async with running(tmp_path, auth_required=True, admin_key=ADMIN_KEY, **given) as service:
        service.client.headers["authorization"] = f"Bearer {ADMIN_KEY}"
        yield Gateway(service=service, cloud=cloud, local=local)


async def test_a_chat_has_one_line_that_tells_how_it_went(log: io.StringIO, gateway: Gateway) -> None:
    await gateway.chat("What is Python?")
    (line,) = named(log.getvalue(), "request")
    expected = {
        "level": "INFO",
        "outcome": "ok",
        "model": CLOUD,
        "tenant": "default",
        "label": "public",
        "cache": "miss",
    }
    assert {name: line[name] for name in expected} == expected
    assert line["seconds"] >= line["first_token_seconds"] >= 0
    assert len(line["request_id"]) == 36
    assert "trace_id" not in line


async def test_other_requests_have_a_line_with_the_template_of_their_path(
    log: io.StringIO, gateway: Gateway, canary: str
) -> None:
    async with gateway.service.client.get(f"/documents/{canary}/") as response:
        request_id = response.headers["x-request-id"]
    await gateway.post("/search", {"query": "tea"})
    assert await status_of(gateway, f"/{canary}", method="PROPFIND") == 404
    told, search, unknown = named(log.getvalue(), "access")
    assert (told["status"], told["route"], told["method"]) == (404, "/documents/{document_id:path}", "GET")
    assert (told["request_id"], told["tenant"]) == (request_id, "default")
    assert told["seconds"] >= 0
    assert (search["status"], search["route"]) == (200, "/search")
    assert (unknown["route"], unknown["method"]) == (None, "other")


async def test_what_is_asked_every_few_seconds_has_no_line(log: io.StringIO, gateway: Gateway) -> None:
    for path in ("/health", "/ready", "/metrics"):
        assert await status_of(gateway, path) == 200
    assert named(log.getvalue(), "access") == []


async def test_lines_of_a_traced_request_name_its_trace(
    capfd: pytest.CaptureFixture[str], tmp_path: Path,
    openai_upstream: ScriptedUpstream, ollama_upstream: ScriptedUpstream,
) -> None:  # fmt: skip
    async with Collector() as collector:
        endpoint = {"otel_exporter_otlp_endpoint": collector.endpoint}
        async with protected(tmp_path, openai_upstream, ollama_upstream, **endpoint) as gateway:
            await gateway.chat("What is Python?")
            await gateway.post("/search", {"query": "tea"})
            await collector.wait_spans("POST /search")
    err = capfd.readouterr().err
    (chat,), (search,) = named(err, "request"), named(err, "access")
    assert chat["trace_id"] == collector.named("POST /chat")[0].trace
    assert search["trace_id"] == collector.named("POST /search")[0].trace
    assert chat["request_id"] == collector.named("POST /chat")[0].attributes["sluice.request_id"]


async def test_headers_are_shown_in_known_shapes_only(
    capfd: pytest.CaptureFixture[str], tmp_path: Path, canary: str,
    openai_upstream: ScriptedUpstream, ollama_upstream: ScriptedUpstream,
) -> None:  # fmt: skip
    async with protected(tmp_path, openai_upstream, ollama_upstream, log_level="DEBUG") as gateway:
        given = {"cookie": canary, "user-agent": canary, f"x-{canary}": "a", "traceparent": canary, "accept": canary}
        await gateway.post("/search", {"query": "tea"}, headers=given)
    err = capfd.readouterr().err
    (line,) = (each for each in named(err, "access") if each["route"] == "/search")
    shown = line["headers"]
    assert (shown["content-type"], shown["cookie"], shown["authorization"]) == (
        "application/json",
        "present",
        "present",
    )
    assert (shown["traceparent"], shown["accept"], shown["other"]) == ("other", "other", 2)
    assert find_canary(canary, within=err.encode()) == []
    assert ADMIN_KEY not in err


async def test_no_word_of_a_client_is_in_any_log_line_or_span(
    capfd: pytest.CaptureFixture[str], tmp_path: Path, canary: str,
    openai_upstream: ScriptedUpstream, ollama_upstream: ScriptedUpstream,
) -> None:  # fmt: skip
    """Every surface, with answers and with failures, at the lowest level and with a collector."""
    async with Collector() as collector:
        given = {"log_level": "DEBUG", "otel_exporter_otlp_endpoint": collector.endpoint}
        async with protected(tmp_path, openai_upstream, ollama_upstream, **given) as gateway:
            openai_upstream.script = Answer(pieces=(f"{canary} says ", f"the {canary}"))
            await use_every_surface(gateway, canary)
            for trouble in (Status(500, message=canary), Status(400, message=canary), CutMidStream()):
                openai_upstream.script = ollama_upstream.script = trouble
                await ask_both_ways(gateway, f"{canary} {type(trouble).__name__} {trouble}")
            await fail_in_every_way(gateway, canary)
        told = capfd.readouterr()
    assert len(collector.spans) > 50
    assert collector.named("answer")
    for place, content in {"logs": told.err.encode(), "output": told.out.encode(), "spans": collector.received}.items():
        assert find_canary(canary, within=bytes(content)) == [], place
        assert bytes(content).count(ADMIN_KEY.encode()) == 0, place
    assert {line["logger"].partition(".")[0] for line in lines(told.err)} >= {"app"}


async def use_every_surface(gateway: Gateway, canary: str) -> None:
    document = {"id": canary, "title": canary, "content": f"The {canary} is in the kitchen.", "metadata": {canary: 1}}
    await gateway.add(document, collection=canary)
    ask = {"message": f"Where is the {canary}?", "documents": {"collection": canary}, "session_id": canary}
    await ask_both_ways(gateway, canary, **ask)
    await gateway.post("/route", {"message": canary})
    await gateway.post("/search", {"query": canary, "collection": canary, "filter": {canary: {"eq": 1}}})
    await gateway.post("/v1/embeddings", {"model": "auto", "input": canary})
    for path in (f"/documents/{canary}?collection={canary}", f"/sessions/{canary}", f"/sessions?search={canary}"):
        assert await status_of(gateway, path) == 200
    turns: dict[str, dict[str, Any]] = {
        f"/websockets/chat/{canary}": {"message": canary},
        "/websockets/openrouter": {"messages": [{"role": "user", "content": canary}]},
    }
    for path, turn in turns.items():
        async with gateway.service.client.ws_connect(path) as socket:
            await socket.send_json(turn)
            await last_of(socket)
            await socket.send_str(f"{{{canary}")
            await socket.receive()


async def ask_both_ways(gateway: Gateway, canary: str, **fields: Any) -> None:
    """Over each surface, whole and as a stream; with a label that content may have in spans, and without."""
    native = {"message": f"What does {canary} mean?", "sensitivity": "internal", **fields}
    openai = {"model": "auto", "messages": [{"role": "user", "content": canary}], "user": canary}
    await gateway.post("/chat", native)
    labelled = {"x-sluice-sensitivity": "internal"}
    await gateway.post("/v1/chat/completions", openai, headers=labelled)
    for path, body in (("/chat/stream", native), ("/v1/chat/completions", {**openai, "stream": True})):
        async with gateway.service.client.post(path, json=body, headers=labelled) as response:
            [event async for event in sse(response)]


async def last_of(socket: aiohttp.ClientWebSocketResponse) -> None:
    async for frame in socket:
        if frame.json().get("done") or "error" in frame.json():
            return


async def fail_in_every_way(gateway: Gateway, canary: str) -> None:
    for body in (
        {"message": canary, "model": f"nobody/{canary}"},
        {"message": "x", canary: canary},
        {"message": "x", "sensitivity": canary},
        {"message": "x", "parent_id": canary, "session_id": canary},
    ):
        assert await status_of(gateway, "/chat", json=body) >= 400
    paths = (f"/nowhere/{canary}?{canary}={canary}", f"/documents/{canary}-gone", f"/sessions/{canary}-gone")
    for path in paths:
        assert await status_of(gateway, path, method="GET") == 404
    half: dict[str, Any] = {
        "data": f'{{"message": "{canary}"'.encode(),
        "headers": {"content-type": "application/json"},
    }
    assert await status_of(gateway, "/chat", **half) == 400
    for headers in ({"x-sluice-oops": canary, "x-request-id": canary}, {"authorization": f"Bearer sk-{canary}"}):
        assert await status_of(gateway, "/chat", json={"message": "x"}, headers=headers) >= 400
    for name, content in (
        (f"{canary}.pdf", MINIMAL_PDF),
        (f"{canary}.docx", b"PK\x03\x04"),
        (f"{canary}.txt", b"\x00"),
    ):
        form = aiohttp.FormData()
        form.add_field("files", content + canary.encode(), filename=name)
        assert await status_of(gateway, "/documents?wait=true", data=form) in (200, 415)


async def status_of(gateway: Gateway, path: str, *, method: str = "", **options: Any) -> int:
    method = method or ("POST" if options else "GET")
    async with gateway.service.client.request(method, path, **options) as response:
        await response.read()
        return response.status
