"""What stays of an answer: the fingerprints by which it is known again, and the turns of its session.

Each is seen through even if the client leaves while it is done: what a client has seen is kept.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from app.services.answer import Draft
from app.services.cache_entries import CachedAnswer
from app.services.catalog import CatalogView
from app.services.conversation import Conversation
from app.services.echoes import Echoes
from app.services.sessions import Sessions
from app.services.work import Work
from app.utils.tasks import finish_anyway
from app.utils.tracing import step


class Keeper:
    """Keeps answers under the id that the client was told."""

    def __init__(self, *, sessions: Sessions, echoes: Echoes) -> None:
        self._sessions = sessions
        self._echoes = echoes

    async def keep_whole(
        self, work: Work, answer: CachedAnswer, *, id: str, first: Callable[[], Awaitable[None]]
    ) -> None:
        """A complete answer, durably, before its last event is told; `first` is done before its turns are stored."""

        async def keep() -> None:
            await first()
            await self._keep_turns(work.conversation, answer, id=id, view=work.view)

        with step("persistence"):
            await finish_anyway(keep())

    async def keep_replayed(
        self, conversation: Conversation, answer: CachedAnswer, *, id: str, view: CatalogView
    ) -> None:
        """An answer from the cache, which is remembered since it was first given."""
        if conversation.is_kept:
            with step("persistence"):
                await finish_anyway(self._keep_turns(conversation, answer, id=id, view=view))

    async def keep_cut(self, work: Work, draft: Draft, *, id: str, model: str) -> None:
        """As much as there was of an answer when the client left or the model broke off, marked as cut."""

        async def keep() -> None:
            await self.remember(work, draft, model=model)
            await self._sessions.keep(
                work.conversation, id=id, answer=draft.choices[0], label=work.label, model=model, complete=False
            )

        with step("persistence"):
            await finish_anyway(keep())

    async def _keep_turns(
        self, conversation: Conversation, answer: CachedAnswer, *, id: str, view: CatalogView
    ) -> None:
        if not conversation.is_kept:
            return
        model = view.find(answer.model)
        await self._sessions.keep(
            conversation,
            id=id,
            answer=Draft(deltas=list(answer.deltas)).choices[0],
            label=answer.label,
            model=answer.model,
            complete=True,
            window=None if model is None else model.context_length,
        )

    async def remember(self, work: Work, draft: Draft, *, model: str) -> None:
        """Let the answer keep the label of what it was made from when it comes back in another request."""
        conversation, redacted = work.conversation, work.version_for(model)
        await self._echoes.keep_answer(
            draft.choices,
            question=conversation.messages[-1].text,
            label=work.label if redacted is None else redacted.reading.label,
            tenant=conversation.tenant,
        )
