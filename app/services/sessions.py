"""Conversations: the history a request continues, its mark, and the turns that are kept."""

from __future__ import annotations

from dataclasses import dataclass

from app.models import Caller, ChatRequest, Label, Message, Turn
from app.protocols import Clock, SessionStore


@dataclass(frozen=True, slots=True, kw_only=True)
class Conversation:
    """What a request is about: the stored turns and its own messages, in order, and the session's mark."""

    session_id: str | None
    user_id: str | None
    tenant: str
    mark: Label
    messages: tuple[Message, ...]
    new_messages: tuple[Message, ...]


class Sessions:
    """Reads and continues conversations. Without a session id nothing is stored."""

    def __init__(self, *, store: SessionStore, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    async def load(self, request: ChatRequest, *, caller: Caller) -> Conversation:
        """The stored turns before the request's messages; raises `NotFoundError` if the caller may not read them."""
        history: tuple[Message, ...] = ()
        mark = Label.PUBLIC
        if request.session_id is not None:
            session = await self._store.read(request.session_id, tenant=caller.tenant, clearance=caller.clearance)
            history = tuple(turn.message for turn in session.turns)
            mark = session.mark
        return Conversation(
            session_id=request.session_id,
            user_id=request.user_id,
            tenant=caller.tenant,
            mark=mark,
            messages=(*history, *request.messages),
            new_messages=request.messages,
        )

    async def raise_mark(self, conversation: Conversation, *, label: Label) -> None:
        """Make the session at least as sensitive as what is about to be sent or stored for it."""
        if conversation.session_id is not None:
            await self._store.raise_mark(
                conversation.session_id, tenant=conversation.tenant, user_id=conversation.user_id, label=label
            )

    async def keep(
        self, conversation: Conversation, *, answer: Message, label: Label, model: str, complete: bool
    ) -> None:
        """Store the request's messages and the answer, whole or cut."""
        if conversation.session_id is None:
            return
        now = self._clock()
        asked = [Turn(message=message, label=label, created_at=now) for message in conversation.new_messages]
        answered = Turn(message=answer, label=label, created_at=now, model=model, complete=complete)
        await self._store.append(conversation.session_id, tenant=conversation.tenant, turns=[*asked, answered])
