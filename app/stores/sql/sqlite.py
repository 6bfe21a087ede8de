"""What SQLite alone needs: its pragmas, transactions that take the write lock at their start, and its log."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, event
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
from sqlalchemy.pool import ConnectionPoolEntry

WRITES = "sluice_writes"
PATIENCE = "sluice_patience"

# `secure_delete` overwrites what is deleted; `synchronous=FULL` makes a commit outlive a loss of power.
PRAGMAS = ("synchronous=FULL", "foreign_keys=ON", "secure_delete=ON", "temp_store=MEMORY", "cache_size=-8000")


def connect_arguments(*, busy_seconds: float) -> dict[str, Any]:
    """Arguments of `sqlite3.connect`. Without an isolation level the driver begins no transactions of its own."""
    return {"timeout": busy_seconds, "isolation_level": None}


def make_folder(url: URL) -> None:
    """Create the folder of the database file, readable for its owner only."""
    if url.database:
        Path(url.database).parent.mkdir(mode=0o700, parents=True, exist_ok=True)


def configure(engine: AsyncEngine) -> None:
    """Set the pragmas on each new connection, and begin writing transactions with the write lock in hand.

    A connection whose call was cancelled is closed in place. SQLAlchemy's own way, a task that it abandons when it is
    cancelled again, stops the driver's thread twice, and the second stop waits for a thread that is gone: for ever.
    """
    dialect = engine.sync_engine.dialect
    dialect.has_terminate = False
    dialect.do_terminate = dialect.do_close  # type: ignore[method-assign]  # no setting chooses this
    event.listen(engine.sync_engine, "connect", _set_pragmas)
    event.listen(engine.sync_engine, "begin", _begin)


async def turn_on_log(engine: AsyncEngine) -> None:
    """Switch the file to write-ahead logging, which lets readers go on while one writes; the file remembers it."""
    async with engine.connect() as connection:
        driver = (await connection.get_raw_connection()).driver_connection
        await driver.execute("PRAGMA journal_mode=WAL")  # type: ignore[union-attr]  # aiosqlite's own connection


async def truncate_log(connection: AsyncConnection, *, patience: float) -> bool:
    """Move the log into the database file and cut it to nothing; false if others were in the way for so many seconds.

    Deleted text is overwritten in the database file, but earlier states of its pages stay in the log until then.
    """
    entry = await connection.get_raw_connection()
    driver = entry.driver_connection
    entry.info[PATIENCE] = patience
    await driver.execute(_wait_at_most(patience))  # type: ignore[union-attr]  # aiosqlite's own
    cursor = await driver.execute("PRAGMA wal_checkpoint(TRUNCATE)")  # type: ignore[union-attr]  # aiosqlite's own
    busy, _, _ = await cursor.fetchone()
    await cursor.close()
    return not busy


def _set_pragmas(connection: Any, entry: ConnectionPoolEntry) -> None:
    del entry
    cursor = connection.cursor()
    for pragma in PRAGMAS:
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin(connection: Connection) -> None:
    # A transaction that reads first and writes later cannot wait for the lock: it would fail at once.
    options = connection.get_execution_options()
    if PATIENCE in options and connection.info.get(PATIENCE) != options[PATIENCE]:
        connection.exec_driver_sql(_wait_at_most(options[PATIENCE]))
        connection.info[PATIENCE] = options[PATIENCE]
    connection.exec_driver_sql("BEGIN IMMEDIATE" if options.get(WRITES, False) else "BEGIN")


def _wait_at_most(seconds: float) -> str:
    return f"PRAGMA busy_timeout = {int(seconds * 1000)}"
