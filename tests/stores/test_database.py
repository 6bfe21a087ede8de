"""The database itself: its schema, its errors, what survives a kill and what does not survive a removal."""

from __future__ import annotations

import asyncio
import secrets
import signal
import sqlite3
import sys
import time
from pathlib import Path
from uuid import uuid4

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text

from app.errors import ConfigurationError, DatabaseUnavailableError, InvalidRequestError, SluiceError
from app.models import Label
from app.stores.sql import schema
from app.stores.sql.documents import SqlDocumentStore
from app.stores.sql.engine import Database
from app.stores.sql.usage_tables import usage
from tests.stores.records import ALL, TENANT, SetClock, Worker, chunks_of, key, upload

REPOSITORY = Path(__file__).resolve().parents[2]

# Adds documents until it is killed, and says of each that it was acknowledged.
WRITER = """
import asyncio, sys
from uuid import uuid4
from app.stores.sql.documents import SqlDocumentStore
from app.stores.sql.engine import Database
from tests.stores.records import SetClock, upload

async def main(url):
    store = SqlDocumentStore(await Database.open(url), clock=SetClock(), new_id=lambda: uuid4().hex)
    for number in range(10_000):
        await store.add([upload(f"d{number}", f"content {number}".encode())])
        print(number, flush=True)

asyncio.run(main(sys.argv[1]))
"""


def _url(folder: Path) -> str:
    return f"sqlite+aiosqlite:///{folder / 'sluice.db'}"


def _is_ordinary_table(name: str | None, kind: str, _parents: object) -> bool:
    """The lexical index is a virtual table with tables of its own, which SQLAlchemy has no words for."""
    return kind != "table" or not str(name).startswith("words")


def _store(database: Database, clock: SetClock) -> SqlDocumentStore:
    return SqlDocumentStore(database, clock=clock, new_id=lambda: uuid4().hex)


# Schema


async def test_the_migrations_make_the_tables_that_the_code_works_on(database: Database) -> None:
    def differences(connection: Connection) -> list[object]:
        context = MigrationContext.configure(connection, opts={"include_name": _is_ordinary_table})
        return list(compare_metadata(context, usage.metadata))

    async with database.read() as connection:
        assert await connection.run_sync(differences) == []


def test_the_newest_revision_is_the_one_the_code_asks_for() -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(schema.__file__).parent / "migrations"))
    config.set_main_option("path_separator", "os")
    assert ScriptDirectory.from_config(config).get_current_head() == schema.HEAD


async def test_a_second_start_does_not_import_alembic(tmp_path: Path) -> None:
    await (await Database.open(_url(tmp_path))).close()
    program = (
        "import asyncio, sys; from app.stores.sql.engine import Database\n"
        "async def main():\n    await (await Database.open(sys.argv[1])).close()\n"
        "asyncio.run(main()); sys.exit('alembic' in sys.modules)"
    )
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", program, _url(tmp_path), cwd=REPOSITORY)
    assert await process.wait() == 0


async def test_two_processes_may_meet_at_a_database_that_is_not_there_yet(tmp_path: Path) -> None:
    opened = await asyncio.gather(*(Database.open(_url(tmp_path)) for _ in range(3)))
    for database in opened:
        await database.ping()
        await database.close()


async def test_a_database_of_a_newer_version_is_refused(tmp_path: Path) -> None:
    database = await Database.open(_url(tmp_path))
    async with database.write() as connection:
        await connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    await database.close()
    with pytest.raises(ConfigurationError):
        await Database.open(_url(tmp_path))


async def test_every_connection_is_durable_overwrites_what_it_deletes_and_minds_references(tmp_path: Path) -> None:
    wanted = {"journal_mode": "wal", "synchronous": 2, "secure_delete": 1, "foreign_keys": 1}
    database = await Database.open(_url(tmp_path))
    async with database.read() as one, database.read() as other, database.write() as third:
        for connection in (one, other, third):
            for pragma, value in wanted.items():
                assert await connection.scalar(text(f"PRAGMA {pragma}")) == value
    await database.close()


# Errors


async def test_trouble_with_the_file_is_the_databases_and_its_text_stays_inside(tmp_path: Path) -> None:
    (tmp_path / "sluice.db").write_bytes(b"this is not a database, whatever it is called" * 100)
    with pytest.raises(DatabaseUnavailableError) as refused:
        await Database.open(_url(tmp_path))
    assert "not a database" not in str(refused.value)
    assert refused.value.retry_after is not None
    assert refused.value.__suppress_context__


async def test_an_error_of_a_statement_quotes_no_value(database: Database) -> None:
    canary = secrets.token_hex(8)
    with pytest.raises(SluiceError) as refused:
        async with database.write() as connection:
            await connection.execute(text("INSERT INTO nowhere VALUES (:value)"), {"value": canary})
    assert canary not in str(refused.value)


async def test_a_text_that_cannot_be_encoded_is_the_callers_mistake(documents: SqlDocumentStore) -> None:
    with pytest.raises(InvalidRequestError):
        await documents.add([upload("half a pair: \ud800")])


async def test_a_write_that_raises_leaves_nothing(documents: SqlDocumentStore) -> None:
    with pytest.raises(InvalidRequestError):
        await documents.add([upload("good"), upload("\ud800")])
    assert await documents.get(key("good"), clearance=ALL) is None


