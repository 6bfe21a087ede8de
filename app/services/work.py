"""A request that is ready to be sent, and what becomes of its answer when it is complete."""

from __future__ import annotations

from dataclasses import dataclass

from app.models import Finished, Label, Route, Usage
from app.services.admission import ANSWER_TOKENS
from app.services.answer import Draft, cost_of
from app.services.cache_entries import CachedAnswer
from app.services.catalog import CatalogView
from app.services.conversation import Conversation
from app.services.grounding import check, cite
from app.services.llm_router import Plan
from app.services.redaction import Outgoing, Redacted


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """A request that is ready to be sent: what may be sent, under which label, and the models that may get it.

    `tokens` is an estimate of what is sent plus what is asked for. `searched` says that there were documents to look
    in, whether or not any of them bore on the question.
    """

    conversation: Conversation
    outgoing: Outgoing
    plan: Plan
    route: Route
    view: CatalogView
    tokens: int
    searched: bool = False

    @property
    def label(self) -> Label:
        """The label of the request itself, before anything was taken out."""
        return self.outgoing.reading.label

    @property
    def expected_usage(self) -> Usage:
        """An estimate of what an answer takes, from above as far as the request says how long it may be."""
        sampling = self.outgoing.prompt.sampling
        answer = sampling.max_tokens or ANSWER_TOKENS
        return Usage(
            prompt_tokens=self.tokens - (sampling.max_tokens or 0),
            completion_tokens=answer * (sampling.n or 1),
            estimated=True,
        )

    def version_for(self, model: str) -> Redacted | None:
        """The redacted prompt if this model of the plan gets that one."""
        found = (each for each in self.plan.models if each.id == model)
        return next((self.outgoing.version_for(each) for each in found), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """What would happen to a request: the model it would go to first, and why."""

    model: str | None
    route: Route


def settle(draft: Draft, work: Work, *, model: str, route: Route) -> CachedAnswer:
    """The complete answer as it is kept."""
    usage = draft.usage or Usage(estimated=True)
    passages = work.outgoing.prompt.passages
    text = draft.choices[0].text if passages else ""  # nothing is looked for in it without them
    grounding = check(text, passages=passages, searched=work.searched)
    return CachedAnswer(
        label=work.label,
        model=model,
        deltas=tuple(draft.deltas),
        finish_reasons=draft.finish_reasons,
        usage=usage,
        cost=cost_of(usage, model=work.view.find(model)),
        citations=cite(passages, grounding=grounding, text=text, quotes_only=model == work.view.builtin.id),
        grounding=grounding,
        route=route,
    )


def finish(answer: CachedAnswer, *, cached: bool) -> Finished:
    """The last event; an answer from the cache costs nothing."""
    return Finished(
        usage=answer.usage,
        cost=0.0 if cached else answer.cost,
        cached=cached,
        finish_reasons=answer.finish_reasons,
        citations=answer.citations,
        grounding=answer.grounding,
        route=answer.route,
    )
