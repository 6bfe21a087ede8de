"""What every cache keeps to, over each of them, and what a cache in Redis does when Redis fails."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import AsyncIterator

import pytest

from app.errors import ConfigurationError, UnavailableError
from app.protocols import CacheStore
from app.stores.memory_cache import BYTES_OF_AN_ENTRY, MemoryCache
from app.stores.redis_cache import (
    BUDGET_SECONDS,
    FAILURES_UNTIL_AWAY,
    MOST_MISSED_DELETIONS,
    SECONDS_BETWEEN_PROBES,
    RedisCache,
)
from tests.support.ports import free_port
from tests.support.redis import RedisServer

ROOM = 1_000_000


class Ticks:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Ticks:
    return Ticks()


@pytest.fixture
def memory(clock: Ticks) -> MemoryCache:
    return MemoryCache(max_bytes=ROOM, monotonic=clock)


@pytest.fixture
async def redis(redis_server: RedisServer, memory: MemoryCache, clock: Ticks) -> AsyncIterator[RedisCache]:
    # A busy machine may keep a healthy server waiting longer than the budget of the service.
    cache = RedisCache(redis_server.url, fallback=memory, monotonic=clock, budget=1.0)
    yield cache
    await cache.close()


@pytest.fixture
async def hasty(redis_server: RedisServer, memory: MemoryCache, clock: Ticks) -> AsyncIterator[RedisCache]:
    """A cache with the budget of the service."""
    cache = RedisCache(redis_server.url, fallback=memory, monotonic=clock)
    yield cache
    await cache.close()


@pytest.fixture
async def orphan(memory: MemoryCache, clock: Ticks) -> AsyncIterator[RedisCache]:
    """A cache whose server was never there."""
    cache = RedisCache(f"redis://127.0.0.1:{free_port()}", fallback=memory, monotonic=clock)
    yield cache
    await cache.close()


@pytest.fixture(params=["memory", "redis", "orphan"])
def store(request: pytest.FixtureRequest) -> CacheStore:
    """Every cache that the service may run with, one of them without its server."""
    found: CacheStore = request.getfixturevalue(request.param)
    return found


# Every cache


async def test_what_was_set_is_found_to_the_byte(store: CacheStore) -> None:
    value = bytes(range(256)) * 40
    await store.set("key", value, ttl=60)
    assert await store.get("key") == value


async def test_what_was_never_set_is_not_found(store: CacheStore) -> None:
    assert await store.get("key") is None


async def test_setting_again_replaces(store: CacheStore) -> None:
    await store.set("key", b"old", ttl=60)
    await store.set("key", b"new", ttl=60)
    assert await store.get("key") == b"new"


async def test_what_was_deleted_is_gone_and_deleting_nothing_is_no_error(store: CacheStore) -> None:
    await store.set("key", b"value", ttl=60)
    await store.delete("key")
    await store.delete("key")
    assert await store.get("key") is None


@pytest.mark.parametrize("ttl", [0, -5])
async def test_a_value_without_time_to_live_is_not_kept_and_ends_the_one_before(store: CacheStore, ttl: int) -> None:
    await store.set("key", b"old", ttl=60)
    await store.set("key", b"new", ttl=ttl)
    assert await store.get("key") is None


async def test_several_are_found_with_one_question(store: CacheStore) -> None:
    await store.set("a", b"1", ttl=60)
    await store.set("c", b"", ttl=60)
    assert await store.get_many(["a", "b", "c"]) == [b"1", None, b""]


async def test_only_one_adds_what_is_not_there(store: CacheStore) -> None:
    added = await asyncio.gather(*(store.add("key", str(number).encode(), ttl=60) for number in range(10)))
    assert added.count(True) == 1
    assert await store.get("key") == str(added.index(True)).encode()


async def test_only_who_holds_a_key_extends_or_discards_it(store: CacheStore) -> None:
    await store.add("key", b"mine", ttl=60)
    assert not await store.extend("key", b"yours", ttl=60)
    await store.discard("key", b"yours")
    assert await store.extend("key", b"mine", ttl=60)
    await store.discard("key", b"mine")
    assert await store.get("key") is None
    assert not await store.extend("key", b"mine", ttl=60)


async def test_an_empty_value_is_a_value(store: CacheStore) -> None:
    await store.set("key", b"", ttl=60)
    assert await store.get("key") == b""


async def test_many_callers_at_once_each_get_their_own_value(store: CacheStore) -> None:
    async def round_trip(number: int) -> bool:
        await store.set(f"key {number}", str(number).encode(), ttl=60)
        return await store.get(f"key {number}") == str(number).encode()

    assert all(await asyncio.gather(*(round_trip(number) for number in range(50))))


# In this process


async def test_a_value_lives_as_long_as_was_said(memory: MemoryCache, clock: Ticks) -> None:
    await memory.set("key", b"value", ttl=10)
    clock.now += 9.9
    assert await memory.get("key") == b"value"
    clock.now += 0.1
    assert await memory.get("key") is None
    assert memory.bytes_held == 0


async def test_the_least_recently_used_goes_first_when_the_bytes_run_out(clock: Ticks) -> None:
    entry = len("a") + 100 + BYTES_OF_AN_ENTRY
    memory = MemoryCache(max_bytes=2 * entry, monotonic=clock)
    await memory.set("a", bytes(100), ttl=60)
    await memory.set("b", bytes(100), ttl=60)
    await memory.get("a")
    await memory.set("c", bytes(100), ttl=60)
    assert [await memory.get(key) is not None for key in "abc"] == [True, False, True]
    assert memory.bytes_held == 2 * entry


async def test_a_value_larger_than_the_cache_is_not_kept_and_drives_nothing_out(clock: Ticks) -> None:
    memory = MemoryCache(max_bytes=1000, monotonic=clock)
    await memory.set("small", b"value", ttl=60)
    await memory.set("large", bytes(1000), ttl=60)
    assert (await memory.get("small"), await memory.get("large")) == (b"value", None)


async def test_bytes_are_counted_over_any_run_of_sets_and_deletes(clock: Ticks) -> None:
    memory = MemoryCache(max_bytes=5000, monotonic=clock)
    for number in range(200):
        await memory.set(f"key {number % 17}", bytes(number * 7 % 900), ttl=1 + number % 3)
        clock.now += 0.25
        if number % 5 == 0:
            await memory.delete(f"key {number % 13}")
        assert 0 <= memory.bytes_held <= 5000
    for number in range(17):
        await memory.delete(f"key {number}")
    assert memory.bytes_held == 0


async def test_nothing_is_left_in_a_closed_cache(memory: MemoryCache) -> None:
    await memory.set("key", b"value", ttl=60)
    await memory.close()
    assert (await memory.get("key"), memory.bytes_held) == (None, 0)


# In Redis


def is_away(cache: RedisCache) -> bool:
    # A function, so that the type checker does not take one answer for good.
    return cache.away


async def fail_until_away(cache: RedisCache) -> None:
    for _ in range(FAILURES_UNTIL_AWAY):
        assert await cache.get("nothing") is None
    assert is_away(cache)


async def look_again(cache: RedisCache, clock: Ticks) -> None:
    """Let a request start a probe, and the probe end."""
    clock.now += SECONDS_BETWEEN_PROBES
    await cache.get("nothing")
    assert cache._probe is not None
    await cache._probe


PASSWORD = secrets.token_hex(8)


async def allow(admin: RedisCache, server: RedisServer, *, commands: list[str]) -> str:
    """Give a user these commands on our keys, beside those it has; the address to connect as that user."""
    await admin._redis.acl_setuser(
        "sluice", enabled=True, passwords=[f"+{PASSWORD}"], keys=["sluice:*"], commands=commands
    )
    return server.url.replace("redis://", f"redis://sluice:{PASSWORD}@")


async def test_entries_carry_the_prefix_and_their_time_to_live(redis: RedisCache, redis_server: RedisServer) -> None:
    await redis.set("key", b"value", ttl=60)
    assert b"sluice:cache:key" in await redis_server.contents()
    assert 0 < await redis_server.ask("TTL", "sluice:cache:key") <= 60


async def test_what_is_in_redis_is_not_in_this_process(redis: RedisCache, memory: MemoryCache) -> None:
    await redis.set("key", b"value", ttl=60)
    assert memory.bytes_held == 0


async def test_two_processes_share_what_is_in_redis(redis: RedisCache, hasty: RedisCache) -> None:
    await redis.set("key", b"value", ttl=60)
    assert await redis.get("key") == b"value"
    await redis.delete("key")
    assert await hasty.get("key") is None


async def test_while_redis_is_gone_this_process_caches_alone(
    redis: RedisCache, redis_server: RedisServer, memory: MemoryCache
) -> None:
    await redis.set("before", b"in redis", ttl=60)
    await redis_server.kill()
    await fail_until_away(redis)
    await redis.set("key", b"value", ttl=60)
    assert await redis.get("key") == b"value"
    assert await redis.get("before") is None
    assert memory.bytes_held > 0
    with pytest.raises(UnavailableError):
        await redis.ping()


async def test_a_redis_that_hangs_costs_three_budgets_and_then_nothing(
    hasty: RedisCache, redis_server: RedisServer
) -> None:
    await hasty.ping()
    redis_server.pause()
    try:
        loop = asyncio.get_running_loop()
        start = loop.time()
        await fail_until_away(hasty)
        assert loop.time() - start < 10 * FAILURES_UNTIL_AWAY * BUDGET_SECONDS
        start = loop.time()
        for number in range(100):
            await hasty.set(f"key {number}", b"value", ttl=60)
            assert await hasty.get(f"key {number}") == b"value"
        assert loop.time() - start < 10 * BUDGET_SECONDS
    finally:
        redis_server.resume()


async def test_when_redis_is_back_it_is_used_again(redis: RedisCache, redis_server: RedisServer, clock: Ticks) -> None:
    await redis_server.kill()
    await fail_until_away(redis)
    await look_again(redis, clock)
    assert is_away(redis)
    await redis_server.start()
    await look_again(redis, clock)
    assert not is_away(redis)
    await redis.set("key", b"value", ttl=60)
    assert b"sluice:cache:key" in await redis_server.contents()


async def test_while_redis_is_away_it_is_looked_for_once_a_second_at_most(
    redis: RedisCache, redis_server: RedisServer, clock: Ticks
) -> None:
    await redis_server.kill()
    await fail_until_away(redis)
    await look_again(redis, clock)
    probe = redis._probe
    for _ in range(20):
        await redis.get("key")
    assert redis._probe is probe


@pytest.mark.parametrize("trouble", ["full", "read-only"])
async def test_a_redis_that_takes_no_writes_is_away_until_it_does(
    redis: RedisCache, redis_server: RedisServer, clock: Ticks, trouble: str
) -> None:
    """It goes on answering reads meanwhile, which would be misses for ever."""
    if trouble == "full":
        await redis_server.ask("CONFIG", "SET", "maxmemory", 1)
    else:
        await redis_server.ask("REPLICAOF", "127.0.0.1", free_port())
    for _ in range(FAILURES_UNTIL_AWAY):
        await redis.set("key", b"value", ttl=60)
        await redis.get("key")
    assert is_away(redis)
    assert await redis.get("key") == b"value"
    await look_again(redis, clock)
    assert is_away(redis)
    await redis_server.ask("CONFIG", "SET", "maxmemory", 0)
    await redis_server.ask("REPLICAOF", "NO", "ONE")
    await look_again(redis, clock)
    assert not is_away(redis)


@pytest.mark.no_cover
async def test_a_stall_of_this_process_does_not_count_against_redis(hasty: RedisCache) -> None:
    async def stall() -> None:
        for _ in range(5):
            time.sleep(2 * BUDGET_SECONDS)  # noqa: ASYNC251  (that is the stall)
            await asyncio.sleep(0)

    await hasty.ping()
    await asyncio.gather(stall(), *(hasty.set(f"key {number}", b"value", ttl=60) for number in range(5)))
    assert hasty._failures == 0


async def test_what_redis_would_not_delete_does_not_come_back(
    redis: RedisCache, redis_server: RedisServer, memory: MemoryCache, clock: Ticks
) -> None:
    url = await allow(redis, redis_server, commands=["+get", "+set", "+ping"])
    cache = RedisCache(url, fallback=memory, monotonic=clock, budget=1.0)
    await cache.set("deleted", b"value", ttl=60)
    await cache.set("kept", b"value", ttl=60)
    await cache.delete("deleted")
    assert is_away(cache)
    assert await cache.get("deleted") is None
    await look_again(cache, clock)
    assert is_away(cache)
    await allow(redis, redis_server, commands=["+del"])
    await look_again(cache, clock)
    assert not is_away(cache)
    assert (await cache.get("deleted"), await cache.get("kept")) == (None, b"value")
    await cache.close()


async def test_missed_deletions_are_remembered_up_to_a_bound(orphan: RedisCache) -> None:
    for number in range(MOST_MISSED_DELETIONS + 5):
        await orphan.delete(str(number))
    assert len(orphan._missed_deletions) == MOST_MISSED_DELETIONS


async def test_one_failure_does_not_drive_the_cache_out_of_redis(redis: RedisCache, redis_server: RedisServer) -> None:
    await redis.ping()
    await redis_server.restart()
    await redis.set("key", b"value", ttl=60)
    assert not is_away(redis)
    await redis.set("key", b"value", ttl=60)
    assert await redis.get("key") == b"value"


async def test_a_wrong_password_is_an_unavailable_engine_and_no_error_to_requests(
    redis_server: RedisServer, memory: MemoryCache, clock: Ticks
) -> None:
    url = redis_server.url.replace("redis://", f"redis://nobody:{secrets.token_hex(8)}@")
    cache = RedisCache(url, fallback=memory, monotonic=clock, budget=1.0)
    await cache.set("key", b"value", ttl=60)
    assert await cache.get("key") == b"value"
    with pytest.raises(UnavailableError):
        await cache.ping()
    await cache.close()


async def test_an_acl_user_with_rights_to_our_keys_only_is_enough(
    redis_server: RedisServer, redis: RedisCache, memory: MemoryCache, clock: Ticks
) -> None:
    url = await allow(redis, redis_server, commands=["+get", "+set", "+del", "+ping"])
    cache = RedisCache(url, fallback=memory, monotonic=clock, budget=1.0)
    await cache.ping()
    await cache.set("key", b"value", ttl=60)
    assert await cache.get("key") == b"value"
    await cache.delete("key")
    assert memory.bytes_held == 0
    assert not is_away(cache)
    await cache.close()


def test_an_address_that_is_not_one_of_redis_stops_the_start_without_being_quoted(
    memory: MemoryCache, clock: Ticks
) -> None:
    password = secrets.token_hex(8)
    with pytest.raises(ConfigurationError) as caught:
        RedisCache(f"http://user:{password}@127.0.0.1", fallback=memory, monotonic=clock)
    assert password not in str(caught.value)
