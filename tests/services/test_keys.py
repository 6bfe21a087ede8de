"""Keys: what works, since when and until when, and what a check costs the store."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from app.errors import AuthenticationError, InvalidRequestError, NotFoundError
from app.models import Caller, Label
from app.records import Key
from app.services.keys import STALE_SECONDS, UNKNOWN_SECONDS, Keys
from app.stores.sql.engine import Database
from app.stores.sql.keys import SqlKeyStore
from tests.stores.records import SetClock

CALLER = Caller(tenant="acme", clearance=Label.INTERNAL)


class CountingStore:
    """The real store, which counts how often it is asked what has changed."""

    def __init__(self, database: Database) -> None:
        self._store = SqlKeyStore(database)
        self.asked = 0

    async def add(self, key: Key) -> Key:
        return await self._store.add(key)

    async def replace(self, key: Key) -> Key | None:
        return await self._store.replace(key)

    async def since(self, revision: int) -> list[Key]:
        self.asked += 1
        return await self._store.since(revision)


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[CountingStore]:
    database = await Database.open(f"sqlite+aiosqlite:///{tmp_path / 'sluice.db'}")
    yield CountingStore(database)
    await database.close()


@pytest.fixture
def clock() -> SetClock:
    return SetClock()


def process(store: CountingStore, clock: SetClock) -> Keys:
    """Keys as one of several processes over the store knows them."""
    return Keys(store=store, clock=clock, monotonic=lambda: clock().timestamp())


@pytest.fixture
def keys(store: CountingStore, clock: SetClock) -> Keys:
    return process(store, clock)


async def works(keys: Keys, text: str) -> bool:
    try:
        await keys.check(text)
    except AuthenticationError:
        return False
    return True


async def test_a_key_stands_for_the_caller_it_was_made_for(keys: Keys) -> None:
    made = await keys.create("search", caller=CALLER)
    caller = await keys.check(made.text)
    assert (caller.tenant, caller.clearance, caller.key_id) == ("acme", Label.INTERNAL, made.key.id)


async def test_what_is_stored_of_a_key_is_a_digest_of_256_random_bits(keys: Keys, store: CountingStore) -> None:
    made = await keys.create("search", caller=CALLER)
    _, _, secret = made.text.removeprefix("sk-sluice-").partition("-")
    [stored] = await store.since(0)
    assert len(secret) * 6 >= 256
    assert stored.digest == hashlib.sha256(secret.encode()).digest()
    assert secret not in repr(stored)


async def test_neither_the_id_nor_another_keys_secret_opens(keys: Keys) -> None:
    one, other = await keys.create("one", caller=CALLER), await keys.create("other", caller=CALLER)
    _, _, secret = other.text.removeprefix("sk-sluice-").partition("-")
    for text in (
        f"sk-sluice-{one.key.id}",
        f"sk-sluice-{one.key.id}-",
        f"sk-sluice-{one.key.id}-{secret}",
        "sk-sluice-",
    ):
        assert not await works(keys, text)


async def test_a_revoked_key_ends_here_at_once_and_elsewhere_within_a_second(
    keys: Keys, store: CountingStore, clock: SetClock
) -> None:
    elsewhere = process(store, clock)
    made = await keys.create("search", caller=CALLER)
    assert await works(elsewhere, made.text)
    assert await works(keys, made.text)
    await keys.revoke(made.key.id)
    assert not await works(keys, made.text)
    clock.advance(STALE_SECONDS)
    assert not await works(elsewhere, made.text)
    assert STALE_SECONDS < 1


async def test_an_expired_key_ends_without_anybody_looking_at_the_store(
    keys: Keys, store: CountingStore, clock: SetClock
) -> None:
    made = await keys.create("search", caller=CALLER, expires_at=clock() + timedelta(seconds=STALE_SECONDS / 2))
    assert await works(keys, made.text)
    asked = store.asked
    clock.advance(STALE_SECONDS / 2)
    assert not await works(keys, made.text)
    assert store.asked == asked


async def test_a_rotated_key_has_its_old_secret_until_the_overlap_ends(keys: Keys, clock: SetClock) -> None:
    made = await keys.create("search", caller=CALLER)
    rotated = await keys.rotate(made.key.id, overlap=timedelta(seconds=60))
    assert rotated.key.id == made.key.id
    assert await works(keys, made.text)
    assert await works(keys, rotated.text)
    clock.advance(60)
    assert not await works(keys, made.text)
    assert await works(keys, rotated.text)


async def test_a_rotation_without_overlap_ends_the_old_secret_at_once(keys: Keys) -> None:
    made = await keys.create("search", caller=CALLER)
    await keys.rotate(made.key.id)
    assert not await works(keys, made.text)


async def test_a_change_holds_elsewhere_within_a_second(keys: Keys, store: CountingStore, clock: SetClock) -> None:
    made = await keys.create("search", caller=CALLER)
    elsewhere = process(store, clock)
    await elsewhere.check(made.text)
    lower = replace(made.key.caller, clearance=Label.PUBLIC)
    await keys.change(made.key.id, lambda key: replace(key, caller=lower))
    clock.advance(STALE_SECONDS)
    assert (await elsewhere.check(made.text)).clearance is Label.PUBLIC


async def test_checks_ask_the_store_once_in_a_while_however_many_there_are(keys: Keys, store: CountingStore) -> None:
    """Unknown keys included: whoever guesses keys does not reach the database."""
    made = await keys.create("search", caller=CALLER)
    await asyncio.gather(*(works(keys, text) for text in [made.text, *(f"sk-sluice-{n}-x" for n in range(100))]))
    assert store.asked == 1


async def test_a_revoked_key_can_be_neither_rotated_nor_changed_nor_revoked_again(keys: Keys) -> None:
    made = await keys.create("search", caller=CALLER)
    await keys.revoke(made.key.id)
    for attempt in (keys.revoke(made.key.id), keys.rotate(made.key.id), keys.change(made.key.id, lambda key: key)):
        with pytest.raises(NotFoundError):
            await attempt


async def test_a_floor_above_the_clearance_is_refused(keys: Keys) -> None:
    with pytest.raises(InvalidRequestError):
        await keys.create("search", caller=Caller(clearance=Label.PUBLIC, label_floor=Label.INTERNAL))


async def test_a_new_key_works_at_once_here_and_within_a_twentieth_of_a_second_elsewhere(
    keys: Keys, store: CountingStore, clock: SetClock
) -> None:
    elsewhere = process(store, clock)
    assert not await works(keys, "sk-sluice-unknown-x")
    assert not await works(elsewhere, "sk-sluice-unknown-x")
    made = await keys.create("search", caller=CALLER)
    assert await works(keys, made.text)
    clock.advance(2 * UNKNOWN_SECONDS)
    assert await works(elsewhere, made.text)
