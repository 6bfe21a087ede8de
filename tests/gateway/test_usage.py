"""What was used, through the front door: `/usage` against what the upstream itself reports."""

from __future__ import annotations

import asyncio
import csv
import io
import secrets
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from app.models import TokenDetails, Usage
from tests.gateway.conftest import CLOUD, cloud_settings
from tests.support.answer import ORDINARY, Answer
from tests.support.behaviours import StallMidStream
from tests.support.service import Service, running
from tests.support.upstream import ScriptedUpstream

HELLO = {"message": "Hello", "documents": False, "cache": False}
TOKENS = ("prompt_tokens", "completion_tokens")


@pytest.fixture
def admin_key() -> str:
    return secrets.token_hex(16)


@pytest.fixture
async def service(tmp_path: Path, openai_upstream: ScriptedUpstream, admin_key: str) -> AsyncIterator[Service]:
    settings = cloud_settings(openai_upstream) | {"vector_store": "memory"}
    async with running(tmp_path, auth_required=True, admin_key=admin_key, **settings) as service:
        yield service


def bearer(key: str) -> dict[str, str]:
    return {"authorization": f"Bearer {key}"}


async def make(service: Service, admin_key: str, **fields: Any) -> dict[str, str]:
    """The headers of a new key."""
    body = {"name": "test", **fields}
    async with service.client.post("/keys", json=body, headers=bearer(admin_key)) as response:
        return bearer((await response.json())["key"])


async def chat(service: Service, headers: dict[str, str], **fields: Any) -> Any:
    async with service.client.post("/chat", json={**HELLO, **fields}, headers=headers) as response:
        assert response.status == 200, await response.text()
        return await response.json()


async def usage(service: Service, headers: dict[str, str], **query: str) -> Any:
    async with service.client.get("/usage", params=query, headers=headers) as response:
        assert response.status == 200, await response.text()
        return await response.json()


async def test_the_sum_is_the_upstreams_own_to_the_token(service: Service, admin_key: str) -> None:
    """Over answers in one piece and in pieces, at once."""
    key = await make(service, admin_key)

    async def stream() -> None:
        async with service.client.post("/chat/stream", json=HELLO, headers=key) as response:
            await response.read()

    await asyncio.gather(*(chat(service, key) for _ in range(10)), *(stream() for _ in range(10)))
    reported = ORDINARY.usage
    assert reported is not None
    found = await usage(service, key, by="model,label")
    (row,) = found["usage"]
    assert {name: row[name] for name in TOKENS} == {name: 20 * getattr(reported, name) for name in TOKENS}
    assert (row["model"], row["label"], row["calls"], row["requests"]) == (CLOUD, "public", 20, 20)
    assert row["estimated_tokens"] == 0
    assert found["total"] == {name: value for name, value in row.items() if name not in ("model", "label")}


async def test_a_cut_stream_is_on_the_account_as_an_estimate(
    service: Service, admin_key: str, openai_upstream: ScriptedUpstream
) -> None:
    key = await make(service, admin_key)
    openai_upstream.script = StallMidStream(after=3)
    async with service.client.post("/chat/stream", json=HELLO, headers=key) as response:
        await response.content.readline()
    while not (total := (await usage(service, key))["total"])["calls"]:
        pass
    assert total["estimated_tokens"] == total["total_tokens"] > 0


async def test_an_answer_from_the_cache_is_a_request_without_a_call(service: Service, admin_key: str) -> None:
    key = await make(service, admin_key)
    for _ in range(2):
        await chat(service, key, cache=True, temperature=0)
    total = (await usage(service, key))["total"]
    assert (total["requests"], total["cached_requests"], total["calls"]) == (2, 1, 1)


