"""Routing: a pure function from what is known of a request to an ordered plan of models, with reasons."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, Self

from app.errors import ModelNotAllowedError, NoCapableModelError, NoClearedModelError, SluiceError
from app.models import (
    Caller,
    Candidate,
    Complexity,
    ImagePart,
    JSONValue,
    Label,
    Locality,
    Message,
    Model,
    Prompt,
)
from app.services.cascade import Cascade
from app.services.catalog import CatalogView
from app.services.catalog_file import Ability
from app.services.prompting import count_prompt_tokens
from app.services.strategies import WeightedSplit, arrange, price_of
from app.utils.tokens import Family, family_of

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
LOCAL_RULES = frozenset({"confidential", "local"})

# Why a model is not in the plan: `not_allowed`, `context_length`, `not_cleared`, `unavailable` or `no_` and the ability
# it lacks.
DROPS_FOR_ABILITY: Mapping[Ability, str] = {
    "vision": "no_vision",
    "tools": "no_tools",
    "json_schema": "no_json_schema",
    "choices": "no_choices",
    "logprobs": "no_logprobs",
    "prefill": "no_prefill",
}
NOT_ALLOWED = "not_allowed"
INCAPABLE = frozenset({"context_length", *DROPS_FOR_ABILITY.values()})


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestFacts:
    """All that routing may depend on. `prompt_tokens` is estimated in process, for each family of tokenizers.

    `sticky` is what a weighted split keeps together: the session, or the request where there is none. `caller` may use
    some models or all.
    """

    label: Label
    complexity: Complexity
    stated_model: str
    prompt_tokens: Mapping[Family, int]
    max_tokens: int | None
    needs_vision: bool = False
    needs_tools: bool = False
    needs_json_schema: bool = False
    needs_choices: bool = False
    needs_logprobs: bool = False
    needs_prefill: bool = False
    sticky: str = ""
    caller: Caller = field(default_factory=Caller)

    @classmethod
    def of(
        cls,
        prompt: Prompt,
        *,
        label: Label,
        complexity: Complexity,
        stated_model: str,
        sticky: str,
        caller: Caller,
    ) -> Self:
        """What the prompt, as it will be sent, asks of a model."""
        tooling, sampling = prompt.tooling, prompt.sampling
        return cls(
            label=label,
            complexity=complexity,
            stated_model=stated_model,
            prompt_tokens=count_prompt_tokens(prompt),
            max_tokens=sampling.max_tokens,
            needs_vision=_count_images(prompt.messages) > 0,
            needs_tools=bool(tooling.tools),
            needs_json_schema=_is_schema(tooling.response_format),
            needs_choices=(sampling.n or 1) > 1,
            needs_logprobs=bool(sampling.logprobs),
            needs_prefill=bool(prompt.messages) and prompt.messages[-1].role == "assistant",
            sticky=sticky,
            caller=caller,
        )

    @property
    def needs(self) -> Sequence[Ability]:
        """What a model must be able to do, most telling first."""
        asked: Mapping[Ability, bool] = {
            "vision": self.needs_vision,
            "tools": self.needs_tools,
            "json_schema": self.needs_json_schema,
            "choices": self.needs_choices,
            "logprobs": self.needs_logprobs,
            "prefill": self.needs_prefill,
        }
        return [ability for ability, needed in asked.items() if needed]

    def tokens_of(self, model: Model) -> int:
        """What is sent plus what is asked for, as the model counts it."""
        return self.prompt_tokens[family_of(model.name)] + (self.max_tokens or 0)

    @property
    def most_tokens(self) -> int:
        """The same, as the family counts it that makes most of it."""
        return max(self.prompt_tokens.values()) + (self.max_tokens or 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Models in the order they are tried, and every model that was considered, with the reason if it was dropped.

    `without_sampling` holds the ids of those that refuse a temperature, so that they are not sent one, and
    `without_streaming` of those that answer in one piece only. With a `cascade` its cheap model comes first, and its
    answer is checked before anything is given out.
    """

    rule: str
    models: tuple[Model, ...]
    considered: tuple[Candidate, ...]
    without_sampling: frozenset[str] = frozenset()
    without_streaming: frozenset[str] = frozenset()
    cascade: Cascade | None = None

    def checks(self, model: Model) -> bool:
        """Whether the model's answer is looked at before it is given out."""
        return self.cascade is not None and self.cascade.first == model.id

    def widest_window(self, catalog: CatalogView) -> int | None:
        """The longest context, in tokens, of the models that the prompt was too long for; `None` if another answers."""
        too_short = [each.model for each in self.considered if each.dropped == "context_length"]
        windows = [catalog.models[name].context_length or 0 for name in too_short]
        return max(windows, default=None) if not self.models else None

    @property
    def refusal(self) -> SluiceError:
        """Why an empty plan is empty: no cleared model answers, or those that do cannot do what is asked."""
        drops = {candidate.dropped for candidate in self.considered}
        if drops == {NOT_ALLOWED}:
            return ModelNotAllowedError()
        if INCAPABLE & drops:
            return NoCapableModelError()
        return NoClearedModelError()


