"""What every engine of sliding windows must do, in this process and in Redis."""

from __future__ import annotations

import asyncio
import random
import sys
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from app.protocols import Demand, Lease, Level, WindowStore
from app.stores.memory_windows import MemoryWindows
from app.stores.redis_windows import LEASE_SECONDS, RedisWindows
from tests.support.process import REPOSITORY
from tests.support.redis import EXECUTABLE, RedisServer


class Hands:
    """A clock in seconds that a test moves."""

    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Hands:
    return Hands()


@pytest.fixture(params=["memory", "redis"])
async def windows(request: pytest.FixtureRequest, clock: Hands, tmp_path: Path) -> AsyncIterator[WindowStore]:
    here = MemoryWindows(monotonic=clock)
    if request.param == "memory":
        yield here
        return
    if EXECUTABLE is None:
        pytest.skip("redis-server is not installed")
    async with RedisServer(tmp_path) as server:
        store = RedisWindows(server.url, fallback=here, clock=clock, budget=5)
        yield store
        assert not store.is_away()
        await store.close()


def demand(limit: int, cost: int = 1, *, name: str = "key:a:requests") -> Demand:
    return Demand(group="g", name=name, limit=limit, cost=cost)


async def admits(windows: WindowStore, *demands: Demand) -> bool:
    return (await windows.take(demands)).admitted


async def settled(windows: WindowStore) -> None:
    """Wait until what was settled is where it belongs."""
    if isinstance(windows, RedisWindows):
        await windows.flushed()


async def test_any_sixty_seconds_hold_at_most_the_limit(windows: WindowStore, clock: Hands) -> None:
    """Requests at random moments over ten minutes, at about twice the limit."""
    chance = random.Random(4)
    admitted: list[float] = []
    for _ in range(400):
        clock.now += chance.expovariate(1 / 1.5)
        if await admits(windows, demand(20)):
            admitted.append(clock.now)
    assert max(sum(start <= moment < start + 60 for moment in admitted) for start in admitted) == 20
    assert len(admitted) >= 20 * (admitted[-1] - admitted[0]) / 60 * 0.95


async def test_exactly_the_limit_passes_of_many_at_once(windows: WindowStore) -> None:
    outcomes = await asyncio.gather(*(admits(windows, demand(100)) for _ in range(300)))
    assert sum(outcomes) == 100


async def test_what_was_taken_is_back_after_sixty_seconds_and_not_before(windows: WindowStore, clock: Hands) -> None:
    assert await admits(windows, demand(1))
    clock.now += 59.9
    assert not await admits(windows, demand(1))
    clock.now += 0.1
    assert await admits(windows, demand(1))


async def test_a_refusal_costs_nothing_and_says_how_long_to_wait(windows: WindowStore, clock: Hands) -> None:
    await windows.take([demand(2)])
    clock.now += 20
    await windows.take([demand(2)])
    for _ in range(5):
        refused = await windows.take([demand(2)])
        assert not refused.admitted
        assert refused.levels[0].wait == pytest.approx(40)
    clock.now += refused.levels[0].wait
    assert await admits(windows, demand(2))


async def test_levels_say_what_is_used_and_when_all_of_it_is_back(windows: WindowStore, clock: Hands) -> None:
    await windows.take([demand(10, 3)])
    clock.now += 15
    [level] = (await windows.take([demand(10, 4)])).levels
    assert level == Level(used=7, reset=60.0, wait=0.0)


async def test_of_several_demands_all_are_met_or_none(windows: WindowStore) -> None:
    requests, tokens = demand(10, name="key:a:requests"), demand(100, 80, name="key:a:tokens")
    assert await admits(windows, requests, tokens)
    assert not await admits(windows, requests, tokens)
    [level] = (await windows.take([requests])).levels
    assert level.used == 2


async def test_names_do_not_count_against_each_other(windows: WindowStore) -> None:
    assert await admits(windows, demand(1, name="key:a:requests"))
    assert await admits(windows, demand(1, name="key:b:requests"))


async def test_settling_makes_a_demand_cost_what_it_did_cost(windows: WindowStore, clock: Hands) -> None:
    reserved = demand(100, 90)
    taking = await windows.take([reserved])
    assert not await admits(windows, demand(100, 20))
    windows.settle(reserved, taking=taking, cost=10)
    await settled(windows)
    assert await admits(windows, demand(100, 90))
    clock.now += 60
    assert (await windows.take([demand(100, 1)])).levels[0].used == 1


async def test_more_than_was_reserved_is_owed(windows: WindowStore) -> None:
    reserved = demand(100, 10)
    windows.settle(reserved, taking=await windows.take([reserved]), cost=150)
    await settled(windows)
    refused = await windows.take([demand(100, 1)])
    assert not refused.admitted
    assert refused.levels[0].wait == pytest.approx(60)


async def test_settling_after_the_window_changes_nothing(windows: WindowStore, clock: Hands) -> None:
    reserved = demand(100, 10)
    taking = await windows.take([reserved])
    clock.now += 61
    await windows.take([demand(100, 1)])
    windows.settle(reserved, taking=taking, cost=100)
    await settled(windows)
    assert (await windows.take([demand(100, 1)])).levels[0].used == 2


