"""aiosqlite for SQLAlchemy with one call to a connection's thread for a statement, where SQLAlchemy's own makes four.

A call costs two changes of threads, each of which waits for the interpreter's lock: handing calls over was a seventh of
what the event loop did while documents were indexed.
"""

from __future__ import annotations

import sqlite3
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import aiosqlite
from sqlalchemy.connectors.asyncio import AsyncAdapt_dbapi_connection
from sqlalchemy.dialects.sqlite.aiosqlite import (
    AsyncAdapt_aiosqlite_connection,
    AsyncAdapt_aiosqlite_cursor,
    AsyncAdapt_aiosqlite_dbapi,
)
from sqlalchemy.util import EMPTY_DICT
from sqlalchemy.util.concurrency import await_


@dataclass(slots=True)
class _Outcome:
    """What a statement left in its cursor, which is closed."""

    rows: Sequence[Any] = ()
    description: Any = None
    rowcount: int = -1
    lastrowid: int | None = None
    arraysize: int = 1


class Cursor(AsyncAdapt_aiosqlite_cursor):
    """A DBAPI cursor that fetches all rows along with the statement and holds nothing open."""

    __slots__ = ()
    _cursor: Any

    def __init__(self, adapt_connection: AsyncAdapt_dbapi_connection) -> None:
        self._adapt_connection = adapt_connection
        self._connection = adapt_connection._connection  # noqa: SLF001  # as the class that this one extends
        self._soft_closed_memoized = EMPTY_DICT
        self._rows = deque()
        self._cursor = _Outcome()

    def execute(self, operation: Any, parameters: Any = None) -> None:
        self._run(lambda connection: connection.execute(operation, parameters or ()))

    def executemany(self, operation: Any, seq_of_parameters: Any) -> None:
        self._run(lambda connection: connection.executemany(operation, seq_of_parameters))

    def close(self) -> None:
        self._rows.clear()

    async def _async_soft_close(self) -> None:
        """Nothing is open."""

    def _run(self, execute: Callable[[sqlite3.Connection], sqlite3.Cursor]) -> None:
        try:
            self._cursor = await_(self._perform(execute))
        except Exception as error:  # noqa: BLE001  # as the class that this one extends
            self._adapt_connection._handle_exception(error)  # noqa: SLF001  # the same
        self._rows = deque(self._cursor.rows)

    async def _perform(self, execute: Callable[[sqlite3.Connection], sqlite3.Cursor]) -> _Outcome:
        driver: Any = self._connection
        async with self._adapt_connection._execute_mutex:  # noqa: SLF001  # the same
            outcome: _Outcome = await driver._execute(_complete, driver, execute)  # noqa: SLF001  # there is no other way
        return outcome


class Connection(AsyncAdapt_aiosqlite_connection):
    """A DBAPI connection that makes such cursors."""

    __slots__ = ()
    _cursor_cls = Cursor

    def rollback(self) -> None:
        """SQLAlchemy rolls back once more what has been committed."""
        driver: Any = self._connection
        if driver._connection and driver.in_transaction:  # noqa: SLF001  # as the class that this one extends
            super().rollback()


class Driver(AsyncAdapt_aiosqlite_dbapi):
    """What `create_async_engine` takes as its `module`."""

    def __init__(self, driver: ModuleType = aiosqlite, sqlite: ModuleType = sqlite3) -> None:
        super().__init__(driver, sqlite)

    def connect(self, *arguments: Any, **options: Any) -> Connection:
        """Connect in a thread that does not outlive the process."""
        connection: Any = aiosqlite.connect(*arguments, **options)
        connection._thread.daemon = True  # noqa: SLF001  # as the class that this one extends
        return Connection(self, await_(connection))


def _complete(driver: aiosqlite.Connection, execute: Callable[[sqlite3.Connection], sqlite3.Cursor]) -> _Outcome:
    """Execute a statement and fetch what it returns, in the connection's thread."""
    cursor = execute(driver._conn)  # noqa: SLF001  # the connection that this thread owns
    try:
        rows = cursor.fetchall() if cursor.description else ()
        return _Outcome(rows, cursor.description, cursor.rowcount, cursor.lastrowid)
    finally:
        cursor.close()
