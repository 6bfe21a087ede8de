"""Sessions with titles and branches, summaries of what lies far back, and turns that belong to no session."""

from __future__ import annotations

import uuid

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"

_counter = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
# Characters for a token, for the messages that are there already.
_CHARACTERS = 4

_sessions = sa.table(
    "sessions",
    sa.column("tenant", sa.String),
    sa.column("id", sa.String),
    sa.column("incarnation", sa.String),
    sa.column("head", sa.BigInteger),
)
_turns = sa.table(
    "turns",
    sa.column("number", sa.BigInteger),
    sa.column("tenant", sa.String),
    sa.column("session", sa.String),
    sa.column("message", sa.JSON),
    sa.column("id", sa.String),
    sa.column("parent", sa.BigInteger),
    sa.column("role", sa.String),
    sa.column("tokens", sa.Integer),
    sa.column("folded", sa.Text),
)


def upgrade() -> None:
    _widen_sessions()
    _widen_turns()
    _create_summaries()
    _create_loose_turns()
    for tenant, session in op.get_bind().execute(sa.select(_sessions.c.tenant, _sessions.c.id)).all():
        _chain(tenant, session)
    op.create_index("ix_turns_tenant_session_id", "turns", ["tenant", "session", "id"], unique=True)


def _widen_sessions() -> None:
    op.add_column("sessions", sa.Column("incarnation", sa.String(length=32), nullable=False, server_default=""))
    op.add_column("sessions", sa.Column("head", _counter))
    op.add_column("sessions", sa.Column("title", sa.Text()))
    op.add_column("sessions", sa.Column("folded", sa.Text()))
    op.add_column("sessions", sa.Column("title_source", sa.String(length=8)))
    op.add_column("sessions", sa.Column("model_id", sa.String()))
    op.create_index("ix_sessions_tenant_updated_at", "sessions", ["tenant", "updated_at"])


def _widen_turns() -> None:
    op.add_column("turns", sa.Column("id", sa.String(), nullable=False, server_default=""))
    op.add_column("turns", sa.Column("parent", _counter))
    op.add_column("turns", sa.Column("role", sa.String(length=16), nullable=False, server_default=""))
    op.add_column("turns", sa.Column("tokens", sa.Integer(), nullable=False, server_default="0"))
    op.add_column("turns", sa.Column("digest", sa.String(length=64), nullable=False, server_default=""))
    op.add_column("turns", sa.Column("folded", sa.Text(), nullable=False, server_default=""))
    op.create_index("ix_turns_tenant_session_parent", "turns", ["tenant", "session", "parent"])


def _create_summaries() -> None:
    op.create_table(
        "summaries",
        sa.Column("tenant", sa.String(), nullable=False),
        sa.Column("session", sa.String(), nullable=False),
        sa.Column("turn", _counter, nullable=False, autoincrement=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("label", sa.SmallInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["tenant", "session"],
            ["sessions.tenant", "sessions.id"],
            name="fk_summaries_tenant_session",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("tenant", "session", "turn", name="pk_summaries"),
    )


def _create_loose_turns() -> None:
    op.create_table(
        "loose_turns",
        sa.Column("number", _counter, nullable=False),
        sa.Column("tenant", sa.String(), nullable=False),
        sa.Column("user_id", sa.String(), nullable=False),
        sa.Column("message", sa.JSON(), nullable=False),
        sa.Column("label", sa.SmallInteger(), nullable=False),
        sa.Column("model", sa.String()),
        sa.Column("complete", sa.Boolean(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("id", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("number", name="pk_loose_turns"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_loose_turns_tenant_user_id_number", "loose_turns", ["tenant", "user_id", "number"])
    op.create_index("ix_loose_turns_created_at", "loose_turns", ["created_at"])


def _chain(tenant: str, session: str) -> None:
    """Let each message of a session follow the one before it."""
    bind = op.get_bind()
    mine = sa.and_(_turns.c.tenant == tenant, _turns.c.session == session)
    parent: int | None = None
    for number, message in bind.execute(
        sa.select(_turns.c.number, _turns.c.message).where(mine).order_by(_turns.c.number)
    ).all():
        text = "\n".join(part["text"] for part in message["parts"] if "text" in part)
        values = {
            "id": uuid.uuid4().hex,
            "parent": parent,
            "role": message["role"],
            "tokens": len(text) // _CHARACTERS + _CHARACTERS,
            "folded": text.casefold().replace("\x00", ""),
        }
        bind.execute(sa.update(_turns).where(_turns.c.number == number).values(values))
        parent = number
    bind.execute(
        sa.update(_sessions)
        .where(_sessions.c.tenant == tenant, _sessions.c.id == session)
        .values(incarnation=uuid.uuid4().hex, head=parent)
    )
