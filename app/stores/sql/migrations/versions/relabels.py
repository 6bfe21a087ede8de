"""Versions that an administrator declassified, and floors of collections."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    op.add_column("versions", sa.Column("declassified", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.add_column("collections", sa.Column("floor", sa.SmallInteger(), nullable=False, server_default="0"))
