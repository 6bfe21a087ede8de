"""Budgets through the front door: what is spent stops the next call that costs something."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import secrets
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import orjson
import pytest
from fastapi import FastAPI, Request

from app.errors import ConfigurationError
from app.wiring import Services, open_services
from tests.gateway.conftest import CLOUD, LOCAL, cloud_settings
from tests.support.answer import ORDINARY
from tests.support.asgi import serving
from tests.support.behaviours import StallMidStream
from tests.support.postgres import PostgresServer
from tests.support.process import REPOSITORY
from tests.support.service import Service, isolated_settings, running
from tests.support.upstream import ScriptedUpstream

HELLO = {"message": "Hello", "documents": False, "cache": False, "max_tokens": 10}


@pytest.fixture
def admin_key() -> str:
    return secrets.token_hex(16)


@pytest.fixture
def settings(
    tmp_path: Path, openai_upstream: ScriptedUpstream, ollama_upstream: ScriptedUpstream, admin_key: str
) -> dict[str, Any]:
    """A token that the cloud's model writes costs a cent: seven cents an answer, ten at most are expected."""
    catalog = tmp_path / "catalog.toml"
    priced = f'\n[[model]]\nid = "{CLOUD}"\nprompt_per_million = 0.0\ncompletion_per_million = 10000.0\n'
    catalog.write_text((REPOSITORY / "catalog.toml").read_text(encoding="utf-8") + priced, encoding="utf-8")
    return cloud_settings(openai_upstream) | {
        "vector_store": "memory",
        "ollama_base_url": ollama_upstream.origin,
        "catalog_file": catalog,
        "auth_required": True,
        "admin_key": admin_key,
    }


@pytest.fixture
async def service(tmp_path: Path, settings: dict[str, Any]) -> AsyncIterator[Service]:
    async with running(tmp_path, **settings) as service:
        yield service


def bearer(key: str) -> dict[str, str]:
    return {"authorization": f"Bearer {key}"}


async def make(service: Service, admin_key: str, **fields: Any) -> dict[str, str]:
    """The headers of a new key."""
    body = {"name": "test", **fields}
    async with service.client.post("/keys", json=body, headers=bearer(admin_key)) as response:
        assert response.status == 201, await response.text()
        return bearer((await response.json())["key"])


async def chat(service: Service, headers: dict[str, str], **fields: Any) -> tuple[int, Any, Any]:
    """The status, the answer and the headers of a chat."""
    body = {**HELLO, "model": CLOUD, **fields}
    async with service.client.post("/chat", json=body, headers=headers) as response:
        return response.status, await response.json(), response.headers


async def test_what_is_spent_stops_the_next_call_until_the_day_is_over(
    service: Service, admin_key: str, openai_upstream: ScriptedUpstream
) -> None:
    key = await make(service, admin_key, budget={"day": 0.2, "month": 100})
    outcomes = [await chat(service, key) for _ in range(3)]
    assert [status for status, _, _ in outcomes] == [200, 200, 429]
    _, refused, headers = outcomes[-1]
    assert (refused["error"]["code"], refused["error"]["type"]) == ("budget_exceeded", "insufficient_quota")
    assert 0 < int(headers["retry-after"]) <= 24 * 3600
    assert len(openai_upstream.completions) == 2


async def test_a_cheaper_model_or_one_that_costs_nothing_still_answers(service: Service, admin_key: str) -> None:
    """Unless the request named the one that is too dear."""
    key = await make(service, admin_key, budget={"day": 0.01})
    assert (await chat(service, key))[0] == 429
    answers = [await chat(service, key, model=name) for name in ("auto", "local")]
    assert [status for status, _, _ in answers] == [200, 200]
    assert answers[0][1]["model_used"] != CLOUD
    assert answers[1][1]["model_used"] == LOCAL


async def test_calls_at_once_cannot_hold_more_than_there_is(
    service: Service, admin_key: str, openai_upstream: ScriptedUpstream
) -> None:
    """Two are expected to cost ten cents each, so that the third has no room; a cut one is settled by an estimate."""
    openai_upstream.script = StallMidStream(after=1)
    key = await make(service, admin_key, budget={"month": 0.25})
    body = {**HELLO, "model": CLOUD}
    async with (
        service.client.post("/chat/stream", json=body, headers=key) as one,
        service.client.post("/chat/stream", json=body, headers=key) as two,
    ):
        assert (one.status, two.status, (await chat(service, key))[0]) == (200, 200, 429)
    openai_upstream.script = ORDINARY
    while (outcome := await chat(service, key))[0] == 429:
        pass  # until the gateway has seen that its clients left
    assert outcome[0] == 200


async def test_a_budget_of_another_key_or_of_nobody_is_apart(service: Service, admin_key: str) -> None:
    poor, free = await make(service, admin_key, budget={"day": 0.01}), await make(service, admin_key)
    assert [(await chat(service, key))[0] for key in (poor, free, bearer(admin_key))] == [429, 200, 200]


