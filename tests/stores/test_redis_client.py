"""By which URLs Redis is reached: with TLS, as a user, by sentinels, as a cluster; each by all that use it."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from app.errors import ConfigurationError
from app.protocols import Demand, Lease
from app.stores.memory_cache import MemoryCache
from app.stores.memory_windows import MemoryWindows
from app.stores.redis_bell import RedisBell
from app.stores.redis_cache import RedisCache
from app.stores.redis_client import Admits, anywhere, connect
from app.stores.redis_windows import RedisWindows
from tests.support.certificates import Authority
from tests.support.ports import HOST
from tests.support.redis import EXECUTABLE, RedisServer
from tests.support.redis_topologies import cluster, until, watched_redis

pytestmark = pytest.mark.skipif(EXECUTABLE is None, reason="redis-server is not installed")

# What the README tells operators to give a user.
RULES = "-@all +@read +@write +@scripting +@pubsub +@connection +time +cluster|slots +command -@dangerous +info"
DEMANDS = tuple(Demand(group="tenant", name=name, limit=2, cost=1) for name in ("key:a:requests", "user:b:requests"))
LEASE = Lease(group="tenant", name="key:a:streams", limit=1, id="x")
PATIENCE = 10.0


def nowhere(address: str) -> bool:
    """Admits no address."""
    del address
    return False


@dataclass(frozen=True, slots=True)
class Users:
    """Everything that speaks to Redis, with budgets for a busy machine."""

    cache: RedisCache
    windows: RedisWindows
    bell: RedisBell


@asynccontextmanager
async def users_of(url: str, *, admits: Admits = anywhere) -> AsyncIterator[Users]:
    async with AsyncExitStack() as stack:
        memory = MemoryCache(max_bytes=1_000_000, monotonic=time.monotonic)
        here = MemoryWindows(monotonic=time.monotonic)
        users = Users(
            RedisCache(url, fallback=memory, budget=2.0, admits=admits),
            RedisWindows(url, fallback=here, budget=2.0, admits=admits),
            RedisBell(url, admits=admits),
        )
        for user in (users.cache, users.windows, users.bell):
            stack.push_async_callback(user.close)
        yield users


async def check_all(url: str) -> None:
    """The cache and its leases, the windows with several keys in a step, and the bell, all in Redis itself."""
    async with users_of(url) as users:
        await check_cache(users.cache)
        await check_windows(users.windows)
        await check_bell(users.bell)


async def check_cache(cache: RedisCache) -> None:
    await cache.ping()
    for number in range(8):  # enough to lie on every node of a cluster
        await cache.set(f"k{number}", b"%d" % number, ttl=60)
    assert await cache.get_many(["k0", "k1", "k2", "k3", "none"]) == [b"0", b"1", b"2", b"3", None]
    assert await cache.add("lease", b"me", ttl=5)
    assert not await cache.add("lease", b"you", ttl=5)
    assert await cache.extend("lease", b"me", ttl=5)
    await cache.discard("lease", b"me")
    assert (await cache.server_bytes() or 0) > 100_000
    await cache.delete("k0")
    assert await cache.get_many(["lease", "k0", "k7"]) == [None, None, b"7"]
    assert not cache.away


async def check_windows(windows: RedisWindows) -> None:
    taken = [await windows.take(DEMANDS, lease=LEASE) for _ in range(2)]
    assert [(each.admitted, each.leased, each.here) for each in taken] == [(True, True, False), (True, False, False)]
    windows.settle(DEMANDS[0], taking=taken[0], cost=2)
    windows.release(LEASE, taking=taken[0])
    await windows.renew()
    await windows.flushed()
    third = await windows.take(DEMANDS)
    assert (third.admitted, [level.used for level in third.levels]) == (False, [2, 1])
    assert not windows.is_away()


async def check_bell(bell: RedisBell) -> None:
    heard = asyncio.Event()
    listening = asyncio.create_task(bell.listen(heard.set))
    async with asyncio.timeout(PATIENCE):
        while not heard.is_set():
            bell.ring()
            await asyncio.sleep(0.02)
    listening.cancel()
    await asyncio.wait({listening})


async def test_a_server_that_asks_for_tls_and_for_the_clients_certificate(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    certificate, key = authority.issue("server")
    own, own_key = authority.issue("client")
    options = {
        "tls-cert-file": str(certificate), "tls-key-file": str(key), "tls-ca-cert-file": str(authority.certificate),
    }  # fmt: skip
    server = RedisServer(tmp_path, options={**options, "port": "0"})
    server.add_option("tls-port", str(server.port))
    async with server:
        url = f"rediss://{HOST}:{server.port}/0"
        trusting = f"{url}?ssl_ca_certs={authority.certificate}"
        await check_all(f"{trusting}&ssl_certfile={own}&ssl_keyfile={own_key}")
        for missing in (url, trusting, f"redis://{HOST}:{server.port}/0"):
            async with users_of(missing) as users:
                await users.cache.get("k7")
                assert users.cache._failures == 1


async def test_a_server_whose_certificate_another_authority_signed_is_not_spoken_to(tmp_path: Path) -> None:
    """A certificate for another name would do as little: both are checked unless the URL says otherwise."""
    authority, other = Authority(tmp_path), Authority(tmp_path, name="other")
    certificate, key = authority.issue("server")
    options = {"tls-cert-file": str(certificate), "tls-key-file": str(key), "tls-auth-clients": "no", "port": "0"}
    server = RedisServer(tmp_path, options=options)
    server.add_option("tls-port", str(server.port))
    async with server, users_of(f"rediss://{HOST}:{server.port}?ssl_ca_certs={other.certificate}") as users:
        await users.cache.get("k")
        assert users.cache._failures == 1


async def test_a_user_with_no_more_rights_than_the_readme_says(redis_server: RedisServer) -> None:
    password = secrets.token_urlsafe(12)
    rules = ("reset", "on", f">{password}", "~sluice:*", "&sluice:*", *RULES.split())
    await redis_server.ask("ACL", "SETUSER", "sluice", *rules)
    await check_all(redis_server.url.replace("redis://", f"redis://sluice:{password}@"))


async def test_a_server_that_sentinels_name(tmp_path: Path) -> None:
    async with watched_redis(tmp_path, count=1) as watched:
        await check_all(watched.url)
        assert b"sluice:cache:k7" in await watched.master.contents()


async def test_a_cluster_keeps_what_is_counted_together_on_one_of_its_nodes(tmp_path: Path) -> None:
    async with cluster(tmp_path) as nodes:
        await check_all(nodes.url)
        contents = await nodes.contents()
        assert all(b"sluice:cache:" in each for each in contents)
        assert sum(b"sluice:limit:" in each for each in contents) == 1


async def test_nobody_is_spoken_to_at_an_address_that_is_not_ours(redis_server: RedisServer) -> None:
    async with users_of(redis_server.url, admits=nowhere) as users:
        assert not await users.cache._answers()
        assert (await users.windows.take(DEMANDS)).here


async def test_a_server_that_sentinels_name_is_not_spoken_to_at_an_address_that_is_not_ours(tmp_path: Path) -> None:
    async with watched_redis(tmp_path, count=1) as watched, users_of(watched.url, admits=nowhere) as users:
        assert not await users.cache._answers()


@pytest.mark.parametrize(
    ("url", "word"),
    [
        ("http://localhost", "must be"),
        ("redis+sentinel://localhost:26379", "SERVICE"),
        ("redis+sentinel://:26379/answers", "must be"),
        ("redis+elsewhere://localhost", "must be"),
        ("redis+cluster://localhost/3", "must be"),
        ("redis://localhost:port", "must be"),
        ("redis://localhost?ssl_cert_reqs=none", "rediss"),
        ("rediss://localhost?ssl_ca_certs=/nowhere/ca.pem", "ssl_ca_certs"),
        ("redis://localhost?sentinel_password=x", "sentinel_password"),
        ("redis://localhost?socket_timeout=60", "socket_timeout"),
    ],
)
def test_a_url_that_cannot_work_stops_the_start_and_says_what_is_wrong(url: str, word: str) -> None:
    with pytest.raises(ConfigurationError, match=word):
        connect(url)


def test_a_url_is_not_repeated_where_it_is_refused() -> None:
    """It may hold a password."""
    password = secrets.token_urlsafe(12)
    with pytest.raises(ConfigurationError) as refused:
        connect(f"redis+sentinel://user:{password}@localhost")
    assert password not in str(refused.value)


@pytest.mark.slow
@pytest.mark.parametrize("trouble", ["kill", "pause"])
async def test_all_go_on_with_the_replica_when_sentinels_fail_over(tmp_path: Path, trouble: str) -> None:
    async with watched_redis(tmp_path) as watched, users_of(watched.url) as users:
        await check_cache(users.cache)
        if trouble == "kill":
            await watched.master.kill()
        else:
            watched.master.pause()
        await watched.wait_failover()

        async def counts_there() -> bool:
            return not (await users.windows.take(DEMANDS)).here

        await until(users.cache._answers)
        await until(counts_there)
        assert b"sluice:limit:" in await watched.replica.contents()
        if trouble == "pause":
            watched.master.resume()
