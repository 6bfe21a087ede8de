"""Sessions as their users see them: made, listed, read, changed, taken away; within tenant, clearance and person."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from app.errors import NotFoundError
from app.models import Caller
from app.protocols import Clock, SessionStore
from app.records import PastTurn, SessionChange, SessionEntry, SessionQuery, Turn
from app.services.chores import Chores

HISTORY_TURNS = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class NewSession:
    """What a user states of a session; its mark is not among it."""

    id: str | None = None
    title: str | None = None
    model_id: str | None = None
    user_id: str | None = None


class SessionAccess:
    """What the caller may see of sessions. Beyond it everything is `NotFoundError`."""

    def __init__(self, *, store: SessionStore, chores: Chores, clock: Clock, make_id: Callable[[], str]) -> None:
        self._store = store
        self._chores = chores
        self._clock = clock
        self._make_id = make_id

    async def create(self, new: NewSession, *, caller: Caller) -> SessionEntry:
        """Begin an empty session under the caller's floor; raises `ConflictError` if the id is taken."""
        now = self._clock()
        entry = SessionEntry(
            id=new.id or self._make_id(),
            mark=caller.label_floor,
            created_at=now,
            updated_at=now,
            user_id=caller.person or new.user_id,
            title=new.title,
            model_id=new.model_id,
        )
        return await self._store.create(entry, tenant=caller.tenant)

    async def entry(self, session_id: str, *, caller: Caller) -> SessionEntry:
        """The session without its messages."""
        entry = await self._store.entry(session_id, tenant=caller.tenant, clearance=caller.clearance)
        _require_own(entry.user_id, caller=caller)
        return entry

    async def page(
        self, query: SessionQuery, *, caller: Caller, limit: int, after: str | None
    ) -> tuple[list[SessionEntry], str | None]:
        """Sessions that changed last first, and the cursor of the next page."""
        if caller.person is not None and query.user_id not in (None, caller.person):
            return [], None
        own = replace(query, user_id=caller.person or query.user_id)
        return await self._store.page(own, tenant=caller.tenant, clearance=caller.clearance, limit=limit, after=after)

    async def messages(
        self, session_id: str, *, caller: Caller, limit: int, before: str | None
    ) -> tuple[list[Turn], str | None]:
        """The newest messages of the active path, or those before a cursor, and the cursor of the ones before."""
        await self.entry(session_id, caller=caller)
        return await self._store.messages(
            session_id, tenant=caller.tenant, clearance=caller.clearance, limit=limit, before=before
        )

    async def every_message(self, session_id: str, *, caller: Caller) -> list[Turn]:
        """The messages of all branches, oldest first."""
        await self.entry(session_id, caller=caller)
        return await self._store.every_message(session_id, tenant=caller.tenant, clearance=caller.clearance)

    async def active_path(self, session_id: str, *, caller: Caller) -> list[Turn]:
        """The messages of the active path, oldest first."""
        by_id = {turn.id: turn for turn in await self.every_message(session_id, caller=caller)}
        newest, _ = await self.messages(session_id, caller=caller, limit=1, before=None)
        path: list[Turn] = []
        turn = by_id.get(newest[0].id) if newest else None
        while turn is not None:
            path.append(turn)
            turn = by_id.get(turn.parent_id)
        return path[::-1]

    async def change(self, session_id: str, change: SessionChange, *, caller: Caller) -> SessionEntry:
        """Change what a user may change; raises `NotFoundError` also for a branch that is not there."""
        await self.entry(session_id, caller=caller)
        return await self._store.change(session_id, change, tenant=caller.tenant, clearance=caller.clearance)

    async def delete(self, session_id: str, *, caller: Caller) -> bool:
        """Take the session away from every reader, then its traces off the disk; false if that will take a while."""
        await self.entry(session_id, caller=caller)
        await self._store.delete(session_id, tenant=caller.tenant, clearance=caller.clearance)
        return await self._erase()

    async def history(self, user_id: str, *, caller: Caller) -> list[PastTurn]:
        """The newest turns of a user, newest first."""
        _require_own(user_id, caller=caller)
        return await self._store.history(user_id, tenant=caller.tenant, clearance=caller.clearance, limit=HISTORY_TURNS)

    async def delete_history(self, user_id: str, *, caller: Caller) -> bool:
        """Delete what the history of a user holds beside sessions, as `delete` does."""
        _require_own(user_id, caller=caller)
        await self._store.delete_loose(user_id, tenant=caller.tenant, clearance=caller.clearance)
        return await self._erase()

    async def _erase(self) -> bool:
        gone = await self._store.erase_traces()
        if not gone:
            self._chores.traces.set()
        return gone


def _require_own(user_id: str | None, *, caller: Caller) -> None:
    """Raise `NotFoundError` if the caller is a person and this is another's."""
    if caller.person not in (None, user_id):
        raise NotFoundError
