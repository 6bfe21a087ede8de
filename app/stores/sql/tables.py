"""The tables of the record, in types that SQLite and PostgreSQL share."""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Float,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
    text,
)

from app.models import Label
from app.stores.sql.column_types import DocumentText, Instant, LabelRank

# PostgreSQL orders and compares text by locale unless told otherwise; "C" is what SQLite does.
PlainText = Text().with_variant(Text(collation="C"), "postgresql")
# SQLite counts up only a column that is declared INTEGER.
Counter = BigInteger().with_variant(Integer(), "sqlite")


metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)


def _version_reference() -> Column[str]:
    return Column("version", String(32), ForeignKey("versions.id", ondelete="CASCADE"), primary_key=True)


def _message_columns() -> list[Column[Any]]:
    return [
        Column("message", JSON, nullable=False),
        Column("label", LabelRank, nullable=False),
        Column("model", String),
        Column("complete", Boolean, nullable=False),
        Column("created_at", Instant, nullable=False),
        Column("id", String, nullable=False),
    ]


def _session_reference() -> ForeignKeyConstraint:
    return ForeignKeyConstraint(["tenant", "session"], ["sessions.tenant", "sessions.id"], ondelete="CASCADE")


# The counter that search results are cached under.
collections = Table(
    "collections",
    metadata,
    Column("tenant", String, primary_key=True),
    Column("name", String, primary_key=True),
    Column("revision", Counter, nullable=False),
    Column("floor", LabelRank, nullable=False, default=Label.PUBLIC),
)

# The vector spaces that a collection has ever had a live version in.
spaces = Table(
    "spaces",
    metadata,
    Column("tenant", String, primary_key=True),
    Column("collection", String, primary_key=True),
    Column("name", String, primary_key=True),
)

documents = Table(
    "documents",
    metadata,
    Column("number", Counter, primary_key=True),
    Column("tenant", String, nullable=False),
    Column("collection", String, nullable=False),
    Column("id", String, nullable=False),
    UniqueConstraint("tenant", "collection", "id"),
    sqlite_autoincrement=True,
)

