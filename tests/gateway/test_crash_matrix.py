"""Documents come and go while the service is killed over and over: what was acknowledged holds, and nothing else."""

from __future__ import annotations

import asyncio
import itertools
import random
import sys
from asyncio.subprocess import DEVNULL, STDOUT
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from string import ascii_lowercase
from typing import Any

import aiohttp
import pytest

from tests.support.process import ServiceProcess

ROUNDS = 50
DOCUMENTS = 24
# One for each service; further apart than a service has documents.
SEEDS = (6, 600)
# Where in a document's life the service is killed; `any` is after a while, `start` before it is up again.
MOMENTS = ("parsing", "embedding", "publishing", "removing", "sending", "any", "chunking", "start")
# How many sentences a document must have to be seen at a stage: cutting takes a moment from 100,000 characters on, and
# embedding has news after its first 32 chunks. Each costs the next start its embedding, so that others are short.
LENGTHS = {"chunking": 1_200, "embedding": 400, "publishing": 400}
SHORT = (0, 0, 5, 40)
ROUNDS_BETWEEN_LOOKS = 10
LONGEST_ROUND = 8.0
FILLER = "The harbour master notes wind, tide and cargo in a book that nobody has read since. "


@dataclass(slots=True)
class Ledger:
    """What one document may hold: a word, or nothing. More than one state only after an answer that never came."""

    id: str
    words: Iterator[str]
    states: set[str | None] = field(default_factory=lambda: {None})
    known: list[str] = field(default_factory=list)

    def text(self, word: str, *, length: int) -> str:
        return f"Document {self.id} has the word {word}.\n\n" + FILLER * length


@dataclass(slots=True)
class Crowd:
    """Callers that upload, replace and delete, each a few documents of its own, one call after the other."""

    service: ServiceProcess
    ledgers: Sequence[Ledger]
    chance: random.Random
    removing: asyncio.Event = field(default_factory=asyncio.Event)

    async def work(self, ledgers: Sequence[Ledger], *, first: int | None = None) -> None:
        """Go on until the service is killed; `first` is the length of a document to upload before all others."""
        while True:
            ledger = self.chance.choice(ledgers)
            try:
                if first is None and self.chance.random() < 0.3:
                    await self._delete(ledger)
                else:
                    await self._upload(ledger, length=self.chance.choice(SHORT) if first is None else first)
                    first = None
            except (aiohttp.ClientError, TimeoutError):
                return  # the service was killed, and nobody knows whether the call had come through

    async def _upload(self, ledger: Ledger, *, length: int) -> None:
        word = next(ledger.words)
        ledger.known.append(word)
        ledger.states.add(word)
        text = ledger.text(word, length=length)
        async with self.service.client.post(
            "/documents", json={"documents": [{"id": ledger.id, "content": text}]}
        ) as response:
            assert response.status == 202, await response.text()
            await response.read()
        ledger.states = {word}

    async def _delete(self, ledger: Ledger) -> None:
        ledger.states.add(None)
        self.removing.set()
        async with self.service.client.delete(f"/documents/{ledger.id}") as response:
            assert response.status in (202, 204, 404), await response.text()
            await response.read()
        ledger.states = {None}


def invented(seed: int) -> Iterator[str]:
    """Words of one length, so that none is a part of another."""
    chance = random.Random(seed)
    while True:
        yield "".join(chance.choices(ascii_lowercase, k=12))


async def wait_for(moment: str, crowd: Crowd, *, chance: random.Random) -> None:
    """Return when a document is at this point, or after a while if none comes by."""
    try:
        async with asyncio.timeout(LONGEST_ROUND):
            if moment == "removing":
                await crowd.removing.wait()
                await asyncio.sleep(chance.random() * 0.3)
            elif moment in ("sending", "any", "start"):
                await asyncio.sleep(chance.random() * (0.2 if moment == "sending" else 2))
            else:
                await _until_stage(moment, crowd.service.client)
    except (TimeoutError, aiohttp.ClientError):
        return


async def _until_stage(moment: str, client: aiohttp.ClientSession) -> None:
    """Publishing has no name of its own: it comes when the last batch is done."""
    while True:
        async with client.get("/documents?limit=1000") as response:
            documents = (await response.json())["documents"]
        for document in documents:
            progress = document["progress"]
            last = progress["stage"] == "embedding" and progress["total"] and progress["total"] - progress["done"] <= 32
            if document["status"] == "indexing" and (last if moment == "publishing" else progress["stage"] == moment):
                return


