"""Keys through the front door: what they open, what they close, and how fast they end."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.gateway.conftest import CLOUD, LOCAL, SECOND_CLOUD, cloud_settings
from tests.support.service import Service, running
from tests.support.upstream import ScriptedUpstream


@dataclass(frozen=True, slots=True)
class House:
    """A protected gateway, and its operator's key."""

    service: Service
    admin_key: str
    cloud: ScriptedUpstream

    async def ask(self, method: str, path: str, body: Any = None, *, key: str | None = None) -> tuple[int, Any]:
        """The status and the decoded answer; with the operator's key unless another one is given."""
        headers = {"authorization": f"Bearer {key or self.admin_key}"}
        async with self.service.client.request(method, path, json=body, headers=headers) as response:
            return response.status, await response.json() if await response.read() else None

    async def make(self, **fields: Any) -> tuple[str, str]:
        """A new key: its id and its text."""
        status, made = await self.ask("POST", "/keys", {"name": "test", **fields})
        assert status == 201, made
        return made["id"], made["key"]


@pytest.fixture
async def house(
    tmp_path: Path, openai_upstream: ScriptedUpstream, ollama_upstream: ScriptedUpstream
) -> AsyncIterator[House]:
    admin_key = secrets.token_hex(16)
    settings = cloud_settings(openai_upstream) | {"ollama_base_url": ollama_upstream.origin, "vector_store": "memory"}
    async with running(tmp_path, auth_required=True, admin_key=admin_key, **settings) as service:
        yield House(service, admin_key, openai_upstream)


async def test_a_key_is_shown_once_and_opens_what_its_scopes_say(house: House) -> None:
    id, key = await house.make(scopes=["search"])
    assert key.startswith(f"sk-sluice-{id}-")
    assert (await house.ask("POST", "/search", {"query": "moon"}, key=key))[0] == 200
    status, refused = await house.ask("POST", "/chat", {"message": "Hello"}, key=key)
    assert (status, refused["error"]["code"]) == (403, "missing_scope")
    for path in ("/keys", f"/keys/{id}"):
        status, shown = await house.ask("GET", path)
        assert status == 200
        assert key.rpartition("-")[2] not in str(shown)


async def test_a_key_may_also_come_in_the_header_of_anthropics_clients(house: House) -> None:
    _, key = await house.make()
    async with house.service.client.get("/models", headers={"x-api-key": key}) as response:
        assert response.status == 200


async def test_a_revoked_key_is_refused_with_a_challenge(house: House) -> None:
    id, key = await house.make()
    assert (await house.ask("GET", "/models", key=key))[0] == 200
    assert (await house.ask("DELETE", f"/keys/{id}"))[0] == 204
    async with house.service.client.get("/models", headers={"authorization": f"Bearer {key}"}) as response:
        assert response.status == 401
        assert response.headers["www-authenticate"] == 'Bearer realm="sluice"'
        assert (await response.json())["error"]["code"] == "invalid_api_key"


async def test_a_rotated_key_keeps_its_id_and_loses_its_old_secret(house: House) -> None:
    id, key = await house.make()
    status, rotated = await house.ask("POST", f"/keys/{id}/rotate", {})
    assert (status, rotated["id"]) == (200, id)
    assert (await house.ask("GET", "/models", key=key))[0] == 401
    assert (await house.ask("GET", "/models", key=rotated["key"]))[0] == 200


async def test_what_is_changed_of_a_key_holds_and_the_rest_stays(house: House) -> None:
    id, key = await house.make(clearance="internal", requests_per_minute=100)
    status, changed = await house.ask("PATCH", f"/keys/{id}", {"scopes": ["chat"]})
    assert status == 200
    assert (changed["clearance"], changed["requests_per_minute"], changed["scopes"]) == ("internal", 100, ["chat"])
    assert (await house.ask("POST", "/search", {"query": "moon"}, key=key))[0] == 403


