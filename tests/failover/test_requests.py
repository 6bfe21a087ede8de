"""What holds for a request whose first model fails, beside the answer itself."""

from __future__ import annotations

import asyncio
import re
import statistics
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.failover.bench import MODELS, QUESTION, SPARE, SPARE_TEXT, Bench, Mode, Protocol, open_bench
from tests.support.answer import USAGE, Answer
from tests.support.behaviours import CutMidStream, NoResponse, SlowFirstToken, StallMidStream, Status, flap

FIRST = MODELS[Protocol.OPENAI]
CANCELLED_SECONDS = 0.1
LEAVERS = 5


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    async with open_bench(tmp_path, protocol=Protocol.OPENAI) as bench:
        yield bench


async def chat(bench: Bench, **fields: Any) -> Any:
    body = {"message": QUESTION, "cache": False, "documents": False, **fields}
    async with bench.service.client.post("/chat", json=body) as response:
        return await response.json()


async def test_the_route_tells_every_call_and_how_it_ended(bench: Bench) -> None:
    bench.first.script = Status(503)
    route = (await chat(bench))["route"]
    assert route["attempts"] == [
        {"model": FIRST, "outcome": "upstream_unavailable"},
        {"model": FIRST, "outcome": "upstream_unavailable"},
        {"model": SPARE, "outcome": "ok"},
    ]


async def test_tokens_and_cost_are_counted_once_and_only_for_the_model_that_answered(bench: Bench) -> None:
    for script in (Status(500), flap(1), Answer()):
        bench.first.script = script
        await chat(bench)
    async with bench.service.client.get("/metrics") as response:
        counted = re.findall(
            r'sluice_tokens_total\{estimated="false",kind="(\w+)",[^}]*model="([^"]+)"[^}]*\} ([\d.]+)',
            await response.text(),
        )
    assert {(model, kind): float(value) for kind, model, value in counted} == {
        (FIRST, "prompt"): 2 * USAGE.prompt_tokens,
        (FIRST, "completion"): 2 * USAGE.completion_tokens,
        (SPARE, "prompt"): USAGE.prompt_tokens,
        (SPARE, "completion"): USAGE.completion_tokens,
    }


async def test_a_call_that_breaks_off_after_its_answer_has_opened_is_on_the_account_with_its_prompt(
    bench: Bench,
) -> None:
    bench.first.script = CutMidStream(after=0)
    route = (await chat(bench))["route"]
    taken = [attempt["usage"] for attempt in route["attempts"][:-1]]
    assert [usage["estimated"] for usage in taken] == [True, True]
    assert all(usage["completion_tokens"] == 0 < usage["prompt_tokens"] for usage in taken)
    async with bench.service.client.get("/metrics") as response:
        text = await response.text()
    counted = re.findall(
        rf'sluice_tokens_total\{{estimated="true",kind="prompt",[^}}]*model="{FIRST}"[^}}]*\}} ([\d.]+)', text
    )
    assert [float(value) for value in counted] == [sum(usage["prompt_tokens"] for usage in taken)]


async def test_a_prefill_reaches_every_model_that_is_tried_unchanged(bench: Bench) -> None:
    messages = [{"role": "user", "content": QUESTION}, {"role": "assistant", "content": "At 100"}]
    got = await bench.ask(Status(503), mode=Mode.SPARE_STREAM, messages=messages)
    assert got.text == SPARE_TEXT
    assert bench.spare.completions[0].json["messages"] == messages


async def test_an_open_breaker_sends_a_model_to_the_end_of_the_plan_and_shows(bench: Bench) -> None:
    bench.first.script = Status(500)
    for _ in range(2):
        await chat(bench)
    bench.first.forget()
    assert (await chat(bench))["model_used"] == SPARE
    assert bench.first.completions == []
    async with bench.service.client.get("/models") as response:
        listed = {model["id"]: model for model in (await response.json())["models"]}
    assert (listed[FIRST]["breaker"], listed[SPARE]["breaker"]) == ("open", "closed")
    async with bench.service.client.get("/metrics") as response:
        assert f'sluice_breaker_open{{model="{FIRST}"}} 1.0' in await response.text()
    async with bench.service.client.post("/route", json={"message": QUESTION}) as response:
        assert (await response.json())["model"] == SPARE


