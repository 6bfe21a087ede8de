"""Calls that several requests share: nobody waits for anybody, and nobody's end is another's."""

from __future__ import annotations

import asyncio
import gc
import weakref
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing

import pytest

from app.errors import ContentFilterError, UpstreamBrokenError, UpstreamError, UpstreamUnavailableError
from app.models import Attempt, Charge, Complexity, Delta, Label, Route, Stop, Usage
from app.services.flights import MOST_AT_ONCE, PASSED_ON, FellBehindError, Flights, Item, Seat, Source
from tests.support.batches import one_by_one

ROUTE = Route(
    label=Label.PUBLIC, complexity=Complexity.SIMPLE, complexity_score=0.0, raised_by=(), rule="", candidates=()
)
ITEMS: tuple[Item, ...] = (
    Attempt(model="m", outcome="ok"),
    *(Delta(content=str(number)) for number in range(5)),
    Stop(reason="stop"),
)


def unbooked(_: Charge) -> None:
    """For calls whose cost is not looked at."""


class Calls:
    """Makes calls that play `items`; each item waits until `go` lets one through. Remembers how they ended."""

    def __init__(self, items: tuple[Item | Exception, ...] = ITEMS, *, gated: bool = False) -> None:
        self.items = items
        self.made = 0
        self.cancelled = 0
        self.go = asyncio.Semaphore(0) if gated else None

    async def __call__(self) -> AsyncGenerator[Sequence[Item], None]:
        self.made += 1
        try:
            for item in self.items:
                if self.go is not None:
                    await self.go.acquire()
                if isinstance(item, Exception):
                    raise item
                yield (item,)
        except (asyncio.CancelledError, GeneratorExit):
            self.cancelled += 1
            raise

    def let_through(self, count: int) -> None:
        assert self.go is not None
        for _ in range(count):
            self.go.release()


async def ride(flights: Flights, source: Source, *, key: str | None = "key") -> list[Item]:
    async with flights.seat(key, book=unbooked) as seat, aclosing(one_by_one(seat.ride(source))) as items:
        return [item async for item in items]


async def settled() -> None:
    """Let everything that can go on do so."""
    for _ in range(20):
        await asyncio.sleep(0)


async def test_requests_under_one_key_make_one_call_and_each_gets_all_of_it() -> None:
    flights, calls = Flights(), Calls()
    answers = await asyncio.gather(*(ride(flights, calls) for _ in range(200)))
    assert calls.made == 1
    assert all(answer == list(ITEMS) for answer in answers)
    assert len(flights) == 0


async def test_requests_under_other_keys_or_none_make_calls_of_their_own() -> None:
    flights, calls = Flights(), Calls()
    await asyncio.gather(*(ride(flights, calls, key=key) for key in ("a", "b", None, None)))
    assert calls.made == 4


async def test_who_comes_late_gets_the_answer_from_its_start() -> None:
    flights, calls = Flights(), Calls(gated=True)
    first = asyncio.create_task(ride(flights, calls))
    calls.let_through(4)
    await settled()
    second = asyncio.create_task(ride(flights, calls))
    await settled()
    calls.let_through(10)
    assert await first == await second == list(ITEMS)
    assert calls.made == 1


async def test_a_piece_is_given_out_when_it_arrives() -> None:
    flights, calls = Flights(), Calls(gated=True)
    got: list[Item] = []

    async def read() -> None:
        async with flights.seat("key", book=unbooked) as seat, aclosing(one_by_one(seat.ride(calls))) as items:
            async for item in items:
                got.append(item)  # noqa: PERF401  (each is looked at while the next has not come)

    readers = [asyncio.create_task(read()) for _ in range(3)]
    calls.let_through(2)
    await settled()
    assert len(got) == 6
    calls.let_through(10)
    await asyncio.gather(*readers)


async def test_what_waits_for_a_reader_comes_together_and_never_too_much_of_it() -> None:
    flights, calls = Flights(), Calls(tuple(Delta(content=str(number)) for number in range(MOST_AT_ONCE + 1)))
    async with flights.seat("key", book=unbooked) as first, aclosing(first.ride(calls)) as early:
        await anext(early)
        await settled()
        async with flights.seat("key", book=unbooked) as seat:
            assert [len(items) async for items in seat.ride(calls)] == [MOST_AT_ONCE, 1]