# What was uploaded, in upload order, and how far its ingestion has come. A version is in one of three standings:
# waiting (neither flag), live (readers see it; one for each document) or removed (readers see nothing of it).
versions = Table(
    "versions",
    metadata,
    Column("number", Counter, primary_key=True),
    Column("id", String(32), nullable=False, unique=True),
    Column("document", Counter, ForeignKey("documents.number")),  # none while the last traces are erased
    Column("live", Boolean, nullable=False, default=False),
    Column("removed", Boolean, nullable=False, default=False),
    Column("title", DocumentText),
    Column("media_type", String, nullable=False),
    Column("filename", Text),
    Column("label", LabelRank, nullable=False),
    Column("declassified", Boolean, nullable=False, default=False),
    Column("metadata", JSON, nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("digest", String(64), nullable=False),
    Column("status", String(16), nullable=False),
    Column("stage", String(32)),
    Column("done", Integer, nullable=False, default=0),
    Column("total", Integer, nullable=False, default=0),
    Column("chunks", Integer, nullable=False, default=0),
    Column("error_code", String(64)),
    Column("error_message", Text),
    Column("warnings", JSON, nullable=False),
    Column("space", String),
    Column("created_at", Instant, nullable=False),
    Column("updated_at", Instant, nullable=False),
    Index(None, "document", "number"),
    Index(None, "space", "live", "label"),
    Index(
        "uq_versions_live", "document", unique=True, sqlite_where=text("live = 1"), postgresql_where=text("live = true")
    ),
    sqlite_autoincrement=True,
)

# A file of 100 MB is written and read in parts, so that neither side holds it twice.
version_bytes = Table(
    "version_bytes",
    metadata,
    _version_reference(),
    Column("part", Integer, primary_key=True),
    Column("content", LargeBinary, nullable=False),
)

version_texts = Table("version_texts", metadata, _version_reference(), Column("text", DocumentText, nullable=False))

# Client metadata taken apart for filters: one row for each scalar, in the column of its kind.
attributes = Table(
    "attributes",
    metadata,
    _version_reference(),
    Column("position", Integer, primary_key=True),
    Column("field", String, nullable=False),
    Column("text", PlainText),
    Column("number", Float(53)),
    Column("flag", Boolean),
    Index(None, "field", "text"),
    Index(None, "field", "number"),
)

chunks = Table(
    "chunks",
    metadata,
    _version_reference(),
    Column("ordinal", Integer, primary_key=True),
    Column("text", DocumentText, nullable=False),
    Column("start", Integer, nullable=False),
    Column("end", Integer, nullable=False),
    Column("page", Integer),
    Column("heading", JSON, nullable=False),
)

# `attempts` counts claims and so names a claim: what an earlier holder of the job reports is ignored.
jobs = Table(
    "jobs",
    metadata,
    Column("id", Counter, primary_key=True),
    Column("version", String(32), ForeignKey("versions.id", ondelete="CASCADE"), nullable=False),
    Column("kind", String(16), nullable=False),
    Column("due", Instant, nullable=False),
    Column("leased_until", Instant),
    Column("lease_seconds", Float(53), nullable=False, default=0),
    Column("attempts", Integer, nullable=False, default=0),
    UniqueConstraint("version", "kind"),
    sqlite_autoincrement=True,
)

# `incarnation` tells a session from one that was deleted under the same id; `head` is the turn that the active path
# ends with; `folded` is the title as it is searched.
sessions = Table(
    "sessions",
    metadata,
    Column("tenant", String, primary_key=True),
    Column("id", String, primary_key=True),
    Column("user_id", String),
    Column("mark", LabelRank, nullable=False),
    Column("incarnation", String(32), nullable=False),
    Column("head", Counter),
    Column("title", Text),
    Column("folded", Text),
    Column("title_source", String(8)),
    Column("model_id", String),
    Column("created_at", Instant, nullable=False),
    Column("updated_at", Instant, nullable=False),
    Index(None, "tenant", "user_id"),
    Index(None, "tenant", "updated_at"),
)

# A turn's `parent` is the number of the turn it follows, none for the first of a branch from the root. Parents come
# before their children, so numbers grow along every path. `folded` is the text as it is searched.
turns = Table(
    "turns",
    metadata,
    Column("number", Counter, primary_key=True),
    Column("tenant", String, nullable=False),
    Column("session", String, nullable=False),
    *_message_columns(),
    Column("parent", Counter),
    Column("role", String(16), nullable=False),
    Column("tokens", Integer, nullable=False),
    Column("digest", String(64), nullable=False),
    Column("folded", Text, nullable=False),
    _session_reference(),
    Index(None, "tenant", "session", "number"),
    Index(None, "tenant", "session", "parent"),
    Index(None, "tenant", "session", "id", unique=True),
    sqlite_autoincrement=True,
)

# What the turns of a path up to and including `turn` said, in short.
summaries = Table(
    "summaries",
    metadata,
    Column("tenant", String, primary_key=True),
    Column("session", String, primary_key=True),
    Column("turn", Counter, primary_key=True, autoincrement=False),
    Column("text", Text, nullable=False),
    Column("label", LabelRank, nullable=False),
    _session_reference(),
)

# Turns that belong to no session, kept for the history of the user whom the caller named.
loose_turns = Table(
    "loose_turns",
    metadata,
    Column("number", Counter, primary_key=True),
    Column("tenant", String, nullable=False),
    Column("user_id", String, nullable=False),
    *_message_columns(),
    Index(None, "tenant", "user_id", "number"),
    Index(None, "created_at"),
    sqlite_autoincrement=True,
)

# Fingerprints of what was said above `public`, eight bytes each: of an answer until it runs out, of a document version
# as long as that exists.
echoes = Table(
    "echoes",
    metadata,
    Column("number", Counter, primary_key=True),
    Column("tenant", String, nullable=False),
    Column("label", LabelRank, nullable=False),
    Column("version", String(32), ForeignKey("versions.id", ondelete="CASCADE")),
    Column("fingerprints", LargeBinary, nullable=False),
    Column("expires_at", Instant),
    Index(None, "version"),
    Index(None, "expires_at"),
    sqlite_autoincrement=True,
)

# API keys by their public id; digests stand in the place of secrets. `revision` is that of the last change to the row.
keys = Table(
    "keys",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("name", String, nullable=False),
    Column("digest", LargeBinary, nullable=False),
    Column("previous_digest", LargeBinary),
    Column("previous_until", Instant),
    Column("tenant", String, nullable=False),
    Column("owner", String),
    Column("clearance", LabelRank, nullable=False),
    Column("label_floor", LabelRank, nullable=False),
    Column("scopes", JSON, nullable=False),
    Column("models", JSON),
    Column("limits", JSON, nullable=False),
    Column("budget", JSON, nullable=False),
    Column("semantic_cache", Boolean, nullable=False, default=False),
    Column("created_at", Instant, nullable=False),
    Column("expires_at", Instant),
    Column("revoked_at", Instant),
    Column("revision", BigInteger, nullable=False),
    Index(None, "revision"),
)

# One row: how often any key was changed. Whoever changes a key holds it, so revisions become visible in their order.
key_revisions = Table(
    "key_revisions",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("revision", BigInteger, nullable=False),
)

# Random bytes that all machines over one database share.
secrets = Table(
    "secrets",
    metadata,
    Column("name", String, primary_key=True),
    Column("value", LargeBinary, nullable=False),
)

# Digests of requests under the keys that their clients repeat them by, until they run out.
replays = Table(
    "replays",
    metadata,
    Column("key", String, primary_key=True),
    Column("value", LargeBinary, nullable=False),
    Column("expires_at", Instant, nullable=False),
    Index(None, "expires_at"),
)
