"""The ledger: what is booked reaches the store once, whatever becomes of the store meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import UTC, date, datetime

import pytest

from app.errors import DatabaseUnavailableError
from app.models import Caller, Charge, Price, Usage
from app.records import Account, BudgetAlert, Spent, UsageBatch, UsageCount, UsageQuery, UsageRow
from app.services.usage import Ledger

ADA = Caller(tenant="acme", key_id="k", user="ada")
MOMENT = datetime(2026, 1, 31, 23, 59, tzinfo=UTC)


class TornStore:
    """Adds batches by their number, and says `failures` times that it is away: after it has added them."""

    def __init__(self, *, failures: int = 0) -> None:
        self.batches: dict[int, UsageBatch] = {}
        self.failures = failures
        self.added = asyncio.Event()

    async def add(self, batch: UsageBatch) -> None:
        assert self.batches.setdefault(batch.number, batch) == batch
        self.added.set()
        if self.failures:
            self.failures -= 1
            raise DatabaseUnavailableError

    async def find(self, query: UsageQuery, *, limit: int, offset: int = 0) -> list[UsageRow]:
        raise NotImplementedError

    async def read_spent(self, accounts: Sequence[Account], *, day: date) -> Mapping[Account, Spent]:
        raise NotImplementedError

    async def claim_alert(self, alert: BudgetAlert) -> bool:
        raise NotImplementedError

    def counts(self) -> list[UsageCount]:
        return [count for batch in self.batches.values() for count in batch.counts.values()]


def ledger_over(store: TornStore) -> Ledger:
    return Ledger(store=store, clock=lambda: MOMENT, make_id=lambda: "w")


def charge(tokens: int, *, estimated: bool = False, dollars: float | None = None) -> Charge:
    usage = Usage(prompt_tokens=tokens, completion_tokens=1, estimated=estimated)
    return Charge(model="of/m", usage=usage, cost=dollars, price=Price(prompt=1e-6, completion=2e-6))


async def test_calls_of_one_kind_are_one_row() -> None:
    store = TornStore()
    ledger = ledger_over(store)
    ledger.book(charge(10, dollars=0.1), caller=ADA, label="public")
    ledger.book(charge(20, estimated=True, dollars=0.2), caller=ADA, label="public")
    await ledger.write()
    ((key, count),) = store.batches[1].counts.items()
    assert (key.day, key.tenant, key.key_id, key.user) == (MOMENT.date(), "acme", "k", "ada")
    assert (key.label, key.price) == ("public", "1e-06/2e-06")
    assert count == UsageCount(prompt_tokens=30, completion_tokens=2, estimated_tokens=21, cost=300_000_000, calls=2)


async def test_a_batch_that_failed_is_written_again_as_it_was() -> None:
    """What was booked meanwhile is in the next one."""
    store = TornStore(failures=1)
    ledger = ledger_over(store)
    ledger.book(charge(10), caller=ADA, label="public")
    with pytest.raises(DatabaseUnavailableError):
        await ledger.write()
    ledger.book(charge(20), caller=ADA, label="public")
    await ledger.write()
    assert [count.prompt_tokens for count in store.counts()] == [10, 20]


async def test_what_is_booked_is_written_without_being_asked_for_and_the_rest_at_the_end() -> None:
    store = TornStore(failures=1)
    ledger = ledger_over(store)
    writing = asyncio.create_task(ledger.keep_writing())
    ledger.book(charge(10), caller=ADA, label="public")
    async with asyncio.timeout(5):
        await store.added.wait()
    ledger.book(charge(20), caller=ADA, label="public")
    writing.cancel()
    with suppress(asyncio.CancelledError):
        await writing
    assert [count.prompt_tokens for count in store.counts()] == [10, 20]
