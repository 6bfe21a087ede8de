"""A cache in Redis, and in this process while Redis is away."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from app.errors import ConfigurationError, UnavailableError
from app.protocols import CacheStore

Result = TypeVar("Result")

log = logging.getLogger(__name__)

PREFIX = "sluice:cache:"
# A cache that is slower than this is not worth waiting for.
BUDGET_SECONDS = 0.02
# A look whether Redis is back may take longer: nobody waits for it, and it may have to connect, with TLS.
PROBE_SECONDS = 1.0
# A stall of our own event loop looks like one of Redis; only failures in a row mean that it is away.
FAILURES_UNTIL_AWAY = 3
SECONDS_BETWEEN_PROBES = 1.0
MOST_CONNECTIONS = 32
# Deletions that Redis has missed and is told when it is back.
MOST_MISSED_DELETIONS = 10_000

# The client reports most trouble as its own errors; uvloop's closed transports raise RuntimeError through it.
FAILURES = (RedisError, OSError, RuntimeError)


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
    ) -> None:
        self._redis = connect(url)
        self._fallback = fallback
        self._monotonic = monotonic
        self._budget = budget
        self._slots = asyncio.Semaphore(MOST_CONNECTIONS)
        self._failures = 0
        self._next_probe = 0.0
        self._probe: asyncio.Task[None] | None = None
        self._missed_deletions: dict[str, None] = {}

    @property
    def away(self) -> bool:
        """Whether this process's own cache serves: Redis fails, or it still holds what was deleted."""
        return self._failures >= FAILURES_UNTIL_AWAY or bool(self._missed_deletions)

    async def get(self, key: str) -> bytes | None:
        try:
            found = await self._ask(lambda: self._redis.get(PREFIX + key))
        except UnavailableError:
            return await self._fallback.get(key)
        return found if isinstance(found, bytes) else None

    async def set(self, key: str, value: bytes, *, ttl: int) -> None:
        if ttl <= 0:
            await self.delete(key)
            return
        try:
            await self._ask(lambda: self._redis.set(PREFIX + key, value, ex=ttl))
        except UnavailableError:
            await self._fallback.set(key, value, ttl=ttl)

    async def delete(self, key: str) -> None:
        await self._fallback.delete(key)
        try:
            await self._ask(lambda: self._redis.delete(PREFIX + key))
        except UnavailableError:
            self._miss_deletion(key)

    async def ping(self) -> None:
        """As `CacheStore.ping`: asks Redis itself, whatever the state."""
        if not await self._answers():
            raise UnavailableError

    async def close(self) -> None:
        if self._probe is not None:
            self._probe.cancel()
            await asyncio.gather(self._probe, return_exceptions=True)
        await self._redis.aclose()
        await self._fallback.close()

    async def _ask(self, command: Callable[[], Awaitable[Result]]) -> Result:
        """Run a command within the budget; raises `UnavailableError` if Redis fails or is away."""
        if self.away:
            self._probe_when_due()
            raise UnavailableError
        try:
            async with asyncio.timeout(self._budget), self._slots:
                result = await command()
        except FAILURES as error:
            self._count_failure(error)
            raise UnavailableError from None
        self._failures = 0
        return result

    def _count_failure(self, error: Exception) -> None:
        self._failures += 1
        if self._failures == FAILURES_UNTIL_AWAY:
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
        self._failures = 0
        if not self.away:
            log.info("redis is back")

    async def _answers(self, *, forgetting: list[str] | None = None) -> bool:
        try:
            async with asyncio.timeout(PROBE_SECONDS):
                await self._redis.ping()
                if forgetting:
                    await self._redis.delete(*(PREFIX + key for key in forgetting))
        except FAILURES:
            return False
        return True


def connect(url: str) -> Redis:
    """A client that retries nothing: a second try would cost more than the cache saves."""
    try:
        return Redis.from_url(
            url,
            retry=Retry(NoBackoff(), 0),
            socket_timeout=PROBE_SECONDS,
            socket_connect_timeout=PROBE_SECONDS,
        )
    except ValueError:
        raise ConfigurationError("REDIS_URL must begin with redis://, rediss:// or unix://.") from None
