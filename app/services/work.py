"""A request that is ready to be sent, and what becomes of its answer when it is complete."""

from __future__ import annotations

from dataclasses import dataclass

from app.models import Finished, Label, Route
from app.services.answer import Draft, cite, cost_of
from app.services.cache_entries import CachedAnswer
from app.services.catalog import CatalogView
from app.services.llm_router import Plan
from app.services.redaction import Outgoing, Redacted
from app.services.sessions import Conversation


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """A request that is ready to be sent: what may be sent, under which label, and the models that may get it."""

    conversation: Conversation
    outgoing: Outgoing
    plan: Plan
    route: Route
    view: CatalogView

    @property
    def label(self) -> Label:
        """The label of the request itself, before anything was taken out."""
        return self.outgoing.reading.label

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
    usage = draft.settled_usage(work.outgoing.prompt)
    return CachedAnswer(
        label=work.label,
        model=model,
        deltas=tuple(draft.deltas),
        finish_reasons=draft.finish_reasons,
        usage=usage,
        cost=cost_of(usage, model=work.view.find(model)),
        citations=cite(
            work.outgoing.prompt.passages, text=draft.choices[0].text, quotes_only=model == work.view.builtin.id
        ),
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
        route=answer.route,
    )
