"""Many requests at once while the model servers fail at random: nothing wrong is answered and nothing is left over."""

from __future__ import annotations

import asyncio
import gc
import json
import os
import random
import re
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from app.models import Usage
from tests.failover.bench import SPARE, Bench, Protocol, open_bench
from tests.support.answer import Answer, Behaviour
from tests.support.behaviours import (
    CloseWithoutLastChunk,
    ContentFilter,
    ContextTooLong,
    CutMidStream,
    EmptyChoices,
    ErrorMidStream,
    HtmlWith200,
    MalformedChunk,
    NoDone,
    NoFinish,
    NoResponse,
    ResetConnection,
    StallMidStream,
    Status,
)
from tests.support.http import RecordedRequest
from tests.support.streams import sse

AT_ONCE = 50
LEAVERS = 0.03
FAULTY = 0.3
WARM_UP = 100
PATIENCE = 5.0
# Resident memory after the warm-up may grow by caches of libraries and by the allocator's own doing.
MOST_GROWTH_BYTES = 24 * 1024 * 1024
MAY_FAIL_WITH = {
    "upstream_error", "upstream_broken", "upstream_unavailable", "upstream_timeout", "upstream_rate_limited",
    "content_filter", "context_length_exceeded",
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Got:
    """One request's end: a complete answer, an error, or nothing because the client left."""

    number: int
    text: str = ""
    model: str = ""
    usage: dict[str, Any] | None = None
    code: str | None = None
    left: bool = False


def right_text(number: int, *, model: str) -> str:
    return f"Number {number} says {model.partition('/')[2]}. " + "word " * (number % 9) + "End."


def right_usage(number: int) -> Usage:
    return Usage(prompt_tokens=10 + number % 7, completion_tokens=5 + number % 11)


def fault(rng: random.Random, answer: Answer) -> Behaviour:
    after = rng.randrange(4)
    faults: Sequence[Behaviour] = (
        Status(429, retry_after=0.01),
        Status(429, retry_after=30),
        Status(500),
        Status(503),
        ResetConnection(),
        NoResponse(),
        CutMidStream(after=after, of=answer),
        StallMidStream(after=after, of=answer),
        MalformedChunk(after=after, of=answer),
        NoDone(answer),
        NoFinish(answer),
        ErrorMidStream(after=after, of=answer),
        CloseWithoutLastChunk(after=after, of=answer),
        HtmlWith200(),
        EmptyChoices(),
        ContextTooLong(),
        ContentFilter(),
    )
    return rng.choice(faults)


def misbehave(rng: random.Random) -> Any:
    """A script: right answers to numbered questions, and faults among them."""

    def script(request: RecordedRequest) -> Behaviour | None:
        if not request.path.endswith("/chat/completions"):
            return None
        number = int(re.findall(r"\d+", request.json["messages"][-1]["content"])[0])
        answer = Answer(right_text(number, model=f"/{request.json['model']}"), usage=right_usage(number))
        return fault(rng, answer) if rng.random() < FAULTY else answer

    return script


async def ask(bench: Bench, number: int, *, leave: bool) -> Got:
    body = {"message": f"Question {number}", "cache": False, "documents": False}
    path = "/chat/stream" if number % 2 else "/chat"
    try:
        # Those who leave do so at any moment of an answer that takes some milliseconds.
        async with (
            asyncio.timeout(0.001 * (number % 20) if leave else None),
            bench.service.client.post(path, json=body) as response,
        ):
            if response.status != 200:
                return Got(number=number, code=(await response.json())["error"]["code"])
            if number % 2:
                return fold(number, [event.data async for event in sse(response)])
            answer = await response.json()
            return Got(number=number, text=answer["message"], model=answer["model_used"], usage=answer["usage"])
    except TimeoutError:
        return Got(number=number, left=True)


def fold(number: int, events: Sequence[str]) -> Got:
    if events[-1] != "[DONE]":
        return Got(number=number, code=json.loads(events[-1])["error"]["code"])
    first, *pieces, done = map(json.loads, events[:-1])
    text = "".join(piece["content"] for piece in pieces)
    return Got(number=number, text=text, model=first["model"], usage=done["usage"])


async def run(bench: Bench, numbers: range, *, rng: random.Random) -> list[Got]:
    room = asyncio.Semaphore(AT_ONCE)

    async def one(number: int, *, leave: bool) -> Got:
        async with room:
            got = await ask(bench, number, leave=leave)
        if number % 100 == 0:
            # What the scripted servers remember is not the gateway's memory.
            bench.first.forget()
            bench.spare.forget()
        return got

    return await asyncio.gather(*(one(number, leave=rng.random() < LEAVERS) for number in numbers))


def check(answers: Sequence[Got]) -> None:
    for got in answers:
        if got.left:
            continue
        if got.code is not None:
            assert got.code in MAY_FAIL_WITH
            continue
        usage = right_usage(got.number)
        assert got.text == right_text(got.number, model=got.model)
        assert got.usage == {
            "prompt_tokens": usage.prompt_tokens,
            "completion_tokens": usage.completion_tokens,
            "total_tokens": usage.total_tokens,
            "estimated": False,
        }


async def counted_tokens(bench: Bench) -> Counter[str]:
    """The tokens on the service's own account, by model."""
    async with bench.service.client.get("/metrics") as response:
        rows = re.findall(r'sluice_tokens_total\{[^}]*model="([^"]+)"\} ([\d.]+)', await response.text())
    counted: Counter[str] = Counter()
    for model, value in rows:
        counted[model] += int(float(value))
    return counted


@asynccontextmanager
async def nothing_left_over(bench: Bench) -> AsyncIterator[None]:
    """After the block there are no more tasks and descriptors than before it and idle connections need.

    Both ends of each connection are in this process; a scripted server has a task for each of its own.
    """
    tasks, descriptors = len(asyncio.all_tasks()), open_descriptors()
    yield
    await become_true(lambda: len(asyncio.all_tasks()) <= tasks + idle_connections(bench))
    await become_true(lambda: open_descriptors() <= descriptors + 2 * (idle_connections(bench) + AT_ONCE))
    async with bench.service.client.get("/metrics") as response:
        assert "sluice_requests_in_flight 0.0" in await response.text()


async def become_true(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not condition():  # noqa: ASYNC110  (nothing tells when the last task of a client that left has ended)
            await asyncio.sleep(0.05)


def idle_connections(bench: Bench) -> int:
    return bench.first.open_connections + bench.spare.open_connections


def open_descriptors() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def resident_bytes() -> int:
    gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.timeout(600)
@pytest.mark.parametrize("count", [200, pytest.param(2000, marks=pytest.mark.slow)])
async def test_every_answer_is_complete_and_right_or_an_explicit_error(tmp_path: Path, count: int) -> None:
    """Tokens add up exactly for what was answered, and no task, socket or memory is left behind."""
    rng = random.Random(20_261_120)
    async with open_bench(tmp_path / "before", protocol=Protocol.OPENAI):
        pass  # what libraries open once and keep is open from here on
    tasks, descriptors = len(asyncio.all_tasks()), open_descriptors()
    async with open_bench(tmp_path, protocol=Protocol.OPENAI) as bench:
        bench.first.script, bench.spare.script = misbehave(rng), misbehave(rng)
        warm = await run(bench, range(WARM_UP), rng=rng)
        memory = resident_bytes()
        async with nothing_left_over(bench):
            answers = await run(bench, range(WARM_UP, WARM_UP + count), rng=rng)
        grown = resident_bytes() - memory
        booked = await counted_tokens(bench)
        check([*warm, *answers])
    completed = [got for got in (*warm, *answers) if got.usage is not None]
    assert len(completed) > 0.8 * (count + WARM_UP)
    assert {got.model for got in completed} >= {"openai/first-model", SPARE}
    expected: Counter[str] = Counter()
    for got in completed:
        expected[got.model] += right_usage(got.number).total_tokens
    # A client that left at the very end may have been answered in full, which then is on the account.
    most = sum(right_usage(got.number).total_tokens for got in (*warm, *answers) if got.left)
    assert 0 <= sum((booked - expected).values()) <= most
    assert not expected - booked
    assert grown < MOST_GROWTH_BYTES
    await become_true(lambda: len(asyncio.all_tasks()) == tasks and open_descriptors() == descriptors)
