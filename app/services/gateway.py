"""The pipeline: admit, history, classify, cache, retrieve, re-label, route, complete, keep, record.

Every surface renders the events of `Gateway.answer`; there is no other way to a model.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import Literal

from app.models import (
    Attempt,
    Caller,
    ChatRequest,
    Delta,
    Event,
    Finished,
    ImagePart,
    Label,
    Message,
    Passage,
    Prompt,
    RetrievalScope,
    Route,
    Started,
)
from app.protocols import Clock
from app.services.answer import Draft, cite, cost_of
from app.services.cache import AnswerCache, CachedAnswer, Partition, Slot
from app.services.catalog import Catalog, CatalogView
from app.services.completion import Completion
from app.services.complexity import ComplexityClassifier, Thresholds, tier
from app.services.labels import Labeller, Reading
from app.services.llm_router import Plan, RequestFacts, plan
from app.services.prompting import compose, estimate_tokens, question
from app.services.recorder import Recorder
from app.services.retrieval import Retrieval, SearchQuery
from app.services.sessions import Conversation, Sessions


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewayPolicy:
    """What the operator decided: the thresholds of the tiers, what a stated model that is not cleared leads to, and a
    fingerprint of the rules in force, which is part of the cache's key."""

    thresholds: Thresholds
    on_denied: Literal["reroute", "refuse"]
    fingerprint: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """A request that is ready to be sent: the prompt, the label it has now, and the models that may get it."""

    conversation: Conversation
    reading: Reading
    prompt: Prompt
    plan: Plan
    route: Route
    view: CatalogView


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """What would happen to a request: the model it would go to first, and why."""

    model: str | None
    route: Route


