"""Tenants are apart: every endpoint, tried with another tenant's ids."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.routing import APIRoute, iter_route_contexts

from app.dependencies import Permission
from app.main import create_app
from app.models import ORDINARY_SCOPES, Scope
from app.routers.description import OPEN, operations
from tests.support.service import Service, isolated_settings, running

CANARY = "quixotropic"
# What stands in a path for something that a tenant owns, and how the other tenant's is called.
OWNED = {"document_id": "theirs", "key_id": None, "session_id": "theirs", "user_id": "theirs"}
# Names of people, which each tenant has for itself: whoever is not known has an empty history.
FREE = {"user_id"}
# Names that are the same for all: models.
SHARED = {"name"}
# A body where the operation needs one.
BODIES: dict[str, Any] = {
    "patch /keys/{key_id}": {"scopes": ["chat"]},
    "patch /sessions/{session_id}": {"title": "Mine"},
    "post /documents/{document_id}/declassify": {"sensitivity": "public"},
    "post /keys/{key_id}/rotate": {},
}
MINE = "/documents/theirs"


@dataclass(frozen=True, slots=True)
class Two:
    """A gateway with the belongings of one tenant, and the other tenant's key, which has every scope."""

    service: Service
    owner: dict[str, str]
    stranger: dict[str, str]
    key_id: str


@pytest.fixture
async def two(tmp_path: Path) -> AsyncIterator[Two]:
    admin_key = secrets.token_hex(16)
    async with running(tmp_path, vector_store="memory", auth_required=True, admin_key=admin_key) as service:
        made = {}
        body: dict[str, Any]
        for tenant in ("acme", "globex"):
            body = {"name": CANARY, "tenant": tenant, "scopes": [scope.value for scope in Scope]}
            headers = {"authorization": f"Bearer {admin_key}"}
            async with service.client.post("/keys", json=body, headers=headers) as response:
                made[tenant] = await response.json()
        owner, stranger = ({"authorization": f"Bearer {made[tenant]['key']}"} for tenant in ("acme", "globex"))
        document = {"id": "theirs", "content": f"The moon is made of {CANARY} cheese."}
        turn = {"message": f"What is {CANARY}?", "session_id": "theirs", "user_id": "theirs", "documents": False}
        for path, body in (("/documents?wait=true", {"documents": [document]}), ("/chat", turn)):
            async with service.client.post(path, json=body, headers=owner) as response:
                assert response.status == 200, await response.text()
        yield Two(service, owner, stranger, made["acme"]["id"])


def parameters(path: str) -> Iterator[str]:
    return (part.partition("}")[0] for part in path.split("{")[1:])


async def test_every_endpoint_answers_404_to_another_tenants_id_and_says_nothing_of_it(
    two: Two, subtests: pytest.Subtests
) -> None:
    ids = {**OWNED, "key_id": two.key_id}
    tried = []
    for name, operation in operations(two.service.app.openapi()):
        method, _, path = name.partition(" ")
        named = set(parameters(path))
        assert named <= OWNED.keys() | SHARED, f"{name}: say in this test whose the ids in its path are"
        if not named & OWNED.keys():
            continue
        body = BODIES.get(name)
        if "requestBody" in operation:
            assert body is not None, f"{name}: give this test a body for it"
        with subtests.test(name):
            url = path.format(**ids)
            async with two.service.client.request(method, url, json=body, headers=two.stranger) as response:
                assert response.status in ((200, 204) if named <= FREE else (404,))
                assert CANARY not in await response.text()
        tried.append(name)
    assert len(tried) >= 7
    async with two.service.client.get(MINE, headers=two.owner) as response:
        assert response.status == 200


async def test_lists_searches_and_answers_hold_nothing_of_another_tenant(two: Two) -> None:
    async with two.service.client.get("/documents", headers=two.stranger) as response:
        assert (await response.json())["documents"] == []
    async with two.service.client.get("/keys", headers=two.stranger) as response:
        assert {key["tenant"] for key in (await response.json())["keys"]} == {"globex"}
    async with two.service.client.post("/search", json={"query": f"{CANARY} cheese"}, headers=two.stranger) as response:
        assert (await response.json())["documents"] == []
    body = {"message": "What is the moon made of?", "session_id": "theirs"}
    async with two.service.client.post("/chat", json=body, headers=two.stranger) as response:
        assert response.status == 200
        assert CANARY not in await response.text()


async def test_an_id_that_another_tenant_uses_is_free(two: Two) -> None:
    """Neither tenant notices the other: the same id is a document of each."""
    body = {"documents": [{"id": "theirs", "content": "Bread rises."}]}
    async with two.service.client.post("/documents?wait=true", json=body, headers=two.stranger) as response:
        assert response.status == 200
    async with two.service.client.delete(MINE, headers=two.stranger) as response:
        assert response.status in (202, 204)
    async with two.service.client.get(MINE, headers=two.owner) as response:
        assert response.status == 200


def endpoints(app: FastAPI) -> Iterator[tuple[str, list[Permission]]]:
    """Every HTTP endpoint, named as in `get /models`, with what it asks of whom."""
    for route in iter_route_contexts(app.routes):
        if isinstance(route.original_route, APIRoute):
            calls = [getattr(each.call, "permission", each.call) for each in route.dependant.dependencies]
            asked = [call for call in calls if isinstance(call, Permission)]
            for method in route.methods or ():
                yield f"{method.lower()} {str(route.path).replace(':path', '')}", asked


def test_every_endpoint_says_which_scope_it_asks_for(tmp_path: Path) -> None:
    """One that is open to all is listed as such; a new one without either breaks this test."""
    app = create_app(isolated_settings(tmp_path))
    asked = dict(endpoints(app))
    assert {name for name, _ in operations(app.openapi())} <= asked.keys()
    assert {name for name, permissions in asked.items() if len(permissions) != 1} == OPEN | {
        "get /docs",
        "get /redoc",
        "get /ui",
    }


async def test_every_scope_opens_its_endpoints_and_no_others(two: Two, subtests: pytest.Subtests) -> None:
    """A key with all scopes but one is refused by exactly the endpoints that ask for that one."""
    needed = {name: permissions[0].scope for name, permissions in endpoints(two.service.app) if permissions}
    ids = {**OWNED, "key_id": two.key_id, "name": "auto"}
    for lacking in ORDINARY_SCOPES:
        body = {"name": "test", "scopes": [scope.value for scope in Scope if scope is not lacking]}
        async with two.service.client.post("/keys", json=body, headers=two.stranger) as response:
            key = {"authorization": f"Bearer {(await response.json())['key']}"}
        for name, operation in operations(two.service.app.openapi()):
            if name in OPEN or needed[name] is Scope.ADMIN:
                continue
            method, _, path = name.partition(" ")
            example = operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("example")
            with subtests.test(f"{name} without {lacking}"):
                url = path.format(**ids)
                async with two.service.client.request(method, url, json=example, headers=key) as response:
                    refused = response.status == 403
                assert refused == (needed[name] is lacking)
