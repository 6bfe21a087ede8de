"""How each gateway is started in front of the upstream, and how it is asked."""

from __future__ import annotations

import asyncio
import os
import secrets
import shutil
import signal
import socket
import sys
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
PEERS = Path(__file__).resolve().parent / "peers"
LITELLM = PEERS / ".environments" / "litellm" / "bin" / "litellm"
PORTKEY = PEERS / "portkey" / "node_modules" / "@portkey-ai" / "gateway" / "build" / "start-server.js"
HOST = "127.0.0.1"
PATIENCE_SECONDS = 120.0
POLL_SECONDS = 0.05
MODEL = "gpt-4o-mini"
# Looks like a provider's key and opens nothing: the upstream does not look at it.
UPSTREAM_KEY = "sk-" + "0" * 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Gateway:
    """A process that listens on `port`; `headers` go with every request, `model` names the model to ask for."""

    name: str
    port: int
    command: Sequence[str]
    environment: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    model: str = MODEL
    ready_path: str = "/"


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What a gateway is given: the upstream's port, a directory of its own, Redis' port, how many workers."""

    upstream: int
    directory: Path
    redis: int | None = None
    workers: int = 1


def sluice(given: Surroundings) -> Gateway:
    """Everything on: keys, limits, labels, complexity, cache, metrics, the audit record."""
    key = secrets.token_hex(32)
    port = free_port()
    environment = {
        "HOST": HOST,
        "PORT": str(port),
        "DATA_DIR": str(given.directory / "data"),
        "CHROMA_PATH": str(given.directory / "chroma"),
        "CATALOG_FILE": str(REPOSITORY / "catalog.toml"),
        "POLICY_FILE": str(REPOSITORY / "policy.toml"),
        "OPENAI_API_KEY": UPSTREAM_KEY,
        "OPENAI_BASE_URL": f"http://{HOST}:{given.upstream}/v1",
        "OLLAMA_BASE_URL": f"http://{HOST}:{free_port()}",
        "AUTH_REQUIRED": "true",
        "ADMIN_KEY": key,
        "RATE_LIMIT_PER_MINUTE": "1000000000",
        "LOG_LEVEL": "WARNING",
        "WORKERS": str(given.workers),
    }
    if given.redis is not None:
        environment["REDIS_URL"] = f"redis://{HOST}:{given.redis}/0"
    return Gateway(
        name="Sluice",
        port=port,
        command=(sys.executable, "-m", "app", "serve"),
        environment=environment,
        headers={"authorization": f"Bearer {key}"},
        model="auto",
        ready_path="/ready",
    )


def litellm(given: Surroundings) -> Gateway:
    """LiteLLM's proxy as its documentation sets it up, with a strong master key; Redis only where the case needs it."""
    key = "sk-" + secrets.token_hex(32)
    port = free_port()
    config = given.directory / "litellm.yaml"
    config.write_text(_litellm_config(given, key=key))
    return Gateway(
        name="LiteLLM proxy",
        port=port,
        command=(str(LITELLM), "--config", str(config), "--host", HOST, "--port", str(port)),
        environment={"LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_LOG": "ERROR"},
        headers={"authorization": f"Bearer {key}"},
        ready_path="/health/liveliness",
    )


def portkey(given: Surroundings) -> Gateway:
    """Portkey's open gateway, which relays: it checks no key of its own, labels nothing and keeps nothing."""
    port = free_port()
    return Gateway(
        name="Portkey",
        port=port,
        command=(shutil.which("node") or "node", str(PORTKEY), f"--port={port}", "--headless"),
        environment={"NODE_ENV": "production"},
        headers={
            "authorization": f"Bearer {UPSTREAM_KEY}",
            "x-portkey-provider": "openai",
            "x-portkey-custom-host": f"http://{HOST}:{given.upstream}/v1",
        },
    )


def relay(given: Surroundings) -> Gateway:
    """A bare relay of our own, which is no gateway: what the server and the client libraries cost by themselves."""
    port = free_port()
    return Gateway(
        name="Relay",
        port=port,
        command=(sys.executable, "-m", "benchmarks.speed.relay", str(port), str(given.upstream)),
        ready_path="/ready",
    )


GATEWAYS = {"sluice": sluice, "litellm": litellm, "portkey": portkey, "relay": relay}


@asynccontextmanager
async def running(gateway: Gateway, *, directory: Path) -> AsyncIterator[int]:
    """Start the gateway, wait until it answers, yield its process id, and end it with all its children."""
    with (directory / f"{gateway.name.split()[0].lower()}.log").open("ab") as log:
        process = await asyncio.create_subprocess_exec(
            *gateway.command,
            cwd=directory,
            env=_environment(gateway, home=directory),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        await _answers(gateway, process=process)
        yield process.pid
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        with suppress(TimeoutError):
            async with asyncio.timeout(10):
                await process.wait()
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


@asynccontextmanager
async def running_upstream(*, chunks: int, chunks_per_second: float) -> AsyncIterator[int]:
    port = free_port()
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "benchmarks.speed.upstream",
        str(port),
        f"--chunks={chunks}",
        f"--chunks-per-second={chunks_per_second}",
        cwd=REPOSITORY,
    )
    try:
        await _listens(port)
        yield port
    finally:
        process.kill()
        await process.wait()


@asynccontextmanager
async def running_redis(directory: Path) -> AsyncIterator[int]:
    port = free_port()
    process = await asyncio.create_subprocess_exec(
        "redis-server",
        *("--port", str(port), "--bind", HOST, "--save", "", "--appendonly", "no", "--dir", str(directory)),
        stdout=asyncio.subprocess.DEVNULL,
    )
    try:
        await _listens(port)
        yield port
    finally:
        process.kill()
        await process.wait()


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind((HOST, 0))
        port: int = listener.getsockname()[1]
        return port


def _litellm_config(given: Surroundings, *, key: str) -> str:
    cache = (
        "litellm_settings:\n  cache: true\n  cache_params:\n    type: redis\n"
        f"    host: {HOST}\n    port: {given.redis}\n"
        if given.redis is not None
        else ""
    )
    return (
        "model_list:\n"
        f"  - model_name: {MODEL}\n"
        "    litellm_params:\n"
        f"      model: openai/{MODEL}\n"
        f"      api_base: http://{HOST}:{given.upstream}/v1\n"
        f"      api_key: {UPSTREAM_KEY}\n"
        f"{cache}"
        "general_settings:\n"
        f"  master_key: {key}\n"
    )


def _environment(gateway: Gateway, *, home: Path) -> dict[str, str]:
    return {"PATH": os.environ["PATH"], "HOME": str(home), "PYTHONPATH": str(REPOSITORY), **gateway.environment}


async def _answers(gateway: Gateway, *, process: asyncio.subprocess.Process) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not await asyncio.to_thread(_gets_answer, f"http://{HOST}:{gateway.port}{gateway.ready_path}"):
            if process.returncode is not None:
                raise RuntimeError(f"{gateway.name} ended with {process.returncode}; see its log")
            await asyncio.sleep(POLL_SECONDS)


def _gets_answer(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:  # noqa: S310 - a fixed loopback address
            return bool(answer.status < HTTPStatus.INTERNAL_SERVER_ERROR)
    except urllib.error.HTTPError as error:
        return error.code < HTTPStatus.INTERNAL_SERVER_ERROR
    except OSError:
        return False


async def _listens(port: int) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            with suppress(ConnectionRefusedError):
                _, writer = await asyncio.open_connection(HOST, port)
                writer.close()
                return
            await asyncio.sleep(POLL_SECONDS)
