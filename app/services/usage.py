"""What was used: gathered while requests are answered, written beside them, added up when somebody asks."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Protocol

from app.errors import SluiceError
from app.models import NO_DETAILS, Caller, Charge, Price, TokenDetails
from app.protocols import Clock, UsageStore
from app.records import Account, Spent, UsageBatch, UsageCount, UsageKey, UsageQuery, UsageRow
from app.services.pricing import describe_price

logger = logging.getLogger(__name__)

# What a worker that is killed may take with it.
WRITE_EVERY = 0.1
NANODOLLARS = 1_000_000_000


class OnSpent(Protocol):
    """Takes in what a call has cost, in billionths of a US dollar."""

    def __call__(self, cost: int, *, caller: Caller) -> None: ...


class Ledger:
    """Adds up calls in memory and writes the sums from a task of its own; `make_id` names this process as a writer.

    A batch that could not be written is written again, as it was and before any other, under its number: whether the
    first attempt reached the database or not, it is counted once.
    """

    def __init__(self, *, store: UsageStore, clock: Clock, make_id: Callable[[], str]) -> None:
        self._store = store
        self._clock = clock
        self._writer = make_id()
        self._number = 0
        self._gathered: dict[UsageKey, _Tally] = {}
        self._unwritten: UsageBatch | None = None
        self._turn = asyncio.Lock()
        self._is_failing = False
        # Told of each call that cost something, at once.
        self.on_spent: OnSpent | None = None

    def book(self, charge: Charge, *, caller: Caller, label: str) -> None:
        """Count a call that has ended."""
        tally = self._tally(caller, model=charge.model, label=label, price=charge.price)
        usage = charge.usage
        tally.calls += 1
        tally.prompt_tokens += usage.prompt_tokens
        tally.completion_tokens += usage.completion_tokens
        cost = nanodollars(charge.cost)
        tally.cost += cost
        if usage.estimated:
            tally.estimated_tokens += usage.total_tokens
        if usage.details != NO_DETAILS:
            tally.add(usage.details)
        if cost and self.on_spent is not None:
            self.on_spent(cost, caller=caller)

    def count_request(self, *, caller: Caller, model: str, label: str, cached: bool) -> None:
        """Count a request that was answered, with a call of its own or without."""
        tally = self._tally(caller, model=model, label=label, price=None)
        tally.requests += 1
        tally.cached += cached

    def _tally(self, caller: Caller, *, model: str, label: str, price: Price | None) -> _Tally:
        key = UsageKey(
            day=self._clock().date(),
            tenant=caller.tenant,
            key_id=caller.key_id or "",
            user=caller.user or "",
            model=model,
            label=label,
            price="" if price is None else describe_price(price),
        )
        tally = self._gathered.get(key)
        if tally is None:
            tally = self._gathered[key] = _Tally()
        return tally

    async def keep_writing(self) -> None:
        """Write for ever, and what is left when this is cancelled."""
        try:
            while True:
                await asyncio.sleep(WRITE_EVERY)
                await self._write_if_possible()
        finally:
            await self._write_if_possible()

    async def write(self) -> None:
        """Write all that was gathered so far; raises `DatabaseUnavailableError`, and keeps it, if that fails.

        What is gathered meanwhile waits for the next time: under load there is always more.
        """
        async with self._turn:
            await self._retry()
            if self._gathered:
                self._number += 1
                counts = {key: tally.count() for key, tally in self._gathered.items()}
                self._unwritten = UsageBatch(self._writer, self._number, counts)
                self._gathered = {}
                await self._retry()

    async def _retry(self) -> None:
        if self._unwritten is not None:
            await self._store.add(self._unwritten)
            self._unwritten = None

    async def _write_if_possible(self) -> None:
        try:
            await self.write()
            self._is_failing = False
        except SluiceError as error:
            if not self._is_failing:
                logger.warning("usage is not written and kept for later", extra={"outcome": error.code})
            self._is_failing = True

    async def find(self, query: UsageQuery, *, limit: int, offset: int = 0) -> list[UsageRow]:
        """The sums, with all that this process has gathered so far."""
        await self.write()
        return await self._store.find(query, limit=limit, offset=offset)

    async def read_spent(self, accounts: Sequence[Account], *, day: date) -> Mapping[Account, Spent]:
        """What was spent, with all that this process has gathered so far; raises `DatabaseUnavailableError`."""
        await self.write()
        return await self._store.read_spent(accounts, day=day)

    async def total(self, query: UsageQuery) -> UsageRow:
        """One sum of all that the query is about."""
        (row,) = await self._store.find(replace(query, by=()), limit=1)
        return row


@dataclass(slots=True)
class _Tally:
    """A count that grows."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    estimated_tokens: int = 0
    cached_tokens: int = 0
    cache_write_tokens: int = 0
    image_tokens: int = 0
    audio_tokens: int = 0
    reasoning_tokens: int = 0
    cost: int = 0
    calls: int = 0
    requests: int = 0
    cached: int = 0

    def add(self, details: TokenDetails) -> None:
        self.cached_tokens += details.cached
        self.cache_write_tokens += details.cache_write
        self.image_tokens += details.image
        self.audio_tokens += details.audio + details.spoken
        self.reasoning_tokens += details.reasoning

    def count(self) -> UsageCount:
        return UsageCount(**{name: getattr(self, name) for name in self.__slots__})


def nanodollars(dollars: float | None) -> int:
    """Billionths of a US dollar; a cost that nobody knows counts as none."""
    return 0 if dollars is None else round(dollars * NANODOLLARS)
