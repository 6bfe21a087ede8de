from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from tests.support.behaviours import Answer, NoResponse, Script, SlowFirstToken, StallMidStream, Status, flap
from tests.support.canaries import find_canary
from tests.support.dialects import OpenAIDialect
from tests.support.http import RecordedRequest
from tests.support.upstream import ScriptedUpstream

PROMPT = {"model": "gpt-4o", "messages": [{"role": "user", "content": "Hello"}]}
CHAT = "/v1/chat/completions"


@pytest.fixture
async def client(openai_upstream: ScriptedUpstream) -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(base_url=openai_upstream.origin) as client:
        yield client


async def _status(client: aiohttp.ClientSession, path: str = CHAT) -> int:
    async with client.post(path, json=PROMPT) as response:
        await response.read()
        return response.status


async def test_requests_are_recorded_with_everything_in_them(
    client: aiohttp.ClientSession, openai_upstream: ScriptedUpstream, canary: str
) -> None:
    async with client.post(f"{CHAT}?beta=1", json=PROMPT, headers={"X-Word": canary}) as response:
        assert response.status == 200
    (request,) = openai_upstream.requests
    assert (request.method, request.path, request.query, request.number) == ("POST", CHAT, "beta=1", 1)
    assert request.headers["x-word"] == canary
    assert request.json == PROMPT
    assert request.body in openai_upstream.received
    assert find_canary(canary, within=openai_upstream.received) == ["plain"]


async def test_bytes_of_a_request_that_never_becomes_complete_are_recorded(
    openai_upstream: ScriptedUpstream, canary: str
) -> None:
    _, writer = await asyncio.open_connection("127.0.0.1", openai_upstream.port)
    writer.write(f"POST {CHAT} HTTP/1.1\r\ncontent-length: 999\r\n\r\n{canary}".encode())
    writer.close()
    await writer.wait_closed()
    await openai_upstream.wait_connections(1)
    await openai_upstream.stop()
    assert canary.encode() in openai_upstream.received
    assert openai_upstream.requests == []


async def test_connection_is_kept_for_the_next_request(
    client: aiohttp.ClientSession, openai_upstream: ScriptedUpstream
) -> None:
    for stream in (False, True, False):
        async with client.post(CHAT, json={**PROMPT, "stream": stream}) as response:
            await response.read()
    assert len(openai_upstream.requests) == 3
    assert openai_upstream.connections == 1


async def test_listed_script_is_used_up_by_completions_alone_and_its_last_behaviour_repeats(
    client: aiohttp.ClientSession, openai_upstream: ScriptedUpstream
) -> None:
    openai_upstream.script = flap(2)
    seen = []
    for _ in range(4):
        async with client.get("/v1/models") as listing:
            assert listing.status == 200
        seen.append(await _status(client))
    assert seen == [503, 503, 200, 200]
    assert len(openai_upstream.completions) == 4


async def test_script_may_decide_by_the_request_and_leave_the_rest_alone(
    client: aiohttp.ClientSession, openai_upstream: ScriptedUpstream
) -> None:
    def script(request: RecordedRequest) -> Status | None:
        return Status(500) if request.path.endswith("/embeddings") else None

    openai_upstream.script = script
    assert await _status(client, "/v1/embeddings") == 500
    assert await _status(client) == 200


@pytest.mark.parametrize(
    ("script", "stream"), [(NoResponse(), False), (NoResponse(), True), (StallMidStream(after=1), True)]
)
async def test_client_that_leaves_before_the_end_is_counted_once(
    client: aiohttp.ClientSession, openai_upstream: ScriptedUpstream, script: Script, *, stream: bool
) -> None:
    openai_upstream.script = script
    call = asyncio.create_task(_read(client, stream=stream))
    await openai_upstream.wait_requests(1)
    call.cancel()
    await openai_upstream.wait_cancelled(1)
    assert openai_upstream.cancelled == 1


async def test_client_that_read_to_the_end_has_not_cancelled(openai_upstream: ScriptedUpstream) -> None:
    async with aiohttp.ClientSession(base_url=openai_upstream.origin) as client:
        for stream in (False, True):
            await _read(client, stream=stream)
    await openai_upstream.stop()
    assert openai_upstream.cancelled == 0


async def test_no_content_comes_before_the_gate_opens(
    client: aiohttp.ClientSession, openai_upstream: ScriptedUpstream
) -> None:
    gate = asyncio.Event()
    openai_upstream.script = SlowFirstToken(gate, of=Answer(pieces=["first"]))
    async with client.post(CHAT, json={**PROMPT, "stream": True}) as response:
        role = await response.content.readuntil(b"\n\n")
        rest = asyncio.create_task(response.content.read())
        await asyncio.sleep(0)
        assert b"first" not in role
        assert not rest.done()
        gate.set()
        assert b"first" in await rest


async def test_not_even_the_status_comes_before_the_gate_when_the_head_is_held_back_too(
    client: aiohttp.ClientSession, openai_upstream: ScriptedUpstream
) -> None:
    gate = asyncio.Event()
    openai_upstream.script = SlowFirstToken(gate, head=False)
    call = asyncio.create_task(_status(client))
    await openai_upstream.wait_requests(1)
    assert not (await asyncio.wait({call}, timeout=0.05))[0]
    gate.set()
    assert await call == 200


async def test_stall_ends_when_its_gate_opens(client: aiohttp.ClientSession, openai_upstream: ScriptedUpstream) -> None:
    gate = asyncio.Event()
    openai_upstream.script = StallMidStream(after=1, gate=gate, of=Answer(pieces=["first", "second"]))
    async with client.post(CHAT, json={**PROMPT, "stream": True}) as response:
        await response.content.readuntil(b"\n\n")
        assert b"first" in await response.content.readuntil(b"\n\n")
        gate.set()
        rest = await response.content.read()
    assert b"second" in rest
    assert rest.endswith(b"data: [DONE]\n\n")


async def test_stopped_upstream_refuses_and_answers_again_on_its_port(
    client: aiohttp.ClientSession, openai_upstream: ScriptedUpstream
) -> None:
    assert await _status(client) == 200
    origin = openai_upstream.origin
    await openai_upstream.stop()
    with pytest.raises(aiohttp.ClientConnectionError):
        await _status(client)
    await openai_upstream.start()
    assert openai_upstream.origin == origin
    assert await _status(client) == 200


async def test_script_that_raises_fails_the_test_that_wrote_it() -> None:
    def script(request: RecordedRequest) -> Status | None:
        raise LookupError(request.path)

    upstream = ScriptedUpstream(OpenAIDialect(), script=script)
    await upstream.__aenter__()
    async with aiohttp.ClientSession(base_url=upstream.origin) as client:
        with pytest.raises(aiohttp.ClientConnectionError):
            await _status(client)
    with pytest.raises(ExceptionGroup) as caught:
        await upstream.__aexit__(None, None, None)
    assert isinstance(caught.value.exceptions[0], LookupError)


async def _read(client: aiohttp.ClientSession, **body: Any) -> bytes:
    async with client.post(CHAT, json={**PROMPT, **body}) as response:
        return await response.read()
