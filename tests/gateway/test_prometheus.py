"""A real Prometheus over two processes: its sums are what the models' server counted, dashboard and alerts work."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import aiohttp
import pytest
import yaml

from app.models import JSONValue
from tests.gateway.conftest import CLOUD, LOCAL
from tests.support import prometheus
from tests.support.answer import USAGE, Behaviour
from tests.support.behaviours import Status
from tests.support.dashboard import alert_rules, panel_queries
from tests.support.http import RecordedRequest
from tests.support.process import ServiceProcess
from tests.support.prometheus import PrometheusServer
from tests.support.upstream import ScriptedUpstream
from tests.support.workers import only, workers

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(prometheus.EXECUTABLE is None, reason="prometheus is not installed"),
]

TROUBLE = "trouble"
ANSWERED, REPEATED, FAILED = 20, 4, 4
AT_ONCE = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    service: ServiceProcess
    server: PrometheusServer
    cloud: ScriptedUpstream


def fail_in_trouble(request: RecordedRequest) -> Behaviour | None:
    return Status(503) if TROUBLE.encode() in request.body else None


@pytest.fixture
async def scene(
    tmp_path: Path, openai_upstream: ScriptedUpstream, ollama_upstream: ScriptedUpstream
) -> AsyncIterator[Scene]:
    """Two workers between scripted models and a Prometheus, with rules that do not wait before they fire."""
    openai_upstream.script = fail_in_trouble
    rules = [{name: value for name, value in rule.items() if name != "for"} for rule in alert_rules()]
    at_once = tmp_path / "alerts.yml"
    at_once.write_text(yaml.safe_dump({"groups": [{"name": "at once", "rules": rules}]}))
    names = ("MODEL_SIMPLE", "MODEL_MODERATE", "MODEL_COMPLEX", "MODEL_LONG_CONTEXT")
    environment = {
        "WORKERS": "2",
        "OPENAI_BASE_URL": f"{openai_upstream.origin}/v1",
        "OPENAI_API_KEY": "sk-made-up-for-a-test",
        "OLLAMA_BASE_URL": ollama_upstream.origin,
        **dict.fromkeys(names, CLOUD),
    }
    (tmp_path / "service").mkdir()
    async with ServiceProcess(tmp_path / "service", environment=environment) as service:
        target = urlsplit(service.url).netloc
        async with PrometheusServer(tmp_path, target=target, rules=at_once) as server:
            yield Scene(service=service, server=server, cloud=openai_upstream)


async def ask_each_worker(scene: Scene, message: str, **fields: JSONValue) -> list[int]:
    """The same of every worker, over connections that it alone could take; the statuses."""
    statuses = []
    for worker in workers(scene.service.pid):
        async with aiohttp.ClientSession(scene.service.url, connector=aiohttp.TCPConnector(limit=1)) as client:
            with only(worker, of=scene.service.pid):
                await (await client.get("/openapi.json")).read()
            statuses.append(await ask(client, {"message": message, "documents": False, **fields}))
    return statuses


async def ask(client: aiohttp.ClientSession, body: Mapping[str, object]) -> int:
    async with client.post("/chat", json=body) as response:
        await response.read()
        return response.status


async def drive(scene: Scene) -> None:
    """Answers, repeats, documents, errors and a model that fails, on both workers."""
    async with scene.service.client.post("/documents?wait=true", json={"documents": [{"content": "A hill."}]}) as reply:
        assert reply.status == 200
    for start in range(0, ANSWERED, AT_ONCE):
        bodies = [{"message": f"What is {number}?", "cache": False} for number in range(start, start + AT_ONCE)]
        assert set(await asyncio.gather(*(ask(scene.service.client, body) for body in bodies))) == {200}
    for _ in range(REPEATED // 2):
        assert await ask_each_worker(scene, "What is the same?") == [200, 200]
    assert await ask_each_worker(scene, "Hello", sensitivity="confidential") == [200, 200]
    assert await ask(scene.service.client, {"message": ""}) == 422
    for _ in range(FAILED // 2):
        assert await ask_each_worker(scene, TROUBLE, model=CLOUD, cache=False) == [503, 503]


async def test_sums_agree_with_the_models_server_panels_have_data_and_an_alert_fires(
    scene: Scene, subtests: pytest.Subtests
) -> None:
    server = scene.server
    await drive(scene)
    calls = len(scene.cloud.completions)
    failures = sum(TROUBLE.encode() in request.body for request in scene.cloud.completions)

    attempts = f'sluice_upstream_attempts_total{{model="{CLOUD}"}}'
    await server.reach(f"sum({attempts})", calls)
    assert await server.value(f'sum({attempts[:-1]}, outcome="ok"}})') == calls - failures
    assert await server.value(f'sum({attempts[:-1]}, outcome="upstream_unavailable"}})') == failures == 2 * FAILED
    called = f'gen_ai_client_operation_duration_seconds_count{{gen_ai_request_model="{CLOUD}"}}'
    assert await server.value(f"sum({called})") == calls
    for kind, tokens in (("prompt", USAGE.prompt_tokens), ("completion", USAGE.completion_tokens)):
        used = f'sum(sluice_tokens_total{{model="{CLOUD}", kind="{kind}"}})'
        assert await server.value(used) == (calls - failures) * tokens
    assert await server.value('sum(sluice_requests_total{outcome="ok", label="confidential"})') == 2
    assert await server.value('sum(sluice_requests_total{outcome="upstream_unavailable"})') == FAILED
    assert await server.value('sum(sluice_errors_total{code="invalid_request"})') == 1
    hits = await server.value("sum(sluice_cache_hits_total)")
    assert hits == ANSWERED + REPEATED - (calls - failures) > 0
    assert await server.value("sluice_processes") == 2

    fired = await server.fire("SluiceBreakerOpen")
    assert (fired["model"], fired["severity"]) == (CLOUD, "warning")

    await server.scrape(times=3)  # a rate needs two samples of a series
    silent = {title for title, query in panel_queries() if not await server.query(query)}
    assert silent <= {"Budgets", "Cascades", "Limits"}
    for rule in alert_rules():
        with subtests.test(rule["alert"]):
            await server.query(rule["expr"])
    by_locality = {each["metric"]["model"] for each in await server.query("sum by (model) (sluice_tokens_total)")}
    assert by_locality == {CLOUD, LOCAL}
