"""The service as AWS Lambda calls it: `handler` answers HTTP events whole, `upkeep` is called by the clock.

Where answers are to stream, the web adapter's layer calls `python -m app serve` over a port instead, and nothing of
this file is used but `upkeep`. Both ways need `SERVERLESS=true`.
"""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from functools import cache
from typing import Any

from mangum import Mangum

from app.config import Settings
from app.main import create_app
from app.utils.logging import configure_logging
from app.wiring import open_services

Event = dict[str, Any]


class Container:
    """One container of the function: an event loop that runs during calls, and the application, opened once.

    Lambda freezes a container between calls and throws it away without a word, so nothing is closed.
    """

    def __init__(self, settings: Settings) -> None:
        self._loop = asyncio.new_event_loop()
        asyncio.set_event_loop(self._loop)  # Mangum asks for it
        app = create_app(settings)
        self._opened = AsyncExitStack()
        self._loop.run_until_complete(self._opened.enter_async_context(app.router.lifespan_context(app)))
        self._call = Mangum(app, lifespan="off")

    def answer(self, event: Event, context: Any) -> Event:
        """The answer to an event of a function URL or of API Gateway."""
        asyncio.set_event_loop(self._loop)
        answer: Event = self._call(event, context)
        return answer

    def close(self) -> None:
        """Leave nothing open, for tests: Lambda does not call this."""
        self._loop.run_until_complete(self._opened.aclose())
        self._loop.close()


@cache
def container() -> Container:
    """The container's own, made by its first event."""
    return Container(Settings())


def handler(event: Event, context: Any) -> Event:
    """What the function is configured to call."""
    return container().answer(event, context)


def upkeep(event: Event, context: Any) -> Event:
    """What a schedule calls: jobs that wait, sessions that are too old, indexes out of step with the record."""
    del event, context
    return asyncio.run(_upkeep(Settings()))


async def _upkeep(settings: Settings) -> Event:
    configure_logging(settings.log_level)
    async with open_services(settings, at_rest=True) as services:
        await services.doctor.examine_and_repair()
        await services.ingestion.work_off()
        await services.session_upkeep.forget_old()
        await services.enforcement.echoes.forget_expired()
        await services.settle()
    return {"done": True}
