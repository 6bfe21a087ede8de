"""Letting work in a few at a time, so that what is under way gets its turns between them."""

from __future__ import annotations

import asyncio
from collections import deque

# A request's own work up to its model takes about a millisecond, and pieces of answers shall not wait for many of them.
PER_TURN = 4


class Turnstile:
    """Lets so many tasks pass at each turn of the event loop; others pass at the next turns, in their order.

    A hundred requests that come at once would otherwise all be worked on before the loop looks at its sockets again,
    and every open stream would stand still for as long.
    """

    def __init__(self, *, per_turn: int = PER_TURN) -> None:
        self._per_turn = per_turn
        self._passed = 0
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._is_turning = False

    async def enter(self) -> None:
        """Return when it is this task's turn, which it mostly is at once."""
        loop = asyncio.get_running_loop()
        if not self._is_turning:
            self._is_turning = True
            loop.call_soon(self._turn, loop)
        if self._passed < self._per_turn:
            self._passed += 1
            return
        turn = loop.create_future()
        self._waiting.append(turn)
        await turn

    def _turn(self, loop: asyncio.AbstractEventLoop) -> None:
        self._passed = 0
        while self._waiting and self._passed < self._per_turn:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                self._passed += 1
        self._is_turning = self._passed > 0
        if self._is_turning:
            loop.call_soon(self._turn, loop)
