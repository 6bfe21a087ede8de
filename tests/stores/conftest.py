from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from uuid import uuid4

import pytest

from app.protocols import DocumentStore, SessionStore
from app.record_wiring import Record, open_record
from app.stores.sql.engine import Database
from tests.stores.records import SetClock, Worker
from tests.support.dynamo import DynamoServer
from tests.support.postgres import PostgresServer


@pytest.fixture
def moment() -> SetClock:
    return SetClock()


@pytest.fixture(params=["sqlite", "postgresql"])
async def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A database of each engine, for the suites that every engine must pass."""
    if request.param == "sqlite":
        return f"sqlite+aiosqlite:///{tmp_path / 'data' / 'sluice.db'}"
    server: PostgresServer = request.getfixturevalue("postgres")
    return await server.empty_database()


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    opened = await Database.open(database_url)
    yield opened
    await opened.close()


@pytest.fixture(params=["sqlite", "postgresql", pytest.param("dynamodb", marks=pytest.mark.slow)])
async def record(request: pytest.FixtureRequest, tmp_path: Path, moment: SetClock) -> AsyncIterator[Record]:
    """The stores over an empty record of each engine, for the suites that every engine must pass."""
    if request.param == "sqlite":
        url = f"sqlite+aiosqlite:///{tmp_path / 'data' / 'sluice.db'}"
    elif request.param == "postgresql":
        server: PostgresServer = request.getfixturevalue("postgres")
        url = await server.empty_database()
    else:
        dynamo: DynamoServer = request.getfixturevalue("dynamo")
        url = dynamo.url()
    async with AsyncExitStack() as stack:
        yield await open_record(url, stack=stack, clock=moment, new_id=lambda: uuid4().hex)


@pytest.fixture
def documents(record: Record) -> DocumentStore:
    return record.documents


@pytest.fixture
def worker(documents: DocumentStore, moment: SetClock) -> Worker:
    return Worker(documents, moment)


@pytest.fixture
def sessions(record: Record) -> SessionStore:
    return record.sessions
