"""PostgreSQL, Redis and workers are killed under load: what was acknowledged is there afterwards."""

from __future__ import annotations

import asyncio
import os
import random
import signal
from collections import Counter
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

import aiohttp
import asyncpg
import pytest

from tests.support.canaries import invent_words
from tests.support.postgres import PROGRAMS, PostgresServer, postgres_server
from tests.support.process import ServiceProcess
from tests.support.redis import EXECUTABLE, RedisServer
from tests.support.workers import workers

CLIENTS = 6
ROUNDS = 3
AWAY_SECONDS = 1.5
STEADY_SECONDS = 2.0
WORDS = 4_000
# What a client may see beside an answer: that something is away for a moment, or that its worker was killed.
EXPECTED = {200, 202, 503, "connection"}


@dataclass(slots=True)
class Ledger:
    """What the service acknowledged, and how it answered."""

    documents: list[str] = field(default_factory=list)
    turns: dict[str, list[str]] = field(default_factory=dict)
    outcomes: Counter[Any] = field(default_factory=Counter)
    without_wait: int = 0


async def send(service: ServiceProcess, path: str, body: Any, ledger: Ledger) -> Any:
    """The answer to a request over a new connection, `None` if it was not carried out."""
    try:
        async with aiohttp.ClientSession(service.url) as client, client.post(path, json=body) as response:
            answer = await response.json()
    except (aiohttp.ClientError, OSError):
        ledger.outcomes["connection"] += 1
        return None
    ledger.outcomes[response.status] += 1
    if response.status == 503 and "retry-after" not in response.headers:
        ledger.without_wait += 1
    return answer if response.status < 300 else None


async def work(service: ServiceProcess, ledger: Ledger, *, client: int, words: list[str], stop: asyncio.Event) -> None:
    """Talk in one session and store documents, in turns, until told to stop."""
    session = f"session-{client}"
    ledger.turns[session] = []
    for number in count():
        if stop.is_set():
            return
        word = words[(client + number * CLIENTS) % len(words)]
        body: dict[str, Any] = {"message": f"Tell me of {word}.", "session_id": session, "documents": False}
        if await send(service, "/chat", body | {"model": "builtin/extractive", "cache": False}, ledger) is not None:
            ledger.turns[session].append(word)
        document = {"id": word, "content": f"The word of the day is {word}."}
        if await send(service, "/documents", {"documents": [document]}, ledger) is not None:
            ledger.documents.append(word)
        await asyncio.sleep(0.02)


async def hurt(service: ServiceProcess, postgres: PostgresServer, redis: RedisServer, chance: random.Random) -> None:
    """Kill each part once, in any order, and let it come back."""
    faults = ["postgres", "redis", "worker", "worker"]
    chance.shuffle(faults)
    for fault in faults:
        await asyncio.sleep(STEADY_SECONDS)
        if fault == "postgres":
            await asyncio.to_thread(postgres.stop)
            await asyncio.sleep(AWAY_SECONDS)
            await asyncio.to_thread(postgres.start)
        elif fault == "redis":
            await redis.kill()
            await asyncio.sleep(AWAY_SECONDS)
            await redis.start()
        else:
            os.kill(chance.choice(workers(service.pid)), signal.SIGKILL)


async def find_losses(service: ServiceProcess, postgres_url: str, ledger: Ledger) -> list[str]:
    """Acknowledged documents that are not indexed, and turns that are not in the record."""
    connection = await asyncpg.connect(postgres_url)
    live = (
        "SELECT documents.id FROM documents JOIN versions ON versions.document = documents.number WHERE versions.live"
    )
    indexed = {row["id"] for row in await connection.fetch(live)}
    said = await connection.fetch("SELECT session, message::text AS message FROM turns ORDER BY number")
    await connection.close()
    kept = {session: " ".join(row["message"] for row in said if row["session"] == session) for session in ledger.turns}
    lost = [word for word in ledger.documents if word not in indexed]
    return lost + [word for session, words in ledger.turns.items() for word in words if word not in kept[session]]


@pytest.mark.slow
@pytest.mark.timeout(600)
async def test_nothing_acknowledged_is_lost_while_servers_and_workers_are_killed(tmp_path: Path) -> None:
    if PROGRAMS is None or EXECUTABLE is None:
        pytest.skip("PostgreSQL or redis-server is not installed")
    chance, ledger, words = random.Random(0), Ledger(), invent_words(WORDS, seed=0)
    with postgres_server() as postgres:
        url = await postgres.create_database()
        async with RedisServer(tmp_path) as redis:
            settings = {"WORKERS": "2", "DATABASE_URL": url, "REDIS_URL": redis.url}
            async with ServiceProcess(tmp_path, environment=settings) as service:
                stop = asyncio.Event()
                clients = [
                    asyncio.create_task(work(service, ledger, client=client, words=words, stop=stop))
                    for client in range(CLIENTS)
                ]
                for _ in range(ROUNDS):
                    await hurt(service, postgres, redis, chance)
                await asyncio.sleep(STEADY_SECONDS)
                stop.set()
                await asyncio.gather(*clients)
                async with asyncio.timeout(300):
                    while lost := await find_losses(service, url, ledger):  # noqa: ASYNC110  (other processes)
                        await asyncio.sleep(1)
    turns = sum(map(len, ledger.turns.values()))
    print(f"{len(ledger.documents)} documents and {turns} turns acknowledged; {dict(ledger.outcomes)}")  # noqa: T201
    assert lost == []
    assert set(ledger.outcomes) <= EXPECTED, ledger.outcomes
    assert ledger.without_wait == 0
    assert ledger.documents
    assert any(ledger.turns.values())
