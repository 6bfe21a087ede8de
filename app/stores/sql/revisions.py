"""The short way to what every request asks for: a collection's revision, and whether others have added echoes.

A revision is read from the record each time and never remembered: whoever has been told that a document has changed,
by any process, finds nothing in the cache from before, because the change was committed before he was told and what
is read here is what is committed when it is read. Cheap it is by leaving out what other queries need: a thread of the
driver's, a pool, the building of a statement.
"""

from __future__ import annotations

from typing import Protocol


class Revisions(Protocol):
    """Reads revisions as they are committed when `read` is called."""

    async def read(self, *, tenant: str, collection: str) -> int | None:
        """The revision, 0 for a collection that has none; `None` if it has to be asked for in the ordinary way."""
        ...

    async def newest_echo(self) -> int | None:
        """The number of the last echo, 0 for none; `None` if it has to be asked for in the ordinary way."""
        ...

    async def close(self) -> None: ...
