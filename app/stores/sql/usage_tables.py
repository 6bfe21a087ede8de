"""The tables of what was used and of the budgets that it used up."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Date, Index, SmallInteger, String, Table

from app.stores.sql.tables import metadata

# What was used, added up; `cost` is in billionths of a US dollar. What nobody knows is empty: NULLs are never equal.
usage = Table(
    "usage",
    metadata,
    Column("day", Date, primary_key=True),
    Column("tenant", String, primary_key=True),
    Column("key_id", String, primary_key=True),
    Column("user", String, primary_key=True),
    Column("model", String, primary_key=True),
    Column("label", String, primary_key=True),
    Column("price", String, primary_key=True),
    Column("prompt_tokens", BigInteger, nullable=False),
    Column("completion_tokens", BigInteger, nullable=False),
    Column("estimated_tokens", BigInteger, nullable=False),
    Column("cached_tokens", BigInteger, nullable=False),
    Column("cache_write_tokens", BigInteger, nullable=False),
    Column("image_tokens", BigInteger, nullable=False),
    Column("audio_tokens", BigInteger, nullable=False),
    Column("reasoning_tokens", BigInteger, nullable=False),
    Column("cost", BigInteger, nullable=False),
    Column("calls", BigInteger, nullable=False),
    Column("requests", BigInteger, nullable=False),
    Column("cached", BigInteger, nullable=False),
    Index(None, "tenant", "day"),
)

# The number of the last batch of usage that each process has added: one that is sent again is known by it.
usage_writers = Table(
    "usage_writers",
    metadata,
    Column("writer", String(32), primary_key=True),
    Column("number", BigInteger, nullable=False),
)

# The thresholds of budgets that have been reported, each by whoever noted it first.
budget_alerts = Table(
    "budget_alerts",
    metadata,
    Column("tenant", String, primary_key=True),
    Column("key_id", String, primary_key=True),
    Column("period", String(8), primary_key=True),
    Column("begun", Date, primary_key=True),
    Column("percent", SmallInteger, primary_key=True),
    Column("amount", BigInteger, primary_key=True),
)
