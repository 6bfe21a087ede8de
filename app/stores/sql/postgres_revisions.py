"""Revisions from a server, over one connection: all who wait while a question is under way are answered by the next."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, TypeAlias

import asyncpg

QUERY = (
    "SELECT tenant, name, revision FROM collections "
    "WHERE (tenant, name) IN (SELECT * FROM unnest($1::text[], $2::text[])) "
    "UNION ALL SELECT NULL, NULL, coalesce(max(number), 0) FROM echoes"
)
FAILURES = (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError, UnicodeError)

Place: TypeAlias = tuple[str | None, str | None]
Answer: TypeAlias = "asyncio.Future[int | None]"

# Where the number of the last echo stands among the revisions.
ECHOES: Place = (None, None)


class PostgresRevisions:
    """As `Revisions`; `connect` opens a connection, and raises `OSError` if it cannot."""

    def __init__(self, connect: Callable[[], Awaitable[asyncpg.Connection[Any]]]) -> None:
        self._connect = connect
        self._connection: asyncpg.Connection[Any] | None = None
        self._statement: Any = None
        self._waiting: dict[Place, list[Answer]] = {}
        self._asking: asyncio.Task[None] | None = None

    async def read(self, *, tenant: str, collection: str) -> int | None:
        return await self._read((tenant, collection))

    async def newest_echo(self) -> int | None:
        return await self._read(ECHOES)

    async def _read(self, place: Place) -> int | None:
        loop = asyncio.get_running_loop()
        answer: Answer = loop.create_future()
        # Never that of a question which is under way: what it sees may be older than this moment.
        self._waiting.setdefault(place, []).append(answer)
        if self._asking is None or self._asking.done():
            self._asking = loop.create_task(self._ask())
        return await answer

    async def close(self) -> None:
        if self._asking is not None:
            self._asking.cancel()
            await asyncio.wait({self._asking})
        await self._drop()

    async def _ask(self) -> None:
        while self._waiting:
            waiting, self._waiting = self._waiting, {}
            found: Mapping[Place, int] | None = None
            try:
                found = await self._find(list(waiting))
            except FAILURES:
                await self._drop()
            finally:
                for place, answers in waiting.items():
                    for answer in answers:
                        if not answer.done():  # whoever waited may have left
                            answer.set_result(None if found is None else found.get(place, 0))

    async def _find(self, places: Sequence[Place]) -> Mapping[Place, int]:
        if self._connection is None or self._connection.is_closed():
            self._connection = await self._connect()
            self._statement = await self._connection.prepare(QUERY)
        tenants, names = zip(*places, strict=True)
        return {(tenant, name): revision for tenant, name, revision in await self._statement.fetch(tenants, names)}

    async def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(*FAILURES):
                connection.terminate()
