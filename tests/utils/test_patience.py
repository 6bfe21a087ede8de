"""Patience with others, measured while this process is punctual itself."""

from __future__ import annotations

import asyncio
import time

import pytest

from app.utils.patience import Patience


async def test_what_does_not_come_in_time_is_given_up() -> None:
    with pytest.raises(TimeoutError):
        async with Patience(0.02):
            await asyncio.Event().wait()


async def test_a_stall_of_our_own_is_not_taken_for_anothers() -> None:
    """The answer is there before the loop, which stands still for longer than the time-out, can look."""
    arrived = asyncio.Event()
    loop = asyncio.get_running_loop()

    def stall() -> None:
        time.sleep(0.05)
        loop.call_later(0.001, arrived.set)

    async with Patience(0.02):
        loop.call_soon(stall)
        await arrived.wait()


async def test_an_error_inside_comes_through() -> None:
    with pytest.raises(KeyError):
        async with Patience(0.02):
            raise KeyError
