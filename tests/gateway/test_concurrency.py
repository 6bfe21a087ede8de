"""Slow upstreams and heavy ingestion hold nobody else up."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

from tests.gateway.conftest import CLOUD, cloud_settings
from tests.support.behaviours import SlowFirstToken
from tests.support.process import ServiceProcess
from tests.support.upstream import ScriptedUpstream

STREAMS = 50
# The promise is 50 ms more than without the streams; a busy machine adds noise of its own to a single sample.
MOST_ADDED_SECONDS = 0.05
SAMPLES = 20


async def test_fifty_streams_that_wait_do_not_delay_health(tmp_path: Path, openai_upstream: ScriptedUpstream) -> None:
    gate = asyncio.Event()
    openai_upstream.script = SlowFirstToken(gate=gate)
    environment = {
        name.upper(): value if isinstance(value, str) else ",".join(value)
        for name, value in cloud_settings(openai_upstream).items()
    }
    async with ServiceProcess(tmp_path, environment=environment) as service:
        alone = await median_health_seconds(service)

        async def stream(number: int) -> str:
            body = {"message": f"Question {number}", "model": CLOUD}
            async with service.client.post("/chat/stream", json=body) as response:
                return await response.text()

        seen = len(openai_upstream.requests)
        streams = [asyncio.create_task(stream(number)) for number in range(STREAMS)]
        await openai_upstream.wait_requests(seen + STREAMS)
        beside = await median_health_seconds(service)
        gate.set()
        texts = await asyncio.gather(*streams)
    assert all(text.endswith("data: [DONE]\n\n") for text in texts)
    assert beside - alone < MOST_ADDED_SECONDS


async def median_health_seconds(service: ServiceProcess) -> float:
    samples = []
    for _ in range(SAMPLES):
        began = time.perf_counter()
        async with service.client.get("/health") as response:
            await response.read()
        samples.append(time.perf_counter() - began)
    return sorted(samples)[SAMPLES // 2]
