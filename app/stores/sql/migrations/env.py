"""Alembic's entry point: migrate in the transaction of the connection that was handed over."""

from __future__ import annotations

from alembic import context

from app.stores.sql.tables import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata)
context.run_migrations()
