"""A cache in Redis, and in this process while Redis is away."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import TypeVar

from app.errors import UnavailableError
from app.protocols import CacheStore
from app.stores.redis_client import FAILURES, PROBE_SECONDS, Admits, anywhere, close, connect, used_memory
from app.stores.redis_commands import Script, open_commands, run_script

Result = TypeVar("Result")

# Both do nothing to a key that has another value by now: the pattern of Redis' own page on distributed locks.
EXTEND = Script("return redis.call('get', KEYS[1]) == ARGV[1] and redis.call('pexpire', KEYS[1], ARGV[2]) or 0")
DISCARD = Script("return redis.call('get', KEYS[1]) == ARGV[1] and redis.call('del', KEYS[1]) or 0")

log = logging.getLogger(__name__)

PREFIX = "sluice:cache:"
# A cache that is slower than this is not worth waiting for.
BUDGET_SECONDS = 0.02
# Connecting and asking takes about six turns of the event loop.
TURNS = 10
# A stall of our own event loop looks like one of Redis; only failures in a row mean that it is away.
FAILURES_UNTIL_AWAY = 3
SECONDS_BETWEEN_PROBES = 1.0
# Deletions that Redis has missed and is told when it is back.
MOST_MISSED_DELETIONS = 10_000


class RedisCache:
    """As `CacheStore`. Every failure counts against Redis and is answered from `fallback`.

    After `FAILURES_UNTIL_AWAY` failures in a row, or a deletion that failed, Redis is away: it is not asked, apart
    from a probe beside the requests that come in, until one succeeds. `budget` is in seconds, for connecting and
    answering together.
    """

    def __init__(
        self,
        url: str,
        *,
        fallback: CacheStore,
        monotonic: Callable[[], float] = time.monotonic,
        budget: float = BUDGET_SECONDS,
        admits: Admits = anywhere,
    ) -> None:
        self._redis = connect(url, admits=admits)
        self._fallback = fallback
        self._monotonic = monotonic
        self._commands = open_commands(self._redis, bound=partial(_timeout, budget))
        self._failures = 0
        self._refused_writes = 0
        self._newest_failure: Exception | None = None
        self._next_probe = 0.0
        self._probe: asyncio.Task[None] | None = None
        self._missed_deletions: dict[str, None] = {}

    @property
    def away(self) -> bool:
        """Whether this process's own cache serves: Redis fails, takes no writes, or still holds what was deleted."""
        worst = max(self._failures, self._refused_writes)
        return worst >= FAILURES_UNTIL_AWAY or bool(self._missed_deletions)

    @property
    def bytes_held(self) -> int:
        return self._fallback.bytes_held

    async def server_bytes(self) -> int | None:
        """As `CacheStore.server_bytes`; a user without the right to ask is told nothing."""
        try:
            async with asyncio.timeout(PROBE_SECONDS):
                return await used_memory(self._redis)
        except FAILURES:
            return None

    async def get(self, key: str) -> bytes | None:
        try:
            found = await self._ask(lambda: self._commands.execute("GET", PREFIX + key))
        except UnavailableError:
            return await self._fallback.get(key)
        return found if isinstance(found, bytes) else None

    async def set(self, key: str, value: bytes, *, ttl: int) -> None:
        if ttl <= 0:
            await self.delete(key)
            return
        try:
            await self._ask(lambda: self._commands.execute("SET", PREFIX + key, value, "EX", ttl), writes=True)
        except UnavailableError:
            await self._fallback.set(key, value, ttl=ttl)

    async def delete(self, key: str) -> None:
        await self._fallback.delete(key)
        try:
            await self._ask(lambda: self._commands.execute("DEL", PREFIX + key), writes=True)
        except UnavailableError:
            self._miss_deletion(key)

    async def get_many(self, keys: Sequence[str]) -> list[bytes | None]:
        try:
            return await self._ask(lambda: self._commands.get_many([PREFIX + key for key in keys]))
        except UnavailableError:
            return await self._fallback.get_many(keys)

    async def add(self, key: str, value: bytes, *, ttl: float) -> bool:
        try:
            added = await self._ask(
                lambda: self._commands.execute("SET", PREFIX + key, value, "PX", _milliseconds(ttl), "NX"), writes=True
            )
        except UnavailableError:
            return await self._fallback.add(key, value, ttl=ttl)
        return bool(added)

    async def extend(self, key: str, value: bytes, *, ttl: float) -> bool:
        try:
            return bool(await self._ask(lambda: self._run(EXTEND, key, value, _milliseconds(ttl))))
        except UnavailableError:
            return await self._fallback.extend(key, value, ttl=ttl)

    async def discard(self, key: str, value: bytes) -> None:
        await self._fallback.discard(key, value)
        with contextlib.suppress(UnavailableError):
            await self._ask(lambda: self._run(DISCARD, key, value))

    async def ping(self) -> None:
        """As `CacheStore.ping`: asks Redis itself, whatever the state, and whether it takes a write."""
        if not await self._answers():
            raise UnavailableError

    async def close(self) -> None:
        if self._probe is not None:
            self._probe.cancel()
            await asyncio.gather(self._probe, return_exceptions=True)
        await self._commands.close()
        await close(self._redis)
        await self._fallback.close()

    async def _run(self, script: Script, key: str, *arguments: bytes | int) -> object:
        result: object = await run_script(self._commands, script, keys=[PREFIX + key], arguments=arguments)
        return result

    async def _ask(self, command: Callable[[], Awaitable[Result]], *, writes: bool = False) -> Result:
        """Run a command within the budget; raises `UnavailableError` if Redis fails or is away."""
        if self.away:
            self._probe_when_due()
            raise UnavailableError
        try:
            result = await command()
        except FAILURES as error:
            self._count_failure(error, writes=writes)
            raise UnavailableError from None
        self._failures = 0
        if writes:
            self._refused_writes = 0
        return result

    def _count_failure(self, error: Exception, *, writes: bool) -> None:
        """A server that is full, or a replica, still answers reads, so that failed writes have a count of their own.

        Those that were under way together fail with one error, which counts once.
        """
        was_away = self.away
        self._failures += error is not self._newest_failure
        self._refused_writes += writes and error is not self._newest_failure
        self._newest_failure = error.with_traceback(None)
        if self.away and not was_away:
            log.warning("redis is away (%s): caching in this process", type(error).__name__)

    def _miss_deletion(self, key: str) -> None:
        """Note what Redis has to be told before it is asked again: what was deleted must not come back."""
        self._missed_deletions[key] = None
        while len(self._missed_deletions) > MOST_MISSED_DELETIONS:
            del self._missed_deletions[next(iter(self._missed_deletions))]

    def _probe_when_due(self) -> None:
        if self._monotonic() < self._next_probe or (self._probe is not None and not self._probe.done()):
            return
        self._next_probe = self._monotonic() + SECONDS_BETWEEN_PROBES
        self._probe = asyncio.get_running_loop().create_task(self._look())

    async def _look(self) -> None:
        """Come back to Redis if it answers and knows of every deletion that it missed."""
        missed = list(self._missed_deletions)
        if not await self._answers(forgetting=missed):
            return
        for key in missed:
            self._missed_deletions.pop(key, None)
        self._failures = self._refused_writes = 0
        if not self.away:
            log.info("redis is back")

    async def _answers(self, *, forgetting: list[str] | None = None) -> bool:
        try:
            async with asyncio.timeout(PROBE_SECONDS):
                await self._redis.set(f"{PREFIX}probe", b"", ex=1)
                if forgetting:
                    await self._redis.delete(*(PREFIX + key for key in forgetting))
        except FAILURES:
            return False
        return True


@asynccontextmanager
async def _timeout(seconds: float) -> AsyncIterator[None]:
    """As `asyncio.timeout`, but it takes a number of turns of the event loop, too, to run out.

    While this process is too busy to read what Redis has answered, its time does not count.
    """
    loop = asyncio.get_running_loop()
    timer: asyncio.TimerHandle
    async with asyncio.timeout(None) as limit:

        def tick(left: int) -> None:
            nonlocal timer
            if left:
                timer = loop.call_later(seconds / TURNS, tick, left - 1)
            else:
                limit.reschedule(loop.time())

        timer = loop.call_later(seconds / TURNS, tick, TURNS - 1)
        try:
            yield
        finally:
            timer.cancel()


def _milliseconds(seconds: float) -> int:
    return max(1, round(seconds * 1000))
