"""What PostgreSQL alone needs: how it is connected to, how long it may take, and the lock that a migration holds."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final

import asyncpg
from sqlalchemy import URL, Connection, text

from app.errors import ConfigurationError

CONNECT_SECONDS: Final = 5.0
# No statement of ours takes seconds; one that does has lost its index or its server.
STATEMENT_SECONDS: Final = 20.0
# A little longer: the server's own limit says it better, this one holds where nothing comes back at all.
ANSWER_SECONDS: Final = STATEMENT_SECONDS + 5
IDLE_SECONDS: Final = 60.0
# Any number that nobody else in the database uses.
MIGRATION_LOCK: Final = 5_108_204_331

# What a server says that will say the same again: the name, the password or the database is wrong.
_REFUSALS: Final = (
    asyncpg.InvalidAuthorizationSpecificationError,
    asyncpg.InvalidCatalogNameError,
    asyncpg.ClientConfigurationError,
)

SERVER_SETTINGS: Final = {
    "application_name": "sluice",
    "idle_in_transaction_session_timeout": f"{IDLE_SECONDS:.0f}s",
    "jit": "off",  # costs more than it gives for statements of milliseconds
    "lock_timeout": f"{STATEMENT_SECONDS / 2:.0f}s",
    "statement_timeout": f"{STATEMENT_SECONDS:.0f}s",
    "timezone": "UTC",
}


def connector(url: URL) -> Callable[..., Awaitable[asyncpg.Connection[Any]]]:
    """What opens a connection; raises `PermissionError` if it is refused and other `OSError` if it fails.

    The URL is asyncpg's own: `sslmode=verify-full&sslrootcert=FILE` in it ask for TLS, `host=/FOLDER` for a socket.
    """
    address = url.set(drivername="postgresql").render_as_string(hide_password=False)

    async def connect(**_ignored: object) -> asyncpg.Connection[Any]:
        try:
            return await asyncpg.connect(
                address, timeout=CONNECT_SECONDS, command_timeout=ANSWER_SECONDS, server_settings=SERVER_SETTINGS
            )
        except _REFUSALS:
            raise PermissionError from None
        except (asyncpg.PostgresError, asyncpg.InterfaceError, ValueError):
            raise ConnectionError from None

    return connect


def check(url: URL) -> None:
    """Raise `ConfigurationError` unless the URL itself names one server.

    Without a host the driver would take one from the environment, and of several it would go to those that nobody has
    looked at.
    """
    on_a_socket = all(folder.startswith("/") for folder in _hosts(url) or ("",))
    if "," in (url.host or "") or (url.host is None and not on_a_socket):
        raise ConfigurationError("DATABASE_URL must name its server: postgresql://USER:PASSWORD@HOST:5432/DATABASE.")


def wait_for_turn(connection: Connection) -> None:
    """Hold the migration lock until the transaction ends: of several starts one migrates."""
    connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": MIGRATION_LOCK})


def _hosts(url: URL) -> Sequence[str]:
    host = url.query.get("host", ())
    return (host,) if isinstance(host, str) else host
