"""Several processes under one parent: they serve as one, and they end with it."""

from __future__ import annotations

import asyncio
import os
import re
import signal
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.gateway.conftest import CLOUD
from tests.support.answer import Answer
from tests.support.process import ServiceProcess
from tests.support.upstream import ScriptedUpstream
from tests.support.workers import children, is_running, only, workers

PATIENCE = 30.0


def settings(cloud: ScriptedUpstream, local: ScriptedUpstream) -> dict[str, str]:
    names = ("MODEL_SIMPLE", "MODEL_MODERATE", "MODEL_COMPLEX", "MODEL_LONG_CONTEXT")
    return {
        "WORKERS": "2",
        "OPENAI_BASE_URL": f"{cloud.origin}/v1",
        "OPENAI_API_KEY": "sk-made-up-for-a-test",
        "OLLAMA_BASE_URL": local.origin,
        **dict.fromkeys(names, CLOUD),
    }


async def post(service: ServiceProcess, path: str, body: Any, **headers: str) -> tuple[int, Any]:
    """One request over a connection of its own, which any worker may take."""
    async with (
        aiohttp.ClientSession(service.url) as client,
        client.post(path, json=body, headers=headers) as response,
    ):
        return response.status, await response.json()


async def post_to(worker: int, service: ServiceProcess, path: str, body: Any, **headers: str) -> tuple[int, Any]:
    """The same to one worker, over a connection that it alone could take; the others run again by then.

    A worker that stays stopped may hold the database.
    """
    async with aiohttp.ClientSession(service.url, connector=aiohttp.TCPConnector(limit=1)) as client:
        with only(worker, of=service.pid):
            await (await client.get("/openapi.json")).read()
        async with client.post(path, json=body, headers=headers) as response:
            return response.status, await response.json()


async def counted(service: ServiceProcess, metric: str) -> float:
    async with aiohttp.ClientSession(service.url) as client, client.get("/metrics") as response:
        lines = re.findall(rf"(?m)^{metric}(?:{{.*}})? (\S+)$", await response.text())
    return sum(map(float, lines))


async def until(condition: Any) -> None:
    async with asyncio.timeout(PATIENCE):
        while not condition():  # noqa: ASYNC110  (other processes)
            await asyncio.sleep(0.05)


async def test_two_workers_serve_as_one(
    tmp_path: Path, openai_upstream: ScriptedUpstream, ollama_upstream: ScriptedUpstream, canary: str
) -> None:
    """What one is told the other knows at once: labels, documents, repeated requests, counts.

    One that dies is replaced.
    """
    text = f"The board decided to sell the northern plant to {canary} before the end of the year."
    ollama_upstream.script = openai_upstream.script = Answer(text=text)
    async with ServiceProcess(tmp_path, environment=settings(openai_upstream, ollama_upstream)) as service:
        one, other = workers(service.pid)
        question = {"role": "user", "content": "What did the board decide?"}
        _, answer = await post_to(one, service, "/chat", {"messages": [question], "sensitivity": "confidential"})
        openai_upstream.forget()
        history = [question, {"role": "assistant", "content": answer["message"]}, {"role": "user", "content": "Why?"}]
        _, repeated = await post_to(other, service, "/chat", {"messages": history, "documents": False})
        assert repeated["sensitivity"] == "confidential"
        assert canary.encode() not in openai_upstream.received

        upload = {"documents": [{"id": "a", "content": "The rabbit runs over the hill."}]}
        status, _ = await post_to(one, service, "/documents?wait=true", upload, **{"idempotency-key": "k1"})
        assert status == 200
        _, found = await post_to(other, service, "/search", {"query": "Where does the rabbit run?"})
        assert [each["metadata"]["document_id"] for each in found["documents"]] == ["a"]
        changed = {"documents": [{"id": "b", "content": "Something else."}]}
        status, _ = await post_to(other, service, "/documents", changed, **{"idempotency-key": "k1"})
        assert status == 409

        assert await counted(service, "sluice_requests_total") == 2
        os.kill(one, signal.SIGKILL)
        await until(lambda: len(workers(service.pid)) == 2 and one not in workers(service.pid))
        await service.ready()
        with only(other, of=service.pid):
            assert await counted(service, "sluice_requests_total") == 2


@pytest.mark.slow
async def test_workers_and_the_vector_server_end_with_a_parent_that_is_killed(tmp_path: Path) -> None:
    """Nothing is left behind, and the next start on the same data finds nothing in its way."""
    async with ServiceProcess(tmp_path, environment={"WORKERS": "2"}) as service:
        family = children(service.pid)
        assert len(family) == 3
        await service.kill()
        await until(lambda: not any(map(is_running, family)))
        await service.start()
        family = children(service.pid)
        assert await service.terminate() == 0
        assert not any(map(is_running, family))


@pytest.mark.slow
async def test_workers_that_refuse_to_start_end_the_service(tmp_path: Path) -> None:
    (tmp_path / "policy.toml").write_text("this is no policy")
    service = ServiceProcess(tmp_path, environment={"WORKERS": "2", "POLICY_FILE": str(tmp_path / "policy.toml")})
    await service.launch()
    assert await service.wait(within=90) != 0
    assert b"Sluice does not start" in service.logs
