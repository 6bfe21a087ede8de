"""The pipeline: admit, history, classify, cache, retrieve, re-label, route, complete, keep, record.

Every surface renders the events of `Gateway.answer`; there is no other way to a model.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal

from app.models import (
    Attempt,
    Caller,
    ChatRequest,
    Delta,
    Event,
    Label,
    Passage,
    Prompt,
    RetrievalScope,
    Route,
    Started,
)
from app.protocols import Clock
from app.services.admission import Admission
from app.services.answer import Draft
from app.services.audit import Audit
from app.services.budgets import Budgets
from app.services.cache import Partition, Slot, read_set
from app.services.cache_entries import CachedAnswer
from app.services.calls import Book
from app.services.catalog import Catalog, CatalogView
from app.services.completion import Completion
from app.services.complexity import ComplexityClassifier, tier
from app.services.conversation import Conversation
from app.services.echoes import Echoes
from app.services.flights import ANSWERS, Seat
from app.services.followups import search_text
from app.services.keeping import Keeper
from app.services.labels import Labeller, Reading
from app.services.llm_router import RequestFacts
from app.services.plans import Plans
from app.services.policy import Policy, PolicyFile
from app.services.prompting import compose
from app.services.recorder import Progress, Recorder, Watched
from app.services.redaction import Outgoing, Redactor
from app.services.retrieval import Lookup, Retrieval, SearchQuery
from app.services.reuse import Reuse
from app.services.sessions import Sessions
from app.services.work import Explanation, Work, finish, settle
from app.utils.tracing import step


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
        budgets: Budgets,
        sessions: Sessions,
        labeller: Labeller,
        complexity: ComplexityClassifier,
        cache: Reuse,
        retrieval: Retrieval,
        catalog: Catalog,
        completion: Completion,
        recorder: Recorder,
        audit: Audit,
        redactor: Redactor,
        echoes: Echoes,
        policies: PolicyFile,
        policy: GatewayPolicy,
        clock: Clock,
        make_id: Callable[[], str],
    ) -> None:
        self._admission = admission
        self._budgets = budgets
        self._sessions = sessions
        self._labeller = labeller
        self._complexity = complexity
        self._cache = cache
        self._retrieval = retrieval
        self._catalog = catalog
        self._completion = completion
        self._recorder = recorder
        self._audit = audit
        self._redactor = redactor
        self._keeper = Keeper(sessions=sessions, echoes=echoes)
        self._policies = policies
        self._policy = policy
        self._plans = Plans(on_denied=policy.on_denied)
        self._clock = clock
        self._make_id = make_id

    def answer(self, request: ChatRequest, *, caller: Caller) -> AsyncGenerator[Sequence[Event], None]:
        """Answer a request as events: `Started`, deltas, `Finished`, as many as come together.

        Trouble is raised as `SluiceError`.

        Closing the generator cancels the upstream call; what was written so far is kept and marked as cut.
        """
        return self._recorder.watch(lambda book: self._admitted(request, caller=caller, book=book), caller=caller)

    async def explain(self, request: ChatRequest, *, caller: Caller) -> Explanation:
        """Do every step up to route, without an outbound call and without storing anything but an audit record."""
        texts = (message.text for message in request.messages)
        with self._audit.account("explanation", texts, caller=caller) as account:
            explanation = await self._explain(request, caller=caller)
            account.route = explanation.route
        return explanation

    async def _explain(self, request: ChatRequest, *, caller: Caller) -> Explanation:
        policy, view = self._policies.current, self._catalog.view
        conversation = await self._sessions.load(request, caller=caller)
        reading = await self._read(conversation, request, caller=caller)
        lookup = None if self._retrieval.calls_out else request.documents
        found = await self._ground(conversation, lookup, label=reading.label, caller=caller)
        outgoing = await self._relabel(conversation, request, reading=reading, passages=found.passages)
        work = self._route(conversation, request, outgoing=outgoing, policy=policy, view=view, caller=caller)
        work = await self._fit(work, request, policy=policy)
        return Explanation(model=work.plan.models[0].id if work.plan.models else None, route=work.route)

    async def disown(self, request: ChatRequest, *, caller: Caller) -> None:
        """Forget the answers that the cache has for this request, because the one it gave was wrong."""
        policy, view = self._policies.current, self._catalog.view
        conversation = await self._sessions.load(request, caller=caller)
        reading = await self._read(conversation, request, caller=caller)
        slot = await self._slot(conversation, request, label=reading.label, policy=policy, view=view, caller=caller)
        await self._cache.disown(slot)

    def _admitted(self, request: ChatRequest, *, caller: Caller, book: Book) -> Watched:
        """The events of the answer under the caller's limits, which every call counts against."""

        def make_events(counted: Book) -> Watched:
            return self._events(request, caller=caller, book=counted)

        return self._admission.watch(make_events, request=request, caller=caller, book=book)

    async def _events(self, request: ChatRequest, *, caller: Caller, book: Book) -> Watched:
        policy, view = self._policies.current, self._catalog.view
        conversation = await self._sessions.load(request, caller=caller)
        reading = await self._read(conversation, request, caller=caller)
        yield Progress(reading=reading, messages=conversation.messages)
        slot = await self._slot(conversation, request, label=reading.label, policy=policy, view=view, caller=caller)
        kept = await self._cache.find(slot)
        if kept is not None:
            conversation = await self._sessions.raise_mark(conversation, label=max(kept.label, reading.label))
            answer_id = self._make_id()
            await self._keeper.keep_replayed(conversation, kept, id=answer_id, view=view)
            async for replayed in self._replay(kept, conversation, slot=slot, id=answer_id):
                yield replayed
            return
        found = await self._ground(conversation, request.documents, label=reading.label, caller=caller)
        outgoing = await self._relabel(conversation, request, reading=reading, passages=found.passages)
        yield Progress(reading=outgoing.reading, messages=conversation.messages)
        work = self._route(conversation, request, outgoing=outgoing, policy=policy, view=view, caller=caller)
        work = await self._fit(work, request, policy=policy)
        yield Progress(reading=outgoing.reading, messages=conversation.messages, route=work.route)
        if not work.plan.models:
            raise work.plan.refusal
        conversation = await self._sessions.raise_mark(work.conversation, label=work.label)
        work = replace(work, conversation=conversation, searched=found.searched)
        with await self._budgets.hold(work.plan.models, caller=caller, usage=work.expected_usage) as models:
            work = replace(work, plan=replace(work.plan, models=models))
            async with aclosing(self._complete(work, slot=slot, book=book)) as batches:
                async for events in batches:
                    yield events

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
        cache = request.cache.under(caller)
        asked = replace(request, messages=conversation.messages, model=conversation.model, cache=cache)
        return Slot(request=asked, partition=partition)

    async def _ground(
        self, conversation: Conversation, scope: RetrievalScope | None, *, label: Label, caller: Caller
    ) -> Lookup:
        """The passages that bear on the last question. What is looked up is labelled like the request it is from."""
        if scope is None:
            return Lookup()
        query = SearchQuery(text=search_text(conversation.messages), label=label, scope=scope)
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
            stated_model=conversation.model,
            sticky=conversation.session_id or self._make_id(),
            caller=caller,
        )
        with step("routing"):
            chosen = self._plans.find(facts, view)
        route = Route(
            label=outgoing.reading.label,
            complexity=complexity,
            complexity_score=round(score, 4),
            raised_by=outgoing.reading.raised_by,
            rule=chosen.rule if outgoing.redacted is None else f"{chosen.rule}_redacted",
            candidates=chosen.considered,
            history=conversation.history,
        )
        return Work(
            conversation=conversation, outgoing=outgoing, plan=chosen, route=route, view=view, tokens=facts.most_tokens
        )

    async def _fit(self, work: Work, request: ChatRequest, *, policy: Policy) -> Work:
        """With less of the session, if that makes room for the prompt in a model that it is too long for as it is."""
        window = work.plan.widest_window(work.view)
        if window is None or not work.conversation.past:
            return work
        conversation = work.conversation.without(work.tokens - window)
        outgoing = await self._relabel(
            conversation, request, reading=work.outgoing.reading, passages=work.outgoing.prompt.passages
        )
        caller = conversation.caller
        return self._route(conversation, request, outgoing=outgoing, policy=policy, view=work.view, caller=caller)

    async def _complete(self, work: Work, *, slot: Slot, book: Book) -> Watched:
        """Stream the first model of the plan that answers, or the call that another request has under way for it."""
        draft, route, model, answer_id = Draft(), work.route, "", self._make_id()
        progress = partial(Progress, reading=work.outgoing.reading, messages=work.conversation.messages)
        async with self._cache.seat(slot, work.outgoing, book=book) as seat:
            try:
                call = partial(self._completion.run, work.plan, work.outgoing, book=seat.book)
                async with aclosing(seat.ride(call)) as batches:
                    async for items in batches:
                        for attempt in (item for item in items if isinstance(item, Attempt)):
                            route = seat.note(route, attempt)
                            yield progress(route=route)
                            if attempt.outcome in ANSWERS:
                                model = attempt.model
                                yield (self._start(model, id=answer_id, route=route, conversation=work.conversation),)
                        draft.add(item for item in items if not isinstance(item, Attempt))
                        if deltas := [item for item in items if isinstance(item, Delta)]:
                            yield deltas
                yield progress(route=route, called_seconds=seat.seconds)
            except BaseException:
                # Left, cancelled or broken off: what the client saw is kept, then the end takes its course.
                if draft.deltas:
                    await self._keeper.keep_cut(work, draft, id=answer_id, model=model)
                raise
            answer = await self._settle(draft, work, model=model, route=route)
            share = partial(self._share, work, draft, answer=answer, slot=slot, seat=seat)
            await self._keeper.keep_whole(work, answer, id=answer_id, first=lambda: seat.once(share))
            yield (finish(answer, cached=self._cache.is_free(slot, seat)),)

    async def _share(self, work: Work, draft: Draft, *, answer: CachedAnswer, slot: Slot, seat: Seat) -> None:
        """What is done once for all whose answer this is: it is remembered, and kept for requests to come."""
        await self._keeper.remember(work, draft, model=answer.model)
        if work.version_for(answer.model) is None:
            await self._cache.keep(slot, answer, seat=seat)

    async def _settle(self, draft: Draft, work: Work, *, model: str, route: Route) -> CachedAnswer:
        """The complete answer. Looking it up in its passages may take longer than the event loop may stand still."""
        if work.outgoing.prompt.passages:
            return await asyncio.to_thread(settle, draft, work, model=model, route=route)
        return settle(draft, work, model=model, route=route)

    async def _replay(
        self, kept: CachedAnswer, conversation: Conversation, *, slot: Slot, id: str
    ) -> AsyncGenerator[Sequence[Event], None]:
        """A kept answer as the events it was made of."""
        if kept.route.history != conversation.history:
            kept = replace(kept, route=replace(kept.route, history=conversation.history))
        await self._cache.note_served(id, slot, kept)
        yield (self._start(kept.model, id=id, route=kept.route, conversation=conversation),)
        async for deltas in self._cache.pace(kept):
            yield deltas
        yield (finish(kept, cached=True),)

    def _start(self, model: str, *, id: str, route: Route, conversation: Conversation) -> Started:
        return Started(id=id, model=model, created=self._clock(), route=route, session_id=conversation.session_id)
