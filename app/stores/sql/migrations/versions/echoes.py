"""Fingerprints of answers and document versions above `public`."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

_counter = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "echoes",
        sa.Column("number", _counter, nullable=False),
        sa.Column("tenant", sa.String(), nullable=False),
        sa.Column("label", sa.SmallInteger(), nullable=False),
        sa.Column("version", sa.String(length=32)),
        sa.Column("fingerprints", sa.LargeBinary(), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True)),
        sa.ForeignKeyConstraint(["version"], ["versions.id"], name="fk_echoes_version", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("number", name="pk_echoes"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_echoes_version", "echoes", ["version"])
    op.create_index("ix_echoes_expires_at", "echoes", ["expires_at"])
