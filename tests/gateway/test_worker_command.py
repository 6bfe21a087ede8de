"""`python -m app worker` and `migrate`, and what a process says when it is told to stop."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path

import asyncpg
import pytest

from app.cli.serving import DRAIN_SECONDS, Server, configure
from app.cli.workers import bring_up_to_date, work
from app.errors import ConfigurationError
from app.stores.chroma_server import ChromaServer
from tests.support.ports import HOST
from tests.support.postgres import PostgresServer
from tests.support.process import ServiceProcess
from tests.support.service import isolated_settings, running

PATIENCE = 90.0
WORKER = ("-m", "app", "worker")
LEASES = "SELECT count(leased_until) FROM jobs"


async def test_migrate_says_whether_it_is_needed_and_does_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = isolated_settings(tmp_path)
    assert await bring_up_to_date(settings, check=True) == 1
    assert await bring_up_to_date(settings, check=False) == 0
    assert await bring_up_to_date(settings, check=True) == 0
    assert "python -m app migrate" in capsys.readouterr().out


async def test_a_worker_that_shares_nothing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="DATABASE_URL"):
        await work(isolated_settings(tmp_path))


async def test_a_process_that_is_told_to_stop_is_not_ready_at_once(tmp_path: Path) -> None:
    async with running(tmp_path, vector_store="memory") as service:
        server = Server(service.app, configure(service.app, service.settings))
        async with service.client.get("/ready") as response:
            assert response.status == 200
        server.handle_exit(signal.SIGTERM, None)
        async with service.client.get("/ready") as response:
            assert response.status == 503
        async with service.client.get("/health") as response:
            assert response.status == 200
        assert server.config.timeout_graceful_shutdown == DRAIN_SECONDS


@pytest.mark.slow
@pytest.mark.timeout(400)
async def test_a_worker_indexes_what_another_process_takes_in(tmp_path: Path, postgres: PostgresServer) -> None:
    """And one that is told to stop gives its job back, which the next one ends."""
    url = await postgres.create_database()
    chroma = ChromaServer.start(tmp_path / "chroma")
    shared = {"DATABASE_URL": url, "CHROMA_URL": chroma.url}
    try:
        await until_it_listens(chroma.url)
        for name in ("api", "worker"):
            (tmp_path / name).mkdir()
        environment = {**shared, "INGEST_WORKERS": "0"}
        async with ServiceProcess(tmp_path / "api", environment=environment) as api:
            long = "\n\n".join(f"Chapter {number}. The rabbit runs over hill {number}." * 20 for number in range(400))
            async with api.client.post("/documents", json={"documents": [{"id": "a", "content": long}]}) as response:
                assert response.status == 202
            worker = ServiceProcess(tmp_path / "worker", environment=shared, command=WORKER)
            await worker.launch()
            await until_leased(url, leased=True)
            assert await worker.terminate(within=PATIENCE) == 0
            await until_leased(url, leased=False)
            await worker.launch()
            async with asyncio.timeout(PATIENCE):
                while await status(api) != "indexed":  # noqa: ASYNC110  (another process)
                    await asyncio.sleep(0.2)
            assert await worker.terminate(within=PATIENCE) == 0
            async with api.client.post("/search", json={"query": "Where does the rabbit run?"}) as response:
                assert (await response.json())["count"] > 0
    finally:
        chroma.close()


async def until_it_listens(url: str) -> None:
    port = int(url.rpartition(":")[2])
    async with asyncio.timeout(PATIENCE):
        while True:
            try:
                _, writer = await asyncio.open_connection(HOST, port)
            except ConnectionRefusedError:
                await asyncio.sleep(0.1)
            else:
                writer.close()
                return


async def until_leased(url: str, *, leased: bool) -> None:
    connection = await asyncpg.connect(url)
    async with asyncio.timeout(PATIENCE):
        while (await connection.fetchval(LEASES) > 0) is not leased:  # noqa: ASYNC110  (another process)
            await asyncio.sleep(0.02)
    await connection.close()


async def status(api: ServiceProcess) -> str:
    async with api.client.get("/documents/a") as response:
        return str((await response.json())["status"])