def plan(facts: RequestFacts, catalog: CatalogView, *, on_denied: Literal["reroute", "refuse"]) -> Plan:
    """Choose the models for a request.

    A stated model is the only candidate; if it is not cleared, `on_denied` decides between routing the request as if
    none were stated and an empty plan. Raises `UnknownModelError` if no model has the stated name, and
    `ModelNotAllowedError` if it is one that the caller may not use.
    """
    if facts.stated_model in (AUTO, LOCAL):
        rule = _rule(facts, catalog)
        chosen = _filter(facts, catalog, rule=rule, names=_preferred(facts, catalog))
        return _with_cascade(chosen, catalog.cascades.get(rule), catalog)
    stated = catalog.resolve(facts.stated_model)
    if not facts.caller.may_use(stated):
        raise ModelNotAllowedError(param="model")
    if facts.label <= stated.clearance or on_denied == "refuse":
        return _filter(facts, catalog, rule="stated_model", names=(stated.id,))
    names = dict.fromkeys((stated.id, *_preferred(facts, catalog)))
    return _filter(facts, catalog, rule="stated_model_not_cleared", names=tuple(names))


def fallback_orders(catalog: CatalogView) -> Mapping[str, Sequence[str]]:
    """The ids of the models that a plain public prompt of each tier would try, in their order."""
    return {tier.value: [model.id for model in _plan_of_tier(tier, catalog).models] for tier in Complexity}


def _plan_of_tier(tier: Complexity, catalog: CatalogView) -> Plan:
    facts = RequestFacts(
        label=Label.PUBLIC,
        complexity=tier,
        stated_model=AUTO,
        prompt_tokens=dict.fromkeys(Family, 0),
        max_tokens=None,
    )
    return plan(facts, catalog, on_denied="refuse")


def _rule(facts: RequestFacts, catalog: CatalogView) -> str:
    if facts.label is Label.CONFIDENTIAL:
        return "confidential"
    if facts.stated_model == LOCAL:
        return "local"
    return "long_context" if _is_long(facts, catalog) else facts.complexity.value


def _is_long(facts: RequestFacts, catalog: CatalogView) -> bool:
    """Whether it is a long prompt for the model that would get it by its tier, as that model counts tokens."""
    by_tier = _find_all(catalog.preferences.get(facts.complexity.value, ()), catalog)
    chosen = next((each for each in by_tier if each.id in catalog.available and facts.label <= each.clearance), None)
    return facts.tokens_of(chosen or catalog.builtin) > LONG_CONTEXT_TOKENS


def _preferred(facts: RequestFacts, catalog: CatalogView) -> Sequence[str]:
    """The id of every model that may come into question, best first.

    Those listed for the rule, in the order of its strategy; then those of the nearest tiers. Models that their own
    provider does not list come after those, and last of all the ones whose breaker is open.
    """
    if catalog.builtin_only:
        return (catalog.builtin.id,)
    names = dict.fromkeys((*_listed(facts, catalog), *_others(facts, catalog)))
    names.pop(catalog.builtin.id, None)
    if facts.stated_model == LOCAL:
        names = {name: None for name in names if catalog.models[name].locality is Locality.LOCAL}
    last = catalog.health.open
    return sorted(names, key=lambda name: (name in last, name in catalog.unlisted))


