"""The lexical index over chunks; chunks that are there already are indexed by the self-check of the next start."""

from __future__ import annotations

from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    if op.get_bind().dialect.name == "sqlite":
        op.execute(
            "CREATE VIRTUAL TABLE words USING fts5(scope, context, body, "
            "tokenize = \"porter unicode61 remove_diacritics 2 categories 'L* N* Co M*'\")"
        )
