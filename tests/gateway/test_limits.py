"""Limits of keys and users through the front door."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import jwt
import pytest

from tests.gateway.conftest import cloud_settings
from tests.support.answer import ORDINARY
from tests.support.behaviours import StallMidStream
from tests.support.service import Service, running
from tests.support.upstream import ScriptedUpstream

SECRET = secrets.token_hex(32)
HELLO = {"message": "Hello", "documents": False, "cache": False}


@pytest.fixture
def admin_key() -> str:
    return secrets.token_hex(16)


@pytest.fixture
async def service(tmp_path: Path, openai_upstream: ScriptedUpstream, admin_key: str) -> AsyncIterator[Service]:
    settings = cloud_settings(openai_upstream) | {"vector_store": "memory", "jwt_secret": SECRET}
    async with running(tmp_path, auth_required=True, admin_key=admin_key, **settings) as service:
        yield service


async def make(service: Service, admin_key: str, **fields: Any) -> dict[str, str]:
    """The headers of a new key."""
    headers = {"authorization": f"Bearer {admin_key}"}
    async with service.client.post("/keys", json={"name": "test", **fields}, headers=headers) as response:
        return {"authorization": f"Bearer {(await response.json())['key']}"}


async def chat(service: Service, headers: dict[str, str], **fields: Any) -> tuple[int, Any, Any]:
    """The status, the answer and the headers of a chat."""
    async with service.client.post("/chat", json={**HELLO, **fields}, headers=headers) as response:
        return response.status, await response.json(), response.headers


async def test_every_answer_under_a_limited_key_says_what_is_left(service: Service, admin_key: str) -> None:
    """In OpenAI's form, on streams, on other endpoints, and where the request itself fails."""
    key = await make(service, admin_key, requests_per_minute=10, tokens_per_minute=100_000)
    _, _, headers = await chat(service, key)
    assert (headers["x-ratelimit-limit-requests"], headers["x-ratelimit-remaining-requests"]) == ("10", "9")
    assert headers["x-ratelimit-limit-tokens"] == "100000"
    assert int(headers["x-ratelimit-remaining-tokens"]) < 100_000
    assert headers["x-ratelimit-reset-requests"] == "60s"
    for number, (path, body) in enumerate((("/chat/stream", HELLO), ("/search", {"query": "x"})), start=2):
        async with service.client.post(path, json=body, headers=key) as response:
            assert response.headers["x-ratelimit-remaining-requests"] == str(10 - number)
    status, _, headers = await chat(service, key, model="openai/none")
    assert (status, headers["x-ratelimit-remaining-requests"]) == (404, "6")


async def test_one_request_too_many_is_refused_with_the_time_to_wait(service: Service, admin_key: str) -> None:
    key = await make(service, admin_key, requests_per_minute=2)
    statuses = [(await chat(service, key))[0] for _ in range(2)]
    status, refused, headers = await chat(service, key)
    assert (statuses, status, refused["error"]["code"]) == ([200, 200], 429, "rate_limit_exceeded")
    assert 0 < int(headers["retry-after"]) <= 60
    assert headers["x-ratelimit-remaining-requests"] == "0"
    async with service.client.get("/models", headers=key) as response:
        assert response.status == 429


async def test_limits_of_two_keys_are_apart(service: Service, admin_key: str) -> None:
    one, other = [await make(service, admin_key, requests_per_minute=1) for _ in range(2)]
    assert [(await chat(service, key))[0] for key in (one, one, other)] == [200, 429, 200]


async def test_what_is_reserved_in_tokens_is_settled_by_what_was_used(service: Service, admin_key: str) -> None:
    """Each answer reserves more than half of the limit and uses little of it."""
    key = await make(service, admin_key, tokens_per_minute=1000)
    used = 0
    for _ in range(4):
        status, answer, headers = await chat(service, key, max_tokens=600)
        assert status == 200
        reserved = 1000 - int(headers["x-ratelimit-remaining-tokens"]) - used
        assert reserved >= 600
        used += answer["tokens_used"]


