"""What every usage store must do."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import date

import pytest

from app.protocols import UsageStore
from app.record_wiring import Record
from app.records import Account, BudgetAlert, Spent, UsageBatch, UsageCount, UsageKey, UsageQuery, UsageRow

FIRST, LAST = date(2026, 1, 1), date(2026, 1, 31)


@pytest.fixture
def store(record: Record) -> UsageStore:
    return record.usage


def key(day: int = 5, *, tenant: str = "acme", key_id: str = "k", user: str = "", model: str = "of/m") -> UsageKey:
    moment = date(2026, 1, day)
    return UsageKey(day=moment, tenant=tenant, key_id=key_id, user=user, model=model, label="public", price="")


def count(tokens: int, *, cost: int = 0) -> UsageCount:
    return UsageCount(prompt_tokens=tokens, completion_tokens=1, estimated_tokens=2, cost=cost, calls=1, requests=1)


async def total(store: UsageStore, **only: str) -> UsageCount:
    (row,) = await store.find(UsageQuery(first=FIRST, last=LAST, by=(), **only), limit=1)
    return row.count


async def test_batches_are_added_up_by_key(store: UsageStore) -> None:
    await store.add(UsageBatch("w", 1, {key(): count(1), key(model="of/n"): count(10)}))
    await store.add(UsageBatch("w", 2, {key(): count(100)}))
    both = UsageCount(prompt_tokens=101, completion_tokens=2, estimated_tokens=4, calls=2, requests=2)
    by_model = UsageQuery(first=FIRST, last=LAST, by=("model", "day"))
    assert await store.find(by_model, limit=10) == [
        UsageRow(("of/m", date(2026, 1, 5)), both),
        UsageRow(("of/n", date(2026, 1, 5)), count(10)),
    ]


async def test_a_batch_that_is_said_twice_counts_once(store: UsageStore) -> None:
    """Also when a later one came in between, and only for its own writer."""
    first = UsageBatch("w", 1, {key(): count(1)})
    for batch in (first, first, UsageBatch("w", 2, {key(): count(10)}), first, UsageBatch("v", 1, {key(): count(100)})):
        await store.add(batch)
    assert (await total(store)).prompt_tokens == 111


async def test_writers_at_once_lose_nothing(store: UsageStore) -> None:
    keys = [key(day) for day in range(1, 20)]
    batches = [UsageBatch(f"w{n}", 1, dict.fromkeys(keys if n % 2 else keys[::-1], count(1))) for n in range(8)]
    await asyncio.gather(*(store.add(batch) for batch in batches))
    assert (await total(store)).prompt_tokens == 8 * len(keys)


async def test_only_what_was_asked_for_is_added_up(store: UsageStore) -> None:
    counts = {
        key(): count(1),
        key(tenant="other"): count(10),
        key(key_id=""): count(100),
        key(key_id="", user="ada"): count(1000),
    }
    await store.add(UsageBatch("w", 1, counts))
    assert (await total(store, tenant="acme")).prompt_tokens == 1101
    assert (await total(store, tenant="acme", key_id="k")).prompt_tokens == 1
    assert (await total(store, key_id="", user="ada")).prompt_tokens == 1000
    assert await total(store, tenant="nobody") == UsageCount()
    before = UsageQuery(first=FIRST, last=date(2026, 1, 4), by=("day",))
    assert await store.find(before, limit=10) == []


async def test_pages_follow_each_other_in_order(store: UsageStore) -> None:
    await store.add(UsageBatch("w", 1, {key(day): count(day) for day in range(1, 8)}))
    query = UsageQuery(first=FIRST, last=LAST, by=("day",))
    pages = [await store.find(query, limit=3, offset=offset) for offset in (0, 3, 6)]
    assert [row.count.prompt_tokens for page in pages for row in page] == list(range(1, 8))


async def test_spending_is_that_of_the_day_and_of_its_month(store: UsageStore) -> None:
    counts = {key(4): count(1, cost=5), key(5): count(1, cost=70), key(6): count(1, cost=900)}
    await store.add(UsageBatch("w", 1, {**counts, key(5, key_id="j"): count(1, cost=10_000)}))
    accounts = [Account("acme", "k"), Account("acme"), Account("acme", "nobody")]
    spent = await store.read_spent(accounts, day=date(2026, 1, 5))
    assert spent == {Account("acme", "k"): Spent(70, 75), Account("acme"): Spent(10_070, 10_075)}
    assert await store.read_spent([Account("acme")], day=date(2026, 2, 1)) == {}


async def test_an_alert_is_for_one_of_all_that_ask_and_a_changed_budget_has_alerts_of_its_own(
    store: UsageStore,
) -> None:
    alert = BudgetAlert(account=Account("acme", "k"), period="day", begun=FIRST, percent=80, limit=100, spent=90)
    assert sorted(await asyncio.gather(*(store.claim_alert(alert) for _ in range(4)))) == [False, False, False, True]
    others = [
        replace(alert, account=Account("acme")),
        replace(alert, period="month"),
        replace(alert, begun=LAST),
        replace(alert, percent=100),
        replace(alert, limit=200),
    ]
    assert [await store.claim_alert(each) for each in (*others, *others)] == [True] * 5 + [False] * 5
