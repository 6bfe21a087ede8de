"""What the record of repeated requests keeps to."""

from __future__ import annotations

from app.record_wiring import Record
from tests.stores.records import SetClock


async def test_the_first_value_of_a_key_is_kept_until_it_runs_out(record: Record, moment: SetClock) -> None:
    store = record.replays
    await store.set("k", b"first", ttl=60)
    await store.set("k", b"second", ttl=60)
    assert await store.get("k") == b"first"
    assert await store.get("other") is None
    moment.advance(61)
    assert await store.get("k") is None
    await store.set("k", b"third", ttl=60)
    assert await store.get("k") == b"third"


async def test_machines_agree_on_the_secret_of_the_first(record: Record) -> None:
    assert await record.agree_on_secret(b"first") == b"first"
    assert await record.agree_on_secret(b"second") == b"first"
