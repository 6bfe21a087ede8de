"""The lexical index in PostgreSQL: its text search vectors over our own words, ranked by BM25.

PostgreSQL's parser depends on the locale that the server was set up with, its `ts_rank` knows no rarity of words. So
the words are taken apart here as SQLite's tokenizer does, and BM25 is computed in SQL from what a vector tells:

- A vector holds each word with as many positions as it has half occurrences (two for one in the text, three for one in
  title or headings, which so weighs one and a half), 256 at most.
- `ts_rank` of a single word with n positions is the sum of 1/j^2 for j = 1..n, divided by pi^2/6
  (src/backend/utils/adt/tsrank.c, calc_rank_or), so that n = 6/pi^2 / (1 - rank) - 1/2, rounded.
- Robertson and Zaragoza, "The probabilistic relevance framework: BM25 and beyond" (2009), with the constants of FTS5.
  Its counts are those of the scope: no tenant's words tell on another's ranking.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy import ColumnElement, Integer, Row, Select, column, select, table, text
from sqlalchemy.ext.asyncio import AsyncConnection

from app.stores.sql.tables import documents, versions
from app.stores.sql.word_rows import CONTEXT_WEIGHT, ORDINAL_BITS, row_number, scope
from app.stores.uploads import context
from app.utils.terms import index_terms, is_short_run, stemmed_query_terms

MOST_POSITIONS: Final = 256
# PostgreSQL refuses longer ones; nobody asks for them.
LONGEST_TERM: Final = 500
BODY_POSITIONS: Final = 2
CONTEXT_POSITIONS: Final = round(BODY_POSITIONS * CONTEXT_WEIGHT)

words = table("words", column("number", Integer), column("scope"), column("length", Integer), column("terms"))

INSERT = text(
    "INSERT INTO words (number, scope, length, terms) "
    "VALUES (:number, :scope, :length, CAST(CAST(:terms AS text) AS tsvector))"
)
NUMBER: ColumnElement[int] = words.c.number
HELD: ColumnElement[int] = words.c.number

_RANKED: Final = text("""
    SELECT number, sum(rarity * tf * 2.2 / (tf + 1.2 * (0.25 + 0.75 * length / mean))) AS score
    FROM (
        SELECT number, length, tf, totals.mean,
            greatest(ln((totals.rows - count(*) OVER (PARTITION BY term) + 0.5)
                / (count(*) OVER (PARTITION BY term) + 0.5)), 1e-6) AS rarity
        FROM (
            SELECT words.number, words.length, asked.term,
                round(6 / pi() ^ 2 / (1 - least(ts_rank('{1,1,1,1}', words.terms, asked.term::tsquery), 0.998)) - 0.5)
                    / :positions AS tf
            FROM unnest(CAST(:terms AS text[])) AS asked (term)
            JOIN words ON words.terms @@ (asked.term || CAST(:suffix AS text))::tsquery
        ) AS held
        CROSS JOIN (
            SELECT count(*)::float8 AS rows, avg(length)::float8 AS mean FROM words WHERE scope = :scope
        ) AS totals
    ) AS weighed
    GROUP BY number
""").columns(column("number", Integer), column("score"))  # fmt: skip


def entries(found: Sequence[Row[Any]]) -> list[dict[str, Any]]:
    """The rows for chunks with their title, headings and scope; costs a moment of CPU for each."""
    return [_entry(row) for row in found]


def _entry(row: Row[Any]) -> dict[str, Any]:
    above, body = index_terms(context(row.title, row.heading)), index_terms(row.text)
    places: Counter[str] = Counter()
    for terms, positions in ((above, CONTEXT_POSITIONS), (body, BODY_POSITIONS)):
        for term in terms:
            places[term[:LONGEST_TERM]] += positions
    name = scope(tenant=row.tenant, collection=row.collection)
    return {
        "number": row_number(row.number, row.ordinal),
        "scope": name,
        "length": len(above) + len(body) + 1,
        "terms": " ".join([_quoted(_scope_term(name)), *(_placed(*each) for each in places.items())]),
    }


def hits(query: str, *, tenant: str, collection: str) -> Select[Any] | None:
    """Rows in the scope that hold a word of the text, as version `id`, `number` and `score`, best first."""
    terms = stemmed_query_terms(query)
    if not terms:
        return None
    name = scope(tenant=tenant, collection=collection)
    asked = [_quoted(term[:LONGEST_TERM]) + (":*" if is_short_run(term) else "") for term in terms]
    ranked = _RANKED.bindparams(
        terms=asked, scope=name, positions=float(BODY_POSITIONS), suffix=f" & {_quoted(_scope_term(name))}"
    ).subquery("ranked")
    return (
        select(versions.c.id, ranked.c.number, ranked.c.score)
        .select_from(ranked)
        .join(versions, versions.c.number == ranked.c.number.op(">>")(ORDINAL_BITS))
        .join(documents, documents.c.number == versions.c.document)
        .order_by(ranked.c.score.desc(), ranked.c.number)
    )


async def erase_traces(connection: AsyncConnection) -> None:
    """Nothing: what is deleted is gone with the next vacuum, which PostgreSQL does by itself."""
    del connection


def _placed(term: str, places: int) -> str:
    positions = ",".join(map(str, range(1, min(places, MOST_POSITIONS) + 1)))
    return f"{_quoted(term)}:{positions}"


def _scope_term(name: str) -> str:
    """No word of a text has such a mark in it."""
    return f"@{name}"


def _quoted(term: str) -> str:
    """Terms hold letters, numbers and marks alone, so nothing in them needs escaping but the quotes around them."""
    return f"'{term}'"