async def play_round(crowd: Crowd, *, moment: str, chance: random.Random) -> None:
    """Callers at work, a kill at the moment, and a start, which may be killed too."""
    crowd.removing.clear()
    work = [asyncio.create_task(crowd.work(crowd.ledgers[start::6])) for start in range(1, 6)]
    work.append(asyncio.create_task(crowd.work(crowd.ledgers[::6], first=LENGTHS.get(moment))))
    await wait_for(moment, crowd, chance=chance)
    await crowd.service.kill()
    await asyncio.gather(*work)
    if moment == "start":
        await crowd.service.launch()
        await asyncio.sleep(chance.random() * 3)
        await crowd.service.kill()
    await crowd.service.start()


async def settle(client: aiohttp.ClientSession) -> dict[str, dict[str, Any]]:
    """The documents once none has work left."""
    async with asyncio.timeout(120):
        while True:
            async with client.get("/documents?limit=1000") as response:
                documents = (await response.json())["documents"]
            if all(document["status"] in ("indexed", "failed") for document in documents):
                return {document["id"]: document for document in documents}
            await asyncio.sleep(0.1)


async def look(service: ServiceProcess, ledgers: Sequence[Ledger]) -> None:
    """Every document is in one of its possible states, found by its word, once; no other word of its is found."""
    documents = await settle(service.client)
    assert {document["status"] for document in documents.values()} <= {"indexed"}
    for ledger in ledgers:
        held = await _words_found(service.client, ledger)
        assert len(held) <= 1, f"{ledger.id} is found {len(held)} times"
        state = held[0] if held else None
        assert state in ledger.states, f"{ledger.id} holds {state}, not one of {ledger.states}"
        assert (ledger.id in documents) == (state is not None)
        ledger.states = {state}


async def _words_found(client: aiohttp.ClientSession, ledger: Ledger) -> list[str]:
    """The document's words that searches for each of its last ones find, each as often as it is found."""
    found: dict[str, list[str]] = {}
    for word in ledger.known[-3:]:
        body = {"query": f"Document {ledger.id} has the word {word}", "limit": 20}
        async with client.post("/search", json=body) as response:
            assert response.status == 200
            contents = [each["content"] for each in (await response.json())["documents"]]
        for content in contents:
            for known in ledger.known:
                if known in content:
                    found.setdefault(word, []).append(known)
    return max(found.values(), key=len, default=[])


async def examine(service: ServiceProcess) -> tuple[int, str]:
    """`python -m app doctor` over the data that is left: exit status and report."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "app",
        "doctor",
        cwd=service.directory,
        env=service.variables,
        stdin=DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=STDOUT,
    )
    output, _ = await process.communicate()
    return process.returncode or 0, output.decode()


async def crash_over_and_over(directory: Path, *, rounds: int, seed: int) -> None:
    """Rounds over one service's data, with a look at it now and then, and an examination in the end."""
    chance = random.Random(seed)
    ledgers = [Ledger(id=f"d{number}", words=invented(seed + number)) for number in range(DOCUMENTS)]
    async with ServiceProcess(directory) as service:
        crowd = Crowd(service=service, ledgers=ledgers, chance=chance)
        for number, moment in zip(range(1, rounds + 1), itertools.cycle(MOMENTS), strict=False):
            await play_round(crowd, moment=moment, chance=chance)
            if number % ROUNDS_BETWEEN_LOOKS == 0 or number == rounds:
                await look(service, ledgers)
        await service.terminate()
        status, report = await examine(service)
        assert status == 0, report


@pytest.mark.slow
@pytest.mark.no_cover
@pytest.mark.timeout(900)
async def test_fifty_crashes_lose_nothing_acknowledged_and_find_nothing_deleted(tmp_path: Path) -> None:
    """Two services side by side: most of a round is waiting for a service to start."""
    for seed in SEEDS:
        (tmp_path / str(seed)).mkdir()
    async with asyncio.TaskGroup() as services:
        for seed in SEEDS:
            services.create_task(crash_over_and_over(tmp_path / str(seed), rounds=ROUNDS // len(SEEDS), seed=seed))
