"""Commands to Redis, many at once: those that wait at the same moment are sent together and answered together.

One round trip through the client library takes longer than most of what a request does. Over one connection that is
kept, commands that come while others are under way are one batch, and the batch pays: its connection is looked at, its
time bounded and its bytes written once. https://redis.io/docs/latest/develop/using-commands/pipelining/
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import math
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, Final, Protocol, TypeAlias

from redis.asyncio import Connection, Redis, RedisCluster
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import NoScriptError, ResponseError

from app.stores.redis_client import FAILURES, RedisClient

Word: TypeAlias = str | bytes | int
# Bounds how long Redis is waited for.
Bound: TypeAlias = Callable[[], AbstractAsyncContextManager[object]]

_Asked: TypeAlias = tuple[Sequence[Word], asyncio.Future[Any]]

# More of them would make the first wait for the last.
MOST_TOGETHER: Final = 128
# One thread of Redis' answers all of them: more connections would only wait in another place.
MOST_CONNECTIONS: Final = 32


class Script:
    """A script in Lua and the digest by which a server knows it again."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.digest = hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()


class Commands(Protocol):
    """Carries commands out; raises one of `FAILURES` if Redis fails or is not done in time."""

    async def execute(self, *words: Word) -> Any:
        """The answer to one command, as the server gives it."""

    async def get_many(self, keys: Sequence[str]) -> list[bytes | None]:
        """The values under the keys, in one question to each server that has some of them."""

    async def close(self) -> None:
        """End what is under way, but not the client."""


async def run_script(commands: Commands, script: Script, *, keys: Sequence[str], arguments: Sequence[Word]) -> Any:
    """What the script returns; it is sent as a whole only to a server that does not know it."""
    try:
        return await commands.execute("EVALSHA", script.digest, len(keys), *keys, *arguments)
    except NoScriptError:
        return await commands.execute("EVAL", script.text, len(keys), *keys, *arguments)


def open_commands(client: RedisClient, *, bound: Bound) -> Commands:
    """The way that suits the client; what it does at once takes no longer than `bound`."""
    return ClusterCommands(client, bound=bound) if isinstance(client, RedisCluster) else Pipeline(client, bound=bound)


class Pipeline:
    """Over one connection of the client's pool, batch after batch; a failure is that of all who wait, and breaks it."""

    def __init__(self, client: Redis, *, bound: Bound) -> None:
        self._pool = client.connection_pool
        self._bound = bound
        self._connection: Connection | None = None
        self._waiting: deque[_Asked] = deque()
        self._batch: list[_Asked] = []
        self._work: asyncio.Task[None] | None = None

    async def execute(self, *words: Word) -> Any:
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Any] = loop.create_future()
        self._waiting.append((words, answer))
        if self._work is None:
            self._work = loop.create_task(self._carry())
        return await answer

    async def get_many(self, keys: Sequence[str]) -> list[bytes | None]:
        found: list[bytes | None] = await self.execute("MGET", *keys)
        return found

    async def close(self) -> None:
        if self._work is not None:
            self._work.cancel()
            await asyncio.gather(self._work, return_exceptions=True)
        self._fail(RedisConnectionError("closed"))
        await self._let_go()

    async def _carry(self) -> None:
        """Send what waits, until nothing does."""
        try:
            while self._waiting:
                self._batch = [self._waiting.popleft() for _ in range(min(MOST_TOGETHER, len(self._waiting)))]
                try:
                    async with self._bound():
                        await self._send(self._batch)
                    self._batch = []
                except Exception as error:  # noqa: BLE001  (whatever it is, it is raised again where it was asked)
                    await self._let_go()
                    self._fail(error)
        finally:
            self._work = None

    async def _send(self, batch: Sequence[_Asked]) -> None:
        connection = await self._connect()
        await connection.send_packed_command(connection.pack_commands(words for words, _ in batch))
        for _, answer in batch:
            try:
                given = await connection.read_response(timeout=math.inf)
            except ResponseError as error:  # the server's word on this command alone
                if not answer.done():
                    answer.set_exception(error)
            else:
                if not answer.done():  # else nobody waits for it any longer
                    answer.set_result(given)

    async def _connect(self) -> Connection:
        """The connection, made anew if its other end has closed it."""
        if self._connection is None:
            self._connection = await self._pool.get_connection()  # type: ignore[no-untyped-call]  # the library leaves it so
        else:
            await self._pool.ensure_connection(self._connection)
        return self._connection

    def _fail(self, error: Exception) -> None:
        """Tell everybody who waits."""
        asked = [*self._batch, *self._waiting]
        self._waiting.clear()
        for _, answer in asked:
            if not answer.done():
                answer.set_exception(error)

    async def _let_go(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(*FAILURES):
                await connection.disconnect(nowait=True)
            await self._pool.release(connection)


class ClusterCommands:
    """Each by itself: the keys say which of the servers it is for."""

    def __init__(self, client: RedisCluster, *, bound: Bound) -> None:
        self._client = client
        self._bound = bound
        self._slots = asyncio.Semaphore(MOST_CONNECTIONS)

    async def execute(self, *words: Word) -> Any:
        async with self._slots, self._bound():
            return await self._client.execute_command(*words)

    async def get_many(self, keys: Sequence[str]) -> list[bytes | None]:
        async with self._slots, self._bound():
            found: list[bytes | None] = await self._client.mget_nonatomic(keys)
            return found

    async def close(self) -> None:
        """Nothing is left under way."""
