"""What the record of repeated requests keeps to."""

from __future__ import annotations

from app.stores.sql.engine import Database
from app.stores.sql.replays import SqlReplayStore
from app.stores.sql.secrets import shared_secret
from tests.stores.records import SetClock


async def test_the_first_value_of_a_key_is_kept_until_it_runs_out(database: Database, moment: SetClock) -> None:
    store = SqlReplayStore(database, clock=moment)
    await store.set("k", b"first", ttl=60)
    await store.set("k", b"second", ttl=60)
    assert await store.get("k") == b"first"
    assert await store.get("other") is None
    moment.advance(61)
    assert await store.get("k") is None
    await store.set("k", b"third", ttl=60)
    assert await store.get("k") == b"third"


async def test_machines_agree_on_the_secret_of_the_first(database: Database) -> None:
    assert await shared_secret(database, offered=b"first") == b"first"
    assert await shared_secret(database, offered=b"second") == b"first"
