"""The SQLite driver as SQLAlchemy uses it: statements come back whole, and nothing stays open behind them."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import textwrap
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy import Column, Integer, MetaData, String, Table, func, insert, select, text, update
from sqlalchemy.exc import IntegrityError, OperationalError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from app.stores.sql.sqlite_driver import Driver

REPOSITORY = Path(__file__).resolve().parents[2]
FRUIT = Table(
    "fruit", MetaData(), Column("id", Integer, primary_key=True), Column("name", String, unique=True, nullable=False)
)
ENDLESS = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n"


@pytest.fixture(name="engine")
async def fixture_engine(tmp_path: Path) -> AsyncIterator[AsyncEngine]:
    """A database with three rows; nobody waits for a lock."""
    engine = create_async_engine(
        f"sqlite+aiosqlite:///{tmp_path / 'test.db'}", module=Driver(), connect_args={"timeout": 0}
    )
    async with engine.begin() as connection:
        await connection.run_sync(FRUIT.metadata.create_all)
        await connection.execute(insert(FRUIT), [{"name": name} for name in ("apple", "pear", "plum")])
    yield engine
    await engine.dispose()


async def names(connection: AsyncConnection) -> list[str]:
    return list(await connection.scalars(select(FRUIT.c.name).order_by(FRUIT.c.id)))


async def test_rows_come_back_by_name_in_their_order(engine: AsyncEngine) -> None:
    async with engine.connect() as connection:
        rows = (await connection.execute(select(FRUIT).order_by(FRUIT.c.id.desc()))).mappings().all()
    assert [dict(row) for row in rows] == [
        {"id": 3, "name": "plum"},
        {"id": 2, "name": "pear"},
        {"id": 1, "name": "apple"},
    ]


async def test_what_is_written_says_its_key_its_number_and_what_it_returns(engine: AsyncEngine) -> None:
    async with engine.begin() as connection:
        inserted = await connection.execute(insert(FRUIT).values(name="fig"))
        assert inserted.inserted_primary_key == (4,)
        assert (await connection.execute(update(FRUIT).values(name=FRUIT.c.name + "s"))).rowcount == 4
        returned = await connection.execute(
            update(FRUIT).where(FRUIT.c.id > 2).values(name=func.upper(FRUIT.c.name)).returning(FRUIT.c.name)
        )
        assert sorted(returned.scalars()) == ["FIGS", "PLUMS"]


async def test_rows_of_many_and_of_none(engine: AsyncEngine) -> None:
    """More rows than a driver would fetch at once, and a statement that finds nothing."""
    async with engine.begin() as connection:
        await connection.execute(insert(FRUIT), [{"name": f"kind {number}"} for number in range(5_000)])
        assert len(await names(connection)) == 5_003
        assert (await connection.execute(select(FRUIT).where(FRUIT.c.id < 0))).all() == []


async def test_a_result_that_nobody_reads_to_its_end_holds_nothing_open(engine: AsyncEngine) -> None:
    """SQLite does not drop a table that an open statement reads."""
    async with engine.connect() as connection:
        unread = await connection.execute(select(FRUIT))
        assert unread.first() == (1, "apple")
        begun = await connection.execute(select(FRUIT))
        assert begun.fetchone() == (1, "apple")
        await connection.execute(text("DROP TABLE fruit"))
        assert begun.fetchone() == (2, "pear")


async def test_a_refused_statement_says_why_and_leaves_the_connection_usable(engine: AsyncEngine) -> None:
    async with engine.begin() as connection:
        with pytest.raises(IntegrityError, match="UNIQUE"):
            await connection.execute(insert(FRUIT).values(name="pear"))
        with pytest.raises(IntegrityError, match="UNIQUE"):
            await connection.execute(insert(FRUIT), [{"name": "kiwi"}, {"name": "pear"}])
        with pytest.raises(OperationalError, match="no such table"):
            await connection.execute(text("SELECT * FROM vegetables"))
        assert (await names(connection))[:3] == ["apple", "pear", "plum"]


async def test_a_transaction_that_fails_leaves_nothing_and_one_that_ends_leaves_all(engine: AsyncEngine) -> None:
    async def fail() -> None:
        async with engine.begin() as connection:
            await connection.execute(insert(FRUIT).values(name="lost"))
            raise RuntimeError

    with pytest.raises(RuntimeError):
        await fail()
    async with engine.begin() as connection:
        await connection.execute(insert(FRUIT).values(name="kept"))
    async with engine.connect() as connection:
        assert await names(connection) == ["apple", "pear", "plum", "kept"]


async def test_a_connection_that_is_given_back_holds_no_lock(engine: AsyncEngine) -> None:
    """What was read and not ended is rolled back, so that others may write at once."""
    async with engine.connect() as reading:
        await reading.execute(text("BEGIN IMMEDIATE"))
        await reading.execute(insert(FRUIT).values(name="lost"))
    async with engine.begin() as connection:
        await connection.execute(insert(FRUIT).values(name="kept"))
        assert await names(connection) == ["apple", "pear", "plum", "kept"]


async def test_calls_at_once_on_one_connection_take_turns(engine: AsyncEngine) -> None:
    """Each gets its own rows."""
    async with engine.connect() as connection:
        found = await asyncio.gather(
            *(connection.scalar(select(FRUIT.c.name).where(FRUIT.c.id == number)) for number in (1, 2, 3))
        )
    assert found == ["apple", "pear", "plum"]


async def test_a_statement_that_is_given_up_can_be_stopped_and_the_next_one_runs(engine: AsyncEngine) -> None:
    """A caller that leaves does not take the engine along."""
    async with engine.connect() as connection:
        driver = (await connection.get_raw_connection()).driver_connection
        assert driver is not None
        waiting = asyncio.create_task(connection.execute(text(ENDLESS)))
        while not waiting.done():
            await asyncio.sleep(0)
            await driver.interrupt()
        with pytest.raises(OperationalError, match="interrupted"):
            await waiting
    async with engine.connect() as connection:
        assert await names(connection) == ["apple", "pear", "plum"]


@pytest.mark.no_cover
def test_a_connection_that_nobody_closes_does_not_keep_the_process(tmp_path: Path) -> None:
    """Its thread ends with the others."""
    program = """
        import asyncio, os, sys
        from sqlalchemy import text
        from sqlalchemy.ext.asyncio import create_async_engine
        from app.stores.sql.sqlite_driver import Driver

        kept = []

        async def main():
            engine = create_async_engine(f"sqlite+aiosqlite:///{sys.argv[1]}/test.db", module=Driver())
            kept.append(await engine.connect())
            print(await kept[0].scalar(text("SELECT 7")), flush=True)
            asyncio.get_running_loop().stop()

        try:
            asyncio.run(main())
        except RuntimeError:
            pass
    """
    command = [sys.executable, "-c", textwrap.dedent(program), str(tmp_path)]
    run = subprocess.run(command, capture_output=True, text=True, cwd=REPOSITORY, timeout=60, check=False)
    assert run.stdout == "7\n", run.stderr
