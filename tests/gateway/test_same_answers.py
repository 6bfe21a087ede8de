"""One scenario over every engine of the record: an operator who changes DATABASE_URL changes nothing else."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.support.dynamo import DynamoServer
from tests.support.postgres import PostgresServer
from tests.support.service import Service, running

# What differs from run to run on one engine too, and the rank of a passage by its words, which DynamoDB has none of.
VOLATILE = (
    (re.compile(r'"words": (\d+|null)'), '"words": 0'),
    (re.compile(r"\b[0-9a-f]{8}-?([0-9a-f]{4}-?){3}[0-9a-f]{12}\b"), "ID"),
    (re.compile(r"\b\d{4}-\d\d-\d\dT[0-9:.]+(Z|\+00:00)"), "MOMENT"),
    (re.compile(r'"score": [0-9.]+'), '"score": 0'),
)
STEPS: tuple[tuple[str, str, Any], ...] = (
    ("POST", "/keys", {"name": "search", "tenant": "acme", "clearance": "internal"}),
    (
        *("POST", "/documents?wait=true"),
        {
            "documents": [
                {"id": "hares", "content": "Hares live in forms above the ground.", "metadata": {"year": 1999}},
                {"id": "rabbits", "content": "Rabbits live in burrows under the ground.", "metadata": {"year": 2020}},
            ]
        },
    ),
    (
        *("POST", "/documents?wait=true"),
        {"documents": [{"id": "pay", "content": "The pay.", "sensitivity": "confidential"}], "collection": "people"},
    ),
    ("GET", "/documents", None),
    ("GET", "/documents/hares", None),
    ("POST", "/search", {"query": "Where do rabbits live?", "limit": 1}),
    ("POST", "/search", {"query": "Where do they live?", "filter": {"year": {"lt": 2000}}}),
    ("POST", "/documents?wait=true", {"documents": [{"id": "hares", "content": "Hares have long ears."}]}),
    ("POST", "/search", {"query": "What ears do hares have?", "limit": 1}),
    (
        # One passage: without words to look for, a second one that hardly bears on it is found here and not there.
        *("POST", "/chat"),
        {"message": "Where do rabbits live?", "session_id": "s1", "user_id": "ada", "documents": {"limit": 1}},
    ),
    ("POST", "/chat", {"message": "And my card 4111 1111 1111 1111?", "session_id": "s1", "documents": False}),
    ("POST", "/chat", {"message": "What was that?", "session_id": "s1", "documents": False}),
    ("POST", "/chat", {"message": "Hello", "user_id": "ada", "documents": False}),
    ("GET", "/sessions", None),
    ("GET", "/sessions?query=RABBITS", None),
    ("PATCH", "/sessions/s1", {"title": "About rabbits"}),
    ("GET", "/sessions/s1", None),
    ("GET", "/history/ada", None),
    ("GET", "/usage", None),
    ("DELETE", "/documents/rabbits", None),
    ("POST", "/search", {"query": "Where do rabbits live?", "filter": {"year": {"gt": 2000}}}),
    ("DELETE", "/sessions/s1", None),
    ("GET", "/sessions/s1", None),
    ("GET", "/history/ada", None),
)


def in_order(value: dict[str, Any]) -> dict[str, Any]:
    """What raised a label has no order."""
    return value | ({"raised_by": sorted(value["raised_by"], key=str)} if "raised_by" in value else {})


async def play(service: Service) -> list[str]:
    """The status and the answer of each step, without what differs from run to run."""
    answers = []
    for method, path, body in STEPS:
        asked = {**body, "model": "builtin/extractive"} if path == "/chat" else body
        async with service.client.request(method, path, json=asked) as response:
            text = await response.text()
        written = json.dumps(json.loads(text, object_hook=in_order), sort_keys=True) if text else ""
        for pattern, name in VOLATILE:
            written = pattern.sub(name, written)
        written = re.sub(r'"key": "sk-[^"]+"', '"key": "KEY"', re.sub(r'"id": "[0-9a-f]{16}"', '"id": "ID"', written))
        answers.append(f"{method} {path}: {response.status} {written}")
    return answers


@pytest.mark.slow
async def test_sqlite_postgresql_and_dynamodb_give_the_same_answers(
    tmp_path: Path, postgres: PostgresServer, dynamo: DynamoServer
) -> None:
    """Documents, searches, chats, sessions, histories and usage, step by step."""
    played: dict[str, list[str]] = {}
    urls = {"sqlite": None, "postgresql": await postgres.create_database(), "dynamodb": dynamo.url()}
    for engine, url in urls.items():
        async with running(
            tmp_path / engine, vector_store="memory", session_upkeep="none", database_url=url
        ) as service:
            played[engine] = await play(service)
    for engine in ("postgresql", "dynamodb"):
        for answer, expected in zip(played[engine], played["sqlite"], strict=True):
            assert answer == expected, engine
    assert sum(" 200 " in answer or " 20" in answer for answer in played["sqlite"]) >= len(STEPS) - 2
