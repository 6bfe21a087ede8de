"""Whether the database has the tables this code works on, and bringing it there."""

from __future__ import annotations

from importlib import import_module

from sqlalchemy import Connection, column, inspect, select, table

from app.errors import ConfigurationError

# The newest revision under migrations/versions; a test keeps the two equal.
HEAD = "0010"
_REVISIONS = table("alembic_version", column("version_num"))


def is_current(connection: Connection) -> bool:
    """Whether the schema is at the newest revision."""
    if not inspect(connection).has_table(_REVISIONS.name):
        return False
    return connection.scalar(select(_REVISIONS.c.version_num)) == HEAD


def upgrade(connection: Connection) -> None:
    """Run the migrations that are missing, in the connection's transaction.

    Raises `ConfigurationError` for a database that a newer version wrote.
    """
    if is_current(connection):  # another process was faster
        return
    # Alembic takes half a second to import and is needed only when there is something to do.
    runner = import_module("app.stores.sql.migrations.runner")
    if not runner.run(connection):
        raise ConfigurationError("The database was written by a newer version of Sluice; DATABASE_URL names it.")