class Gateway:
    """Answers requests. Holds no state of its own: every value goes in and comes out."""

    def __init__(
        self,
        *,
        sessions: Sessions,
        labeller: Labeller,
        complexity: ComplexityClassifier,
        cache: AnswerCache,
        retrieval: Retrieval,
        catalog: Catalog,
        completion: Completion,
        recorder: Recorder,
        policy: GatewayPolicy,
        clock: Clock,
        make_id: Callable[[], str],
    ) -> None:
        self._sessions = sessions
        self._labeller = labeller
        self._complexity = complexity
        self._cache = cache
        self._retrieval = retrieval
        self._catalog = catalog
        self._completion = completion
        self._recorder = recorder
        self._policy = policy
        self._clock = clock
        self._make_id = make_id

    def answer(self, request: ChatRequest, *, caller: Caller) -> AsyncGenerator[Event, None]:
        """Answer a request as events: `Started`, deltas, `Finished`. Trouble is raised as `SluiceError`.

        Closing the generator cancels the upstream call; what was written so far is kept and marked as cut.
        """
        return self._recorder.watch(self._events(request, caller=caller), caller=caller)

    async def explain(self, request: ChatRequest, *, caller: Caller) -> Explanation:
        """Do every step up to route, without an outbound call and without storing anything."""
        view = self._catalog.view
        conversation = await self._sessions.load(request, caller=caller)
        reading = await self._read(conversation, request, caller=caller)
        lookup = None if self._retrieval.calls_out else request.documents
        passages = await self._ground(conversation, lookup, label=reading.label, caller=caller)
        work = self._route(conversation, request, reading=reading, passages=passages, view=view)
        return Explanation(model=work.plan.models[0].id if work.plan.models else None, route=work.route)

    async def _events(self, request: ChatRequest, *, caller: Caller) -> AsyncGenerator[Event, None]:
        view = self._catalog.view
        conversation = await self._sessions.load(request, caller=caller)
        reading = await self._read(conversation, request, caller=caller)
        slot = await self._slot(conversation, request, label=reading.label, view=view, caller=caller)
        kept = await self._cache.find(slot)
        if kept is not None:
            await self._sessions.raise_mark(conversation, label=max(kept.label, reading.label))
            await self._keep_turns(conversation, kept)
            for event in self._replay(kept, conversation):
                yield event
            return
        passages = await self._ground(conversation, request.documents, label=reading.label, caller=caller)
        work = self._route(conversation, request, reading=reading, passages=passages, view=view)
        if not work.plan.models:
            raise work.plan.refusal
        await self._sessions.raise_mark(conversation, label=work.reading.label)
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
        self, conversation: Conversation, request: ChatRequest, *, label: Label, view: CatalogView, caller: Caller
    ) -> Slot:
        """Where in the cache the answer to this request belongs."""
        scope = request.documents
        documents = await self._retrieval.revision(scope, caller=caller) if scope is not None else ""
        partition = Partition(
            tenant=caller.tenant,
            label=label,
            clearance=caller.clearance,
            policy=self._policy.fingerprint,
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

    def _route(
        self,
        conversation: Conversation,
        request: ChatRequest,
        *,
        reading: Reading,
        passages: Sequence[Passage],
        view: CatalogView,
    ) -> Work:
        """Join the label again after retrieval, and plan the models for the prompt as it will be sent."""
        reading = reading.join_passages(passages)
        score = self._complexity.score(conversation.messages)
        complexity = request.complexity or tier(score, thresholds=self._policy.thresholds)
        prompt = Prompt(
            messages=compose(conversation.messages, passages=passages),
            sampling=request.sampling,
            tooling=request.tooling,
            passages=tuple(passages),
            stream=request.stream,
        )
        facts = RequestFacts(
            label=reading.label,
            complexity=complexity,
            stated_model=request.model,
            prompt_tokens=estimate_tokens(prompt.messages),
            max_tokens=request.sampling.max_tokens,
            needs_vision=_has_images(prompt.messages),
            needs_tools=bool(request.tooling.tools),
        )
        chosen = plan(facts, view, on_denied=self._policy.on_denied)
        route = Route(
            label=reading.label,
            complexity=complexity,
            complexity_score=round(score, 4),
            raised_by=reading.raised_by,
            rule=chosen.rule,
            candidates=chosen.considered,
        )
        return Work(conversation=conversation, reading=reading, prompt=prompt, plan=chosen, route=route, view=view)

    async def _complete(self, work: Work, *, slot: Slot) -> AsyncGenerator[Event, None]:
        """Stream the first model of the plan that answers; keep the answer before its last event is yielded."""
        draft = Draft()
        route = work.route
        model = ""
        try:
            async with aclosing(self._completion.run(work.plan, work.prompt, label=work.reading.label)) as pieces:
                async for piece in pieces:
                    if isinstance(piece, Attempt):
                        route = replace(route, attempts=(*route.attempts, piece))
                        if piece.outcome == "ok":
                            model = piece.model
                            yield self._start(model, route=route, conversation=work.conversation)
                        continue
                    draft.add(piece)
                    if isinstance(piece, Delta):
                        yield piece
        except BaseException:
            # Left, cancelled or broken off: what the client saw is kept, then the end takes its course.
            if draft.deltas:
                await asyncio.shield(self._keep_cut_turns(work, draft, model=model))
            raise
        answer = _settle(draft, work, model=model, route=route)
        await self._keep_turns(work.conversation, answer)
        await self._cache.keep(slot, answer)
        yield _finish(answer, cached=False)

    def _replay(self, kept: CachedAnswer, conversation: Conversation) -> Iterator[Event]:
        """A kept answer as the events it was made of."""
        route = replace(kept.route, cache="hit", attempts=())
        yield self._start(kept.model, route=route, conversation=conversation)
        yield from kept.deltas
        yield _finish(replace(kept, route=route), cached=True)

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

    async def _keep_cut_turns(self, work: Work, draft: Draft, *, model: str) -> None:
        await self._sessions.keep(
            work.conversation, answer=draft.choices[0], label=work.reading.label, model=model, complete=False
        )


def _settle(draft: Draft, work: Work, *, model: str, route: Route) -> CachedAnswer:
    usage = draft.settled_usage(work.prompt)
    return CachedAnswer(
        label=work.reading.label,
        model=model,
        deltas=tuple(draft.deltas),
        finish_reasons=draft.finish_reasons,
        usage=usage,
        cost=cost_of(usage, model=work.view.find(model)),
        citations=cite(work.prompt.passages, text=draft.choices[0].text, quotes_only=model == work.view.builtin.id),
        route=route,
    )


def _finish(answer: CachedAnswer, *, cached: bool) -> Finished:
    return Finished(
        usage=answer.usage,
        cost=0.0 if cached else answer.cost,
        cached=cached,
        finish_reasons=answer.finish_reasons,
        citations=answer.citations,
        route=answer.route,
    )


def _has_images(messages: Sequence[Message]) -> bool:
    return any(isinstance(part, ImagePart) for message in messages for part in message.parts)