async def test_what_a_tenants_keys_spend_is_added_up(tmp_path: Path, settings: dict[str, Any], admin_key: str) -> None:
    async with running(tmp_path, **settings, tenant_budget_month=0.2) as service:
        keys = [await make(service, admin_key, tenant="acme") for _ in range(3)]
        stranger = await make(service, admin_key, tenant="globex")
        assert [(await chat(service, key))[0] for key in (*keys, stranger)] == [200, 200, 429, 200]


async def test_what_was_spent_before_a_restart_counts(tmp_path: Path, settings: dict[str, Any], admin_key: str) -> None:
    async with running(tmp_path, **settings) as service:
        key = await make(service, admin_key, budget={"day": 0.15})
        assert (await chat(service, key))[0] == 200
    async with running(tmp_path, **settings) as service:
        assert (await chat(service, key))[0] == 429


async def test_what_another_process_spends_is_known_after_a_refresh(
    tmp_path: Path, settings: dict[str, Any], admin_key: str, postgres: PostgresServer
) -> None:
    """Two gateways over one database, each of which would have had room for a second call by what it knew itself."""
    shared = settings | {"database_url": await postgres.empty_database()}
    async with running(tmp_path / "a", **shared) as one, running(tmp_path / "b", **shared) as two:
        key = await make(one, admin_key, budget={"day": 0.2})
        assert [(await chat(service, key))[0] for service in (one, two)] == [200, 200]
        services: tuple[Services, ...] = (one.app.state.services, two.app.state.services)
        for each in services:
            await each.ledger.write()
        for each in services:
            await each.budgets.refresh()
        assert [(await chat(service, key))[0] for service in (one, two)] == [429, 429]


async def alerts_of(service: Service) -> list[str]:
    async with service.client.get("/metrics") as response:
        lines = (await response.text()).splitlines()
    return [line for line in lines if line.startswith("sluice_budget_alerts_total{")]


async def test_a_threshold_that_is_passed_is_reported_once(service: Service, admin_key: str) -> None:
    """Fourteen of 17.5 cents are 80 percent; the third request is refused."""
    key = await make(service, admin_key, budget={"day": 0.175})
    for _ in range(3):
        await chat(service, key)
    while not (alerts := await alerts_of(service)):
        pass  # given beside the requests
    assert alerts == ['sluice_budget_alerts_total{percent="80",period="day",whose="key"} 1.0']


async def test_a_webhook_is_told_once_by_one_of_two_processes_and_nothing_that_was_said(
    tmp_path: Path, settings: dict[str, Any], admin_key: str, postgres: PostgresServer, canary: str
) -> None:
    """Signed with the secret; the receiver is asked beside the requests, which do not wait for it."""
    secret, told = secrets.token_bytes(32), asyncio.Queue[tuple[bytes, Any]]()
    receiver = FastAPI()

    @receiver.post("/hook")
    async def take(request: Request) -> None:
        told.put_nowait((await request.body(), request.headers))

    async with serving(receiver) as url:
        shared = settings | {
            "database_url": await postgres.empty_database(),
            "budget_webhook_url": f"{url}/hook",
            "budget_webhook_secret": f"whsec_{base64.b64encode(secret).decode()}",
        }
        async with running(tmp_path / "a", **shared) as one, running(tmp_path / "b", **shared) as two:
            key = await make(one, admin_key, budget={"day": 0.175})
            for service in (one, two):
                assert (await chat(service, key, message=canary))[0] == 200
            for service in (one, two):
                await service.app.state.services.ledger.write()
            for service in (one, two):
                await service.app.state.services.budgets.refresh()
            async with asyncio.timeout(10):
                body, headers = await told.get()
                while not await alerts_of(one) + await alerts_of(two):
                    pass
            assert len(await alerts_of(one) + await alerts_of(two)) == 1
    assert told.empty()
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    signature = base64.b64encode(hmac.digest(secret, signed, hashlib.sha256)).decode()
    assert headers["webhook-signature"] == f"v1,{signature}"
    assert canary.encode() not in body
    assert orjson.loads(body)["data"]["percent"] == 80


@pytest.mark.parametrize(
    ("url", "secret", "said"),
    [
        ("ftp://127.0.0.1/hook", "A" * 44, "BUDGET_WEBHOOK_URL"),
        ("http://127.0.0.1/hook", "short", "BUDGET_WEBHOOK_SECRET"),
        ("http://192.0.2.1/hook", base64.b64encode(b"0" * 32).decode(), "LOCAL_ADDRESSES"),
    ],
)
async def test_a_webhook_that_is_not_ours_or_not_signed_stops_the_start(
    tmp_path: Path, url: str, secret: str, said: str
) -> None:
    with pytest.raises(ConfigurationError, match=said):
        async with open_services(
            isolated_settings(tmp_path, vector_store="memory", budget_webhook_url=url, budget_webhook_secret=secret)
        ):
            pass