async def test_writers_of_two_processes_wait_for_each_other(tmp_path: Path, moment: SetClock) -> None:
    databases = [await Database.open(_url(tmp_path)) for _ in range(2)]
    stores = [_store(database, moment) for database in databases]
    await asyncio.gather(*(stores[n % 2].add([upload(f"d{n}")]) for n in range(40)))
    page, _ = await stores[0].page(tenant="acme", clearance=ALL, collection=None, limit=100, after=None)
    assert len(page) == 40
    for database in databases:
        await database.close()


async def test_a_cancelled_write_frees_its_turn(documents: SqlDocumentStore) -> None:
    for _ in range(5):
        task = asyncio.create_task(documents.add([upload("a", secrets.token_bytes(100_000))]))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    async with asyncio.timeout(15):
        assert await documents.add([upload("b")])


async def test_writers_that_wait_for_another_process_give_up_together(tmp_path: Path, moment: SetClock) -> None:
    """Each waits as long as one would alone, though they stand in a queue."""
    patience, writers = 0.5, 6
    database = await Database.open(_url(tmp_path), busy_seconds=patience)
    store = _store(database, moment)
    other = sqlite3.connect(tmp_path / "sluice.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    began = time.monotonic()
    outcomes = await asyncio.gather(*(store.add([upload(f"d{n}")]) for n in range(writers)), return_exceptions=True)
    waited = time.monotonic() - began
    assert {type(outcome) for outcome in outcomes} == {DatabaseUnavailableError}
    assert waited < 2.5 * patience
    other.close()
    assert await store.add([upload("a")])
    await database.close()


# What stays and what goes


async def test_acknowledged_documents_survive_kill_9(tmp_path: Path, moment: SetClock) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", WRITER, _url(tmp_path), cwd=REPOSITORY, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    acknowledged = -1
    while acknowledged < 25:
        acknowledged = int(await process.stdout.readline())
    process.send_signal(signal.SIGKILL)
    acknowledged = max([acknowledged, *map(int, (await process.stdout.read()).split())])
    await process.wait()
    database = await Database.open(_url(tmp_path))
    store = _store(database, moment)
    for number in range(acknowledged + 1):
        version = await store.get(key(f"d{number}"), clearance=ALL)
        assert version is not None
        assert await store.content(version.id) == f"content {number}".encode()
    await Worker(store, moment).work_off()
    assert (await store.page(tenant=TENANT, clearance=ALL, collection=None, limit=1, after=None))[0][0].chunks == 1
    await database.close()


async def test_a_removed_document_leaves_no_trace_in_the_database_files(tmp_path: Path, moment: SetClock) -> None:
    canary = secrets.token_hex(16)
    database = await Database.open(_url(tmp_path))
    worker = Worker(_store(database, moment), moment)
    await worker.publish(*(upload(f"other {number}") for number in range(20)))
    secret = upload(canary, canary.encode() * 2000, metadata={canary: canary}, title=canary)
    await worker.publish(secret)
    assert _traces(tmp_path, canary) > 0
    await worker.store.remove(secret.key, clearance=ALL)
    await worker.work_off()
    assert _traces(tmp_path, canary) == 0
    await database.close()


async def test_a_removal_is_not_done_while_a_reader_keeps_earlier_pages(tmp_path: Path, moment: SetClock) -> None:
    canary = secrets.token_hex(16)
    database = await Database.open(_url(tmp_path), busy_seconds=0.05)
    worker = Worker(_store(database, moment), moment)
    [version] = await worker.publish(upload("a", canary.encode()))
    await worker.store.remove(key("a"), clearance=ALL)
    job = await worker.claim()
    async with database.read() as reader:
        await reader.execute(text("SELECT count(*) FROM versions"))
        with pytest.raises(DatabaseUnavailableError):
            await worker.store.finish_removal(job)
        assert await worker.store.unfinished([version.id]) == 1
    await worker.store.retry_job(job, due=moment())
    await worker.work_off()
    assert await worker.store.unfinished([version.id]) == 0
    assert _traces(tmp_path, canary) == 0
    await database.close()


async def test_chunks_that_are_replaced_are_overwritten(tmp_path: Path, moment: SetClock) -> None:
    canary = secrets.token_hex(16)
    database = await Database.open(_url(tmp_path))
    store = _store(database, moment)
    [version] = await store.add([upload("a")])
    for content in (canary * 50, "harmless"):
        await store.save_chunks(
            version.id, text=content, title=None, label=Label.PUBLIC, warnings=[], chunks=chunks_of(content)
        )
    await database.close()
    assert _traces(tmp_path, canary) == 0


def _traces(folder: Path, canary: str) -> int:
    return sum(file.read_bytes().count(canary.encode()) for file in folder.rglob("*") if file.is_file())


@pytest.mark.parametrize(
    "url", ["no url at all", "sqlite:///without-a-driver-for-asyncio.db", "mysql://127.0.0.1/x", "postgresql:///x"]
)
async def test_a_database_that_cannot_be_opened_here_is_refused_with_the_form_that_can(url: str) -> None:
    with pytest.raises(ConfigurationError, match="DATABASE_URL"):
        await Database.open(url)
