"""The topology of deploy/docker-compose.yml as processes: three APIs, a worker, PostgreSQL, Redis, Chroma, nginx."""

from __future__ import annotations

import asyncio
import re
import secrets
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import yaml

from app.stores.chroma_server import ChromaServer
from tests.gateway.conftest import CLOUD
from tests.support.postgres import PostgresServer
from tests.support.process import REPOSITORY, ServiceProcess
from tests.support.proxy import NGINX, START_SECONDS, proxy
from tests.support.redis import RedisServer
from tests.support.upstream import ScriptedUpstream

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(600),
    pytest.mark.skipif(NGINX is None, reason="nginx is not installed"),
]

APIS = 3
CLIENTS = 4
STEADY_SECONDS = 2.0
ADMIN_KEY = secrets.token_hex(16)
BEARER = {"authorization": f"Bearer {ADMIN_KEY}"}
TIERS = ("MODEL_SIMPLE", "MODEL_MODERATE", "MODEL_COMPLEX", "MODEL_LONG_CONTEXT")


@contextmanager
def chroma_server(folder: Path) -> Iterator[str]:
    server = ChromaServer.start(folder)
    try:
        yield server.url
    finally:
        server.close()


def as_composed(part: str, **addresses: str) -> dict[str, str]:
    """The environment that the file gives a container, with what is here in the place of the other containers."""
    compose: dict[str, Any] = yaml.safe_load((REPOSITORY / "deploy" / "docker-compose.yml").read_text())
    given: dict[str, str] = compose["services"][part]["environment"]
    plain = {name: value for name, value in given.items() if not re.search(r"\$\{", value)}
    assert addresses.keys() <= given.keys()
    return plain | addresses


def folder(directory: Path, name: str) -> Path:
    made = directory / name
    made.mkdir()
    return made


@asynccontextmanager
async def topology(
    directory: Path, *, postgres: PostgresServer, redis: RedisServer, upstream: ScriptedUpstream
) -> AsyncIterator[tuple[Sequence[ServiceProcess], str]]:
    """The API processes, and the address of the proxy in front of them."""
    async with AsyncExitStack() as stack:
        addresses = {
            "CHROMA_URL": stack.enter_context(chroma_server(directory / "chroma")),
            "DATABASE_URL": await postgres.create_database(),
            "REDIS_URL": redis.url,
            "ADMIN_KEY": ADMIN_KEY,
            "OPENAI_API_KEY": "sk-made-up-for-a-test",
        }
        ours = {"OPENAI_BASE_URL": f"{upstream.origin}/v1", "SESSION_UPKEEP": "none", "AUTH_REQUIRED": "true"}
        ours |= dict.fromkeys(TIERS, CLOUD)
        apis = []
        for number in range(APIS):
            environment = as_composed("api", **addresses) | ours
            here = folder(directory, f"api{number}")
            api = ServiceProcess(here, environment=environment, patience=START_SECONDS)
            apis.append(await stack.enter_async_context(api))
        worker = folder(directory, "worker")
        await stack.enter_async_context(indexer(worker, as_composed("worker", **addresses) | ours))
        yield apis, await stack.enter_async_context(proxy(directory, ports=[api.port for api in apis]))


@asynccontextmanager
async def indexer(directory: Path, environment: dict[str, str]) -> AsyncIterator[None]:
    """A process that serves nothing and indexes what the others have taken in."""
    worker = ServiceProcess(directory, environment=environment, command=("-m", "app", "worker"))
    await worker.launch()
    try:
        yield
    finally:
        await worker.terminate(within=START_SECONDS)


async def found(url: str, query: str) -> set[str]:
    async with (
        aiohttp.ClientSession(url, headers=BEARER) as client,
        client.post("/search", json={"query": query}) as response,
    ):
        assert response.status == 200, await response.text()
        return {each["metadata"]["document_id"] for each in (await response.json())["documents"]}


async def say(url: str, message: str) -> None:
    body = {"message": message, "session_id": "s", "documents": False, "cache": False}
    async with aiohttp.ClientSession(url, headers=BEARER) as client, client.post("/chat", json=body) as response:
        assert response.status == 200, await response.text()


async def asked(url: str) -> list[str]:
    async with aiohttp.ClientSession(url, headers=BEARER) as client, client.get("/sessions/s") as response:
        messages = (await response.json())["messages"]
    return [message["content"] for message in messages if message["role"] == "user"]


async def stream(url: str, outcomes: Counter[Any], stop: asyncio.Event) -> None:
    """Ask in a stream, over and over; an answer counts when it has come to its end."""
    body = {"message": "Where does the rabbit run?", "cache": False}
    async with aiohttp.ClientSession(url, headers=BEARER) as client:
        while not stop.is_set():
            try:
                async with client.post("/chat/stream", json=body) as response:
                    whole = (await response.text()).rstrip().endswith("[DONE]")
                outcomes[response.status if whole else f"{response.status} cut"] += 1
            except aiohttp.ClientError as error:
                outcomes[type(error).__name__] += 1
            await asyncio.sleep(0.02)


async def test_three_processes_behind_the_proxy_are_one_service_also_while_they_are_restarted(
    tmp_path: Path, postgres: PostgresServer, redis_server: RedisServer, openai_upstream: ScriptedUpstream
) -> None:
    """What is put in through one is found through the others, sessions go on with any, a restart loses no request."""
    async with topology(tmp_path, postgres=postgres, redis=redis_server, upstream=openai_upstream) as (apis, url):
        for number, api in enumerate(apis):
            upload = {"documents": [{"id": f"d{number}", "content": f"Rabbit number {number} runs over the hill."}]}
            async with api.client.post("/documents?wait=true", json=upload, headers=BEARER) as response:
                assert response.status == 200, await response.text()
            await say(api.url, f"Question {number}")
        for address in (url, *(api.url for api in apis)):
            assert await found(address, "rabbit on a hill") == {f"d{number}" for number in range(APIS)}
            assert await asked(address) == [f"Question {number}" for number in range(APIS)]

        outcomes: Counter[Any] = Counter()
        stop = asyncio.Event()
        clients = [asyncio.create_task(stream(url, outcomes, stop)) for _ in range(CLIENTS)]
        await asyncio.sleep(STEADY_SECONDS)
        for api in apis:
            await api.terminate(within=START_SECONDS)
            await say(url, f"While {apis.index(api)} is away")
            await api.launch()
            await api.ready(within=START_SECONDS)
            await asyncio.sleep(STEADY_SECONDS)
        stop.set()
        await asyncio.gather(*clients)
        print(dict(outcomes))  # noqa: T201  (the figure that is quoted)
        assert outcomes.keys() == {200}, outcomes
        for api in apis:
            assert (await asked(api.url))[APIS:] == [f"While {number} is away" for number in range(APIS)]