async def test_places_are_held_until_they_are_given_back(windows: WindowStore) -> None:
    leases = [Lease(group="g", name="key:a:streams", limit=2, id=str(number)) for number in range(3)]
    takings = [await windows.take([demand(10)], lease=lease) for lease in leases]
    assert [taking.leased for taking in takings] == [True, True, False]
    assert (await windows.take([demand(10)])).levels[0].used == 3  # the third request, refused, did not count
    windows.release(leases[0], taking=takings[0])
    assert (await windows.take([], lease=leases[2])).leased


async def test_a_place_that_only_the_limit_refused_is_not_taken(windows: WindowStore) -> None:
    await windows.take([demand(1)])
    lease = Lease(group="g", name="key:a:streams", limit=1, id="x")
    assert not (await windows.take([demand(1)], lease=lease)).admitted
    assert (await windows.take([], lease=lease)).leased


# In this process


async def test_memory_follows_those_who_ask_and_not_those_who_ever_asked(clock: Hands) -> None:
    windows = MemoryWindows(monotonic=clock)
    for number in range(1000):
        await windows.take([demand(1, name=str(number))])
    assert windows.size == 1000
    clock.now += 75
    await windows.take([demand(1)])
    assert windows.size == 1


async def test_each_of_several_workers_counts_its_share(clock: Hands) -> None:
    windows = MemoryWindows(monotonic=clock, workers=4)
    outcomes = [await admits(windows, demand(100)) for _ in range(100)]
    assert sum(outcomes) == 25


# In Redis


@pytest.fixture
def connect(redis_server: RedisServer, clock: Hands) -> Callable[..., RedisWindows]:
    def open_windows(**options: Any) -> RedisWindows:
        return RedisWindows(
            redis_server.url,
            fallback=MemoryWindows(monotonic=clock, workers=2),
            clock=clock,
            monotonic=clock,
            **options,
        )

    return open_windows


async def test_two_workers_share_one_limit(connect: Callable[..., RedisWindows]) -> None:
    one, other = connect(budget=5.0), connect(budget=5.0)
    outcomes = await asyncio.gather(*(admits(worker, demand(50)) for _ in range(50) for worker in (one, other)))
    assert sum(outcomes) == 50
    await asyncio.gather(one.close(), other.close())


async def test_places_of_a_worker_that_is_gone_are_free_again(
    connect: Callable[..., RedisWindows], clock: Hands
) -> None:
    """Those of one that lives are renewed."""
    alive, dead = connect(budget=5.0), connect(budget=5.0)
    for worker, name in ((alive, "a"), (dead, "d")):
        assert (await worker.take([], lease=Lease(group="g", name=name, limit=1, id="1"))).leased
    for _ in range(3):
        clock.now += LEASE_SECONDS / 2
        await alive.renew()
    assert not (await alive.take([], lease=Lease(group="g", name="a", limit=1, id="2"))).leased
    assert (await alive.take([], lease=Lease(group="g", name="d", limit=1, id="2"))).leased
    await asyncio.gather(alive.close(), dead.close())


async def test_what_redis_holds_of_a_window_is_bounded(
    connect: Callable[..., RedisWindows], redis_server: RedisServer, clock: Hands
) -> None:
    """However many requests there are, a window has at most a hundred ticks a second."""
    windows = connect(budget=5.0)
    for _ in range(300):
        await windows.take([demand(10_000)])
    assert len(await redis_server.contents()) < 1_000
    await windows.close()


@pytest.mark.parametrize("trouble", ["kill", "pause"])
async def test_without_redis_each_worker_goes_on_with_its_share(
    connect: Callable[..., RedisWindows], redis_server: RedisServer, clock: Hands, trouble: str
) -> None:
    """And comes back to it when it is there again."""
    windows = connect()
    await windows.take([demand(10)])
    if trouble == "kill":
        await redis_server.kill()
    else:
        redis_server.pause()
    assert sum([await admits(windows, demand(10)) for _ in range(10)]) == 5
    assert (await windows.take([demand(10)])).here
    if trouble == "kill":
        await redis_server.restart()
    else:
        redis_server.resume()
    clock.now += 100
    await windows.take([demand(10)])  # looks whether Redis is back, without waiting for it
    await windows.probed()
    assert not (await windows.take([demand(10)])).here
    await windows.close()


async def test_redis_clock_counts_where_none_is_given(redis_server: RedisServer) -> None:
    windows = RedisWindows(redis_server.url, fallback=MemoryWindows(monotonic=Hands()), budget=5)
    outcomes = [await admits(windows, demand(3)) for _ in range(5)]
    assert outcomes == [True] * 3 + [False] * 2
    assert not windows.is_away()
    await windows.close()


@pytest.mark.slow
async def test_of_a_thousand_attempts_from_four_processes_exactly_a_hundred_pass(redis_server: RedisServer) -> None:
    command = (sys.executable, "-m", "tests.stores.limit_worker", redis_server.url, "250", "100")
    workers = [
        await asyncio.create_subprocess_exec(*command, cwd=REPOSITORY, stdin=PIPE, stdout=PIPE) for _ in range(4)
    ]
    outputs = await asyncio.gather(*(worker.communicate(b"\n") for worker in workers))
    assert sum(int(output) for output, _ in outputs) == 100
