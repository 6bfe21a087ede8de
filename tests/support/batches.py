"""What comes together, one by one."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import TypeVar

Item = TypeVar("Item")


async def one_by_one(batches: AsyncGenerator[Sequence[Item], None]) -> AsyncGenerator[Item, None]:
    """The items in their order; closing this closes what they come from."""
    async with aclosing(batches):
        async for items in batches:
            for item in items:
                yield item
