"""Two processes behind nginx, restarted one after the other under load: no request is lost."""

from __future__ import annotations

import asyncio
import re
import shutil
import socket
from asyncio.subprocess import Process
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.support.ports import HOST, free_port
from tests.support.postgres import PROGRAMS, postgres_server
from tests.support.process import REPOSITORY, ServiceProcess

NGINX = shutil.which("nginx")
CLIENTS = 4
START_SECONDS = 90.0
STEADY_SECONDS = 2.0


def proxy_configuration(directory: Path, *, port: int, ports: list[int]) -> Path:
    """The file of deploy/, with these processes in the place of the containers."""
    conf = (REPOSITORY / "deploy" / "nginx.conf").read_text()
    servers = "\n".join(f"server {HOST}:{each} max_fails=1 fail_timeout=1s;" for each in ports)
    conf = re.sub(r"(?s)(zone sluice 64k;).*?\n    }", lambda match: f"{match[1]}\n{servers}\n    }}", conf, count=1)
    conf = conf.replace("listen 8080;", f"listen {HOST}:{port};")
    conf = conf.replace("worker_processes auto;", f"worker_processes 1; daemon off; pid {directory}/nginx.pid;")
    path = directory / "nginx.conf"
    path.write_text(conf)
    return path


@asynccontextmanager
async def proxy(directory: Path, *, ports: list[int]) -> AsyncIterator[str]:
    """Nginx in front of the processes; its URL."""
    assert NGINX is not None
    port = free_port()
    path = proxy_configuration(directory, port=port, ports=ports)
    process: Process = await asyncio.create_subprocess_exec(
        NGINX, "-c", str(path), "-p", str(directory), "-e", str(directory / "nginx.log")
    )
    try:
        async with asyncio.timeout(START_SECONDS):
            while not accepts(port):  # noqa: ASYNC110  (another process)
                await asyncio.sleep(0.05)
        yield f"http://{HOST}:{port}"
    finally:
        process.terminate()
        await process.wait()


def accepts(port: int) -> bool:
    try:
        socket.create_connection((HOST, port)).close()
    except ConnectionRefusedError:
        return False
    return True


async def ask(url: str, outcomes: Counter[Any], stop: asyncio.Event) -> None:
    """Ask in a stream, over and over; an answer counts when it has come to its end."""
    body = {"message": "Where does the rabbit run?", "model": "builtin/extractive", "cache": False}
    async with aiohttp.ClientSession(url) as client:
        while not stop.is_set():
            try:
                async with client.post("/chat/stream", json=body) as response:
                    whole = (await response.text()).rstrip().endswith("[DONE]")
                outcomes[response.status if whole else f"{response.status} cut"] += 1
            except aiohttp.ClientError as error:
                outcomes[type(error).__name__] += 1
            await asyncio.sleep(0.02)


@pytest.mark.slow
@pytest.mark.timeout(400)
async def test_a_rolling_restart_under_load_loses_no_request(tmp_path: Path) -> None:
    if NGINX is None or PROGRAMS is None:
        pytest.skip("nginx or PostgreSQL is not installed")
    outcomes: Counter[Any] = Counter()
    with postgres_server() as postgres:
        environment = {"DATABASE_URL": await postgres.create_database(), "VECTOR_STORE": "memory"}
        async with AsyncExitStack() as stack:
            services = []
            for name in ("one", "other"):
                (tmp_path / name).mkdir()
                process = ServiceProcess(tmp_path / name, environment=environment)
                services.append(await stack.enter_async_context(process))
            url = await stack.enter_async_context(proxy(tmp_path, ports=[service.port for service in services]))
            stop = asyncio.Event()
            clients = [asyncio.create_task(ask(url, outcomes, stop)) for _ in range(CLIENTS)]
            await asyncio.sleep(STEADY_SECONDS)
            for service in services:
                await service.terminate(within=START_SECONDS)
                await service.launch()
                await service.ready(within=START_SECONDS)
                await asyncio.sleep(STEADY_SECONDS)
            stop.set()
            await asyncio.gather(*clients)
    print(dict(outcomes))  # noqa: T201  (the figure that is quoted)
    assert outcomes.keys() == {200}, outcomes
