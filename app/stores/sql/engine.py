"""The database: connections, transactions, the schema it must have, and the errors it may raise."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from importlib import import_module
from itertools import islice
from typing import Any, TypeVar

from sqlalchemy import URL, Table, select
from sqlalchemy.dialects import postgresql
from sqlalchemy.dialects import sqlite as sqlite_dialect
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, DataError, DBAPIError, IntegrityError, ProgrammingError, SQLAlchemyError
from sqlalchemy.exc import InvalidRequestError as UnusableDriverError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from app.errors import ConfigurationError, DatabaseUnavailableError, InvalidRequestError, SluiceError
from app.stores.sql import schema, sqlite
from app.stores.sql.revisions import Revisions
from app.stores.sql.sqlite_driver import Driver
from app.stores.sql.sqlite_revisions import SqliteRevisions

RETRY_AFTER_SECONDS = 1.0
BUSY_SECONDS = 10.0
# Beginning a transaction takes no longer where no other process writes.
UNHINDERED_SECONDS = 0.1
CONNECTIONS = 8
REFUSED = "The server that DATABASE_URL names refuses this user, password or database."
URL_FORMS = (
    "DATABASE_URL must be of the form sqlite+aiosqlite:///FILE or postgresql://USER:PASSWORD@HOST:5432/DATABASE."
)
# SQLSTATE, where the driver tells it: a text that has no encoding (a NUL in it, or what the driver could not write),
# and the classes of trouble that the statement itself is in, whatever the server is like.
UNENCODABLE = frozenset({"22000", "22021"})
OWN_FAULTS = ("22", "42")
# Rows a statement takes at once: their preparation runs on the event loop, a few milliseconds for so many.
BATCH = 500

Row = TypeVar("Row")


class Database:
    """One engine, shared by the stores over it. `read` and `write` raise `DatabaseUnavailableError` when it is away."""

    def __init__(self, engine: AsyncEngine, *, busy_seconds: float) -> None:
        self._engine = engine
        self._is_sqlite = engine.dialect.name == "sqlite"
        self._busy_seconds = busy_seconds
        self._locked_seconds = 0.0
        # SQLite has one writer: waiting for one's turn here is fair and costs no connection.
        self._turn = asyncio.Lock()
        self._revisions = _revisions(engine.url)
        self._writer = engine.execution_options(**{sqlite.WRITES: True})
        # In SQLite every transaction sees one state; PostgreSQL shows one to each statement unless told otherwise.
        self._reader = engine if self._is_sqlite else engine.execution_options(isolation_level="REPEATABLE READ")

    @classmethod
    async def open(cls, url: str, *, busy_seconds: float = BUSY_SECONDS, migrate: bool = True) -> Database:
        """Connect and bring the schema up to date, or leave it as it is without `migrate`.

        Raises `ConfigurationError` if the schema is newer than this code, no driver is here for such a database, or
        the server refuses the name or password.
        `busy_seconds` is how long to wait for a connection, or for another process to let go of the database.
        """
        engine = _create_engine(url, busy_seconds=busy_seconds)
        database = cls(engine, busy_seconds=busy_seconds)
        try:
            with translated():
                await database._prepare(migrate=migrate)
        except BaseException:
            await engine.dispose()
            raise
        return database

    async def is_current(self) -> bool:
        """Whether the schema is the one that this code works on."""
        async with self.read() as connection:
            return await connection.run_sync(schema.is_current)

    async def _prepare(self, *, migrate: bool) -> None:
        if self._is_sqlite:
            sqlite.make_folder(self._engine.url)
            sqlite.configure(self._engine)
            await sqlite.turn_on_log(self._engine)
            await self.forget()
        else:
            await self._knock()
        if not await self.is_current() and migrate:
            async with self._writer.begin() as connection:
                if not self._is_sqlite:
                    await connection.run_sync(_postgres().wait_for_turn)
                await connection.run_sync(schema.upgrade)

    async def _knock(self) -> None:
        """At a start a server that does not let us in is the operator's mistake, not trouble that will pass."""
        try:
            async with self._engine.connect():
                pass
        except PermissionError:
            raise ConfigurationError(REFUSED) from None

    @asynccontextmanager
    async def read(self) -> AsyncIterator[AsyncConnection]:
        """A transaction that sees one state of the database."""
        with translated():
            async with self._reader.connect() as connection:
                yield connection

    @asynccontextmanager
    async def write(self) -> AsyncIterator[AsyncConnection]:
        """A transaction that is durable once the block is left, and undone if it raises."""
        with translated():
            async with self._take_turn() as patience, self._writer.connect() as connection:
                await connection.execution_options(**{sqlite.PATIENCE: patience})
                async with AsyncExitStack() as stack:
                    await self._begin(connection, stack=stack)
                    yield connection

    async def _begin(self, connection: AsyncConnection, *, stack: AsyncExitStack) -> None:
        """Begin a transaction, and count how long another process kept us from it."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        try:
            await stack.enter_async_context(connection.begin())
        finally:
            waited = loop.time() - began
            self._locked_seconds += waited if waited > UNHINDERED_SECONDS else 0.0

    async def forget(self) -> bool:
        """Take earlier states of changed pages off the disk; false if a reader held them."""
        if not self._is_sqlite:
            return True
        with translated():
            async with self._take_turn() as patience, self._engine.connect() as connection:
                return await sqlite.truncate_log(connection, patience=patience)

    @asynccontextmanager
    async def _take_turn(self) -> AsyncIterator[float]:
        """The turn to write; how many of its `busy_seconds` the caller has left to wait for other processes.

        Those who queue while another process holds the database wait for it together, not one after the other.
        """
        if not self._is_sqlite:
            yield self._busy_seconds
            return
        loop = asyncio.get_running_loop()
        queued, locked = loop.time(), self._locked_seconds
        async with self._turn:
            waited = min(self._locked_seconds - locked, loop.time() - queued)
            yield max(0.0, self._busy_seconds - waited)

    async def ping(self) -> None:
        """Raise `DatabaseUnavailableError` if the database does not answer."""
        async with self.read() as connection:
            await connection.execute(select(1))

    async def read_revision(self, *, tenant: str, collection: str) -> int | None:
        """As `Revisions.read`."""
        return await self._revisions.read(tenant=tenant, collection=collection)

    async def newest_echo(self) -> int | None:
        """As `Revisions.newest_echo`."""
        return await self._revisions.newest_echo()

    async def close(self) -> None:
        await self._revisions.close()
        await self._engine.dispose()


def _create_engine(url: str, *, busy_seconds: float) -> AsyncEngine:
    try:
        target = make_url(url)
        if target.get_backend_name() == "postgresql":
            target = target.set(drivername="postgresql+asyncpg")
        return create_async_engine(
            target,
            hide_parameters=True,
            pool_size=CONNECTIONS,
            pool_timeout=busy_seconds,
            **_options(target, busy_seconds=busy_seconds),
        )
    except (ArgumentError, UnusableDriverError, ModuleNotFoundError, TypeError):
        raise ConfigurationError(URL_FORMS) from None


def _options(target: URL, *, busy_seconds: float) -> dict[str, Any]:
    if target.get_backend_name() == "sqlite":
        return {"module": Driver(), "connect_args": sqlite.connect_arguments(busy_seconds=busy_seconds)}
    if target.get_backend_name() != "postgresql":
        raise ConfigurationError(URL_FORMS)
    postgres = _postgres()
    postgres.check(target)
    # A connection that a restart of the server has cut is found out and made anew before it is used.
    return {"connect_args": {"async_creator_fn": postgres.connector(target)}, "pool_pre_ping": True}


def _revisions(target: URL) -> Revisions:
    if target.get_backend_name() == "sqlite":
        return SqliteRevisions(target.database or "")
    reader: Revisions = import_module("app.stores.sql.postgres_revisions").PostgresRevisions(
        _postgres().connector(target)
    )
    return reader


def _postgres() -> Any:
    """Imported on demand: the driver takes a while, and most installations have no use for it."""
    return import_module("app.stores.sql.postgres")


@contextmanager
def translated() -> Iterator[None]:
    """Turn the driver's errors, whose texts may quote rows, into our own, which quote nothing."""
    try:
        yield
    except UnicodeEncodeError:
        raise InvalidRequestError("A text holds half of a surrogate pair, which no encoding can write.") from None
    except (DataError, IntegrityError, ProgrammingError):
        raise SluiceError from None
    except DBAPIError as error:
        raise _translate(getattr(error.orig, "sqlstate", None) or "") from None
    except (PoolTimeoutError, OSError):
        raise DatabaseUnavailableError(retry_after=RETRY_AFTER_SECONDS) from None
    except SQLAlchemyError:
        raise SluiceError from None


def _translate(state: str) -> SluiceError:
    if state in UNENCODABLE:
        return InvalidRequestError("A text holds a NUL or half of a surrogate pair, which the database cannot store.")
    return SluiceError() if state.startswith(OWN_FAULTS) else DatabaseUnavailableError(retry_after=RETRY_AFTER_SECONDS)


async def insert_absent(connection: AsyncConnection, table: Table, rows: Iterable[Mapping[str, Any]]) -> None:
    """Insert the rows whose keys are not there yet. Each dialect has its own construct for one and the same SQL."""
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite_dialect
    statement = dialect.insert(table).on_conflict_do_nothing()
    for batch in in_batches(rows):
        await connection.execute(statement, batch)


async def insert(connection: AsyncConnection, table: Table, rows: Iterable[Mapping[str, Any]]) -> None:
    """Insert all rows, in their order."""
    for batch in in_batches(rows):
        await connection.execute(table.insert(), batch)


def in_batches(rows: Iterable[Row], size: int = BATCH) -> Iterator[list[Row]]:
    """Split into lists of at most `size`."""
    iterator = iter(rows)
    while batch := list(islice(iterator, size)):
        yield batch