async def test_cached_input_and_thoughts_are_counted_and_cost_what_the_catalog_says(
    tmp_path: Path, openai_upstream: ScriptedUpstream, admin_key: str
) -> None:
    """The price that was asked stands beside the sum; OpenAI's clients see the kinds too."""
    catalog = tmp_path / "catalog.toml"
    priced = "prompt_per_million = 100\ncompletion_per_million = 200\ncached_per_million = 10"
    catalog.write_text(f'[[model]]\nid = "{CLOUD}"\n{priced}\nreasoning_per_million = 400\n', encoding="utf-8")
    details = TokenDetails(cached=800, reasoning=50)
    openai_upstream.script = Answer(usage=Usage(prompt_tokens=1000, completion_tokens=100, details=details))
    settings = cloud_settings(openai_upstream) | {"vector_store": "memory", "catalog_file": catalog}
    async with running(tmp_path, auth_required=True, admin_key=admin_key, **settings) as service:
        body = {"model": CLOUD, "messages": [{"role": "user", "content": "Hello"}]}
        async with service.client.post("/v1/chat/completions", json=body, headers=bearer(admin_key)) as response:
            told = (await response.json())["usage"]
        (row,) = [row for row in (await usage(service, bearer(admin_key), by="price"))["usage"] if row["calls"]]
    assert told["prompt_tokens_details"]["cached_tokens"] == row["cached_tokens"] == 800
    assert told["completion_tokens_details"]["reasoning_tokens"] == row["reasoning_tokens"] == 50
    assert row["cost"] == pytest.approx((200 * 100 + 800 * 10 + 50 * 200 + 50 * 400) / 1_000_000)
    assert row["price"] == "0.0001/0.0002,cached=1e-05,reasoning=0.0004"


async def test_embeddings_are_on_the_account(service: Service, admin_key: str) -> None:
    key = await make(service, admin_key)
    body = {"model": "auto", "input": ["The moon is made of cheese."]}
    async with service.client.post("/v1/embeddings", json=body, headers=key) as response:
        tokens = (await response.json())["usage"]["total_tokens"]
    total = (await usage(service, key))["total"]
    assert (total["calls"], total["prompt_tokens"]) == (1, tokens)


async def test_who_asks_sees_its_own_who_administers_its_tenant_and_the_operator_all(
    service: Service, admin_key: str
) -> None:
    one, two = [await make(service, admin_key, tenant="acme") for _ in range(2)]
    admin = await make(service, admin_key, tenant="acme", scopes=["chat", "usage", "admin"])
    stranger = await make(service, admin_key, tenant="globex", scopes=["chat", "usage", "admin"])
    for key in (one, two, two, stranger):
        await chat(service, key)
    seen = [await usage(service, key, by="tenant,key") for key in (one, two, admin, stranger, bearer(admin_key))]
    assert [page["total"]["requests"] for page in seen] == [1, 2, 3, 1, 4]
    assert [len({row["key"] for row in page["usage"]}) for page in seen] == [1, 1, 2, 1, 3]
    assert {row["tenant"] for page in seen[:3] for row in page["usage"]} == {"acme"}


async def test_rows_come_in_pages_and_as_csv_that_no_spreadsheet_runs(service: Service, admin_key: str) -> None:
    for owner in ("=1+1", "ada", "bob"):
        await chat(service, await make(service, admin_key, owner=owner))
    operator = bearer(admin_key)
    first = await usage(service, operator, by="user", limit="2")
    last = await usage(service, operator, by="user", limit="2", after=str(first["next"]))
    assert [row["user"] for row in (*first["usage"], *last["usage"])] == ["=1+1", "ada", "bob"]
    assert (first["next"], last["next"]) == (2, None)
    query = {"by": "user", "format": "csv", "limit": "2"}
    async with service.client.get("/usage", params=query, headers=operator) as response:
        assert response.content_type == "text/csv"
        assert 'after=2>; rel="next"' in response.headers["link"]
        rows = list(csv.DictReader(io.StringIO(await response.text())))
    assert [(row["user"], row["requests"]) for row in rows] == [("'=1+1", "1"), ("ada", "1")]


@pytest.mark.parametrize(
    "query", [{"by": "colour"}, {"from": "2026-02-01", "to": "2026-01-01"}, {"from": "soon"}, {"format": "xml"}]
)
async def test_a_question_that_makes_no_sense_is_refused(
    service: Service, admin_key: str, query: dict[str, str]
) -> None:
    async with service.client.get("/usage", params=query, headers=bearer(admin_key)) as response:
        assert response.status == 422
        assert (await response.json())["error"]["param"] == next(iter(query))


async def test_what_was_used_is_there_after_a_restart(
    tmp_path: Path, openai_upstream: ScriptedUpstream, admin_key: str
) -> None:
    """Also what was used in the last moment before it."""
    settings = cloud_settings(openai_upstream) | {"vector_store": "memory", "admin_key": admin_key}
    async with running(tmp_path, auth_required=True, **settings) as service:
        await chat(service, bearer(admin_key))
    async with running(tmp_path, auth_required=True, **settings) as service:
        assert (await usage(service, bearer(admin_key)))["total"]["requests"] == 1
