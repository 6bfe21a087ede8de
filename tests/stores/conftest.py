from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from uuid import uuid4

import pytest

from app.stores.sql.documents import SqlDocumentStore
from app.stores.sql.engine import Database
from app.stores.sql.sessions import SqlSessionStore
from tests.stores.records import SetClock, Worker
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


@pytest.fixture
def documents(database: Database, moment: SetClock) -> SqlDocumentStore:
    return SqlDocumentStore(database, clock=moment, new_id=lambda: uuid4().hex)


@pytest.fixture
def worker(documents: SqlDocumentStore, moment: SetClock) -> Worker:
    return Worker(documents, moment)


@pytest.fixture
def sessions(database: Database, moment: SetClock) -> SqlSessionStore:
    return SqlSessionStore(database, clock=moment)