async def test_a_model_whose_breaker_is_open_still_answers_when_it_is_the_only_one(bench: Bench) -> None:
    bench.first.script = Status(500)
    for _ in range(3):
        await chat(bench, model=FIRST)
    bench.first.script = Answer()
    assert (await chat(bench, model=FIRST))["model_used"] == FIRST


@pytest.mark.parametrize("path", ["/chat", "/chat/stream"])
@pytest.mark.parametrize("head", [True, False])
async def test_a_client_that_leaves_before_the_first_token_has_its_call_cancelled_within_100_ms(
    bench: Bench, path: str, head: bool
) -> None:
    bench.first.script = SlowFirstToken(asyncio.Event(), head=head)
    body = {"message": QUESTION, "cache": False, "documents": False, "model": FIRST}
    seen, took = len(bench.first.requests), []
    for count in range(1, LEAVERS + 1):
        call = asyncio.create_task(bench.service.client.post(path, json=body).__aenter__())
        await bench.first.wait_requests(seen + count)
        took.append(await leave(bench, call, count=count))
    assert statistics.median(took) < CANCELLED_SECONDS


async def test_a_client_that_leaves_in_mid_stream_has_its_call_cancelled_within_100_ms(bench: Bench) -> None:
    bench.first.script = StallMidStream(after=1)
    body = {"message": QUESTION, "cache": False, "documents": False, "model": FIRST}
    took = []
    for count in range(1, LEAVERS + 1):
        response = await bench.service.client.post("/chat/stream", json=body)
        await response.content.readany()
        began = time.perf_counter()
        response.close()
        await bench.first.wait_cancelled(count)
        took.append(time.perf_counter() - began)
    assert statistics.median(took) < CANCELLED_SECONDS


async def leave(bench: Bench, call: asyncio.Task[Any], *, count: int) -> float:
    """Seconds from when the client has left until the upstream has seen it."""
    began = time.perf_counter()
    call.cancel()
    await bench.first.wait_cancelled(count)
    return time.perf_counter() - began


async def test_a_client_that_leaves_is_not_followed_by_a_fallback(bench: Bench) -> None:
    bench.first.script = NoResponse()
    call = asyncio.create_task(chat(bench))
    await bench.first.wait_requests(len(bench.first.requests) + 1)
    call.cancel()
    await bench.first.wait_cancelled(1)
    bench.first.script = Answer()
    assert (await chat(bench))["model_used"] == FIRST
    assert bench.spare.completions == []


async def test_fallback_order_prices_and_breakers_are_shown(bench: Bench) -> None:
    """In `/route` for a request, in `/models` and `/metrics` for each tier."""
    bench.first.script = Status(500)
    for _ in range(2):
        await chat(bench)
    async with bench.service.client.post("/route", json={"message": QUESTION, "documents": False}) as response:
        route = (await response.json())["route"]
    shown = {candidate["model"]: candidate for candidate in route["candidates"]}
    tried = [candidate["model"] for candidate in route["candidates"] if candidate["dropped"] is None]
    assert (shown[FIRST]["breaker"], shown[SPARE]["breaker"]) == ("open", "closed")
    assert (tried[0], tried[-1]) == (SPARE, FIRST)
    priced = next(candidate for candidate in shown.values() if candidate["pricing"] is not None)
    async with bench.service.client.get("/models") as response:
        listed = {model["id"]: model for model in (await response.json())["models"]}
    assert [listed[model]["fallback"]["simple"] for model in tried] == list(range(1, len(tried) + 1))
    assert listed[priced["model"]]["pricing"] == priced["pricing"]
    async with bench.service.client.get("/metrics") as response:
        metrics = await response.text()
    assert f'sluice_fallback_position{{model="{SPARE}",tier="simple"}} 1.0' in metrics
    price = f'sluice_model_price_usd{{kind="prompt",model="{priced["model"]}"}} {priced["pricing"]["prompt"]}'
    assert price in metrics
