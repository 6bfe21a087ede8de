"""Conversations: the history a request continues, its mark, and the turns that are kept."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from app.errors import InvalidRequestError, NotFoundError
from app.models import Caller, ChatRequest, Label, Message
from app.protocols import Clock, SessionStore
from app.records import ROOT, Turn
from app.services.chores import Chore, Chores
from app.services.conversation import HISTORY_TOKENS, Conversation, recall
from app.services.placing import Place, digest, is_pinned, locate
from app.services.prompting import message_tokens
from app.services.titles import first_words
from app.utils.tracing import AttributeValue, traced


def _describe(conversation: Conversation) -> dict[str, AttributeValue]:
    return {"sluice.history": conversation.history, "sluice.messages": len(conversation.messages)}


class Sessions:
    """Reads and continues conversations. Without a session id nothing is stored but the history of a named user."""

    def __init__(self, *, store: SessionStore, chores: Chores, clock: Clock, make_id: Callable[[], str]) -> None:
        self._store = store
        self._chores = chores
        self._clock = clock
        self._make_id = make_id

    @traced("history", describe=_describe)
    async def load(self, request: ChatRequest, *, caller: Caller) -> Conversation:
        """The stored turns before the request's messages; raises `NotFoundError` if the caller may not read them."""
        if request.session_id is None:
            if request.parent_id is not None or request.regenerate is not None:
                raise InvalidRequestError("This needs a session_id.", param="parent_id")
            return Conversation(
                caller=caller,
                user_id=request.user_id and (caller.person or request.user_id),
                fresh=request.messages,
                asked=request.messages,
                model=request.model,
            )
        place = await self._locate(request, session_id=request.session_id, caller=caller)
        session = await self._store.read(
            request.session_id,
            tenant=caller.tenant,
            clearance=caller.clearance,
            tokens=HISTORY_TOKENS,
            after=place.after,
        )
        if session.incarnation is not None and caller.person not in (None, session.user_id):
            raise NotFoundError
        return recall(session, place, caller=caller, request=request)

    async def _locate(self, request: ChatRequest, *, session_id: str, caller: Caller) -> Place:
        """Where in the session's tree the request stands, and which of its messages are new there."""
        if request.regenerate is not None:
            parent = await self._store.parent(session_id, tenant=caller.tenant, message=request.regenerate)
            if parent == ROOT:
                raise InvalidRequestError(
                    "This message answers none; nothing can be answered anew.", param="regenerate"
                )
            return Place(after=parent, messages=())
        if request.parent_id is not None:
            return Place(after=request.parent_id, messages=request.messages)
        if all(message.role != "assistant" for message in request.messages):
            return Place(after=None, messages=request.messages)
        return locate(request.messages, await self._store.outline(session_id, tenant=caller.tenant))

    async def raise_mark(self, conversation: Conversation, *, label: Label) -> Conversation:
        """Make the session at least as sensitive as what is about to be sent or stored for it.

        The conversation of a session that was deleted meanwhile is kept nowhere.
        """
        if conversation.session_id is None or conversation.is_lost:
            return conversation
        incarnation = await self._store.raise_mark(
            conversation.session_id,
            tenant=conversation.tenant,
            label=label,
            user_id=conversation.user_id,
            incarnation=conversation.incarnation,
        )
        return replace(conversation, incarnation=incarnation, is_lost=incarnation is None)

    async def keep(
        self,
        conversation: Conversation,
        *,
        id: str,
        answer: Message,
        label: Label,
        model: str,
        complete: bool,
        window: int | None = None,
    ) -> None:
        """Store the request's messages and the answer, whole or cut. `window` is the model's, in tokens."""
        if not conversation.is_kept:
            return
        answered = replace(self._turn(answer, label=label), id=id, model=model, complete=complete)
        if conversation.session_id is None or conversation.incarnation is None:
            await self._keep_loose(conversation, answered)
            return
        asked = [self._turn(message, label=label) for message in conversation.asked]
        kept = await self._store.append(
            conversation.session_id,
            tenant=conversation.tenant,
            incarnation=conversation.incarnation,
            turns=[*asked, answered],
            after=conversation.after,
            title=first_words(conversation.messages),
        )
        if kept and complete:
            self._chores.add(
                Chore(
                    session_id=conversation.session_id,
                    incarnation=conversation.incarnation,
                    caller=conversation.caller,
                    model=conversation.model,
                    window=window,
                )
            )

    async def _keep_loose(self, conversation: Conversation, answered: Turn) -> None:
        """What a named user said last and was answered: clients that have no session send all that came before, too."""
        if conversation.user_id is None:
            return
        said = conversation.asked
        start = 1 + max((at for at, message in enumerate(said) if message.role == "assistant"), default=-1)
        asked = [self._turn(message, label=answered.label) for message in said[start:] if not is_pinned(message.role)]
        await self._store.keep_loose(conversation.user_id, tenant=conversation.tenant, turns=[*asked, answered])

    def _turn(self, message: Message, *, label: Label) -> Turn:
        return Turn(
            id=self._make_id(),
            message=message,
            label=label,
            created_at=self._clock(),
            tokens=message_tokens(message),
            digest=digest(message),
        )
