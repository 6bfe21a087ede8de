"""Four workers under load while Redis, PostgreSQL and workers go and come back: what was acknowledged is there."""

from __future__ import annotations

import asyncio
import os
import secrets
import signal
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from app.services.indexing import LEASE_SECONDS
from tests.gateway.conftest import CLOUD
from tests.support.postgres import PROGRAMS, PostgresServer, postgres_server
from tests.support.process import ServiceProcess
from tests.support.redis import RedisServer
from tests.support.upstream import ScriptedUpstream
from tests.support.workers import workers

pytestmark = [pytest.mark.slow, pytest.mark.no_cover, pytest.mark.timeout(600)]

WORKERS = 4
TALKERS, WRITERS = 6, 2
PHASE_SECONDS = 3.0
START_SECONDS = 120.0
# What a worker that is killed may take with it of usage.
AT_RISK_SECONDS = 0.2
ADMIN_KEY = secrets.token_hex(16)
REASONS = {"503": {"no database", "database coming back"}, "no answer": {"workers killed"}}
TIERS = ("MODEL_SIMPLE", "MODEL_MODERATE", "MODEL_COMPLEX", "MODEL_LONG_CONTEXT")


@pytest.fixture
def own_postgres() -> Iterator[PostgresServer]:
    """A server that no other test uses, to be stopped."""
    if PROGRAMS is None:
        pytest.skip("PostgreSQL is not installed")
    with postgres_server() as server:
        yield server


@dataclass(slots=True, kw_only=True)
class Load:
    """Clients that talk and put documents in; what was acknowledged, and what else came.

    `outcomes` are by what was going on when a request began, what was when it ended, and how it ended.
    """

    service: ServiceProcess
    going_on: str = "nothing"
    turns: dict[str, list[str]] = field(default_factory=dict)
    documents: list[str] = field(default_factory=list)
    answered: list[float] = field(default_factory=list)
    outcomes: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    stop: asyncio.Event = field(default_factory=asyncio.Event)

    async def talk(self, session: str) -> None:
        """One turn after the other in one session, each asked once."""
        acknowledged = self.turns.setdefault(session, [])
        number = 0
        while not self.stop.is_set():
            number += 1
            message = f"Turn {number} of {session}"
            body = {"message": message, "session_id": session, "documents": False, "cache": False}
            if await self._post("/chat", body) == "200":
                acknowledged.append(message)
                self.answered.append(time.monotonic())

    async def write(self, name: str) -> None:
        number = 0
        while not self.stop.is_set():
            number += 1
            id = f"{name}-{number}"
            if await self._post("/documents", {"documents": [{"id": id, "content": f"Text of {id}."}]}) == "202":
                self.documents.append(id)
            await asyncio.sleep(0.2)

    async def _post(self, path: str, body: Any) -> str:
        """Over a connection of its own, which any worker may take; the status, or what went wrong with it."""
        began_in = self.going_on
        try:
            async with (
                aiohttp.ClientSession(self.service.url, headers=bearer()) as client,
                client.post(path, json=body) as response,
            ):
                await response.read()
                outcome = str(response.status)
                if response.status == 503:
                    assert int(response.headers["retry-after"]) >= 1
        except aiohttp.ClientError:
            outcome = "no answer"
        self.outcomes[began_in, self.going_on, outcome] += 1
        return outcome


def bearer() -> dict[str, str]:
    return {"authorization": f"Bearer {ADMIN_KEY}"}


async def trouble(load: Load, *, redis: RedisServer, postgres: PostgresServer) -> list[float]:
    """One fault after the other, each with the way back; the moments at which workers were killed."""
    await pass_time(load, "nothing")
    await redis.kill()
    await pass_time(load, "no redis")
    await redis.restart()
    await pass_time(load, "redis again")
    load.going_on = "no database"
    postgres.stop()
    await pass_time(load, "no database")
    postgres.start()
    await pass_time(load, "database coming back")
    await pass_time(load, "database again")
    killed = []
    for worker in workers(load.service.pid):
        load.going_on = "workers killed"
        os.kill(worker, signal.SIGKILL)
        killed.append(time.monotonic())
        await pass_time(load, "workers killed")
    await pass_time(load, "after all")
    return killed


async def pass_time(load: Load, going_on: str) -> None:
    load.going_on = going_on
    await asyncio.sleep(PHASE_SECONDS)


async def read(service: ServiceProcess, path: str) -> Any:
    async with aiohttp.ClientSession(service.url, headers=bearer()) as client, client.get(path) as response:
        assert response.status == 200, await response.text()
        return await response.json()


async def asked_in(service: ServiceProcess, session: str) -> list[str]:
    path = f"/sessions/{session}?limit=1000"
    page = await read(service, path)
    messages = page["messages"]
    while page["previous"] is not None:
        page = await read(service, f"{path}&before={page['previous']}")
        messages = page["messages"] + messages
    return [message["content"] for message in messages if message["role"] == "user"]


async def test_no_acknowledged_turn_or_document_is_lost_whatever_goes(
    tmp_path: Path, openai_upstream: ScriptedUpstream, redis_server: RedisServer, own_postgres: PostgresServer
) -> None:
    """Without Redis nothing fails, without the database there is a 503 that says when to come back.

    A worker that is killed takes the requests with it that it had, and at most its last 200 ms of usage.
    """
    environment = {
        "WORKERS": str(WORKERS),
        "ADMIN_KEY": ADMIN_KEY,
        "AUTH_REQUIRED": "true",
        "DATABASE_URL": await own_postgres.create_database(),
        "REDIS_URL": redis_server.url,
        "OPENAI_API_KEY": "sk-made-up-for-a-test",
        "OPENAI_BASE_URL": f"{openai_upstream.origin}/v1",
        "SESSION_UPKEEP": "none",
        **dict.fromkeys(TIERS, CLOUD),
    }
    async with ServiceProcess(tmp_path, environment=environment, patience=START_SECONDS) as service:
        load = Load(service=service)
        clients = [
            *(asyncio.create_task(load.talk(f"s{number}")) for number in range(TALKERS)),
            *(asyncio.create_task(load.write(f"d{number}")) for number in range(WRITERS)),
        ]
        killed = await trouble(load, redis=redis_server, postgres=own_postgres)
        load.stop.set()
        await asyncio.gather(*clients)
        print(dict(load.outcomes))  # noqa: T201  (the figures that are quoted)
        check_outcomes(load)
        for session, acknowledged in load.turns.items():
            kept = await asked_in(service, session)
            assert [message for message in kept if message in set(acknowledged)] == acknowledged
        await all_indexed(service, load.documents)
        total = (await read(service, "/usage"))["total"]
        at_risk = sum(any(end - AT_RISK_SECONDS <= each <= end for end in killed) for each in load.answered)
        assert len(load.answered) - at_risk <= total["requests"] <= len(openai_upstream.completions)


def check_outcomes(load: Load) -> None:
    """Whatever is not an answer has its reason in what was going on."""
    for began, ended, outcome in load.outcomes:
        if outcome not in ("200", "202"):
            assert REASONS[outcome] & {began, ended}, (began, ended, outcome)
    assert load.outcomes["no database", "no database", "503"]


async def all_indexed(service: ServiceProcess, ids: Sequence[str]) -> None:
    """What a killed worker had leased is taken up when its lease has run out."""
    async with asyncio.timeout(LEASE_SECONDS + 60):
        for id in ids:
            while (await read(service, f"/documents/{id}"))["status"] != "indexed":  # noqa: ASYNC110  (as below)
                await asyncio.sleep(0.1)  # the service is other processes
