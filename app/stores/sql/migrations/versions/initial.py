"""Documents with their versions, chunks and jobs; sessions with their turns."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision: str | None = None

_counter = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_plain_text = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    _create_collections()
    _create_versions()
    _create_contents()
    _create_chunks()
    _create_jobs()
    _create_sessions()


def _create_collections() -> None:
    op.create_table(
        "collections",
        sa.Column("tenant", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("revision", _counter, nullable=False),
        sa.PrimaryKeyConstraint("tenant", "name", name="pk_collections"),
    )
    op.create_table(
        "spaces",
        sa.Column("tenant", sa.String(), nullable=False),
        sa.Column("collection", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "collection", "name", name="pk_spaces"),
    )
    op.create_table(
        "documents",
        sa.Column("number", _counter, nullable=False),
        sa.Column("tenant", sa.String(), nullable=False),
        sa.Column("collection", sa.String(), nullable=False),
        sa.Column("id", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("number", name="pk_documents"),
        sa.UniqueConstraint("tenant", "collection", "id", name="uq_documents_tenant_collection_id"),
        sqlite_autoincrement=True,
    )


def _create_versions() -> None:
    op.create_table(
        "versions",
        sa.Column("number", _counter, nullable=False),
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("document", _counter),
        sa.Column("live", sa.Boolean(), nullable=False),
        sa.Column("removed", sa.Boolean(), nullable=False),
        sa.Column("title", sa.Text()),
        sa.Column("media_type", sa.String(), nullable=False),
        sa.Column("filename", sa.Text()),
        sa.Column("label", sa.SmallInteger(), nullable=False),
        sa.Column("metadata", sa.JSON(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("stage", sa.String(length=32)),
        sa.Column("done", sa.Integer(), nullable=False),
        sa.Column("total", sa.Integer(), nullable=False),
        sa.Column("chunks", sa.Integer(), nullable=False),
        sa.Column("error_code", sa.String(length=64)),
        sa.Column("error_message", sa.Text()),
        sa.Column("warnings", sa.JSON(), nullable=False),
        sa.Column("space", sa.String()),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["document"], ["documents.number"], name="fk_versions_document"),
        sa.PrimaryKeyConstraint("number", name="pk_versions"),
        sa.UniqueConstraint("id", name="uq_versions_id"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_versions_document_number", "versions", ["document", "number"])
    op.create_index("ix_versions_space_live_label", "versions", ["space", "live", "label"])
    op.create_index(
        "uq_versions_live",
        "versions",
        ["document"],
        unique=True,
        sqlite_where=sa.text("live = 1"),
        postgresql_where=sa.text("live = true"),
    )


def _create_contents() -> None:
    op.create_table(
        "version_bytes",
        sa.Column("version", sa.String(length=32), nullable=False),
        sa.Column("part", sa.Integer(), nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["version"], ["versions.id"], name="fk_version_bytes_version", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("version", "part", name="pk_version_bytes"),
    )
    op.create_table(
        "version_texts",
        sa.Column("version", sa.String(length=32), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["version"], ["versions.id"], name="fk_version_texts_version", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("version", name="pk_version_texts"),
    )


def _create_chunks() -> None:
    op.create_table(
        "attributes",
        sa.Column("version", sa.String(length=32), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("field", sa.String(), nullable=False),
        sa.Column("text", _plain_text),
        sa.Column("number", sa.Float(precision=53)),
        sa.Column("flag", sa.Boolean()),
        sa.ForeignKeyConstraint(["version"], ["versions.id"], name="fk_attributes_version", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("version", "position", name="pk_attributes"),
    )
    op.create_index("ix_attributes_field_number", "attributes", ["field", "number"])
    op.create_index("ix_attributes_field_text", "attributes", ["field", "text"])
    op.create_table(
        "chunks",
        sa.Column("version", sa.String(length=32), nullable=False),
        sa.Column("ordinal", sa.Integer(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("start", sa.Integer(), nullable=False),
        sa.Column("end", sa.Integer(), nullable=False),
        sa.Column("page", sa.Integer()),
        sa.Column("heading", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(["version"], ["versions.id"], name="fk_chunks_version", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("version", "ordinal", name="pk_chunks"),
    )


def _create_jobs() -> None:
    op.create_table(
        "jobs",
        sa.Column("id", _counter, nullable=False),
        sa.Column("version", sa.String(length=32), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("due", sa.DateTime(timezone=True), nullable=False),
        sa.Column("leased_until", sa.DateTime(timezone=True)),
        sa.Column("lease_seconds", sa.Float(precision=53), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["version"], ["versions.id"], name="fk_jobs_version", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name="pk_jobs"),
        sa.UniqueConstraint("version", "kind", name="uq_jobs_version_kind"),
        sqlite_autoincrement=True,
    )


def _create_sessions() -> None:
    op.create_table(
        "sessions",
        sa.Column("tenant", sa.String(), nullable=False),
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("user_id", sa.String()),
        sa.Column("mark", sa.SmallInteger(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "id", name="pk_sessions"),
    )
    op.create_index("ix_sessions_tenant_user_id", "sessions", ["tenant", "user_id"])
    op.create_table(
        "turns",
        sa.Column("number", _counter, nullable=False),
        sa.Column("tenant", sa.String(), nullable=False),
        sa.Column("session", sa.String(), nullable=False),
        sa.Column("message", sa.JSON(), nullable=False),
        sa.Column("label", sa.SmallInteger(), nullable=False),
        sa.Column("model", sa.String()),
        sa.Column("complete", sa.Boolean(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["tenant", "session"],
            ["sessions.tenant", "sessions.id"],
            name="fk_turns_tenant_session",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("number", name="pk_turns"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_turns_tenant_session_number", "turns", ["tenant", "session", "number"])
