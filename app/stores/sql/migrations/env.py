"""Alembic's entry point: migrate in the transaction of the connection that was handed over."""

from __future__ import annotations

from alembic import context

from app.stores.sql.usage_tables import usage

context.configure(connection=context.config.attributes["connection"], target_metadata=usage.metadata)
context.run_migrations()
