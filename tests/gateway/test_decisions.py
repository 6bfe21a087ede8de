"""`GET /decisions`: what happened to the last requests, for those who may know, without a word of what was said."""

from __future__ import annotations

import secrets
from datetime import UTC, datetime
from pathlib import Path

from app.models import Usage
from app.services.decisions import Decision, Decisions
from tests.gateway.conftest import CLOUD, LOCAL, Gateway
from tests.support.behaviours import Status
from tests.support.service import running


def decision(number: int, *, tenant: str = "default") -> Decision:
    return Decision(
        time=datetime(2026, 1, 1, tzinfo=UTC),
        request_id=str(number),
        tenant=tenant,
        label="public",
        raised_by=(),
        rule="simple",
        model=CLOUD,
        outcome="ok",
        cached=False,
        seconds=1.0,
        first_token_seconds=0.5,
        usage=Usage(prompt_tokens=1, completion_tokens=2),
        cost=0.1,
    )


def test_the_ring_keeps_the_newest_and_tells_tenants_apart() -> None:
    ring = Decisions(length=3)
    for number in range(5):
        ring.add(decision(number, tenant="other" if number == 4 else "default"))
    assert [each.request_id for each in ring.newest(10, tenant=None)] == ["4", "3", "2"]
    assert [each.request_id for each in ring.newest(1, tenant="default")] == ["3"]


async def test_each_request_is_listed_with_what_became_of_it(gateway: Gateway, canary: str) -> None:
    """Answered, from the cache, local for its label, failed."""
    await gateway.chat(f"One {canary}?")
    await gateway.chat(f"One {canary}?")
    await gateway.chat(f"Write to {canary}@initech.com")
    gateway.cloud.script = gateway.local.script = Status(503)
    await gateway.post("/chat", {"message": f"Two {canary}?"})
    async with gateway.service.client.get("/decisions") as response:
        text = await response.text()
        failed, local, cached, answered = (await response.json())["decisions"]
    assert canary not in text
    assert (answered["model"], answered["locality"], answered["outcome"], answered["cached"]) == (
        CLOUD,
        "cloud",
        "ok",
        False,
    )
    assert answered["completion_tokens"] == 7
    assert 0 < answered["first_token_seconds"] <= answered["seconds"]
    assert (cached["cached"], cached["cost"]) == (True, 0.0)
    assert (local["model"], local["locality"], local["label"], local["raised_by"]) == (
        LOCAL,
        "local",
        "confidential",
        ["email"],
    )
    assert (failed["model"], failed["cost"]) == (None, None)
    assert failed["outcome"] not in ("ok", "cancelled")


async def test_a_cached_answer_says_what_it_saved(gateway: Gateway) -> None:
    """At the price of the model that had given it."""
    for _ in range(2):
        await gateway.chat("One?", model="openai/gpt-4o")
    async with gateway.service.client.get("/decisions?limit=2") as response:
        cached, answered = (await response.json())["decisions"]
    assert cached["saved"] == answered["cost"] > 0
    assert answered["saved"] == 0


async def test_only_those_who_administer_may_read_them_where_keys_are_needed(tmp_path: Path) -> None:
    key = secrets.token_hex(16)
    async with running(tmp_path, vector_store="memory", auth_required=True, admin_key=key) as service:
        admin = {"authorization": f"Bearer {key}"}
        async with service.client.post("/keys", json={"name": "ordinary"}, headers=admin) as response:
            ordinary = {"authorization": f"Bearer {(await response.json())['key']}"}
        for headers, status in ((admin, 200), (ordinary, 403), ({}, 401)):
            async with service.client.get("/decisions", headers=headers) as response:
                assert response.status == status