def _listed(facts: RequestFacts, catalog: CatalogView) -> Iterator[str]:
    """The models of the rule's own list, arranged by its strategy, then those of the other lists as they stand."""
    own, *others = _lists(facts, catalog)
    strategy = catalog.strategies.get(own, "preference")
    split = strategy.weights if isinstance(strategy, WeightedSplit) else ()
    models = dict.fromkeys(_find_all((*split, *catalog.preferences.get(own, ())), catalog))
    latencies = catalog.health.latency
    yield from (
        model.id for model in arrange(tuple(models), strategy=strategy, latencies=latencies, sticky=facts.sticky)
    )
    for name in others:
        yield from (model.id for model in _find_all(catalog.preferences.get(name, ()), catalog))


def _lists(facts: RequestFacts, catalog: CatalogView) -> Sequence[str]:
    """The names of the preference lists that bear on the request, its rule's own first."""
    tiers = [tier.value for tier in NEAREST_TIERS[facts.complexity]]
    match _rule(facts, catalog):
        case "confidential" | "local":
            return [LOCAL]
        case "long_context":
            return ["long_context", *tiers]
        case _:
            return tiers


def _find_all(names: Iterable[str], catalog: CatalogView) -> Iterator[Model]:
    return (model for model in map(catalog.find, names) if model is not None)


def _others(facts: RequestFacts, catalog: CatalogView) -> Sequence[str]:
    """Models nobody listed that can be called now. Local ones keep the order in which they were reported."""
    names = [name for name in catalog.models if name in catalog.available and name not in catalog.stated_only]
    if _rule(facts, catalog) in LOCAL_RULES:
        return names
    distances = {tier: distance for distance, tier in enumerate(NEAREST_TIERS[facts.complexity])}
    latencies = catalog.health.latency

    def order(name: str) -> tuple[int, float, float]:
        model = catalog.models[name]
        distance = len(distances) if model.tier is None else distances[model.tier]
        return distance, price_of(model), latencies.get(name, 0.0)

    return sorted(names, key=order)


def _with_cascade(chosen: Plan, cascade: Cascade | None, catalog: CatalogView) -> Plan:
    """The plan with the cheap model first, if it is in the plan, well, and there is a stronger one after it."""
    cheap = next((model for model in chosen.models if cascade is not None and model.id == cascade.first), None)
    if cascade is None or cheap is None or len(chosen.models) == 1 or cheap.id in catalog.health.open:
        return chosen
    if "logprobs" in _lacks(cheap.id, catalog):
        cascade = replace(cascade, min_logprob=None)
    considered = sorted(chosen.considered, key=lambda candidate: candidate.model != cheap.id)
    models = (cheap, *(model for model in chosen.models if model != cheap))
    return replace(chosen, models=models, considered=tuple(considered), cascade=cascade)


def _filter(facts: RequestFacts, catalog: CatalogView, *, rule: str, names: Sequence[str]) -> Plan:
    needs = facts.needs
    models = [catalog.models[name] for name in names]
    drops = [_drop(name, facts, catalog, needs=needs) for name in names]
    return Plan(
        rule=rule,
        models=tuple(model for model, drop in zip(models, drops, strict=True) if drop is None),
        considered=tuple(Candidate(model=name, dropped=drop) for name, drop in zip(names, drops, strict=True)),
        without_sampling=frozenset(name for name in names if "sampling" in _lacks(name, catalog)),
        without_streaming=frozenset(name for name in names if "streaming" in _lacks(name, catalog)),
    )


def _drop(name: str, facts: RequestFacts, catalog: CatalogView, *, needs: Sequence[Ability]) -> str | None:
    """Why the model cannot get the request; what is not known of a model does not count against it."""
    model = catalog.models[name]
    if not facts.caller.may_use(model):
        return NOT_ALLOWED
    if not facts.label <= model.clearance:
        return "not_cleared"
    if name not in catalog.available:
        return "unavailable"
    for ability in needs:
        if ability in _lacks(name, catalog):
            return DROPS_FOR_ABILITY[ability]
    if model.context_length is not None and facts.tokens_of(model) > model.context_length:
        return "context_length"
    return None


def _lacks(name: str, catalog: CatalogView) -> frozenset[Ability]:
    return catalog.lacks.get(name, frozenset())


def _count_images(messages: Sequence[Message]) -> int:
    return sum(isinstance(part, ImagePart) for message in messages for part in message.parts)


def _is_schema(response_format: JSONValue) -> bool:
    return isinstance(response_format, Mapping) and response_format.get("type") == "json_schema"
