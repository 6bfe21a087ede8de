"""Keys and limits on OpenAI's surface, as its official client sees them."""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import Any

import openai
import pytest
from openai import AsyncOpenAI

from tests.support.service import running

PROMPT: Any = [{"role": "user", "content": "When does water boil?"}]


async def test_a_wrong_key_and_a_missing_one_are_told_the_same(tmp_path: Path) -> None:
    key = secrets.token_hex(16)
    bodies = []
    async with running(tmp_path, vector_store="memory", auth_required=True, admin_key=key) as service:
        for headers in ({}, {"authorization": "Bearer wrong"}, {"authorization": f"Basic {key}"}):
            async with service.client.get("/v1/models", headers=headers) as response:
                assert response.status == 401
                bodies.append(await response.json())
        async with AsyncOpenAI(base_url=f"{service.url}/v1", api_key="wrong", max_retries=0) as client:
            with pytest.raises(openai.AuthenticationError) as raised:
                await client.chat.completions.create(model="auto", messages=PROMPT)
        async with AsyncOpenAI(base_url=f"{service.url}/v1", api_key=key, max_retries=0) as client:
            assert (await client.chat.completions.create(model="auto", messages=PROMPT)).choices
    assert raised.value.code == "invalid_api_key"
    assert bodies[0] == bodies[1] == bodies[2]


async def test_every_answer_says_what_is_left_of_the_limit_and_one_too_many_is_refused(tmp_path: Path) -> None:
    async with (
        running(tmp_path, vector_store="memory", rate_limit_per_minute=2) as service,
        AsyncOpenAI(base_url=f"{service.url}/v1", api_key="unused", max_retries=0) as client,
    ):
        raw = await client.chat.completions.with_raw_response.create(model="auto", messages=PROMPT)
        assert raw.headers["x-ratelimit-limit-requests"] == "2"
        assert raw.headers["x-ratelimit-remaining-requests"] == "1"
        async with service.client.post("/chat", json={"message": "Hello"}) as response:
            assert response.headers["x-ratelimit-remaining-requests"] == "0"
        with pytest.raises(openai.RateLimitError) as raised:
            await client.chat.completions.create(model="auto", messages=PROMPT)
    assert raised.value.code == "rate_limit_exceeded"
    assert raised.value.response.headers["x-ratelimit-remaining-requests"] == "0"
    assert 0 < int(raised.value.response.headers["retry-after"]) <= 60
