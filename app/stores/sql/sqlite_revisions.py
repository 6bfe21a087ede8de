"""Revisions from the file itself, in this thread: a reader beside a log waits for nobody and takes microseconds."""

from __future__ import annotations

import sqlite3
from urllib.parse import quote

QUERY = "SELECT revision FROM collections WHERE tenant = ? AND name = ?"
NEWEST_ECHO = "SELECT max(number) FROM echoes"


class SqliteRevisions:
    """As `Revisions`, by a connection of its own to the file at `path`."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._connection: sqlite3.Connection | None = None

    async def read(self, *, tenant: str, collection: str) -> int | None:
        found = self._ask(QUERY, tenant, collection)
        if found is None:
            return None
        return int(found[0][0] or 0) if found else 0

    async def newest_echo(self) -> int | None:
        found = self._ask(NEWEST_ECHO)
        return None if found is None else int(found[0][0] or 0)

    async def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _ask(self, query: str, *values: str) -> list[tuple[int | None]] | None:
        try:
            if self._connection is None:
                self._connection = _connect(self._path)
            # All rows are fetched, so that no transaction stays open in which the log could not be cut.
            return self._connection.execute(query, values).fetchall()
        except sqlite3.Error:  # held by a recovery, or worse: the ordinary way can wait, and says what is wrong
            return None


def _connect(path: str) -> sqlite3.Connection:
    # `rw` opens what is there and makes nothing.
    connection = sqlite3.connect(f"file:{quote(path)}?mode=rw", uri=True, timeout=0.0, isolation_level=None)
    connection.execute("PRAGMA query_only = ON")
    return connection
