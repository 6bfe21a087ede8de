"""The lexical index over chunks; chunks that are there already are indexed by the self-check of the next start."""

from __future__ import annotations

from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    if op.get_bind().dialect.name == "postgresql":
        _create_vectors()
        return
    op.execute(
        "CREATE VIRTUAL TABLE words USING fts5(scope, context, body, "
        "tokenize = \"porter unicode61 remove_diacritics 2 categories 'L* N* Co M*'\")"
    )


def _create_vectors() -> None:
    # Rows are ranked by their vectors, so these stay beside them uncompressed while a page can hold them.
    op.execute(
        "CREATE TABLE words (number bigint PRIMARY KEY, scope text NOT NULL, length integer NOT NULL, "
        "terms tsvector NOT NULL) WITH (toast_tuple_target = 8160)"
    )
    op.execute("CREATE INDEX ix_words_scope ON words (scope) INCLUDE (length)")
    op.execute("CREATE INDEX ix_words_terms ON words USING gin (terms)")
