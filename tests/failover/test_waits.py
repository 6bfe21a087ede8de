"""How long a request waits: for a token, for the whole of it, for room, and not at all once its client has left."""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.failover.bench import MODELS, QUESTION, SPARE, Bench, Mode, Protocol, open_bench
from tests.support.answer import Answer
from tests.support.behaviours import Paced, SlowFirstToken, StallMidStream

FIRST = MODELS[Protocol.OPENAI]
CANCELLED_SECONDS = 0.1
LEAVERS = 4
PATIENCE = 5.0
# Seconds: twelve words at this pace take longer than the time-outs below, and each of them much less.
PACE = 0.06
WORDS = Answer("One two three four five six seven eight nine ten eleven twelve.")
PROTOCOLS = pytest.mark.parametrize("protocol", [Protocol.OPENAI, Protocol.OLLAMA])
MODES = pytest.mark.parametrize("mode", [Mode.ALONE_JSON, Mode.ALONE_STREAM])


@PROTOCOLS
@MODES
async def test_an_answer_may_take_longer_than_its_first_token_or_any_gap_in_it(
    tmp_path: Path, protocol: Protocol, mode: Mode
) -> None:
    """A JSON answer too: what bounds it are the silences of the model, not the time until it is whole."""
    waits = {"timeout_first_token": 0.5, "timeout_first_token_local": 0.5, "timeout_between_tokens": 0.5}
    async with open_bench(tmp_path, protocol=protocol, **waits) as bench:
        began = time.perf_counter()
        got = await bench.ask(Paced(WORDS, seconds=PACE), mode=mode)
    assert (got.text, got.code) == (WORDS.text, None)
    assert time.perf_counter() - began > waits["timeout_first_token"]


@MODES
async def test_the_time_of_all_attempts_together_bounds_a_model_that_writes_for_ever(
    tmp_path: Path, mode: Mode
) -> None:
    async with open_bench(tmp_path, protocol=Protocol.OPENAI, timeout_total=0.5) as bench:
        got = await bench.ask(Paced(WORDS, seconds=PACE), mode=mode)
    assert got.code == "upstream_timeout"
    assert (got.status, got.began) == ((504, False) if mode is Mode.ALONE_JSON else (200, True))
    assert got.calls == 1


# Room


async def ask(bench: Bench, **fields: Any) -> tuple[int, Any]:
    body = {"message": QUESTION, "cache": False, "documents": False, **fields}
    async with bench.service.client.post("/chat", json=body) as response:
        return response.status, await response.json()


async def test_a_model_has_a_bounded_queue_and_what_finds_no_room_in_it_goes_elsewhere(tmp_path: Path) -> None:
    gate = asyncio.Event()
    async with open_bench(tmp_path, protocol=Protocol.OPENAI, model_concurrency=1) as bench:
        bench.first.script = SlowFirstToken(gate)
        called = asyncio.create_task(ask(bench))
        await bench.first.wait_requests(len(bench.first.requests) + 1)
        others = {asyncio.create_task(ask(bench)) for _ in range(2)}
        done, queued = await asyncio.wait(others, return_when=asyncio.FIRST_COMPLETED)
        status, routed = done.pop().result()
        assert (status, routed["model_used"]) == (200, SPARE)
        assert [attempt["outcome"] for attempt in routed["route"]["attempts"]] == ["model_busy", "ok"]
        status, alone = await ask(bench, model=FIRST)
        assert (status, alone["error"]["code"]) == (503, "model_busy")
        assert len(bench.first.completions) == 1
        gate.set()
        answers = await asyncio.gather(called, *queued)
        assert [answer["model_used"] for _, answer in answers] == [FIRST, FIRST]


async def until_in_flight(bench: Bench, count: int) -> None:
    """Wait until so many requests are being answered."""
    async with asyncio.timeout(PATIENCE):
        while True:
            async with bench.service.client.get("/metrics") as response:
                if f"sluice_requests_in_flight {count}.0" in await response.text():
                    return


# Leaving


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/chat", {"message": QUESTION, "documents": False}),
        ("/chat/stream", {"message": QUESTION, "documents": False}),
        ("/v1/chat/completions", {"messages": [{"role": "user", "content": QUESTION}]}),
        ("/v1/chat/completions", {"messages": [{"role": "user", "content": QUESTION}], "stream": True}),
    ],
)
async def test_a_client_that_leaves_while_the_model_writes_has_its_call_cancelled_within_100_ms(
    tmp_path: Path, path: str, body: dict[str, Any]
) -> None:
    """On every surface, also where an answer that is to be kept would serve others."""
    async with open_bench(tmp_path, protocol=Protocol.OPENAI) as bench:
        bench.first.script = StallMidStream(after=2)
        took = []
        for count in range(1, LEAVERS + 1):
            seen = len(bench.first.requests)
            asked = {**body, "model": FIRST, "cache": count % 2 == 0}
            call = asyncio.create_task(bench.service.client.post(path, json=asked).__aenter__())
            await bench.first.wait_requests(seen + 1)
            leave: Callable[[], object] = call.cancel
            if "stream" in path or "stream" in body:
                response = await call
                await response.content.readany()
                leave = response.close
            began = time.perf_counter()
            leave()
            await bench.first.wait_cancelled(count)
            took.append(time.perf_counter() - began)
    assert statistics.median(took) < CANCELLED_SECONDS


async def test_a_client_that_leaves_a_socket_has_its_call_cancelled_within_100_ms(tmp_path: Path) -> None:
    async with open_bench(tmp_path, protocol=Protocol.OPENAI) as bench:
        bench.first.script = StallMidStream(after=2)
        took = []
        for count in range(1, LEAVERS + 1):
            seen = len(bench.first.requests)
            socket = await bench.service.client.ws_connect("/websockets/openrouter")
            await socket.send_json({"messages": [{"role": "user", "content": QUESTION}], "model": FIRST})
            await bench.first.wait_requests(seen + 1)
            began = time.perf_counter()
            await socket.close()
            await bench.first.wait_cancelled(count)
            took.append(time.perf_counter() - began)
    assert statistics.median(took) < CANCELLED_SECONDS


async def test_a_client_that_leaves_the_queue_gives_its_place_up(tmp_path: Path) -> None:
    gate = asyncio.Event()
    async with open_bench(tmp_path, protocol=Protocol.OPENAI, model_concurrency=1) as bench:
        bench.first.script = SlowFirstToken(gate)
        called = asyncio.create_task(ask(bench, model=FIRST))
        await bench.first.wait_requests(len(bench.first.requests) + 1)
        for _ in range(2):
            leaver = asyncio.create_task(ask(bench, model=FIRST))
            await until_in_flight(bench, 2)
            leaver.cancel()
            await until_in_flight(bench, 1)
        waiting = asyncio.create_task(ask(bench, model=FIRST))
        await until_in_flight(bench, 2)
        gate.set()
        assert [status for status, _ in await asyncio.gather(called, waiting)] == [200, 200]
        assert len(bench.first.completions) == 2
