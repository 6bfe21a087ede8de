"""Keys whose requests may be answered from the cache in other words."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    op.add_column("keys", sa.Column("semantic_cache", sa.Boolean(), nullable=False, server_default=sa.false()))
