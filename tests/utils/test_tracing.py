"""Spans without a collector: who is inside of whom, what is sampled, and what it costs when nobody looks."""

from __future__ import annotations

import asyncio
import itertools
import secrets
import time
from collections.abc import AsyncGenerator, Iterator

import pytest

from app.errors import UpstreamTimeoutError
from app.utils.tracing import CURRENT, NOTHING, RecordedSpan, Span, TraceContext, Tracer, step, traced

TRACE, SPAN = "4b" * 16, "7d" * 8


@pytest.fixture(name="ended")
def fixture_ended() -> list[RecordedSpan]:
    return []


@pytest.fixture(name="tracer")
def fixture_tracer(ended: list[RecordedSpan]) -> Iterator[Tracer]:
    numbers, moments = itertools.count(1), itertools.count(1000)
    assert CURRENT.get() is None
    yield Tracer(ended.append, random=lambda size: next(numbers).to_bytes(size), clock=lambda: next(moments))
    assert CURRENT.get() is None


@pytest.mark.parametrize(
    "header",
    [
        f"00-{TRACE}-{SPAN}-01",
        f"00-{TRACE}-{SPAN}-00",
        f"01-{TRACE}-{SPAN}-09-what-a-later-version-adds",
    ],
)
def test_a_traceparent_is_read(header: str) -> None:
    context = TraceContext.parse(header)
    assert context is not None
    assert (context.trace_id.hex(), context.span_id.hex()) == (TRACE, SPAN)
    assert context.sampled == (header[53:55] != "00")


@pytest.mark.parametrize(
    "header",
    [
        "",
        "00",
        f"ff-{TRACE}-{SPAN}-01",
        f"00-{TRACE}-{SPAN}-01-more",
        f"00-{TRACE}-{SPAN}-1",
        f"00-{TRACE.upper()}X-{SPAN}-01",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE}-{SPAN}-01\n",
        f"00-{'٣' * 32}-{SPAN}-01",
    ],
)
def test_what_is_no_traceparent_is_not_read(header: str) -> None:
    assert TraceContext.parse(header) is None


def test_a_step_is_inside_of_what_is_entered_around_it(tracer: Tracer, ended: list[RecordedSpan]) -> None:
    with tracer.begin("outer"), step("middle"):
        step("inner").end()
    with tracer.begin("another"):
        pass
    inner, middle, outer, another = ended
    assert (inner.parent_id, middle.parent_id) == (middle.context.span_id, outer.context.span_id)
    assert inner.context.trace_id == outer.context.trace_id != another.context.trace_id


async def test_a_step_in_a_task_is_inside_of_what_was_entered_when_the_task_began(
    tracer: Tracer, ended: list[RecordedSpan]
) -> None:
    async def work() -> None:
        with step("inner"):
            await asyncio.sleep(0)

    with tracer.begin("outer"):
        task = asyncio.create_task(work())
    await task
    outer, inner = ended
    assert inner.parent_id == outer.context.span_id


async def test_a_generator_that_is_closed_elsewhere_leaves_nothing_current_there(
    tracer: Tracer, ended: list[RecordedSpan]
) -> None:
    async def events() -> AsyncGenerator[int, None]:
        with step("streaming"):
            yield 1

    async def begin() -> AsyncGenerator[int, None]:
        with tracer.begin("outer"):
            running = events()
            await anext(running)
        return running

    running = await asyncio.create_task(begin())
    await asyncio.create_task(running.aclose())
    assert [span.name for span in ended] == ["outer", "streaming"]
    assert ended[1].error == "cancelled"


@pytest.mark.parametrize(
    ("error", "name"),
    [
        (UpstreamTimeoutError("brivolunder"), "upstream_timeout"),
        (ValueError("brivolunder"), "ValueError"),
        (asyncio.CancelledError("brivolunder"), "cancelled"),
    ],
)
async def test_of_an_error_a_span_has_the_code_or_the_type_and_no_text(
    tracer: Tracer, ended: list[RecordedSpan], error: BaseException, name: str
) -> None:
    @traced("step")
    async def work() -> None:
        raise error

    with pytest.raises(type(error)), tracer.begin("outer"):
        await work()
    for span in ended:
        assert (span.error, span.attributes) == (name, {"error.type": name})


async def test_a_traced_function_tells_of_what_it_returned(tracer: Tracer, ended: list[RecordedSpan]) -> None:
    def describe(found: list[str]) -> dict[str, int]:
        return {"found": len(found)}

    @traced("search", describe=describe)
    async def search(word: str, *, limit: int) -> list[str]:
        return [word] * limit

    with tracer.begin("outer"):
        assert await search("tea", limit=2) == ["tea", "tea"]
    assert (ended[0].name, ended[0].attributes) == ("search", {"found": 2})
    assert await search("tea", limit=1) == ["tea"]
    assert len(ended) == 2


def test_the_share_of_traces_that_is_recorded_is_the_one_that_was_asked_for() -> None:
    ended: list[RecordedSpan] = []
    tracer = Tracer(ended.append, share=0.25, random=secrets.token_bytes)
    for _ in range(4000):
        with tracer.begin("outer"):
            step("inner").end()
    assert 1600 < len(ended) < 2400
    assert len(ended) % 2 == 0


def test_what_is_not_recorded_has_ids_for_others_and_steps_that_are_nothing() -> None:
    ended: list[RecordedSpan] = []
    tracer = Tracer(ended.append, share=0)
    with tracer.begin("outer") as outer:
        assert outer.context is not None
        assert outer.context.traceparent.endswith("-00")
        assert step("inner") is NOTHING
        assert CURRENT.get() is outer
    assert ended == []


@pytest.mark.no_cover
async def test_a_step_costs_next_to_nothing_while_no_tracer_is_at_work() -> None:
    """The best of some rounds, against a bound that only real work would exceed: an answer has a dozen steps."""

    @traced("work")
    async def work() -> None:
        pass

    async def bare() -> None:
        pass

    async def seconds(rounds: int = 2000) -> float:
        began = time.perf_counter()
        for _ in range(rounds):
            with step("inner"):
                pass
            await work()
        middle = time.perf_counter()
        for _ in range(rounds):
            await bare()
        return (2 * middle - began - time.perf_counter()) / rounds

    assert min([await seconds() for _ in range(10)]) < 5e-6


def test_setting_and_failing_nothing_is_allowed() -> None:
    NOTHING.set({"a": 1})
    NOTHING.fail("code")
    NOTHING.end()
    assert isinstance(NOTHING.step("inner"), Span)
    assert not NOTHING.recording
