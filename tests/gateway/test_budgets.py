"""Budgets through the front door: what is spent stops the next call that costs something."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from app.wiring import Services
from tests.gateway.conftest import CLOUD, LOCAL, cloud_settings
from tests.support.answer import ORDINARY
from tests.support.behaviours import StallMidStream
from tests.support.postgres import PostgresServer
from tests.support.process import REPOSITORY
from tests.support.service import Service, running
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


async def test_a_threshold_that_is_passed_is_reported_once(service: Service, admin_key: str) -> None:
    key = await make(service, admin_key, budget={"day": 0.175})
    for _ in range(3):
        await chat(service, key)
    async with service.client.get("/metrics") as response:
        alerts = [line for line in (await response.text()).splitlines() if line.startswith("sluice_budget_alerts_t")]
    assert alerts == ['sluice_budget_alerts_total{percent="80",period="day",whose="key"} 1.0']