async def test_the_call_goes_on_without_the_one_that_began_it() -> None:
    flights, calls = Flights(), Calls(gated=True)
    leader = asyncio.create_task(ride(flights, calls))
    await settled()
    follower = asyncio.create_task(ride(flights, calls))
    calls.let_through(3)
    await settled()
    leader.cancel()
    calls.let_through(10)
    assert await follower == list(ITEMS)
    assert (calls.made, calls.cancelled) == (1, 0)


async def test_the_call_is_cancelled_when_the_last_reader_leaves() -> None:
    flights, calls = Flights(), Calls(gated=True)
    readers = [asyncio.create_task(ride(flights, calls)) for _ in range(3)]
    calls.let_through(2)
    await settled()
    for number, reader in enumerate(readers):
        assert calls.cancelled == 0, number
        reader.cancel()
        await asyncio.gather(reader, return_exceptions=True)
    assert (calls.cancelled, len(flights)) == (1, 0)


@pytest.mark.parametrize("stays", [True, False])
async def test_a_call_is_booked_for_who_still_reads_it(stays: bool) -> None:
    """Once its leader has left that is a follower; a call that nobody reads any more is its last reader's."""
    flights, calls = Flights(), Calls(gated=True)
    charge = Charge(model="m", usage=Usage(completion_tokens=5), cost=None)
    paid: dict[str, list[Charge]] = {"leader": [], "follower": []}

    async def read(name: str) -> None:
        async with flights.seat("key", book=paid[name].append) as seat:

            async def call() -> AsyncGenerator[Sequence[Item], None]:
                try:
                    async with aclosing(calls()) as batches:
                        async for items in batches:
                            yield items
                finally:
                    seat.book(charge)

            async with aclosing(seat.ride(call)) as batches:
                async for _ in batches:
                    pass

    leader = asyncio.create_task(read("leader"))
    await settled()
    follower = asyncio.create_task(read("follower"))
    await settled()
    leader.cancel()
    await asyncio.gather(leader, return_exceptions=True)
    if stays:
        calls.let_through(10)
    else:
        follower.cancel()
    await asyncio.gather(follower, return_exceptions=True)
    assert paid == {"leader": [], "follower": [charge]}


async def test_a_slow_reader_holds_up_nobody() -> None:
    flights, calls = Flights(), Calls()
    async with flights.seat("key", book=unbooked) as slow, aclosing(one_by_one(slow.ride(calls))) as items:
        await anext(items)
        assert await ride(flights, calls) == list(ITEMS)
        assert [item async for item in items] == list(ITEMS[1:])
    assert calls.made == 1


async def test_a_failure_in_passing_leads_to_one_more_call_however_many_wait() -> None:
    flights = Flights()
    failing, good = Calls((UpstreamUnavailableError(),)), Calls()
    leader = asyncio.create_task(ride(flights, failing))
    followers = [asyncio.create_task(ride(flights, good)) for _ in range(100)]
    answers = await asyncio.gather(leader, *followers)
    assert all(answer == list(ITEMS) for answer in answers)
    assert (failing.made, good.made) == (1, 1)


async def test_two_failures_in_passing_are_the_answer_for_all() -> None:
    flights, calls = Flights(), Calls((UpstreamUnavailableError(),))
    answers = await asyncio.gather(*(ride(flights, calls) for _ in range(100)), return_exceptions=True)
    assert {type(answer) for answer in answers} == {UpstreamUnavailableError}
    assert calls.made == 2


@pytest.mark.parametrize("error", [ContentFilterError(), ValueError()])
async def test_a_final_failure_is_the_answer_for_all(error: Exception) -> None:
    flights, calls = Flights(), Calls((error,))
    answers = await asyncio.gather(*(ride(flights, calls) for _ in range(10)), return_exceptions=True)
    assert {type(answer) for answer in answers} == {type(error)}
    assert calls.made == 1


