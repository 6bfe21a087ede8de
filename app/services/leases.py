"""One call among several workers: who holds the lease makes it, the others wait for the answer it leaves."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import aclosing, asynccontextmanager, nullcontext

from app.models import Attempt, Label, Stop
from app.protocols import CacheStore
from app.services.cache import AnswerCache, Slot
from app.services.cache_entries import CachedAnswer
from app.services.flights import PASSED_ON, Item, Source

# A worker that was killed holds up the others for as long as this at most.
LEASE_SECONDS = 3.0
# How often a worker that waits looks for the answer.
LOOK_EVERY = 0.05


class LeasedCalls:
    """Calls to models under leases in a store that workers share. `make_id` names this worker as a holder.

    In a store that is this worker's alone there is nobody to hold a lease against.
    """

    def __init__(
        self,
        *,
        store: CacheStore,
        cache: AnswerCache,
        make_id: Callable[[], str],
        is_shared: bool = True,
        lease_seconds: float = LEASE_SECONDS,
    ) -> None:
        self._is_shared = is_shared
        self._store = store
        self._cache = cache
        self._holder = make_id().encode()
        self._lease_seconds = lease_seconds

    async def run(self, key: str, slot: Slot, *, label: Label, call: Source) -> AsyncGenerator[Sequence[Item], None]:
        """The items of the call, or those of an answer that was kept since this request looked for one.

        `label` is the request's: an answer that drew on more than the request did is above it, and not for it.
        """
        held = False
        while not held:
            held = not self._is_shared or await self._store.add(_place(key), self._holder, ttl=self._lease_seconds)
            # Looked for after the lease, so that nothing can be kept between the two.
            entry = await self._cache.find(slot)
            if entry is not None and entry.answer.label <= label:
                yield _items(entry.answer)
                return
            if not held:
                await asyncio.sleep(LOOK_EVERY)
        async with self._held(key) if self._is_shared else nullcontext(), aclosing(call()) as batches:
            async for items in batches:
                yield items

    async def release(self, key: str) -> None:
        """Whoever waits may go on: the answer is kept, or will not be."""
        if self._is_shared:
            await self._store.discard(_place(key), self._holder)

    @asynccontextmanager
    async def _held(self, key: str) -> AsyncIterator[None]:
        """Hold on to the lease; it is given back if the call fails, and otherwise runs on until `release`."""
        renewing: list[asyncio.Task[None]] = []
        # Most calls are over before the lease has to be renewed, and then cost no task.
        timer = asyncio.get_running_loop().call_later(
            self._lease_seconds / 3, lambda: renewing.append(asyncio.create_task(self._renew(key)))
        )
        try:
            yield
        except BaseException:
            await asyncio.shield(self._store.discard(_place(key), self._holder))
            raise
        finally:
            timer.cancel()
            for task in renewing:
                task.cancel()

    async def _renew(self, key: str) -> None:
        held = True
        while held:
            held = await self._store.extend(_place(key), self._holder, ttl=self._lease_seconds)
            await asyncio.sleep(self._lease_seconds / 3)


def _place(key: str) -> str:
    return f"lease:{key}"


def _items(answer: CachedAnswer) -> list[Item]:
    """A kept answer as the items of the call that it is from."""
    stops = [Stop(reason=reason, index=index) for index, reason in enumerate(answer.finish_reasons)]
    return [Attempt(model=answer.model, outcome=PASSED_ON), *answer.deltas, answer.usage, *stops]
