"""The short way to a collection's revision: as true as the long one, and no way at all where it cannot be."""

from __future__ import annotations

import asyncio
from pathlib import Path

import asyncpg
import numpy as np

from app.models import Label
from app.stores.sql.echoes import SqlEchoStore
from app.stores.sql.engine import Database
from app.stores.sql.jobs import bump_revision
from app.stores.sql.sqlite_revisions import SqliteRevisions
from tests.support.postgres import PostgresServer

PLACE = {"tenant": "acme", "collection": "handbook"}
READERS = 20


async def bump(database: Database) -> None:
    async with database.write() as connection:
        await bump_revision(connection, **PLACE)


async def test_a_file_that_is_not_there_has_to_be_asked_for_in_the_ordinary_way_and_is_not_made(tmp_path: Path) -> None:
    path = tmp_path / "missing.db"
    assert await SqliteRevisions(str(path)).read(**PLACE) is None
    assert not path.exists()


async def test_another_process_s_change_of_a_file_is_read_at_once(tmp_path: Path) -> None:
    url = f"sqlite+aiosqlite:///{tmp_path / 'record.db'}"
    one, other = await Database.open(url), await Database.open(url)
    assert await other.read_revision(**PLACE) == 0
    for number in range(1, 4):
        await bump(one)
        assert await other.read_revision(**PLACE) == number
    # No reader is left behind in whose way the log could not be cut.
    assert await one.forget()
    await one.close()
    await other.close()


async def test_many_who_ask_a_server_at_once_read_what_was_committed_before(postgres: PostgresServer) -> None:
    database = await Database.open(await postgres.create_database())
    for number in range(1, 4):
        early = [asyncio.create_task(database.read_revision(**PLACE)) for _ in range(READERS)]
        await bump(database)
        late = await asyncio.gather(*(database.read_revision(**PLACE) for _ in range(READERS)))
        assert set(await asyncio.gather(*early)) <= {number - 1, number}
        assert set(late) == {number}
    await database.close()


async def test_a_connection_that_the_server_has_cut_costs_one_question_its_short_way(postgres: PostgresServer) -> None:
    url = await postgres.create_database()
    database = await Database.open(url)
    await bump(database)
    assert await database.read_revision(**PLACE) == 1
    admin = await asyncpg.connect(url)
    others = "WHERE pid <> pg_backend_pid() AND datname = current_database()"
    await admin.execute(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity {others}")
    await admin.close()
    assert await database.read_revision(**PLACE) in (None, 1)
    assert await database.read_revision(**PLACE) == 1
    await database.close()


async def test_another_process_s_echo_is_seen_at_once(tmp_path: Path) -> None:
    url = f"sqlite+aiosqlite:///{tmp_path / 'record.db'}"
    await see_echoes(await Database.open(url), await Database.open(url))


async def test_another_process_s_echo_on_a_server_is_seen_at_once(postgres: PostgresServer) -> None:
    url = await postgres.create_database()
    await see_echoes(await Database.open(url), await Database.open(url))


async def see_echoes(one: Database, other: Database) -> None:
    """Those that one adds are the newest for the other as soon as they are added."""
    assert await other.newest_echo() == 0
    for number in range(1, 4):
        part = np.array([number], dtype=np.uint64)
        await SqlEchoStore(one).add([part], label=Label.INTERNAL, tenant="acme", version=None, expires_at=None)
        assert await other.newest_echo() == number
        assert [echo.number for echo in await SqlEchoStore(other).since(number - 1, limit=9)] == [number]
        assert await SqlEchoStore(other).since(number, limit=9) == []
    await one.close()
    await other.close()
