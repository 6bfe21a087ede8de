"""One timer bounds every wait of many."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

import pytest

from app.utils.silence import SilenceBound

LONG = 60.0
SHORT = 0.02


async def numbers(*, silent_after: int) -> AsyncGenerator[int, None]:
    for number in range(silent_after):
        await asyncio.sleep(0)
        yield number
    await asyncio.Event().wait()


def end_in(seconds: float) -> float:
    return asyncio.get_running_loop().time() + seconds


async def test_a_wait_that_ends_sooner_than_the_one_before_is_bounded_by_its_own_end() -> None:
    items = numbers(silent_after=2)
    with SilenceBound() as bound:
        assert [await bound.next_of(items, end=end_in(LONG)) for _ in range(2)] == [0, 1]
        with pytest.raises(TimeoutError):
            await bound.next_of(items, end=end_in(SHORT))


async def test_a_timer_of_an_earlier_wait_does_not_end_a_later_one() -> None:
    """The first wait's end passes during the second one, which has longer."""
    items, late = numbers(silent_after=1), asyncio.Event()

    async def last() -> AsyncGenerator[int, None]:
        await late.wait()
        yield 7

    with SilenceBound() as bound:
        await bound.next_of(items, end=end_in(SHORT))
        asyncio.get_running_loop().call_later(2 * SHORT, late.set)
        assert await bound.next_of(last(), end=end_in(LONG)) == 7


async def test_the_task_goes_on_after_a_time_out() -> None:
    bound = SilenceBound()
    with pytest.raises(TimeoutError):
        await bound.next_of(numbers(silent_after=0), end=end_in(SHORT))
    task = asyncio.current_task()
    assert task is not None
    assert not task.cancelling()


async def test_a_task_that_somebody_else_cancels_is_cancelled() -> None:
    began = asyncio.Event()

    async def wait() -> None:
        bound = SilenceBound()
        began.set()
        await bound.next_of(numbers(silent_after=0), end=end_in(LONG))

    task = asyncio.create_task(wait())
    await began.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
