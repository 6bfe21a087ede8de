"""What every key store must do."""

from __future__ import annotations

import asyncio
import secrets
from dataclasses import replace
from datetime import timedelta

import pytest

from app.models import Budget, Caller, Label, Limits, Scope
from app.protocols import KeyStore
from app.record_wiring import Record
from app.records import Key
from tests.stores.records import SetClock


@pytest.fixture
def store(record: Record) -> KeyStore:
    return record.keys


def key(moment: SetClock) -> Key:
    id = secrets.token_hex(8)
    caller = Caller(
        tenant="acme",
        key_id=id,
        user="ada",
        clearance=Label.INTERNAL,
        label_floor=Label.INTERNAL,
        scopes=frozenset({Scope.CHAT, Scope.ADMIN}),
        models=frozenset({"openai/*"}),
        limits=Limits(requests_per_minute=3, tokens_per_minute=4, concurrent_streams=5),
        budget=Budget(day=0.5),
        semantic_cache=True,
    )
    return Key(id=id, name="search", digest=secrets.token_bytes(32), caller=caller, created_at=moment())


async def test_a_key_is_read_as_it_was_stored(store: KeyStore, moment: SetClock) -> None:
    whole = replace(
        key(moment),
        expires_at=moment() + timedelta(days=1),
        revoked_at=moment(),
        previous_digest=secrets.token_bytes(32),
        previous_until=moment(),
    )
    bare = replace(key(moment), caller=Caller(key_id="x"), id="x")
    stored = [await store.add(whole), await store.add(bare)]
    assert await store.since(0) == stored
    assert [replace(each, revision=0) for each in stored] == [whole, bare]


async def test_only_what_changed_after_a_revision_is_read_again(store: KeyStore, moment: SetClock) -> None:
    first, second = await store.add(key(moment)), await store.add(key(moment))
    assert first.revision < second.revision
    assert await store.since(second.revision) == []
    revoked = await store.replace(replace(first, revoked_at=moment()))
    assert await store.since(second.revision) == [revoked]


async def test_a_state_that_was_read_before_another_change_is_not_stored(store: KeyStore, moment: SetClock) -> None:
    stale = await store.add(key(moment))
    current = await store.replace(replace(stale, name="renamed"))
    assert await store.replace(replace(stale, name="lost")) is None
    assert await store.since(0) == [current]


async def test_a_key_that_is_not_there_is_not_replaced(store: KeyStore, moment: SetClock) -> None:
    assert await store.replace(key(moment)) is None


async def test_revisions_of_keys_that_are_made_at_once_differ(store: KeyStore, moment: SetClock) -> None:
    made = await asyncio.gather(*(store.add(key(moment)) for _ in range(8)))
    assert len({each.revision for each in made}) == len(made)
