"""The pipeline: admit, history, classify, cache, retrieve, re-label, route, complete, keep, record.

Every surface renders the events of `Gateway.answer`; there is no other way to a model.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import Literal

from app.errors import UpstreamError
from app.models import (
    Attempt,
    Caller,
    ChatRequest,
    Delta,
    Event,
    Label,
    Model,
    Passage,
    Piece,
    Prompt,
    RetrievalScope,
    Route,
    Started,
)
from app.protocols import Clock
from app.services.admission import Admission
from app.services.answer import Draft
from app.services.cache import Partition, Slot, read_set
from app.services.cache_entries import CachedAnswer
from app.services.catalog import Catalog, CatalogView
from app.services.completion import Completion
from app.services.complexity import ComplexityClassifier, tier
from app.services.echoes import Echoes
from app.services.flights import ANSWERS, Seat
from app.services.labels import Labeller, Reading
from app.services.llm_router import RequestFacts, plan
from app.services.policy import Policy, PolicyFile
from app.services.prompting import compose, question
from app.services.recorder import Progress, Recorder
from app.services.redaction import Outgoing, Redacted, Redactor
from app.services.restoration import restore
from app.services.retrieval import Retrieval, SearchQuery
from app.services.reuse import Reuse
from app.services.sessions import Conversation, Sessions
from app.services.work import Explanation, Work, finish, settle


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewayPolicy:
    """What the operator decided: what a stated model that is not cleared leads to.

    `fingerprint` is of all settings that decide where a request may go; it is part of the cache's key.
    """

    on_denied: Literal["reroute", "refuse"]
    fingerprint: str


class Gateway:
    """Answers requests. Holds no state of its own: every value goes in and comes out."""

    def __init__(
        self,
        *,
        admission: Admission,
        sessions: Sessions,
        labeller: Labeller,
        complexity: ComplexityClassifier,
        cache: Reuse,
        retrieval: Retrieval,
        catalog: Catalog,
        completion: Completion,
        recorder: Recorder,
        redactor: Redactor,
        echoes: Echoes,
        policies: PolicyFile,
        policy: GatewayPolicy,
        clock: Clock,
        make_id: Callable[[], str],
    ) -> None:
        self._admission = admission
        self._sessions = sessions
        self._labeller = labeller
        self._complexity = complexity
        self._cache = cache
        self._retrieval = retrieval
        self._catalog = catalog
        self._completion = completion
        self._recorder = recorder
        self._redactor = redactor
        self._echoes = echoes
        self._policies = policies
        self._policy = policy
        self._clock = clock
        self._make_id = make_id

    def answer(self, request: ChatRequest, *, caller: Caller) -> AsyncGenerator[Event, None]:
        """Answer a request as events: `Started`, deltas, `Finished`. Trouble is raised as `SluiceError`.

        Closing the generator cancels the upstream call; what was written so far is kept and marked as cut.
        """
        events = self._admission.watch(self._events(request, caller=caller), request=request, caller=caller)
        return self._recorder.watch(events, caller=caller)

    async def explain(self, request: ChatRequest, *, caller: Caller) -> Explanation:
        """Do every step up to route, without an outbound call and without storing anything."""
        policy, view = self._policies.current, self._catalog.view
        conversation = await self._sessions.load(request, caller=caller)
        reading = await self._read(conversation, request, caller=caller)
        lookup = None if self._retrieval.calls_out else request.documents
        passages = await self._ground(conversation, lookup, label=reading.label, caller=caller)
        outgoing = await self._relabel(conversation, request, reading=reading, passages=passages)
        work = self._route(conversation, request, outgoing=outgoing, policy=policy, view=view, caller=caller)
        return Explanation(model=work.plan.models[0].id if work.plan.models else None, route=work.route)

    async def disown(self, request: ChatRequest, *, caller: Caller) -> None:
        """Forget the answers that the cache has for this request, because the one it gave was wrong."""
        policy, view = self._policies.current, self._catalog.view
        conversation = await self._sessions.load(request, caller=caller)
        reading = await self._read(conversation, request, caller=caller)
        slot = await self._slot(conversation, request, label=reading.label, policy=policy, view=view, caller=caller)
        await self._cache.disown(slot)

    async def _events(self, request: ChatRequest, *, caller: Caller) -> AsyncGenerator[Event | Progress, None]:
        policy, view = self._policies.current, self._catalog.view
        conversation = await self._sessions.load(request, caller=caller)
        reading = await self._read(conversation, request, caller=caller)
        yield Progress(reading=reading, messages=conversation.messages)
        slot = await self._slot(conversation, request, label=reading.label, policy=policy, view=view, caller=caller)
        kept = await self._cache.find(slot)
        if kept is not None:
            await self._sessions.raise_mark(conversation, label=max(kept.label, reading.label))
            await self._keep_turns(conversation, kept)
            async for replayed in self._replay(kept, conversation, slot=slot):
                yield replayed
            return
        passages = await self._ground(conversation, request.documents, label=reading.label, caller=caller)
        outgoing = await self._relabel(conversation, request, reading=reading, passages=passages)
        yield Progress(reading=outgoing.reading, messages=conversation.messages)
        work = self._route(conversation, request, outgoing=outgoing, policy=policy, view=view, caller=caller)
        yield Progress(reading=outgoing.reading, messages=conversation.messages, route=work.route)
        if not work.plan.models:
            raise work.plan.refusal
        await self._sessions.raise_mark(conversation, label=work.label)
        async with aclosing(self._complete(work, slot=slot)) as events:
            async for event in events:
                yield event

    async def _read(self, conversation: Conversation, request: ChatRequest, *, caller: Caller) -> Reading:
        """Classify everything that the request and its history would send."""
        return await self._labeller.read_prompt(
            conversation.messages,
            sampling=request.sampling,
            tooling=request.tooling,
            caller=caller,
            stated=request.sensitivity,
            mark=conversation.mark,
        )

    async def _slot(
        self,
        conversation: Conversation,
        request: ChatRequest,
        *,
        label: Label,
        policy: Policy,
        view: CatalogView,
        caller: Caller,
    ) -> Slot:
        """Where in the cache the answer to this request belongs."""
        scope = request.documents
        documents = await self._retrieval.revision(scope, caller=caller) if scope is not None else ""
        partition = Partition(
            tenant=caller.tenant,
            label=label,
            reads=read_set(caller, scope),
            policy=f"{policy.fingerprint}:{self._policy.fingerprint}",
            catalog=view.fingerprint,
            documents=documents,
        )
        return Slot(request=replace(request, messages=conversation.messages), partition=partition)

    async def _ground(
        self, conversation: Conversation, scope: RetrievalScope | None, *, label: Label, caller: Caller
    ) -> Sequence[Passage]:
        """The passages that bear on the last question. The text looked up is labelled like the request it is from."""
        if scope is None:
            return ()
        query = SearchQuery(text=question(conversation.messages), label=label, scope=scope)
        return await self._retrieval.ground(query, caller=caller)

    async def _relabel(
        self, conversation: Conversation, request: ChatRequest, *, reading: Reading, passages: Sequence[Passage]
    ) -> Outgoing:
        """Join the label again after retrieval; what is read and labelled here is what is sent."""
        prompt = Prompt(
            messages=compose(conversation.messages, passages=passages),
            sampling=request.sampling,
            tooling=request.tooling,
            passages=tuple(passages),
            stream=request.stream,
        )
        return await self._redactor.prepare(prompt, reading=reading.join_passages(passages))

    def _route(
        self,
        conversation: Conversation,
        request: ChatRequest,
        *,
        outgoing: Outgoing,
        policy: Policy,
        view: CatalogView,
        caller: Caller,
    ) -> Work:
        """Plan the models for the prompt as it will be sent."""
        score = self._complexity.score(conversation.messages)
        complexity = request.complexity or tier(score, thresholds=policy.thresholds)
        facts = RequestFacts.of(
            outgoing.prompt,
            label=outgoing.lowest_label,
            complexity=complexity,
            stated_model=request.model,
            sticky=conversation.session_id or self._make_id(),
            caller=caller,
        )
        chosen = plan(facts, view, on_denied=self._policy.on_denied)
        route = Route(
            label=outgoing.reading.label,
            complexity=complexity,
            complexity_score=round(score, 4),
            raised_by=outgoing.reading.raised_by,
            rule=chosen.rule if outgoing.redacted is None else f"{chosen.rule}_redacted",
            candidates=chosen.considered,
        )
        return Work(conversation=conversation, outgoing=outgoing, plan=chosen, route=route, view=view)

    async def _complete(self, work: Work, *, slot: Slot) -> AsyncGenerator[Event | Progress, None]:
        """Stream the first model of the plan that answers, or the call that another request has under way for it."""
        draft, route, model = Draft(), work.route, ""
        async with self._cache.seat(slot, work.outgoing) as seat:
            try:
                async with aclosing(seat.ride(lambda: self._ask(work))) as pieces:
                    async for piece in pieces:
                        if isinstance(piece, Attempt):
                            route = seat.note(route, piece)
                            yield Progress(
                                reading=work.outgoing.reading, messages=work.conversation.messages, route=route
                            )
                            if piece.outcome in ANSWERS:
                                model = piece.model
                                yield self._start(model, route=route, conversation=work.conversation)
                            continue
                        draft.add(piece)
                        if isinstance(piece, Delta):
                            yield piece
            except BaseException:
                # Left, cancelled or broken off: what the client saw is kept, then the end takes its course.
                if draft.deltas:
                    await asyncio.shield(self._keep_cut(work, draft, model=model))
                raise
            answer = settle(draft, work, model=model, route=route)
            await seat.once(lambda: self._keep(work, draft, answer=answer, slot=slot, seat=seat))
            await self._keep_turns(work.conversation, answer)
            yield finish(answer, cached=self._cache.is_free(slot, seat))

    async def _keep(self, work: Work, draft: Draft, *, answer: CachedAnswer, slot: Slot, seat: Seat) -> None:
        """Keep the answer before its last event is yielded."""
        await self._remember(work, draft, model=answer.model)
        if work.version_for(answer.model) is None:
            await self._cache.keep(slot, answer, seat=seat)

    async def _ask(self, work: Work) -> AsyncGenerator[Attempt | Piece, None]:
        """Ask the models of the plan in turn, each for the version of the prompt that it is cleared for."""
        shares = work.outgoing.shares(work.plan.models)
        for number, (redacted, models) in enumerate(shares, start=1):
            begun = False
            try:
                async with aclosing(self._ask_some(work, models, redacted=redacted)) as pieces:
                    async for piece in pieces:
                        begun = begun or not isinstance(piece, Attempt)
                        yield piece
                return
            except UpstreamError as error:
                if begun or not error.fallback or number == len(shares):
                    raise

    def _ask_some(
        self, work: Work, models: tuple[Model, ...], *, redacted: Redacted | None
    ) -> AsyncGenerator[Attempt | Piece, None]:
        some = replace(work.plan, models=models)
        if redacted is None:
            return self._completion.run(some, work.outgoing.prompt, label=work.label)
        return restore(
            self._completion.run(some, redacted.prompt, label=redacted.reading.label), values=redacted.values
        )

    async def _replay(
        self, kept: CachedAnswer, conversation: Conversation, *, slot: Slot
    ) -> AsyncGenerator[Event, None]:
        """A kept answer as the events it was made of."""
        started = self._start(kept.model, route=kept.route, conversation=conversation)
        await self._cache.note_served(started.id, slot, kept)
        yield started
        async for delta in self._cache.pace(kept):
            yield delta
        yield finish(kept, cached=True)

    def _start(self, model: str, *, route: Route, conversation: Conversation) -> Started:
        return Started(
            id=self._make_id(),
            model=model,
            created=self._clock(),
            route=route,
            session_id=conversation.session_id,
        )

    async def _keep_turns(self, conversation: Conversation, answer: CachedAnswer) -> None:
        message = Draft(deltas=list(answer.deltas)).choices[0]
        await self._sessions.keep(conversation, answer=message, label=answer.label, model=answer.model, complete=True)

    async def _keep_cut(self, work: Work, draft: Draft, *, model: str) -> None:
        await self._remember(work, draft, model=model)
        await self._sessions.keep(
            work.conversation, answer=draft.choices[0], label=work.label, model=model, complete=False
        )

    async def _remember(self, work: Work, draft: Draft, *, model: str) -> None:
        """Let the answer keep the label of what it was made from when it comes back in another request."""
        conversation, redacted = work.conversation, work.version_for(model)
        await self._echoes.keep_answer(
            draft.choices,
            question=conversation.messages[-1].text,
            label=work.label if redacted is None else redacted.reading.label,
            tenant=conversation.tenant,
        )
