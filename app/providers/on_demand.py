"""A provider whose adapter is imported when it is first asked: a slow import is paid for only by those who use it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing

from app.models import Dispatch, Piece, Prompt
from app.protocols import ChatProvider, ProviderStatus


class OnDemand:
    """Implements `ChatProvider` by the provider that `load` makes; `load` runs once, in a thread of its own."""

    def __init__(self, load: Callable[[], ChatProvider]) -> None:
        self._load = load
        self._loading: asyncio.Task[ChatProvider] | None = None

    async def complete(self, dispatch: Dispatch[Prompt]) -> AsyncGenerator[Sequence[Piece], None]:
        provider = await self._loaded()
        async with aclosing(provider.complete(dispatch)) as batches:
            async for pieces in batches:
                yield pieces

    async def probe(self) -> ProviderStatus:
        """Whether it is there cannot be known without loading it, which a probe does not."""
        return ProviderStatus(reachable=True)

    async def close(self) -> None:
        if self._loading is not None and self._loading.done() and not self._loading.exception():
            await self._loading.result().close()

    async def _loaded(self) -> ChatProvider:
        """The provider; callers that come while it loads wait for the same load; one that leaves does not end it."""
        if self._loading is None or (self._loading.done() and self._loading.exception()):
            self._loading = asyncio.create_task(asyncio.to_thread(self._load))
        return await asyncio.shield(self._loading)
