"""Routing: a pure function from what is known of a request to an ordered plan of models, with reasons."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from app.errors import NoCapableModelError, NoClearedModelError, SluiceError
from app.models import Candidate, Complexity, Label, Locality, Model
from app.services.catalog import CatalogView

# What is sent plus what is asked for, in tokens, from which a model with a long context window is preferred.
LONG_CONTEXT_TOKENS = 32_000

# Where to look next when the models preferred for a tier are used up: the nearest tier first.
NEAREST_TIERS = {
    Complexity.SIMPLE: (Complexity.SIMPLE, Complexity.MODERATE, Complexity.COMPLEX),
    Complexity.MODERATE: (Complexity.MODERATE, Complexity.COMPLEX, Complexity.SIMPLE),
    Complexity.COMPLEX: (Complexity.COMPLEX, Complexity.MODERATE, Complexity.SIMPLE),
}

AUTO = "auto"
LOCAL = "local"

Drop = Literal["not_cleared", "unavailable", "no_vision", "no_tools", "context_length"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestFacts:
    """All that routing may depend on. `prompt_tokens` is counted or estimated in process."""

    label: Label
    complexity: Complexity
    stated_model: str
    prompt_tokens: int
    max_tokens: int | None
    needs_vision: bool
    needs_tools: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Models in the order they are tried, and every model that was considered, with the reason if it was dropped."""

    rule: str
    models: tuple[Model, ...]
    considered: tuple[Candidate, ...]

    @property
    def refusal(self) -> SluiceError:
        """Why an empty plan is empty: no cleared model answers, or those that do cannot do what is asked."""
        dropped = {candidate.dropped for candidate in self.considered}
        if dropped & {"no_vision", "no_tools", "context_length"}:
            return NoCapableModelError()
        return NoClearedModelError()


def plan(facts: RequestFacts, catalog: CatalogView, *, on_denied: Literal["reroute", "refuse"]) -> Plan:
    """Choose the models for a request.

    A stated model is the only candidate; if it is not cleared, `on_denied` decides between routing the request as if
    none were stated and an empty plan. Raises `UnknownModelError` if no model has the stated name.
    """
    if facts.stated_model in (AUTO, LOCAL):
        return _filter(facts, catalog, rule=_rule(facts), models=_preferred(facts, catalog))
    stated = catalog.resolve(facts.stated_model)
    if facts.label <= stated.clearance or on_denied == "refuse":
        return _filter(facts, catalog, rule="stated_model", models=(stated,))
    others = (model for model in _preferred(facts, catalog) if model.id != stated.id)
    return _filter(facts, catalog, rule="stated_model_not_cleared", models=(stated, *others))


def _rule(facts: RequestFacts) -> str:
    if facts.label is Label.CONFIDENTIAL:
        return "confidential"
    if facts.stated_model == LOCAL:
        return "local"
    if _tokens(facts) > LONG_CONTEXT_TOKENS:
        return "long_context"
    return facts.complexity.value


def _preferred(facts: RequestFacts, catalog: CatalogView) -> tuple[Model, ...]:
    """Every model that may come into question, best first: those listed for the rule, then those of the nearest tiers."""
    if catalog.builtin_only:
        return (catalog.builtin,)
    ordered = dict.fromkeys((*_listed(facts, catalog), *_by_tier(facts, catalog)))
    models = (catalog.models[name] for name in ordered if name != catalog.builtin.id)
    if facts.stated_model == LOCAL:
        return tuple(model for model in models if model.locality is Locality.LOCAL)
    return tuple(models)


def _listed(facts: RequestFacts, catalog: CatalogView) -> Iterator[str]:
    tiers = [tier.value for tier in NEAREST_TIERS[facts.complexity]]
    rule = _rule(facts)
    lists = {"confidential": ["local"], "local": ["local"], "long_context": ["long_context", *tiers]}.get(rule, tiers)
    for name in (name for part in lists for name in catalog.preferences.get(part, ())):
        model = catalog.find(name)
        if model is not None:
            yield model.id


def _by_tier(facts: RequestFacts, catalog: CatalogView) -> Iterator[str]:
    """Models nobody listed: those that can be called now, nearest tier first, in the order they were reported."""
    order = {tier: position for position, tier in enumerate(NEAREST_TIERS[facts.complexity])}
    unlisted = (model for model in catalog.models.values() if model.id in catalog.available)
    for model in sorted(unlisted, key=lambda model: order.get(model.tier, len(order)) if model.tier else len(order)):
        yield model.id


def _filter(facts: RequestFacts, catalog: CatalogView, *, rule: str, models: Sequence[Model]) -> Plan:
    considered = tuple(Candidate(model=model.id, dropped=_drop(model, facts, catalog)) for model in models)
    kept = tuple(model for model, candidate in zip(models, considered, strict=True) if candidate.dropped is None)
    return Plan(rule=rule, models=kept, considered=considered)


def _drop(model: Model, facts: RequestFacts, catalog: CatalogView) -> Drop | None:
    if not facts.label <= model.clearance:
        return "not_cleared"
    if model.id not in catalog.available:
        return "unavailable"
    if facts.needs_vision and not model.vision:
        return "no_vision"
    if facts.needs_tools and not model.tools:
        return "no_tools"
    if model.context_length is not None and _tokens(facts) > model.context_length:
        return "context_length"
    return None


def _tokens(facts: RequestFacts) -> int:
    return facts.prompt_tokens + (facts.max_tokens or 0)


def order_by_health(models: Iterable[Model], *, unhealthy: frozenset[str]) -> tuple[Model, ...]:
    """Put models whose breaker is open at the end; nothing is refused."""
    return tuple(sorted(models, key=lambda model: model.id in unhealthy))
