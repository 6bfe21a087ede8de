"""A time-out for others' slowness that does not take our own for it."""

from __future__ import annotations

import asyncio
from types import TracebackType

# A timer that is later than this was held up by this process: what it waits for may have come meanwhile.
PUNCTUAL_SECONDS = 0.002
LONGEST_SECONDS = 1.0


class Patience:
    """As `asyncio.timeout(seconds)`, but begins again when it strikes late, up to `LONGEST_SECONDS` in all.

    A busy event loop reads an answer long after it arrived. Plain time-outs would then find a healthy server dead.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._timeout = asyncio.timeout(None)
        self._handle: asyncio.TimerHandle | None = None
        self._end = 0.0

    async def __aenter__(self) -> None:
        await self._timeout.__aenter__()
        self._end = asyncio.get_running_loop().time() + LONGEST_SECONDS
        self._arm()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._handle is not None:
            self._handle.cancel()
        await self._timeout.__aexit__(kind, error, trace)

    def _arm(self) -> None:
        loop = asyncio.get_running_loop()
        due = loop.time() + self._seconds
        self._handle = loop.call_at(due, self._strike, due)

    def _strike(self, due: float) -> None:
        now = asyncio.get_running_loop().time()
        if now - due > PUNCTUAL_SECONDS and now < self._end:
            self._arm()
        else:
            self._timeout.reschedule(now)