async def test_answers_at_once_cannot_reserve_more_than_there_is(
    service: Service, admin_key: str, openai_upstream: ScriptedUpstream
) -> None:
    openai_upstream.script = StallMidStream(after=1)
    key = await make(service, admin_key, tokens_per_minute=1000)
    async with service.client.post("/chat/stream", json={**HELLO, "max_tokens": 600}, headers=key):
        assert (await chat(service, key, max_tokens=600))[0] == 429


async def test_a_request_that_no_minute_has_room_for_is_refused_for_good(service: Service, admin_key: str) -> None:
    key = await make(service, admin_key, tokens_per_minute=100)
    status, refused, headers = await chat(service, key, max_tokens=101)
    assert (status, refused["error"]["code"]) == (400, "tokens_over_limit")
    assert "retry-after" not in headers


async def test_a_cut_stream_counts_what_was_written_and_gives_its_place_back(
    service: Service, admin_key: str, openai_upstream: ScriptedUpstream
) -> None:
    openai_upstream.script = StallMidStream(after=2)
    key = await make(service, admin_key, tokens_per_minute=1000, concurrent_streams=1)
    async with service.client.post("/chat/stream", json={**HELLO, "max_tokens": 600}, headers=key) as response:
        await response.content.readline()
        status, refused, _ = await chat(service, key, stream=True, max_tokens=10)
        assert (status, refused["error"]["code"]) == (429, "too_many_streams")
    await openai_upstream.wait_cancelled(1)
    openai_upstream.script = ORDINARY
    status, _, headers = await chat(service, key, max_tokens=600)
    assert status == 200
    assert int(headers["x-ratelimit-remaining-tokens"]) >= 300


async def test_a_user_has_one_limit_over_keys_and_tokens(
    tmp_path: Path, openai_upstream: ScriptedUpstream, admin_key: str
) -> None:
    settings = cloud_settings(openai_upstream) | {"vector_store": "memory", "jwt_secret": SECRET}
    async with running(tmp_path, admin_key=admin_key, user_requests_per_minute=2, **settings) as service:
        key = await make(service, admin_key, owner="ada")
        token = jwt.encode({"sub": "ada", "exp": 2**31}, SECRET, algorithm="HS256")
        bearer = {"authorization": f"Bearer {token}"}
        assert [(await chat(service, each))[0] for each in (key, bearer, key, bearer)] == [200, 200, 429, 429]
        stranger = jwt.encode({"sub": "eve", "exp": 2**31}, SECRET, algorithm="HS256")
        assert (await chat(service, {"authorization": f"Bearer {stranger}"}))[0] == 200


async def test_messages_on_a_socket_count_too(service: Service, admin_key: str) -> None:
    key = await make(service, admin_key, requests_per_minute=1)
    async with service.client.ws_connect("/websockets/openrouter", headers=key) as socket:
        for _ in range(2):
            await socket.send_json({"message": "Hello"})
            frames = [await socket.receive_json()]
            while not {"done", "error"} & frames[-1].keys():
                frames.append(await socket.receive_json())
        assert frames[-1]["error"]["code"] == "rate_limit_exceeded"
        assert 0 < frames[-1]["retry_after"] <= 60


async def test_a_socket_ends_when_its_key_is_revoked(service: Service, admin_key: str) -> None:
    admin = {"authorization": f"Bearer {admin_key}"}
    key = await make(service, admin_key)
    async with service.client.ws_connect("/websockets/openrouter", headers=key) as socket:
        async with service.client.get("/keys", headers=admin) as response:
            [made] = (await response.json())["keys"]
        async with service.client.delete(f"/keys/{made['id']}", headers=admin) as response:
            assert response.status == 204
        await socket.send_json({"message": "Hello"})
        assert (await socket.receive_json())["error"]["code"] == "invalid_api_key"
        assert (await socket.receive()).type is aiohttp.WSMsgType.CLOSE
        assert socket.close_code == 4401
