"""What was used, added up, and the last batch of each process that adds."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"

KEY = ("tenant", "key_id", "user", "model", "label", "price")
COUNTS = ("prompt_tokens", "completion_tokens", "estimated_tokens", "cost", "calls", "requests", "cached")


def upgrade() -> None:
    op.create_table(
        "usage",
        sa.Column("day", sa.Date(), nullable=False),
        *(sa.Column(name, sa.String(), nullable=False) for name in KEY),
        *(sa.Column(name, sa.BigInteger(), nullable=False) for name in COUNTS),
        sa.PrimaryKeyConstraint("day", *KEY, name="pk_usage"),
    )
    op.create_index("ix_usage_tenant_day", "usage", ["tenant", "day"])
    op.create_table(
        "usage_writers",
        sa.Column("writer", sa.String(length=32), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("writer", name="pk_usage_writers"),
    )
