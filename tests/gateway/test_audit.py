"""The audit: one record for each request and each step of a document, without any text."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import stat
import sys
from pathlib import Path
from typing import Any

import pytest

from app.stores.audit_files import read_audit
from tests.gateway.conftest import CLOUD, LOCAL, Gateway, cloud_settings
from tests.support.answer import Answer
from tests.support.behaviours import CutMidStream, StallMidStream, Status
from tests.support.canaries import assert_no_canary
from tests.support.process import ServiceProcess
from tests.support.service import Service, running
from tests.support.upstream import ScriptedUpstream


async def records(service: Service, *, count: int, kind: str = "request") -> list[dict[str, Any]]:
    """The records so far, once there are as many as expected."""
    folder = service.settings.data_dir / "audit"
    async with asyncio.timeout(10):
        while len(found := [record for record in read_audit(folder) if record["kind"] == kind]) < count:  # noqa: ASYNC110  # a thread writes them
            await asyncio.sleep(0.01)
    return found


async def test_a_request_is_recorded_with_who_why_where_and_digests(gateway: Gateway, canary: str) -> None:
    gateway.local.script = Answer(text=f"{canary} it is")
    headers = {"x-request-id": "0f0e0d0c-0b0a-4908-8706-050403020100"}
    await gateway.post("/chat", {"message": canary, "sensitivity": "confidential"}, headers=headers)
    [record] = await records(gateway.service, count=1)
    assert record["request_id"] == headers["x-request-id"]
    assert (record["tenant"], record["key_id"]) == ("default", None)
    assert (record["label"], record["rule"], record["outcome"]) == ("confidential", "confidential", "ok")
    assert record["raised_by"] == [{"detector": "stated", "where": "sensitivity", "count": 1}]
    assert record["model"] == LOCAL
    assert record["attempts"] == [{"model": LOCAL, "outcome": "ok"}]
    assert {"model": CLOUD, "dropped": "not_cleared"} in record["candidates"]
    assert len(record["prompt_digest"]) == len(record["answer_digest"]) == 64
    assert record["time"].endswith("+00:00")
    assert_no_canary(canary, audit=json.dumps(record).encode())


async def test_equal_texts_have_equal_digests_and_another_secret_makes_others(
    tmp_path: Path, openai_upstream: ScriptedUpstream
) -> None:
    digests = []
    for folder in ("one", "two"):
        async with running(tmp_path / folder, vector_store="memory", **cloud_settings(openai_upstream)) as service:
            gateway = Gateway(service=service, cloud=openai_upstream, local=openai_upstream)
            for message in ("What is Python?", "What is Python?", "What is Java?"):
                await gateway.chat(message, cache=False)
            digests.append([record["prompt_digest"] for record in await records(service, count=3)])
    assert digests[0][0] == digests[0][1] != digests[0][2]
    assert set(digests[0]).isdisjoint(digests[1])


async def test_a_denied_request_is_recorded_and_counted_with_its_label_and_reasons(
    gateway: Gateway, canary: str
) -> None:
    await gateway.post("/chat", {"message": canary, "sensitivity": "confidential", "model": CLOUD, "documents": False})
    gateway.local.script = Status(503)
    status, _ = await gateway.post("/chat", {"message": canary, "sensitivity": "confidential"})
    assert status == 503
    record = (await records(gateway.service, count=2))[-1]
    assert (record["label"], record["model"], record["outcome"]) == ("confidential", None, "upstream_unavailable")
    assert {attempt["model"] for attempt in record["attempts"]} == {LOCAL, "ollama/nomic-embed-text:latest"} or (
        record["attempts"][0] == {"model": LOCAL, "outcome": "upstream_unavailable"}
    )
    async with gateway.service.client.get("/metrics") as response:
        metrics = await response.text()
    assert (
        'sluice_requests_total{cache="none",label="confidential",outcome="upstream_unavailable",surface="chat"} 1.0'
        in metrics
    )
    assert f'sluice_upstream_attempts_total{{model="{LOCAL}",outcome="upstream_unavailable"}}' in metrics


async def test_a_refusal_says_which_candidates_were_dropped(
    tmp_path: Path, openai_upstream: ScriptedUpstream, canary: str
) -> None:
    async with running(
        tmp_path, on_denied="refuse", vector_store="memory", **cloud_settings(openai_upstream)
    ) as service:
        gateway = Gateway(service=service, cloud=openai_upstream, local=openai_upstream)
        status, _ = await gateway.post("/chat", {"message": canary, "sensitivity": "confidential", "model": CLOUD})
        assert status == 503
        [record] = await records(service, count=1)
    assert record["outcome"] == "no_cleared_model"
    assert record["candidates"] == [{"model": CLOUD, "dropped": "not_cleared"}]
    assert openai_upstream.completions == []


async def test_answers_that_break_off_or_are_left_are_recorded(gateway: Gateway) -> None:
    gateway.cloud.script = CutMidStream(after=2)
    async with gateway.service.client.post("/chat/stream", json={"message": "One", "model": CLOUD}) as response:
        await response.read()
    gateway.cloud.script = StallMidStream(after=1)
    async with gateway.service.client.post("/chat/stream", json={"message": "Two", "model": CLOUD}) as response:
        await anext(aiter(response.content))
    found = await records(gateway.service, count=2)
    assert [record["outcome"] for record in found] == ["upstream_broken", "cancelled"]
    assert all(record["answer_digest"] for record in found)


async def test_documents_are_recorded_as_taken_in_and_as_indexed_or_failed(gateway: Gateway, canary: str) -> None:
    await gateway.add({"id": canary, "title": canary, "content": f"{canary} has card 4111 1111 1111 1111."})
    found = await records(gateway.service, count=2, kind="document")
    assert [(record["outcome"], record["label"]) for record in found] == [
        ("accepted", "internal"),
        ("indexed", "confidential"),
    ]
    assert found[1]["raised_by"] == [{"detector": "payment_card", "where": "content", "count": 1}]
    assert found[0]["version"] == found[1]["version"]
    assert_no_canary(canary, audit=json.dumps(found).encode())


async def test_the_files_are_their_owners_alone_and_read_by_a_command(
    tmp_path: Path, openai_upstream: ScriptedUpstream, canary: str
) -> None:
    environment = {
        name.upper(): value if isinstance(value, str) else ",".join(value)
        for name, value in cloud_settings(openai_upstream).items()
    } | {"VECTOR_STORE": "memory", "ON_DENIED": "refuse"}
    async with ServiceProcess(tmp_path, environment=environment) as service:
        for body in ({"message": "Hi"}, {"message": canary, "sensitivity": "confidential", "model": CLOUD}):
            async with service.client.post("/chat", json=body) as response:
                await response.read()
        assert await service.terminate() in (0, -signal.SIGTERM)
    folder = service.data_dir / "audit"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert [stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()] == [0o600]
    assert len(await _audit(service)) == 2
    assert [record["outcome"] for record in await _audit(service, "--denied")] == ["no_cleared_model"]
    assert [record["label"] for record in await _audit(service, "--label", "internal")] == ["confidential"]
    assert await _audit(service, "--since", "2999-01-01") == []
    assert len(await _audit(service, "--since", "1h")) == 2


async def _audit(service: ServiceProcess, *options: str) -> list[dict[str, Any]]:
    environment = {**os.environ, "DATA_DIR": str(service.data_dir)}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "app", "audit", *options), stdout=asyncio.subprocess.PIPE, env=environment
    )
    output, _ = await process.communicate()
    assert process.returncode == 0
    return [json.loads(line) for line in output.splitlines()]


@pytest.mark.parametrize("option", [("--since", "yesterday"), ("--label", "secret")])
async def test_an_option_that_cannot_be_read_is_refused(option: tuple[str, str], tmp_path: Path) -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "app", "audit", *option), stderr=asyncio.subprocess.PIPE
    )
    _, errors = await process.communicate()
    assert process.returncode == 2
    assert option[0].encode() in errors


async def test_a_search_is_recorded_with_its_label_and_the_labels_of_what_it_found(
    gateway: Gateway, canary: str
) -> None:
    await gateway.add({"content": f"The moon is {canary}.", "sensitivity": "confidential"})
    await gateway.post("/search", {"query": f"{canary} moon", "sensitivity": "internal"})
    [record] = await records(gateway.service, count=1, kind="search")
    assert (record["label"], record["outcome"], record["found"]) == ("internal", "ok", {"confidential": 1})
    assert record["raised_by"] == [{"detector": "stated", "where": "sensitivity", "count": 1}]
    assert record["model"] == "builtin/all-MiniLM-L6-v2"
    assert_no_canary(canary, audit=json.dumps(record).encode())


async def test_a_search_that_is_refused_is_recorded(gateway: Gateway) -> None:
    status, _ = await gateway.post("/search", {"query": "moon", "filter": {"year": {"unknown": 1}}})
    [record] = await records(gateway.service, count=1, kind="search")
    assert (status, record["outcome"]) == (422, "invalid_request")


async def test_an_explanation_is_recorded_as_one(gateway: Gateway, canary: str) -> None:
    await gateway.post("/route", {"message": canary, "sensitivity": "confidential"})
    [record] = await records(gateway.service, count=1, kind="explanation")
    assert (record["label"], record["rule"], record["model"]) == ("confidential", "confidential", None)
    assert {"model": CLOUD, "dropped": "not_cleared"} in record["candidates"]
    assert_no_canary(canary, audit=json.dumps(record).encode())


async def test_embeddings_are_recorded_with_the_model_that_made_them(gateway: Gateway, canary: str) -> None:
    await gateway.post("/v1/embeddings", {"model": "auto", "input": [canary]})
    [record] = await records(gateway.service, count=1, kind="embeddings")
    assert (record["label"], record["model"], record["outcome"]) == ("public", "builtin/all-MiniLM-L6-v2", "ok")
    assert_no_canary(canary, audit=json.dumps(record).encode())
