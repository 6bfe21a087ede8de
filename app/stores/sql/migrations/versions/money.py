"""Tokens by kind beside what was used, and the thresholds of budgets that were reported."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"

KINDS = ("cached_tokens", "cache_write_tokens", "image_tokens", "audio_tokens", "reasoning_tokens")


def upgrade() -> None:
    for kind in KINDS:
        op.add_column("usage", sa.Column(kind, sa.BigInteger(), nullable=False, server_default="0"))
    op.create_table(
        "budget_alerts",
        sa.Column("tenant", sa.String(), nullable=False),
        sa.Column("key_id", sa.String(), nullable=False),
        sa.Column("period", sa.String(length=8), nullable=False),
        sa.Column("begun", sa.Date(), nullable=False),
        sa.Column("percent", sa.SmallInteger(), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "key_id", "period", "begun", "percent", "amount", name="pk_budget_alerts"),
    )