async def test_an_ordinary_key_grants_nothing(house: House) -> None:
    id, key = await house.make()
    attempts: list[tuple[str, str, Any]] = [
        ("POST", "/keys", {"name": "more", "scopes": ["admin"]}),
        ("GET", "/keys", None),
        ("GET", f"/keys/{id}", None),
        ("PATCH", f"/keys/{id}", {"clearance": "confidential"}),
        ("POST", f"/keys/{id}/rotate", {}),
        ("DELETE", f"/keys/{id}", None),
    ]
    for method, path, body in attempts:
        status, refused = await house.ask(method, path, body, key=key)
        assert (status, refused["error"]["code"]) == (403, "missing_scope")


async def test_a_tenants_admin_rules_over_its_own_keys_and_gives_no_more_than_it_has(house: House) -> None:
    other, _ = await house.make(tenant="globex")
    _, admin = await house.make(tenant="acme", scopes=["admin", "chat"], clearance="internal", models=[CLOUD])
    assert (await house.ask("GET", f"/keys/{other}", key=admin))[0] == 404
    assert (await house.ask("POST", f"/keys/{other}/rotate", {}, key=admin))[0] == 404
    assert (await house.ask("DELETE", f"/keys/{other}", key=admin))[0] == 404
    assert (await house.ask("PATCH", f"/keys/{other}", {"scopes": ["chat"]}, key=admin))[0] == 404
    fit = {"name": "mine", "scopes": ["chat"], "clearance": "internal", "models": [CLOUD]}
    assert (await house.ask("POST", "/keys", fit, key=admin))[0] == 201
    for excess in (
        {"tenant": "globex"},
        {"clearance": "confidential"},
        {"scopes": ["chat", "usage"]},
        {"models": [CLOUD, SECOND_CLOUD]},
    ):
        status, refused = await house.ask("POST", "/keys", fit | excess, key=admin)
        assert (status, refused["error"]["code"]) == (403, "permission_denied"), excess
    assert (await house.ask("POST", "/keys", {**fit, "models": None}, key=admin))[0] == 403
    status, listed = await house.ask("GET", "/keys", key=admin)
    assert {key["tenant"] for key in listed["keys"]} == {"acme"}


async def test_a_key_uses_only_the_models_that_it_may(house: House) -> None:
    _, key = await house.make(models=[CLOUD])
    assert [model["id"] for model in (await house.ask("GET", "/models", key=key))[1]["models"]] == [CLOUD]
    listed = [model["id"] for model in (await house.ask("GET", "/v1/models", key=key))[1]["data"]]
    assert listed == ["auto", "documents", "local", CLOUD]
    assert (await house.ask("GET", f"/v1/models/{LOCAL}", key=key))[0] == 404
    status, answer = await house.ask("POST", "/chat", {"message": "Hello", "documents": False}, key=key)
    assert (status, answer["model_used"]) == (200, CLOUD)
    for path, body in (
        ("/chat", {"message": "Hello", "model": LOCAL}),
        ("/route", {"message": "Hello", "model": LOCAL}),
        ("/v1/chat/completions", {"model": LOCAL, "messages": [{"role": "user", "content": "Hello"}]}),
    ):
        status, refused = await house.ask("POST", path, body, key=key)
        assert (status, refused["error"]["code"]) == (403, "model_not_allowed"), path


async def test_an_answer_of_a_model_that_a_key_may_not_use_is_not_served_to_it_from_the_cache(house: House) -> None:
    _, anything = await house.make()
    _, local_only = await house.make(models=["ollama/*"])
    body = {"message": "When does water boil?", "documents": False}
    assert (await house.ask("POST", "/chat", body, key=anything))[1]["model_used"] == CLOUD
    assert (await house.ask("POST", "/chat", body, key=local_only))[1]["model_used"] == LOCAL


async def test_a_keys_floor_keeps_what_it_sends_from_the_cloud(house: House) -> None:
    _, key = await house.make(label_floor="confidential")
    status, answer = await house.ask("POST", "/chat", {"message": "Hello", "documents": False}, key=key)
    assert (status, answer["sensitivity"], answer["model_used"]) == (200, "confidential", LOCAL)
    status, stored = await house.ask("POST", "/documents", {"documents": [{"id": "d", "content": "moon"}]}, key=key)
    assert (status, stored["documents"][0]["sensitivity"]) == (202, "confidential")


