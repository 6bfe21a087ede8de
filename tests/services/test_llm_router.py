"""Routing: from the facts of a request and the catalog to a plan."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.errors import ModelNotAllowedError, NoCapableModelError, NoClearedModelError, UnknownModelError
from app.models import (
    Caller,
    Complexity,
    ImagePart,
    JSONValue,
    Label,
    Locality,
    Message,
    Model,
    Price,
    Prompt,
    Sampling,
    TextPart,
    Tooling,
)
from app.services.catalog import CatalogView
from app.services.catalog_file import Ability
from app.services.health import HealthView
from app.services.llm_router import LONG_CONTEXT_TOKENS, Plan, RequestFacts, plan
from app.services.strategies import Strategy, WeightedSplit
from app.utils.tokens import Family


def model(
    key: str,
    *,
    tier: Complexity | None = None,
    local: bool = False,
    clearance: Label | None = None,
    dollars: float | None = None,
    context_length: int | None = None,
) -> Model:
    provider, _, name = key.partition("/")
    return Model(
        provider=provider,
        name=name,
        locality=Locality.LOCAL if local else Locality.CLOUD,
        clearance=clearance if clearance is not None else Label.CONFIDENTIAL if local else Label.INTERNAL,
        tier=tier,
        price=None if dollars is None else Price(prompt=dollars, completion=dollars),
        context_length=context_length,
    )


BUILTIN = model("builtin/extractive", local=True)
SMALL = model("openai/small", tier=Complexity.SIMPLE, dollars=1)
MIDDLE = model("openai/middle", tier=Complexity.MODERATE, dollars=5)
LARGE = model("openai/large", tier=Complexity.COMPLEX, dollars=20)
LLAMA = model("ollama/llama3:latest", local=True, dollars=0)
MODELS = (SMALL, MIDDLE, LARGE, LLAMA)


def view(*models: Model, **changes: Any) -> CatalogView:
    """A catalog of these models, all of which can be called."""
    known = {model.id: model for model in (*(models or MODELS), BUILTIN)}
    whole = CatalogView(models=known, builtin=BUILTIN, available=frozenset(known), preferences={}, builtin_only=False)
    return replace(whole, **changes)


def tokens(count: int) -> Mapping[Family, int]:
    return dict.fromkeys(Family, count)


FACTS = RequestFacts(
    label=Label.PUBLIC, complexity=Complexity.SIMPLE, stated_model="auto", prompt_tokens=tokens(10), max_tokens=None
)


def route(catalog: CatalogView, *, on_denied: Literal["reroute", "refuse"] = "reroute", **facts: Any) -> Plan:
    return plan(replace(FACTS, **facts), catalog, on_denied=on_denied)


def names(chosen: Plan) -> list[str]:
    return [model.id for model in chosen.models]


def dropped(chosen: Plan) -> dict[str, str | None]:
    return {candidate.model: candidate.dropped for candidate in chosen.considered}


# Order


@pytest.mark.parametrize(
    ("complexity", "order"),
    [
        (Complexity.SIMPLE, [SMALL, MIDDLE, LARGE, LLAMA]),
        (Complexity.MODERATE, [MIDDLE, LARGE, SMALL, LLAMA]),
        (Complexity.COMPLEX, [LARGE, MIDDLE, SMALL, LLAMA]),
    ],
)
def test_models_nobody_listed_come_by_nearest_tier(complexity: Complexity, order: list[Model]) -> None:
    chosen = route(view(), complexity=complexity)
    assert chosen.models == tuple(order)
    assert chosen.rule == complexity


def test_a_preference_list_comes_first_and_the_lists_of_other_tiers_next() -> None:
    lists = {"simple": (LLAMA.id, SMALL.id), "moderate": (MIDDLE.id,), "complex": (LARGE.id,)}
    assert names(route(view(preferences=lists))) == [LLAMA.id, SMALL.id, MIDDLE.id, LARGE.id]


def test_equal_tiers_are_ordered_by_price_then_by_latency() -> None:
    dear, fast, slow, unknown = (
        model(f"x/{name}", tier=Complexity.SIMPLE, dollars=dollars)
        for name, dollars in (("dear", 9), ("fast", 1), ("slow", 1), ("unknown", None))
    )
    health = HealthView(latency={slow.id: 2.0, fast.id: 0.5})
    assert names(route(view(unknown, dear, slow, fast, health=health))) == [fast.id, slow.id, dear.id, unknown.id]


def test_an_open_breaker_sends_a_model_to_the_end_and_refuses_nothing() -> None:
    health = HealthView(open=frozenset({SMALL.id}))
    assert names(route(view(health=health))) == [MIDDLE.id, LARGE.id, LLAMA.id, SMALL.id]
    everything = HealthView(open=frozenset(known.id for known in MODELS))
    assert len(route(view(health=everything)).models) == len(MODELS)


def test_models_that_their_provider_does_not_list_come_after_those_it_does() -> None:
    assert names(route(view(unlisted=frozenset({SMALL.id}))))[-1] == SMALL.id


def test_models_that_only_a_long_list_knows_are_used_only_when_stated() -> None:
    catalog = view(stated_only=frozenset({MIDDLE.id}))
    assert MIDDLE.id not in dropped(route(catalog))
    assert names(route(catalog, stated_model=MIDDLE.id)) == [MIDDLE.id]


def test_the_builtin_model_never_stands_in_for_another() -> None:
    assert BUILTIN.id not in dropped(route(view()))
    assert names(route(view(builtin_only=True))) == [BUILTIN.id]
    assert names(route(view(), stated_model=BUILTIN.id)) == [BUILTIN.id]


# Labels


def test_only_cleared_models_are_in_the_plan() -> None:
    chosen = route(view(), label=Label.CONFIDENTIAL)
    assert names(chosen) == [LLAMA.id]
    assert chosen.rule == "confidential"
    assert dropped(chosen)[SMALL.id] == "not_cleared"


def test_the_first_local_model_reported_is_the_local_one_unless_a_list_says_otherwise() -> None:
    second = model("ollama/qwen3:8b", local=True, tier=Complexity.SIMPLE)
    assert names(route(view(SMALL, LLAMA, second), stated_model="local")) == [LLAMA.id, second.id]
    listed = view(SMALL, LLAMA, second, preferences={"local": ("qwen3:8b",)})
    assert names(route(listed, label=Label.CONFIDENTIAL)) == [second.id, LLAMA.id]


def test_the_local_alias_never_leaves_the_network_even_for_public_text() -> None:
    assert {found.locality for found in route(view(), stated_model="local").models} == {Locality.LOCAL}


@given(
    label=st.sampled_from(Label),
    stated=st.sampled_from(["auto", "local", SMALL.id, LLAMA.id]),
    complexity=st.sampled_from(Complexity),
    open_=st.sets(st.sampled_from([known.id for known in MODELS])),
    on_denied=st.sampled_from(["reroute", "refuse"]),
    listed=st.lists(st.sampled_from([known.id for known in MODELS]), unique=True),
)
def test_no_plan_ever_holds_a_model_that_is_not_cleared(
    label: Label,
    stated: str,
    complexity: Complexity,
    open_: set[str],
    on_denied: Literal["reroute", "refuse"],
    listed: list[str],
) -> None:
    catalog = view(
        health=HealthView(open=frozenset(open_)), preferences={"local": tuple(listed), complexity.value: tuple(listed)}
    )
    chosen = route(catalog, label=label, stated_model=stated, complexity=complexity, on_denied=on_denied)
    assert all(label <= found.clearance for found in chosen.models)


# Stated models


def test_a_stated_model_is_the_only_candidate() -> None:
    chosen = route(view(), stated_model="large")
    assert (names(chosen), chosen.rule) == ([LARGE.id], "stated_model")


def test_a_stated_model_that_is_not_cleared_is_routed_around_or_refused_as_the_operator_says() -> None:
    rerouted = route(view(), stated_model=SMALL.id, label=Label.CONFIDENTIAL)
    assert (names(rerouted), rerouted.rule) == ([LLAMA.id], "stated_model_not_cleared")
    refused = route(view(), stated_model=SMALL.id, label=Label.CONFIDENTIAL, on_denied="refuse")
    assert names(refused) == []
    assert isinstance(refused.refusal, NoClearedModelError)


def test_a_name_that_no_model_has_is_an_error_of_its_own() -> None:
    with pytest.raises(UnknownModelError):
        route(view(), stated_model="nobody/knows")


# What a request needs


@pytest.mark.parametrize("ability", ["vision", "tools", "json_schema", "choices", "logprobs", "prefill"])
def test_a_model_is_dropped_for_what_it_is_known_not_to_do_and_for_nothing_else(ability: Ability) -> None:
    catalog = view(lacks={SMALL.id: frozenset({ability})})
    needs: dict[str, Any] = {f"needs_{ability}": True}
    needed = route(catalog, **needs)
    assert dropped(needed)[SMALL.id] == f"no_{ability}"
    assert names(needed) == [MIDDLE.id, LARGE.id, LLAMA.id]
    assert SMALL.id in names(route(catalog))


def test_what_no_cleared_model_can_do_is_the_callers_to_mend_and_what_none_may_get_is_not() -> None:
    blind = {known.id: frozenset({"vision"}) for known in MODELS}
    assert isinstance(route(view(lacks=blind), needs_vision=True).refusal, NoCapableModelError)
    local_blind = route(view(lacks={LLAMA.id: frozenset({"vision"})}), needs_vision=True, label=Label.CONFIDENTIAL)
    assert isinstance(local_blind.refusal, NoCapableModelError)
    nobody = route(view(SMALL, MIDDLE), label=Label.CONFIDENTIAL)
    assert isinstance(nobody.refusal, NoClearedModelError)


def test_a_model_that_refuses_a_temperature_stays_in_the_plan_and_is_marked() -> None:
    chosen = route(view(lacks={SMALL.id: frozenset({"sampling"})}))
    assert chosen.models[0] == SMALL
    assert chosen.without_sampling == {SMALL.id}


def test_what_is_sent_and_what_is_asked_for_must_fit_together() -> None:
    narrow = model("x/narrow", tier=Complexity.SIMPLE, context_length=100)
    assert narrow.id in names(route(view(narrow, LARGE), prompt_tokens=tokens(60), max_tokens=40))
    assert dropped(route(view(narrow, LARGE), prompt_tokens=tokens(60), max_tokens=41))[narrow.id] == "context_length"


@pytest.mark.parametrize(("prompt_tokens", "max_tokens"), [(LONG_CONTEXT_TOKENS + 1, None), (1, LONG_CONTEXT_TOKENS)])
def test_a_long_prompt_or_a_long_answer_prefers_the_long_context_list(
    prompt_tokens: int, max_tokens: int | None
) -> None:
    catalog = view(preferences={"long_context": (LARGE.id,), "simple": (SMALL.id,)})
    chosen = route(catalog, prompt_tokens=tokens(prompt_tokens), max_tokens=max_tokens)
    assert (chosen.rule, names(chosen)[:2]) == ("long_context", [LARGE.id, SMALL.id])


def test_the_facts_are_read_from_the_prompt_as_it_will_be_sent() -> None:
    tool: JSONValue = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}
    text = Message.of("user", "word " * 40)
    picture = Message(role="user", parts=(TextPart("See"), ImagePart("data:image/png;base64,AA==")))
    schema: JSONValue = {"type": "json_schema", "json_schema": {"name": "answer", "schema": {}}}
    rich = Prompt(
        messages=(picture, text, Message.of("assistant", "Well,")),
        sampling=Sampling(n=2, logprobs=True, max_tokens=9),
        tooling=Tooling(tools=(tool,), response_format=schema),
        stream=False,
    )
    plain = Prompt(messages=(text,))
    read = {
        which: RequestFacts.of(
            prompt,
            label=Label.PUBLIC,
            complexity=Complexity.SIMPLE,
            stated_model="auto",
            sticky="s",
            caller=Caller(),
        )
        for which, prompt in (("rich", rich), ("plain", plain))
    }
    assert read["rich"].needs == ["vision", "tools", "json_schema", "choices", "logprobs", "prefill"]
    assert read["rich"].max_tokens == 9
    assert read["plain"].needs == []
    assert 40 <= read["plain"].tokens_of(SMALL) < 80
    assert read["rich"].tokens_of(SMALL) > read["plain"].tokens_of(SMALL) + 1000


# Strategies


def order(strategy: Strategy, *, health: HealthView | None = None, sticky: str = "") -> list[str]:
    lists = {"simple": (LARGE.id, SMALL.id, MIDDLE.id)}
    catalog = view(preferences=lists, strategies={"simple": strategy}, health=health or HealthView())
    return names(route(catalog, sticky=sticky))


def test_preference_takes_the_list_as_it_stands() -> None:
    assert order("preference")[:3] == [LARGE.id, SMALL.id, MIDDLE.id]


def test_cheapest_orders_the_list_by_price() -> None:
    assert order("cheapest")[:3] == [SMALL.id, MIDDLE.id, LARGE.id]


def test_fastest_orders_the_list_by_what_was_measured_and_measures_first_what_was_not() -> None:
    health = HealthView(latency={LARGE.id: 0.9, SMALL.id: 0.5})
    assert order("fastest", health=health)[:3] == [MIDDLE.id, SMALL.id, LARGE.id]


def test_a_strategy_is_for_its_own_tier_only() -> None:
    catalog = view(preferences={"complex": (SMALL.id, LARGE.id)}, strategies={"simple": "cheapest"})
    assert names(route(catalog, complexity=Complexity.COMPLEX))[:2] == [SMALL.id, LARGE.id]


def test_a_weighted_split_gives_each_model_its_share_and_a_session_always_the_same() -> None:
    split = WeightedSplit({LARGE.id: 90.0, MIDDLE.id: 10.0, SMALL.id: 0.0})
    first = Counter(order(split, sticky=f"session-{number}")[0] for number in range(2000))
    assert first[MIDDLE.id] == pytest.approx(200, abs=50)
    assert first[SMALL.id] == 0
    assert first[LARGE.id] + first[MIDDLE.id] == 2000
    assert len({tuple(order(split, sticky="one")) for _ in range(20)}) == 1


def test_a_larger_share_moves_only_sessions_that_it_gains() -> None:
    """A canary that grows keeps the sessions that it has."""
    before, after = (WeightedSplit({LARGE.id: 90.0, MIDDLE.id: share}) for share in (10.0, 30.0))
    sessions = [f"session-{number}" for number in range(500)]
    moved = {(order(before, sticky=name)[0], order(after, sticky=name)[0]) for name in sessions}
    assert (MIDDLE.id, LARGE.id) not in moved
    assert (LARGE.id, MIDDLE.id) in moved


def test_a_canary_whose_breaker_is_open_gets_no_traffic_while_others_answer() -> None:
    health = HealthView(open=frozenset({MIDDLE.id}))
    assert order(WeightedSplit({MIDDLE.id: 1.0}), health=health)[-1] == MIDDLE.id


# Models that a caller may use


def test_models_that_the_caller_may_not_use_are_dropped_and_said_so() -> None:
    chosen = route(view(), caller=Caller(models=frozenset({SMALL.id, "ollama/llama3"})))
    assert names(chosen) == [SMALL.id, LLAMA.id]
    assert dropped(chosen)[LARGE.id] == "not_allowed"


def test_a_provider_is_allowed_as_a_whole() -> None:
    assert names(route(view(), caller=Caller(models=frozenset({"ollama/*"})))) == [LLAMA.id]


@pytest.mark.parametrize("on_denied", ["reroute", "refuse"])
def test_a_stated_model_that_the_caller_may_not_use_is_refused(on_denied: Literal["reroute", "refuse"]) -> None:
    """Also where the label would have sent the request elsewhere."""
    with pytest.raises(ModelNotAllowedError):
        route(
            view(),
            stated_model=LARGE.id,
            label=Label.CONFIDENTIAL,
            caller=Caller(models=frozenset({SMALL.id})),
            on_denied=on_denied,
        )


def test_an_empty_plan_says_that_no_model_is_allowed() -> None:
    chosen = route(view(), caller=Caller(models=frozenset({"openai/other"})))
    assert isinstance(chosen.refusal, ModelNotAllowedError)
