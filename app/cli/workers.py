"""`python -m app worker` and `python -m app migrate`: what runs beside the serving processes, or before them."""

from __future__ import annotations

import argparse
import asyncio
import signal
from typing import TYPE_CHECKING

from app.config import Settings
from app.errors import ConfigurationError

if TYPE_CHECKING:
    from argparse import _SubParsersAction


def add_to(commands: _SubParsersAction[argparse.ArgumentParser]) -> None:
    worker = commands.add_parser(
        "worker",
        help="index documents, serve nothing",
        description="Work off indexing jobs until interrupted, beside services that use the same DATABASE_URL and "
        "CHROMA_URL or PGVECTOR_URL. With REDIS_URL it hears of new jobs at once, else within a second.",
    )
    worker.set_defaults(command=lambda _: asyncio.run(work(Settings())))
    migrate = commands.add_parser(
        "migrate",
        help="bring the database up to date",
        description="Bring the database's tables up to date. Every start does so too; of several at once one does it.",
    )
    migrate.add_argument("--check", action="store_true", help="only say whether they are; the exit status is 1 if not")
    migrate.set_defaults(command=lambda options: asyncio.run(bring_up_to_date(Settings(), check=options.check)))


async def work(settings: Settings) -> int:
    """Work off jobs until a signal; raises `ConfigurationError` where no other process could leave any."""
    from app.utils.logging import configure_logging, log_uncaught  # noqa: PLC0415  (as below)
    from app.wiring import DEFAULT_JOBS_AT_ONCE, open_services  # noqa: PLC0415  (`--help` need not wait for it)

    if not settings.shared_database or (settings.vector_store == "chroma" and settings.chroma_url is None):
        raise ConfigurationError(
            "a worker needs DATABASE_URL (PostgreSQL) and CHROMA_URL or VECTOR_STORE=pgvector, which it shares with "
            "the service. On one machine the service works its own queue: INGEST_WORKERS jobs at once."
        )
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    configure_logging(settings.log_level)
    log_uncaught()
    at_work = settings.model_copy(update={"ingest_workers": settings.ingest_workers or DEFAULT_JOBS_AT_ONCE})
    async with open_services(at_work):
        print("Sluice indexes documents", flush=True)
        await stopped.wait()
    return 0


async def bring_up_to_date(settings: Settings, *, check: bool) -> int:
    """Migrate, or only look whether that is needed."""
    from app.engine_wiring import is_up_to_date, prepare_database  # noqa: PLC0415  (as above)

    if not check:
        await prepare_database(settings)
    current = await is_up_to_date(settings)
    print("The database is up to date." if current else "The database is not up to date: python -m app migrate")
    return 0 if current else 1