async def test_a_keys_clearance_hides_what_lies_above_it(house: House) -> None:
    """A document, its progress, a search for it and a session: none is there."""
    _, writer = await house.make()
    _, reader = await house.make(clearance="internal")
    document = {"id": "d", "content": "The moon is made of quixotropic cheese.", "sensitivity": "confidential"}
    assert (await house.ask("POST", "/documents?wait=true", {"documents": [document]}, key=writer))[0] == 200
    turn = {"message": "Hello", "session_id": "s1", "sensitivity": "confidential", "documents": False}
    assert (await house.ask("POST", "/chat", turn, key=writer))[0] == 200
    for method, path in (("GET", "/documents/d"), ("GET", "/documents/d/events"), ("DELETE", "/documents/d")):
        assert (await house.ask(method, path, key=reader))[0] == 404
    assert (await house.ask("GET", "/documents", key=reader))[1]["documents"] == []
    assert (await house.ask("POST", "/search", {"query": "quixotropic"}, key=reader))[1]["documents"] == []
    assert (await house.ask("POST", "/chat", {"message": "Hi", "session_id": "s1"}, key=reader))[0] == 404
    assert (await house.ask("GET", "/documents/d", key=writer))[0] == 200


async def test_a_key_that_contradicts_itself_or_names_what_is_not_known_is_refused(house: House) -> None:
    contradictions: list[dict[str, Any]] = [
        {"label_floor": "confidential", "clearance": "public"},
        {"scopes": ["everything"]},
        {"scopes": []},
        {"clearance": "top secret"},
        {"models": ["no slash"]},
        {"models": []},
        {"expires_at": "tomorrow"},
        {"expires_at": "2030-01-01T00:00:00"},
        {"requests_per_minute": 0},
        {"admin": True},
        {"key": "sk-mine"},
        {"id": "mine"},
    ]
    for fields in contradictions:
        status, refused = await house.ask("POST", "/keys", {"name": "test", **fields})
        assert (status, refused["error"]["code"]) == (422, "invalid_request"), fields


async def test_an_expired_key_is_refused(house: House) -> None:
    _, key = await house.make(expires_at="2020-01-01T00:00:00+00:00")
    assert (await house.ask("GET", "/models", key=key))[0] == 401


async def test_an_open_gateway_refuses_a_key_of_its_own_that_does_not_work(tmp_path: Path) -> None:
    """Clients must often send some key, which counts for nothing; one that was revoked counts for less."""
    async with running(tmp_path, vector_store="memory") as service:
        for key, status in (("any", 200), ("sk-sluice-0011223344556677-x", 401)):
            async with service.client.get("/models", headers={"authorization": f"Bearer {key}"}) as response:
                assert response.status == status


async def test_a_key_may_allow_for_answers_to_other_wordings_where_its_requests_say_nothing(house: House) -> None:
    async def how(message: str, key: str, **fields: Any) -> str:
        status, answer = await house.ask("POST", "/chat", {"message": message, **fields}, key=key)
        assert status == 200, answer
        cache: str = answer["route"]["cache"]
        return cache

    _, plain = await house.make()
    id, open_minded = await house.make(semantic_cache=True)
    assert (await house.ask("GET", f"/keys/{id}"))[1]["semantic_cache"]
    assert await how("How can I buy a car?", open_minded) == "miss"
    assert await how("How do I purchase an automobile?", plain) == "miss"
    assert await how("How do I buy an automobile?", open_minded, cache={"semantic": False}) == "miss"
    assert await how("How can I purchase a car?", open_minded) == "semantic"
    assert await how("How can I purchase a car, please?", plain, cache={"semantic": True}) == "semantic"
    status, changed = await house.ask("PATCH", f"/keys/{id}", {"semantic_cache": False})
    assert (status, changed["semantic_cache"]) == (200, False)
    assert await how("How may I purchase a car?", open_minded) == "miss"
