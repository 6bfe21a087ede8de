"""Echoes over a real store: what is remembered, for how long, by whom, and what it costs."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from app.models import Finding, Label, Message
from app.protocols import Echo
from app.services.detectors import Field
from app.services.echoes import ANSWERS_KEPT, STOCK_PHRASES, Echoes, exchange
from app.services.mirror import Mirror
from app.stores.sql.echoes import SqlEchoStore
from app.stores.sql.engine import Database

SAID = "The board decided to sell the northern plant before the end of December."
SECRET = b"a secret of a test"


class SetClock:
    def __init__(self) -> None:
        self.now = datetime(2026, 1, 1, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def moment() -> SetClock:
    return SetClock()


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    opened = await Database.open(f"sqlite+aiosqlite:///{tmp_path / 'sluice.db'}")
    yield opened
    await opened.close()


def echoes_of(database: Database, moment: SetClock, *, shared: bool = False) -> Echoes:
    return Echoes(store=SqlEchoStore(database), secret=SECRET, clock=moment, shared=shared)


async def keep(echoes: Echoes, text: str, *, label: Label = Label.CONFIDENTIAL, question: str = "Why?") -> None:
    await echoes.keep_answer([Message.of("assistant", text)], question=question, label=label, tenant="acme")


async def label_of(echoes: Echoes, text: str, *, tenant: str = "acme", question: str | None = None) -> Label:
    exchanges = () if question is None else (Field("messages[1].content", exchange(question, text)),)
    found = await echoes.find((Field("messages[0].content", text),), tenant=tenant, exchanges=exchanges)
    return max((finding.label for finding in found), default=Label.PUBLIC)


async def test_an_answer_is_known_by_its_tenant_only(database: Database, moment: SetClock) -> None:
    echoes = echoes_of(database, moment)
    await keep(echoes, SAID)
    assert await label_of(echoes, SAID) is Label.CONFIDENTIAL
    assert await label_of(echoes, SAID, tenant="other") is Label.PUBLIC


async def test_the_highest_label_of_what_is_repeated_counts(database: Database, moment: SetClock) -> None:
    echoes = echoes_of(database, moment)
    await keep(echoes, SAID, label=Label.CONFIDENTIAL)
    await keep(echoes, SAID, label=Label.INTERNAL)
    found = await echoes.find((Field("stop[0]", SAID),), tenant="acme")
    assert found == (Finding(detector="repeated_answer", label=Label.CONFIDENTIAL, where="stop[0]", count=2),)


async def test_a_public_answer_is_not_kept(database: Database, moment: SetClock) -> None:
    echoes = echoes_of(database, moment)
    await keep(echoes, SAID, label=Label.PUBLIC)
    assert await label_of(echoes, SAID) is Label.PUBLIC
    assert await SqlEchoStore(database).since(0, limit=10) == []


async def test_an_answer_runs_out_and_is_erased(database: Database, moment: SetClock) -> None:
    echoes = echoes_of(database, moment)
    await keep(echoes, SAID)
    moment.now += ANSWERS_KEPT - timedelta(seconds=1)
    assert await label_of(echoes, SAID) is Label.CONFIDENTIAL
    moment.now += timedelta(seconds=1)
    assert await label_of(echoes, SAID) is Label.PUBLIC
    await keep(echoes, "The other plant will be sold to somebody in another country.")
    await echoes.forget_expired()
    assert len(await SqlEchoStore(database).since(0, limit=10)) == 1
    assert await label_of(echoes, "The other plant will be sold to somebody in another country.") is Label.CONFIDENTIAL


async def test_another_process_knows_it_at_once_when_the_database_is_shared(
    database: Database, moment: SetClock
) -> None:
    here, there = echoes_of(database, moment), echoes_of(database, moment, shared=True)
    await keep(here, SAID)
    assert await label_of(there, SAID) is Label.CONFIDENTIAL


async def test_a_process_that_starts_later_knows_it(database: Database, moment: SetClock) -> None:
    await keep(echoes_of(database, moment), SAID)
    later = echoes_of(database, moment)
    await later.catch_up()
    assert await label_of(later, SAID) is Label.CONFIDENTIAL


async def test_where_says_which_of_several_fields_repeats(database: Database, moment: SetClock) -> None:
    echoes = echoes_of(database, moment)
    await keep(echoes, SAID)
    fields = [Field(f"messages[{n}].content", f"Another matter, number {n}, is at hand here today.") for n in range(9)]
    fields[4] = Field("messages[4].content", f"He said: {SAID}")
    found = await echoes.find(fields, tenant="acme")
    assert [finding.where for finding in found] == ["messages[4].content"]


async def test_a_text_cut_over_two_fields_is_found_in_the_later_one(database: Database, moment: SetClock) -> None:
    echoes = echoes_of(database, moment)
    await keep(echoes, SAID)
    words = SAID.split()
    fields = (Field("messages[0].content", " ".join(words[:4])), Field("messages[1].content", " ".join(words[4:8])))
    assert [finding.where for finding in await echoes.find(fields, tenant="acme")] == ["messages[1].content"]


async def test_a_short_answer_is_known_after_its_question(database: Database, moment: SetClock) -> None:
    echoes = echoes_of(database, moment)
    await keep(echoes, "Yes.", question="Will Aurora be bought this year?")
    assert await label_of(echoes, "Yes.") is Label.PUBLIC
    assert await label_of(echoes, "Yes.", question="Will Aurora be bought this year?") is Label.CONFIDENTIAL
    assert await label_of(echoes, "Yes.", question="Is water wet?") is Label.PUBLIC


@pytest.mark.parametrize("phrases", STOCK_PHRASES)
async def test_stock_phrases_are_not_what_an_answer_is_known_by(
    database: Database, moment: SetClock, phrases: str
) -> None:
    echoes = echoes_of(database, moment)
    await keep(echoes, phrases)
    assert await label_of(echoes, phrases) is Label.PUBLIC
    await keep(echoes, f"{phrases} {SAID} {phrases}")
    assert await label_of(echoes, phrases) is Label.PUBLIC
    assert await label_of(echoes, f"{phrases} {SAID} {phrases}") is Label.CONFIDENTIAL


async def test_long_texts_are_split_into_rows_and_found(database: Database, moment: SetClock) -> None:
    echoes = echoes_of(database, moment)
    text = " ".join(f"chapter{number} tells of person{number * 7}." for number in range(5_000))
    await keep(echoes, text)
    assert len(await SqlEchoStore(database).since(0, limit=10)) > 1
    assert await label_of(echoes, text[100_000:100_400]) is Label.CONFIDENTIAL
    assert await label_of(echoes, text) is Label.CONFIDENTIAL


async def test_the_mirror_finds_rows_before_while_and_after_it_sorts_them() -> None:
    mirror = Mirror(waiting=64)
    chance = np.random.default_rng(0)
    rows = [Echo(number, chance.integers(0, 2**63, 10, dtype=np.uint64)) for number in range(1, 60)]
    for row in rows:
        await mirror.add([row])
        assert all(mirror.rows_of(row.fingerprints).values())
    for row in rows:
        assert all(numbers == {row.number} for numbers in mirror.rows_of(row.fingerprints).values())
    assert mirror.newest_row == 59
    assert mirror.rows_of(chance.integers(0, 2**63, 100, dtype=np.uint64)) == {}


async def test_a_look_up_that_finds_nothing_asks_no_database_and_is_quick(moment: SetClock) -> None:
    class Nothing:
        async def since(self, number: int, *, limit: int) -> list[Echo]:
            chance = np.random.default_rng(number)
            return [Echo(1, chance.integers(0, 2**63, 300_000, dtype=np.uint64))] if number == 0 else []

    echoes = Echoes(store=Nothing(), secret=SECRET, clock=moment, shared=False)  # type: ignore[arg-type]  # not asked
    await echoes.catch_up()
    fields = (Field("messages[0].content", (f"{SAID} " * 14)[:1000]),)
    seconds = []
    for _ in range(20):
        began = time.thread_time()
        for _ in range(20):
            assert await echoes.find(fields, tenant="acme") == ()
        seconds.append((time.thread_time() - began) / 20)
        await asyncio.sleep(0)
    assert min(seconds) < 0.000_15
