"""The usage store over SQL: one row for each key of the sums, added to by every process."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from datetime import date
from functools import cache
from operator import attrgetter
from typing import Any

from sqlalchemy import ColumnElement, Select, case, func, select
from sqlalchemy.dialects import postgresql
from sqlalchemy.dialects import sqlite as sqlite_dialect
from sqlalchemy.ext.asyncio import AsyncConnection

from app.records import Account, BudgetAlert, Spent, UsageBatch, UsageCount, UsageKey, UsageQuery, UsageRow
from app.stores.sql.engine import Database, in_batches
from app.stores.sql.usage_tables import budget_alerts, usage, usage_writers

COUNTS = tuple(field.name for field in fields(UsageCount))
KEY = tuple(field.name for field in fields(UsageKey))
COLUMNS = (*KEY, *COUNTS)
read_key, read_count = attrgetter(*KEY), attrgetter(*COUNTS)


class SqlUsageStore:
    """Sums as rows; implements `UsageStore`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, batch: UsageBatch) -> None:
        # In one order everywhere, so that processes that add to the same rows do not wait for each other in a circle.
        counts = sorted(batch.counts.items(), key=lambda item: tuple(map(str, read_key(item[0]))))
        rows = [dict(zip(COLUMNS, (*read_key(key), *read_count(count)), strict=True)) for key, count in counts]
        async with self._database.write() as connection:
            if await _is_new(connection, batch):
                await _add_up(connection, rows)

    async def find(self, query: UsageQuery, *, limit: int, offset: int = 0) -> list[UsageRow]:
        named = [usage.c[name] for name in query.by]
        sums = [func.coalesce(func.sum(usage.c[name]), 0).label(f"sum_{name}") for name in COUNTS]
        found = _within(select(*named, *sums), query=query)
        if named:
            found = found.group_by(*named).order_by(*named).limit(limit).offset(offset)
        async with self._database.read() as connection:
            rows = (await connection.execute(found)).all()
        split = len(named)
        return [UsageRow(tuple(row[:split]), _read_count(row[split:])) for row in rows]

    async def read_spent(self, accounts: Sequence[Account], *, day: date) -> Mapping[Account, Spent]:
        keys = [each.key_id for each in accounts if each.key_id is not None]
        tenants = [each.tenant for each in accounts if each.key_id is None]
        spent: dict[Account, Spent] = {}
        async with self._database.read() as connection:
            for batch in in_batches(keys):
                by_key = _spent(usage.c.tenant, usage.c.key_id, day=day).where(usage.c.key_id.in_(batch))
                for row in await connection.execute(by_key):
                    spent[Account(row[0], row[1])] = Spent(int(row[2]), int(row[3]))
            for batch in in_batches(tenants):
                by_tenant = _spent(usage.c.tenant, day=day).where(usage.c.tenant.in_(batch))
                for row in await connection.execute(by_tenant):
                    spent[Account(row[0])] = Spent(int(row[1]), int(row[2]))
        return spent

    async def claim_alert(self, alert: BudgetAlert) -> bool:
        claim = {
            "tenant": alert.account.tenant,
            "key_id": alert.account.key_id or "",
            "period": alert.period,
            "begun": alert.begun,
            "percent": alert.percent,
            "amount": alert.limit,
        }
        async with self._database.write() as connection:
            claimed = _dialect(connection).insert(budget_alerts).values(claim).on_conflict_do_nothing()
            return bool((await connection.execute(claimed)).rowcount)


def _read_count(sums: Sequence[Any]) -> UsageCount:
    """PostgreSQL's sums of whole numbers are decimals."""
    return UsageCount(**{name: int(value) for name, value in zip(COUNTS, sums, strict=True)})


def _within(found: Select[Any], *, query: UsageQuery) -> Select[Any]:
    found = found.where(usage.c.day >= query.first, usage.c.day <= query.last)
    for name in ("tenant", "key_id", "user"):
        value = getattr(query, name)
        if value is not None:
            found = found.where(usage.c[name] == value)
    return found


def _spent(*whose: ColumnElement[str], day: date) -> Select[Any]:
    today = case((usage.c.day == day, usage.c.cost), else_=0)
    sums: Sequence[ColumnElement[Any]] = (*whose, func.sum(today), func.sum(usage.c.cost))
    return select(*sums).where(usage.c.day >= day.replace(day=1), usage.c.day <= day).group_by(*whose)


async def _is_new(connection: AsyncConnection, batch: UsageBatch) -> bool:
    """Note the batch as its writer's last; false if it was noted before."""
    noted = {"writer": batch.writer, "number": batch.number}
    return bool((await connection.execute(_noting(_dialect(connection)), noted)).rowcount)


async def _add_up(connection: AsyncConnection, rows: Sequence[Mapping[str, Any]]) -> None:
    for batch in in_batches(rows):
        await connection.execute(_adding(_dialect(connection)), batch)


# Built once: that takes longer than the database takes to write, and usage is written ten times a second.


@cache
def _noting(dialect: Any) -> Any:
    insert = dialect.insert(usage_writers)
    return insert.on_conflict_do_update(
        index_elements=["writer"],
        set_={"number": insert.excluded.number},
        where=usage_writers.c.number < insert.excluded.number,
    )


@cache
def _adding(dialect: Any) -> Any:
    insert = dialect.insert(usage)
    added = {name: usage.c[name] + insert.excluded[name] for name in COUNTS}
    return insert.on_conflict_do_update(index_elements=KEY, set_=added)


def _dialect(connection: AsyncConnection) -> Any:
    """Each dialect has its own construct for one and the same SQL."""
    return postgresql if connection.dialect.name == "postgresql" else sqlite_dialect
