"""Debian's nginx with the configuration of deploy/, in front of processes of this machine."""

from __future__ import annotations

import asyncio
import re
import shutil
import socket
from asyncio.subprocess import Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from tests.support.ports import HOST, free_port
from tests.support.process import REPOSITORY

NGINX = shutil.which("nginx")
START_SECONDS = 90.0


def _configuration(directory: Path, *, port: int, ports: list[int]) -> Path:
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
    path = _configuration(directory, port=port, ports=ports)
    process: Process = await asyncio.create_subprocess_exec(
        NGINX, "-c", str(path), "-p", str(directory), "-e", str(directory / "nginx.log")
    )
    try:
        async with asyncio.timeout(START_SECONDS):
            while not _accepts(port):  # noqa: ASYNC110  (another process)
                await asyncio.sleep(0.05)
        yield f"http://{HOST}:{port}"
    finally:
        process.terminate()
        await process.wait()


def _accepts(port: int) -> bool:
    try:
        socket.create_connection((HOST, port)).close()
    except ConnectionRefusedError:
        return False
    return True
