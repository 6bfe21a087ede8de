"""SQLite and PostgreSQL: one story, told to the gateway over each of them, has the same answers word for word."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.gateway.conftest import cloud_settings
from tests.support.postgres import PostgresServer
from tests.support.service import Service, running
from tests.support.upstream import ScriptedUpstream

ADMIN_KEY = "an administrator of the two stories"
TEXTS = (
    "The rabbit runs over the hill at dawn.",
    "Die Hasen laufen über den Hügel.",
    "Rabbits, rabbits and rabbits: a farm with no hill.",
    "An invoice of 300 euros was paid in March.",
)
# What differs from run to run: ids, times, and how near vectors are in the last digits.
RANDOM = re.compile(r"\b[0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12}\b|\b[0-9a-f]{16}\b")
TIME = re.compile(r"\d{4}-\d\d-\d\dT[\d:.]+(?:\+00:00|Z)")
TIMED = frozenset({"created", "seconds", "reset"})


@dataclass(slots=True)
class Story:
    """Tells requests to a service and keeps what is answered, with names in the place of random ids."""

    service: Service
    answers: list[Any] = field(default_factory=list)
    _names: dict[str, str] = field(default_factory=dict)

    async def tell(self, method: str, path: str, *, key: str = ADMIN_KEY, **options: Any) -> Any:
        headers = {"authorization": f"Bearer {key}"}
        async with self.service.client.request(method, path, headers=headers, **options) as response:
            is_json = response.content_type == "application/json"
            body = await response.json() if is_json else await response.text()
        self.answers.append((method, self._plain(path), response.status, self._plain(body)))
        return body

    def _plain(self, value: Any) -> Any:
        match value:
            case Mapping():
                return {name: None if name in TIMED else self._plain(each) for name, each in value.items()}
            case list():
                return [self._plain(each) for each in value]
            case float():
                return round(value, 5)
            case str():
                return TIME.sub("TIME", RANDOM.sub(self._name, value)) if "sk-sluice-" not in value else "KEY"
        return value

    def _name(self, match: re.Match[str]) -> str:
        return self._names.setdefault(match[0], f"id{len(self._names)}")


@asynccontextmanager
async def telling(directory: Path, **settings: Any) -> AsyncIterator[Story]:
    async with running(
        directory, auth_required=True, admin_key=ADMIN_KEY, vector_store="memory", **settings
    ) as service:
        yield Story(service)


async def tell(story: Story) -> None:
    """Keys, documents, search, sessions with a branch, history, what is refused, and what it all took."""
    limits = {"requests_per_minute": 100, "budget": {"day": 5, "month": 50}, "clearance": "internal"}
    ours = await story.tell("POST", "/keys", json={"name": "ours", "tenant": "acme", **limits})
    theirs = await story.tell("POST", "/keys", json={"name": "theirs", "tenant": "globex", "scopes": ["search"]})
    key, other = ours["key"], theirs["key"]
    for place, text in enumerate(TEXTS):
        document = {"id": f"d{place}", "content": text, "metadata": {"place": place, "even": place % 2 == 0}}
        await story.tell("POST", "/documents?wait=true", key=key, json={"documents": [document]})
    changed = {"documents": [{"id": "d3", "content": "An invoice of 400 euros was paid in April.", "title": "Bill"}]}
    await story.tell("POST", "/documents?wait=true", key=key, json=changed)
    await story.tell("DELETE", "/documents/d2", key=key)
    await story.tell("GET", "/documents?limit=2", key=key)
    await story.tell("GET", "/documents/d3", key=key)
    await story.tell("GET", "/documents/d3", key=other)
    for query in ("rabbits on a hill", "Hügel", "invoice 400", "nothing of the kind"):
        await story.tell("POST", "/search", key=key, json={"query": query, "limit": 3})
    even = {"query": "rabbit", "filter": {"even": {"$eq": True}, "place": {"$lt": 3}}}
    await story.tell("POST", "/search", key=key, json=even)
    await story.tell("POST", "/search", key=other, json={"query": "rabbit"})
    await tell_of_sessions(story, key=key)
    await story.tell("PATCH", f"/keys/{ours['id']}", json={"tokens_per_minute": 5000})
    await story.tell("DELETE", f"/keys/{theirs['id']}")
    await story.tell("POST", "/search", key=other, json={"query": "rabbit"})
    for by in ("tenant,model,label", "user,price", "day"):
        await story.tell("GET", f"/usage?by={by}")
    await story.tell("GET", "/usage?by=model&format=csv", key=key)


async def tell_of_sessions(story: Story, *, key: str) -> None:
    chat = {"session_id": "s", "user_id": "ada", "temperature": 0}
    for message in ("Where does the rabbit run?", "And when?", "And when?"):
        await story.tell("POST", "/chat", key=key, json={"message": message, **chat})
    session = await story.tell("GET", "/sessions/s", key=key)
    first = session["messages"][1]["id"]
    await story.tell("POST", "/chat", key=key, json={"message": "Why?", "parent_id": first, **chat})
    await story.tell("POST", "/chat", key=key, json={"message": "Between us", "sensitivity": "internal", **chat})
    await story.tell("GET", "/sessions/s", key=key)
    await story.tell("PATCH", "/sessions/s", key=key, json={"title": "Rabbits & hills: 100 %"})
    await story.tell("GET", "/sessions?search=100 %25", key=key)
    await story.tell("GET", "/sessions?search=HÜGEL", key=key)
    await story.tell("GET", "/history/ada", key=key)
    await story.tell("GET", "/sessions/s/export", key=key)
    await story.tell("DELETE", "/sessions/s", key=key)
    await story.tell("GET", "/sessions/s", key=key)


@pytest.mark.slow
async def test_a_story_has_the_same_answers_over_sqlite_and_postgresql(
    tmp_path: Path, openai_upstream: ScriptedUpstream, postgres: PostgresServer
) -> None:
    settings = cloud_settings(openai_upstream) | {"session_upkeep": "none"}
    told = []
    for name, database in (("sqlite", {}), ("postgresql", {"database_url": await postgres.empty_database()})):
        (tmp_path / name).mkdir()
        async with telling(tmp_path / name, **settings, **database) as story:
            await tell(story)
            told.append(story.answers)
    for here, there in zip(*told, strict=True):
        assert here == there
    assert {answer[2] for answer in told[0]} >= {200, 201, 204, 401, 404}
