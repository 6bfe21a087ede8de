"""The gateway over a PostgreSQL server that goes away and comes back."""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.errors import ConfigurationError
from app.stores.sql.engine import Database
from tests.support.postgres import PROGRAMS, PostgresServer, postgres_server
from tests.support.service import Service, isolated_settings, running


@pytest.fixture
def own_postgres() -> Iterator[PostgresServer]:
    """A server that no other test uses, to be stopped."""
    if PROGRAMS is None:
        pytest.skip("PostgreSQL is not installed")
    with postgres_server() as server:
        yield server


async def chat(service: Service, message: str) -> tuple[int, dict[str, str]]:
    body = {"message": message, "session_id": "s1", "model": "builtin/extractive"}
    async with service.client.post("/chat", json=body) as response:
        await response.read()
        return response.status, dict(response.headers)


async def test_without_its_database_the_gateway_says_so_and_goes_on_when_it_is_back(
    own_postgres: PostgresServer, tmp_path: Path
) -> None:
    url = await own_postgres.create_database()
    async with running(tmp_path, vector_store="memory", database_url=url) as service:
        upload = {"documents": [{"id": "a", "content": "The rabbit runs over the hill."}]}
        async with service.client.post("/documents?wait=true", json=upload) as response:
            assert response.status == 200
        assert (await chat(service, "Where does the rabbit run?"))[0] == 200

        own_postgres.stop()
        status, headers = await chat(service, "And where to?")
        assert status == 503
        assert int(headers["Retry-After"]) >= 1
        async with service.client.get("/ready") as response:
            assert response.status == 503

        own_postgres.start()
        async with asyncio.timeout(10):
            while (await chat(service, "And where to?"))[0] != 200:  # noqa: ASYNC110  (a server of another process)
                await asyncio.sleep(0.1)
        async with service.client.post("/search", json={"query": "rabbit"}) as response:
            found = (await response.json())["documents"]
        assert [each["metadata"]["document_id"] for each in found] == ["a"]


async def test_a_password_that_is_refused_is_in_no_message_and_in_no_log(
    own_postgres: PostgresServer, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A database that is not there and a user that is not known are the operator's mistakes, said in words."""
    password = secrets.token_hex(16)
    caplog.set_level(logging.DEBUG)
    url = own_postgres.url("nowhere").replace("@", f":{password}@")
    with pytest.raises(ConfigurationError) as refused:
        await Database.open(url)
    assert password not in str(refused.value)
    assert refused.value.__suppress_context__
    assert password not in caplog.text
    assert password not in repr(isolated_settings(tmp_path, database_url=url))


@pytest.mark.parametrize(
    "url", ["postgresql:///db", "postgresql:///db?host=db.example", "postgresql://:secret@/db?host=/run,db.example"]
)
async def test_a_server_that_the_url_does_not_name_plainly_is_refused(url: str) -> None:
    """The driver would take it from the environment, or from where nobody checks whether it is ours."""
    with pytest.raises(ConfigurationError, match="DATABASE_URL"):
        await Database.open(url)
