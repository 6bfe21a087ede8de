"""Both engines rank by the same BM25: what is found by words does not depend on the database."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import uuid4

import pytest

from app.models import Label
from app.records import Chunk
from app.stores.sql.documents import SqlDocumentStore
from app.stores.sql.engine import Database
from app.utils.stemming import stem
from tests.stores.records import ALL, TENANT, SetClock, upload
from tests.support.postgres import PostgresServer

VOCABULARY = (
    *("rabbit", "rabbits", "running", "runs", "hill", "hills", "Café", "cafe", "naïve", "don't", "x-ray"),
    *("東京の天気", "天", "กรุงเทพมหานคร", "हिन्दी", "والكتاب", "3.14", "relational", "conditional", "hopping"),
    *(f"word{number}" for number in range(40)),
)
QUERIES = (
    *("rabbit", "rabbits run hills", "cafe naive", "天気", "天", "กรุงเทพ", "हिन्दी", "كتاب", "the"),
    "relate hop word3 word7",
)
DOCUMENTS = 25


@pytest.fixture
async def stores(tmp_path: Path, postgres: PostgresServer, moment: SetClock) -> AsyncIterator[list[SqlDocumentStore]]:
    """The same documents in the same order in SQLite and in PostgreSQL."""
    urls = [f"sqlite+aiosqlite:///{tmp_path / 'sluice.db'}", await postgres.empty_database()]
    databases = [await Database.open(url) for url in urls]
    opened = [SqlDocumentStore(each, clock=moment, new_id=lambda: uuid4().hex) for each in databases]
    for store in opened:
        await fill(store, moment)
    yield opened
    for database in databases:
        await database.close()


async def fill(store: SqlDocumentStore, moment: SetClock) -> None:
    chance = random.Random(0)
    for number in range(DOCUMENTS):
        text = " ".join(chance.choices(VOCABULARY, k=chance.randrange(5, 120)))
        [version] = await store.add([upload(f"d{number}", text.encode(), title=chance.choice(VOCABULARY))])
        job = await store.claim_job(now=moment(), lease_seconds=60)
        assert job is not None
        whole = [Chunk(ordinal=0, text=text, start=0, end=len(text), heading=(chance.choice(VOCABULARY),))]
        await store.save_chunks(version.id, text=text, title=None, label=Label.PUBLIC, warnings=[], chunks=whole)
        await store.publish(job, space=None)


async def ranked(store: SqlDocumentStore, query: str) -> list[tuple[str, float]]:
    """Document ids with their scores."""
    hits = await store.search_words(query, tenant=TENANT, collection="handbook", clearance=ALL, limit=1000)
    passages = await store.passages({hit.chunk_id: hit.score for hit in hits}, tenant=TENANT, clearance=ALL)
    return [(passage.document_id, passage.score) for passage in passages]


async def test_both_engines_give_the_same_scores(stores: list[SqlDocumentStore]) -> None:
    for query in QUERIES:
        sqlite, postgres = [await ranked(store, query) for store in stores]
        assert dict(postgres) == pytest.approx(dict(sqlite), rel=1e-3, abs=1e-4), query


@pytest.mark.parametrize(
    ("word", "stemmed"),
    [
        ("caresses", "caress"),
        ("ponies", "poni"),
        ("agreed", "agre"),
        ("plastered", "plaster"),
        ("hopping", "hop"),
        ("filing", "file"),
        ("happy", "happi"),
        ("relational", "relat"),
        ("formalize", "formal"),
        ("adjustment", "adjust"),
        ("adoption", "adopt"),
        ("controlling", "control"),
        ("cease", "ceas"),
        ("sky", "sky"),
        ("at", "at"),
    ],
)
def test_words_are_stemmed_as_porter_has_it(word: str, stemmed: str) -> None:
    """The examples are those of his paper."""
    assert stem(word) == stemmed
