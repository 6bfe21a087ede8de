"""The usage store over DynamoDB: one item for each key of the sums, added to by every process."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import asdict, fields
from datetime import date, timedelta
from typing import Final

from app.protocols import Clock
from app.records import Account, BudgetAlert, Spent, UsageBatch, UsageCount, UsageKey, UsageQuery, UsageRow
from app.stores.dynamo import codec
from app.stores.dynamo.codec import Item
from app.stores.dynamo.table import TRANSACTION_WRITES, LostError, Table, in_batches
from app.stores.dynamo.writes import Absent, AbsentOrBelow, Add, Key, Put

COUNTS: Final = tuple(field.name for field in fields(UsageCount))
TENANTS: Final = "usage-tenants"

# A process says a batch again for minutes, not for days.
WRITERS_KEPT: Final = timedelta(days=7)
# In one transaction, beside the number of the batch.
_ROWS_AT_ONCE: Final = TRANSACTION_WRITES - 1
# A batch is stored in pieces, which are numbered within it.
_MOST_PIECES: Final = 10_000


class DynamoUsageStore:
    """Sums as items, a tenant's in one partition in the order of the days; implements `UsageStore`.

    What `find` sorts and adds up, it reads: all rows of the days asked for.
    """

    def __init__(self, table: Table, *, clock: Clock) -> None:
        self._table = table
        self._clock = clock
        self._known_tenants: set[str] = set()

    async def add(self, batch: UsageBatch) -> None:
        await self._note_tenants({key.tenant for key in batch.counts})
        for piece, counts in enumerate(in_batches(batch.counts.items(), _ROWS_AT_ONCE)):
            number = batch.number * _MOST_PIECES + piece
            noted = Add(
                Key("usage-writer", codec.join(batch.writer)),
                {},
                {"number": number, "expires": codec.seconds(self._clock() + WRITERS_KEPT)},
                when=AbsentOrBelow("number", number),
            )
            try:
                await self._table.commit(noted, *(_add(key, count) for key, count in counts))
            except LostError:  # this piece was added before
                continue

    async def claim_alert(self, alert: BudgetAlert) -> bool:
        account = alert.account
        whose = codec.join("budget-alert", account.tenant, account.key_id or "")
        which = codec.join(alert.period, alert.begun.isoformat(), alert.percent, str(alert.limit))
        try:
            await self._table.commit(Put({"pk": whose, "sk": which}, Absent()))
        except LostError:  # somebody else gives it
            return False
        return True

    async def _note_tenants(self, tenants: set[str]) -> None:
        new = tenants - self._known_tenants
        await self._table.put_many({"pk": TENANTS, "sk": codec.join(tenant), "tenant": tenant} for tenant in new)
        self._known_tenants |= new

    async def find(self, query: UsageQuery, *, limit: int, offset: int = 0) -> list[UsageRow]:
        if query.tenant is not None:
            tenants = [query.tenant]
        else:
            tenants = [item["tenant"] async for item in self._table.query(TENANTS)]
        sums: dict[tuple[str | date, ...], list[int]] = defaultdict(lambda: [0] * len(COUNTS))
        if not query.by:
            sums[()]  # the sum of nothing is shown too
        for tenant in tenants:
            async for item in self._rows(tenant, first=query.first, last=query.last):
                if all(getattr(query, name) in (None, item[name]) for name in ("key_id", "user")):
                    _add_up(sums[tuple(_value(item, name) for name in query.by)], item)
        rows = [UsageRow(values, _count(counts)) for values, counts in sorted(sums.items())]
        return rows[offset : offset + limit] if query.by else rows

    async def read_spent(self, accounts: Sequence[Account], *, day: date) -> Mapping[Account, Spent]:
        tenants = {account.tenant for account in accounts}
        spent: dict[Account, Spent] = {}
        for found in await asyncio.gather(*(self._read_spent(tenant, day=day) for tenant in tenants)):
            spent |= found
        return {account: spent[account] for account in accounts if account in spent}

    async def _read_spent(self, tenant: str, *, day: date) -> dict[Account, Spent]:
        """What the tenant and each of its keys have spent."""
        today: dict[Account, int] = defaultdict(int)
        month: dict[Account, int] = defaultdict(int)
        async for item in self._rows(tenant, first=day.replace(day=1), last=day):
            for account in (Account(tenant), Account(tenant, item["key_id"])):
                month[account] += item["cost"]
                today[account] += item["cost"] if item["day"] == day.isoformat() else 0
        return {account: Spent(today[account], total) for account, total in month.items()}

    def _rows(self, tenant: str, *, first: date, last: date) -> AsyncIterator[Item]:
        return self._table.query(_partition(tenant), first=f"{first.isoformat()}#", last=f"{last.isoformat()}$")


def _partition(tenant: str) -> str:
    return codec.join("usage", tenant)


def _add(key: UsageKey, count: UsageCount) -> Add:
    facts = {**asdict(key), "day": key.day.isoformat()}
    place = codec.join(*(facts[name] for name in ("key_id", "user", "model", "label", "price")))
    return Add(Key(_partition(key.tenant), f"{facts['day']}#{place}"), asdict(count), facts)


def _value(item: Item, name: str) -> str | date:
    return date.fromisoformat(item[name]) if name == "day" else str(item[name])


def _count(sums: list[int]) -> UsageCount:
    return UsageCount(**dict(zip(COUNTS, sums, strict=True)))


def _add_up(sums: list[int], item: Item) -> None:
    for at, name in enumerate(COUNTS):
        sums[at] += item.get(name, 0)
