"""What every echo store keeps to: rows in their order, for as long as what they are of."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import numpy as np

from app.models import Label
from app.record_wiring import Record
from tests.stores.records import TENANT, SetClock, Worker, key, upload

ALL_ROWS = 1_000


async def keep(record: Record, *parts: int, version: str | None = None, label: Label = Label.INTERNAL) -> None:
    fingerprints = [np.array([part, 2**64 - 1], dtype=np.uint64) for part in parts]
    await record.echoes.add(fingerprints, label=label, tenant=TENANT, version=version, expires_at=None)


async def test_rows_come_back_as_they_were_and_in_their_order(record: Record) -> None:
    await keep(record, *range(40))
    await asyncio.gather(*(keep(record, 100 + number) for number in range(5)))
    rows = await record.echoes.since(0, limit=ALL_ROWS)
    assert [int(row.fingerprints[0]) for row in rows[:40]] == list(range(40))
    assert {int(row.fingerprints[0]) for row in rows[40:]} == set(range(100, 105))
    assert all(int(row.fingerprints[1]) == 2**64 - 1 for row in rows)
    numbers = [row.number for row in rows]
    assert numbers == sorted(set(numbers))
    assert await record.echoes.since(numbers[-1], limit=ALL_ROWS) == []
    assert [row.number for row in await record.echoes.since(numbers[9], limit=2)] == numbers[10:12]


async def test_a_row_stands_for_its_tenant_until_it_runs_out(record: Record, moment: SetClock) -> None:
    part = [np.array([1], dtype=np.uint64)]
    end = moment() + timedelta(seconds=60)
    await record.echoes.add(part, label=Label.CONFIDENTIAL, tenant=TENANT, version=None, expires_at=end)
    [row] = await record.echoes.since(0, limit=ALL_ROWS)
    standing = await record.echoes.standing([row.number, row.number + 1], tenant=TENANT, now=moment())
    assert [(each.label, each.is_document) for each in standing.values()] == [(Label.CONFIDENTIAL, False)]
    assert await record.echoes.standing([row.number], tenant="other", now=moment()) == {}
    assert await record.echoes.standing([row.number], tenant=TENANT, now=end) == {}
    assert await record.echoes.forget_expired(now=moment()) == 0
    assert await record.echoes.forget_expired(now=end) == 1
    assert await record.echoes.since(0, limit=ALL_ROWS) == []


async def test_a_row_of_a_version_has_its_label_and_goes_with_it(record: Record, worker: Worker) -> None:
    [version] = await worker.publish(upload("a"))
    await keep(record, 1, version=version.id)
    await keep(record, 2, version="0" * 32)
    [row] = await record.echoes.since(0, limit=ALL_ROWS)
    await record.documents.set_floor("handbook", tenant=TENANT, floor=Label.CONFIDENTIAL)
    standing = await record.echoes.standing([row.number], tenant=TENANT, now=worker.clock())
    assert (standing[row.number].label, standing[row.number].document) == (Label.CONFIDENTIAL, key("a"))
    await record.documents.remove(key("a"), clearance=Label.CONFIDENTIAL)
    await worker.work_off()
    assert await record.echoes.since(0, limit=ALL_ROWS) == []


async def test_rows_of_a_version_are_forgotten_on_their_own(record: Record, worker: Worker) -> None:
    [version] = await worker.publish(upload("a"))
    await keep(record, 1, 2, version=version.id)
    await keep(record, 3)
    await record.echoes.forget_version(version.id)
    assert [int(row.fingerprints[0]) for row in await record.echoes.since(0, limit=ALL_ROWS)] == [3]
