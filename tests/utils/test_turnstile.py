"""A turnstile: order, how many pass at a turn, and what becomes of those who leave."""

from __future__ import annotations

import asyncio
import itertools

from app.utils.turnstile import Turnstile


async def pass_through(turnstile: Turnstile, number: int, *, passed: list[int]) -> None:
    await turnstile.enter()
    passed.append(number)


async def enter_at_once(count: int, *, per_turn: int) -> tuple[list[asyncio.Task[None]], list[int]]:
    """Tasks that all come at the same turn, and the list in which they note that they passed."""
    turnstile, passed = Turnstile(per_turn=per_turn), list[int]()
    tasks = [asyncio.create_task(pass_through(turnstile, number, passed=passed)) for number in range(count)]
    return tasks, passed


async def test_no_more_than_so_many_pass_at_one_turn_of_the_loop() -> None:
    tasks, passed = await enter_at_once(100, per_turn=4)
    counts = [0]
    while not all(task.done() for task in tasks):
        await asyncio.sleep(0)
        counts.append(len(passed))
    steps = [later - earlier for earlier, later in itertools.pairwise(counts)]
    assert max(steps) == 4
    assert passed == list(range(100))


async def test_one_that_comes_alone_does_not_wait() -> None:
    turnstile = Turnstile(per_turn=1)
    for _ in range(3):
        entering = turnstile.enter()
        try:
            entering.send(None)
        except StopIteration:
            await asyncio.sleep(0)
        else:
            raise AssertionError("it waited")


async def test_who_leaves_while_waiting_takes_nobodys_turn() -> None:
    tasks, passed = await enter_at_once(9, per_turn=1)
    await asyncio.sleep(0)
    for task in tasks[1:8]:
        task.cancel()
    await asyncio.wait(tasks)
    assert passed == [0, 8]
    assert all(task.cancelled() for task in tasks[1:8])


async def test_a_stream_goes_on_between_a_hundred_that_come_at_once() -> None:
    """Sockets are looked at between the turns: a callback of the loop runs between each few of them."""
    tasks, passed = await enter_at_once(100, per_turn=4)
    loop, seen = asyncio.get_running_loop(), list[int]()

    def note() -> None:
        seen.append(len(passed))
        if len(passed) < 100:
            loop.call_soon(note)

    loop.call_soon(note)
    await asyncio.wait(tasks)
    assert all(later - earlier <= 4 for earlier, later in itertools.pairwise(seen))