async def test_a_request_that_is_alone_does_not_try_again() -> None:
    flights, calls = Flights(), Calls((UpstreamUnavailableError(),))
    with pytest.raises(UpstreamError):
        await ride(flights, calls)
    assert calls.made == 1


async def test_a_call_that_broke_after_content_is_not_made_again() -> None:
    flights, calls = Flights(), Calls((*ITEMS[:3], UpstreamBrokenError()))
    answers = await asyncio.gather(*(ride(flights, calls) for _ in range(10)), return_exceptions=True)
    assert {type(answer) for answer in answers} == {UpstreamBrokenError}
    assert calls.made == 1


async def test_memory_is_bounded_the_slow_are_left_behind_and_nobody_else_is_taken_in() -> None:
    long = tuple(Delta(content="x" * 1000) for _ in range(200))
    flights, calls = Flights(most_bytes=20_000), Calls(long, gated=True)
    async with flights.seat("key", book=unbooked) as slow, aclosing(one_by_one(slow.ride(calls))) as items:
        calls.let_through(1)
        await anext(items)
        fast = asyncio.create_task(ride(flights, calls))
        await settled()
        for _ in long:
            calls.let_through(1)
            await settled()
        assert await fast == list(long)
        assert len(flights) == 0
        with pytest.raises(FellBehindError):
            await anext(items)


async def test_a_reader_that_is_alone_with_a_long_answer_is_waited_for() -> None:
    long = tuple(Delta(content="x" * 1000) for _ in range(200))
    flights, calls = Flights(most_bytes=20_000), Calls(long)
    async with flights.seat("key", book=unbooked) as seat, aclosing(one_by_one(seat.ride(calls))) as items:
        assert await anext(items) == long[0]
        await settled()
        assert [item async for item in items] == list(long[1:])
        assert await ride(flights, calls) == list(long)
    assert calls.made == 2


async def note(flights: Flights, calls: Source, then: Callable[[Seat], Awaitable[None]]) -> tuple[Route, bool]:
    route = ROUTE
    async with flights.seat("key", book=unbooked) as seat, aclosing(one_by_one(seat.ride(calls))) as items:
        async for item in items:
            if isinstance(item, Attempt):
                route = seat.note(route, item)
        await then(seat)
        return route, seat.claim_bill()


async def test_one_request_bears_the_attempts_and_the_bill_the_others_say_that_they_shared() -> None:
    kept = 0

    async def keep() -> None:
        nonlocal kept
        kept += 1

    flights, calls = Flights(), Calls()
    noted = await asyncio.gather(*(note(flights, calls, lambda seat: seat.once(keep)) for _ in range(10)))
    assert [route.cache for route, _ in noted] == ["miss"] + ["flight"] * 9
    assert [len(route.attempts) for route, _ in noted] == [1] + [0] * 9
    assert [bill for _, bill in noted] == [True] + [False] * 9
    assert kept == 1


async def test_an_answer_that_another_worker_paid_is_billed_to_nobody() -> None:
    async def nothing(_seat: Seat) -> None:
        pass

    route, bill = await note(Flights(), Calls((Attempt(model="m", outcome=PASSED_ON), *ITEMS[1:])), nothing)
    assert (route.cache, route.attempts, bill) == ("flight", (), False)


async def test_a_follower_takes_over_the_bill_of_a_leader_that_left() -> None:
    async def nothing(_seat: Seat) -> None:
        pass

    flights, calls = Flights(), Calls(gated=True)
    leader = asyncio.create_task(note(flights, calls, nothing))
    await settled()
    followers = [asyncio.create_task(note(flights, calls, nothing)) for _ in range(3)]
    await settled()
    leader.cancel()
    calls.let_through(10)
    assert [bill for _, bill in await asyncio.gather(*followers)].count(True) == 1


async def test_what_is_over_goes_without_the_garbage_collector() -> None:
    """A seat knows its flight and the flight its seats; with them go a request and its answer."""
    gc.disable()
    try:
        flights = Flights()
        seat = flights.seat("key", book=unbooked)
        async with seat:
            async for _ in seat.ride(Calls()):
                pass
        gone = weakref.ref(seat)
        del seat
        await settled()
        assert gone() is None
    finally:
        gc.enable()
