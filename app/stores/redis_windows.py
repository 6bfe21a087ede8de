"""Sliding windows in Redis, exact over all workers, and in this process while Redis is away.

A window is a hash of costs by the tick in which they were taken, with their sum under `t`, and a list of the ticks in
their order. A script reads and changes all windows of a request in one step and one round trip.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence

from app.protocols import Demand, Lease, Level, Taking
from app.stores.memory_windows import TICKS_A_SECOND, WINDOW_TICKS, MemoryWindows
from app.stores.redis_client import FAILURES, PROBE_SECONDS, Admits, anywhere, close, connect
from app.stores.redis_commands import Script, Word, open_commands, run_script
from app.utils.patience import Patience

log = logging.getLogger(__name__)

PREFIX = "sluice:limit:"
# Giving up too early lets a worker count alone, and more pass than the limit. A server that is gone refuses at once;
# one that hangs costs those few that are asking it this long, once.
BUDGET_SECONDS = 0.1
# What need not be exact to the moment goes to Redis together.
FLUSH_SECONDS = 0.05
MOST_PENDING = 10_000
LEASE_SECONDS = 30
RENEWAL_SECONDS = 10.0

# KEYS: for each demand its costs and its ticks, then the leases. ARGV: the time in seconds, or nothing for Redis' own;
# how many demands; limit and cost of each; limit, id and lifetime in ticks of the lease.
TAKE = Script(f"""
local window = {WINDOW_TICKS}
local now
if ARGV[1] == '' then
  local time = redis.call('TIME')
  now = time[1] * {TICKS_A_SECOND} + math.ceil(time[2] / {1_000_000 // TICKS_A_SECOND})
else
  now = math.ceil(tonumber(ARGV[1]) * {TICKS_A_SECOND})
end
local count = tonumber(ARGV[2])
local fits, leased = 1, 1
local used, wait = {{}}, {{}}
for i = 1, count do
  local costs, ticks = KEYS[2 * i - 1], KEYS[2 * i]
  local limit, cost = tonumber(ARGV[2 * i + 1]), tonumber(ARGV[2 * i + 2])
  used[i] = tonumber(redis.call('HGET', costs, 't') or 0)
  local oldest = redis.call('LINDEX', ticks, 0)
  while oldest and oldest + window <= now do
    used[i] = redis.call('HINCRBY', costs, 't', -(redis.call('HGET', costs, oldest) or 0))
    redis.call('HDEL', costs, oldest)
    redis.call('LPOP', ticks)
    oldest = redis.call('LINDEX', ticks, 0)
  end
  wait[i] = 0
  local excess = used[i] + cost - limit
  if excess > 0 then
    fits = 0
    local place, tick = 0, oldest
    while tick and excess > 0 and place < 200 do
      excess = excess - (redis.call('HGET', costs, tick) or 0)
      wait[i] = tick + window - now
      place = place + 1
      tick = redis.call('LINDEX', ticks, place)
    end
  end
end
local leases = KEYS[2 * count + 1]
if leases then
  redis.call('ZREMRANGEBYSCORE', leases, '-inf', now)
  if redis.call('ZCARD', leases) >= tonumber(ARGV[2 * count + 3]) then leased = 0 end
end
local answer = {{fits, leased, now}}
for i = 1, count do
  local costs, ticks = KEYS[2 * i - 1], KEYS[2 * i]
  local cost = tonumber(ARGV[2 * i + 2])
  if fits == 1 and leased == 1 then
    if redis.call('LINDEX', ticks, -1) ~= tostring(now) then redis.call('RPUSH', ticks, now) end
    redis.call('HINCRBY', costs, now, cost)
    used[i] = redis.call('HINCRBY', costs, 't', cost)
    redis.call('EXPIRE', costs, 61)
    redis.call('EXPIRE', ticks, 61)
  end
  local newest = redis.call('LINDEX', ticks, -1)
  answer[3 * i + 1] = used[i]
  answer[3 * i + 2] = newest and newest + window - now or 0
  answer[3 * i + 3] = wait[i]
end
if leases and fits == 1 and leased == 1 then
  redis.call('ZADD', leases, now + ARGV[2 * count + 5], ARGV[2 * count + 4])
  redis.call('EXPIRE', leases, {2 * LEASE_SECONDS})
end
return answer
""")

# KEYS: a window's costs. ARGV: the tick, the difference.
SETTLE = Script("""
if redis.call('HEXISTS', KEYS[1], ARGV[1]) == 1 then
  redis.call('HINCRBY', KEYS[1], ARGV[1], ARGV[2])
  redis.call('HINCRBY', KEYS[1], 't', ARGV[2])
end
""")

# KEYS: leases. ARGV: the time as above, the lifetime in ticks, ids.
RENEW = Script(f"""
local now = ARGV[1]
if now == '' then now = redis.call('TIME')[1] else now = math.ceil(tonumber(now)) end
for i = 3, #ARGV do redis.call('ZADD', KEYS[1], 'XX', now * {TICKS_A_SECOND} + ARGV[2], ARGV[i]) end
redis.call('EXPIRE', KEYS[1], {2 * LEASE_SECONDS})
""")


class RedisWindows:
    """As `WindowStore`. What Redis does not answer within the budget is counted in `fallback`, by this worker's share.

    `clock` is in seconds, for tests; without one Redis' own clock counts, which all workers share.
    """

    def __init__(
        self,
        url: str,
        *,
        fallback: MemoryWindows,
        monotonic: Callable[[], float] = time.monotonic,
        clock: Callable[[], float] | None = None,
        budget: float = BUDGET_SECONDS,
        admits: Admits = anywhere,
    ) -> None:
        self._redis = connect(url, admits=admits)
        self._fallback = fallback
        self._monotonic = monotonic
        self._clock = clock
        self._commands = open_commands(self._redis, bound=lambda: Patience(budget))
        self._away = False
        self._next_probe = 0.0
        self._probe: asyncio.Task[None] | None = None
        self._flush: asyncio.Task[None] | None = None
        self._releasing: asyncio.Task[None] | None = None
        self._settlements: list[tuple[str, int, int]] = []
        self._releases: list[Lease] = []
        self._held: dict[str, set[str]] = {}

    def is_away(self) -> bool:
        """Whether this process counts by itself: Redis fails."""
        return self._away

    async def take(self, demands: Sequence[Demand], *, lease: Lease | None = None) -> Taking:
        if self.is_away():
            self._probe_when_due()
            return await self._fallback.take(demands, lease=lease)
        if lease is not None and self._releasing is not None:
            await asyncio.wait({self._releasing})
        keys = [f"{_place(demand)}:{part}" for demand in demands for part in ("costs", "ticks")]
        arguments: list[Word] = [
            self._now(),
            len(demands),
            *(n for each in demands for n in (each.limit, each.cost)),
        ]
        if lease is not None:
            keys.append(f"{_place(lease)}:leases")
            arguments += [lease.limit, lease.id, LEASE_SECONDS * TICKS_A_SECOND]
        try:
            answer = await run_script(self._commands, TAKE, keys=keys, arguments=arguments)
        except FAILURES as error:
            self._leave(error)
            return await self._fallback.take(demands, lease=lease)
        taking = _read_taking(answer)
        if lease is not None and taking.admitted and taking.leased:
            self._held.setdefault(_place(lease), set()).add(lease.id)
        return taking

    def settle(self, demand: Demand, *, taking: Taking, cost: int) -> None:
        if taking.here:
            self._fallback.settle(demand, taking=taking, cost=cost)
        elif cost != demand.cost and len(self._settlements) < MOST_PENDING:
            self._settlements.append((_place(demand), taking.moment, cost - demand.cost))
            self._flush_soon()

    def release(self, lease: Lease, *, taking: Taking) -> None:
        if taking.here:
            self._fallback.release(lease, taking=taking)
            return
        self._held.get(_place(lease), set()).discard(lease.id)
        self._releases.append(lease)
        if self._releasing is None or self._releasing.done():
            self._releasing = asyncio.get_running_loop().create_task(self._release_all())

    async def keep(self) -> None:
        while True:
            await asyncio.sleep(RENEWAL_SECONDS)
            await self.renew()

    async def renew(self) -> None:
        """Let the leases that are held here last as long again."""
        self._held = {place: ids for place, ids in self._held.items() if ids}
        for place, ids in self._held.items():
            arguments: list[Word] = [self._now(), LEASE_SECONDS * TICKS_A_SECOND, *ids]
            try:
                await run_script(self._commands, RENEW, keys=[f"{place}:leases"], arguments=arguments)
            except FAILURES as error:
                self._leave(error)
                return

    async def flushed(self) -> None:
        """Wait until Redis knows what was settled and released so far."""
        for task in (self._flush, self._releasing):
            if task is not None:
                await asyncio.gather(task, return_exceptions=True)

    async def probed(self) -> None:
        """Wait until it is known whether Redis is back, if that is being looked into."""
        if self._probe is not None:
            await asyncio.gather(self._probe, return_exceptions=True)

    async def close(self) -> None:
        await self.flushed()
        await self.probed()
        await self._commands.close()
        await close(self._redis)

    def _now(self) -> str:
        return "" if self._clock is None else repr(self._clock())

    def _flush_soon(self) -> None:
        """One task for all that is settled in a while."""
        if self._flush is None or self._flush.done():
            self._flush = asyncio.get_running_loop().create_task(self._flush_later())

    async def _flush_later(self) -> None:
        await asyncio.sleep(FLUSH_SECONDS)
        settlements, self._settlements = self._settlements, []
        try:
            async with asyncio.timeout(PROBE_SECONDS):
                await asyncio.gather(
                    *(
                        run_script(self._commands, SETTLE, keys=[f"{place}:costs"], arguments=[tick, difference])
                        for place, tick, difference in settlements
                    )
                )
        except FAILURES as error:  # what was reserved then counts in the place of the truth, for a minute
            self._leave(error)

    async def _release_all(self) -> None:
        """At once: whoever has read the end of a stream may begin the next."""
        try:
            while self._releases:
                lease = self._releases.pop()
                async with asyncio.timeout(PROBE_SECONDS):
                    await self._redis.zrem(f"{_place(lease)}:leases", lease.id)
        except FAILURES as error:  # then the place runs out
            self._leave(error)

    def _leave(self, error: Exception) -> None:
        """Count here from now on, until a look finds that Redis is back."""
        if not self._away:
            self._away = True
            self._next_probe = self._monotonic() + PROBE_SECONDS
            log.warning("redis is away (%s): limits are counted in this process", type(error).__name__)

    def _probe_when_due(self) -> None:
        if self._monotonic() < self._next_probe or (self._probe is not None and not self._probe.done()):
            return
        self._next_probe = self._monotonic() + PROBE_SECONDS
        self._probe = asyncio.get_running_loop().create_task(self._look())

    async def _look(self) -> None:
        try:
            async with asyncio.timeout(PROBE_SECONDS):
                await self._redis.ping()
        except FAILURES:
            return
        self._away = False
        log.info("redis is back")


def _place(subject: Demand | Lease) -> str:
    """What the keys of a window or of leases begin with; a cluster keeps together what is the same in braces."""
    return f"{PREFIX}{{{subject.group}}}:{subject.name}"


def _read_taking(answer: Sequence[int]) -> Taking:
    admitted, leased, moment, *rest = answer
    levels = tuple(
        Level(used=rest[at], reset=rest[at + 1] / TICKS_A_SECOND, wait=rest[at + 2] / TICKS_A_SECOND)
        for at in range(0, len(rest), 3)
    )
    return Taking(admitted=bool(admitted), leased=bool(leased), levels=levels, moment=moment, here=False)
