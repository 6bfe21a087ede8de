"""A remembered plan is the plan that would be worked out anew."""

from __future__ import annotations

from dataclasses import replace
from itertools import count, product
from typing import Any

import pytest

from app.errors import UnknownModelError
from app.models import Caller, Complexity, Label
from app.services.catalog import CatalogView
from app.services.health import HealthView
from app.services.llm_router import RequestFacts, plan
from app.services.plans import Plans
from app.services.strategies import WeightedSplit
from tests.services.test_llm_router import FACTS, LARGE, LLAMA, MIDDLE, SMALL, model, tokens, view

HURRIED = HealthView(latency={SMALL.id: 0.2, LARGE.id: 0.1})
CATALOGS = [
    replace(catalog, revision=number)
    for number, catalog in enumerate(
        (
            view(),
            view(health=HURRIED, strategies={"simple": "fastest"}),
            view(health=HealthView(open=frozenset({SMALL.id}))),
            view(strategies={"simple": WeightedSplit({SMALL.id: 1.0, MIDDLE.id: 1.0})}),
            view(SMALL, model("openai/narrow", context_length=100)),
        )
    )
]
MORE: tuple[dict[str, Any], ...] = (
    {},
    {"needs_vision": True},
    {"prompt_tokens": tokens(200)},
    {"prompt_tokens": tokens(40_000)},
    {"max_tokens": 200},
    {"sticky": "a"},
    {"sticky": "b"},
)
REQUESTS = [
    replace(FACTS, label=label, complexity=complexity, stated_model=stated, caller=Caller(models=models), **more)
    for label, complexity, stated, models, more in product(
        Label,
        (Complexity.SIMPLE, Complexity.COMPLEX),
        ("auto", "local", SMALL.id),
        (None, frozenset({SMALL.id, LLAMA.id})),
        MORE,
    )
]


def ask(plans: Plans, facts: RequestFacts, catalog: CatalogView) -> object:
    try:
        return plans.find(facts, catalog)
    except Exception as error:  # noqa: BLE001  (whatever it is, it must be the same)
        return type(error)


def expected(facts: RequestFacts, catalog: CatalogView) -> object:
    try:
        return plan(facts, catalog, on_denied="reroute")
    except Exception as error:  # noqa: BLE001  (as above)
        return type(error)


def test_plans_are_the_same_whatever_was_asked_for_before() -> None:
    """Every request is asked twice, on every catalog, between all the others."""
    plans = Plans(on_denied="reroute")
    for catalog, _ in product(CATALOGS, range(2)):
        for facts in REQUESTS:
            assert ask(plans, facts, catalog) == expected(facts, catalog)


def test_a_change_of_latency_that_changes_no_order_keeps_the_plan_and_one_that_does_changes_it() -> None:
    plans, catalog = Plans(on_denied="reroute"), CATALOGS[1]
    first = plans.find(FACTS, catalog)
    slower = replace(catalog, health=HealthView(latency={SMALL.id: 0.4, LARGE.id: 0.3}))
    turned = replace(catalog, health=HealthView(latency={SMALL.id: 0.1, LARGE.id: 0.2}))
    assert plans.find(FACTS, slower) is first
    assert plans.find(FACTS, turned) == plan(FACTS, turned, on_denied="reroute")


def test_a_model_that_is_not_known_is_refused_each_time() -> None:
    plans = Plans(on_denied="reroute")
    for _ in range(2):
        with pytest.raises(UnknownModelError):
            plans.find(replace(FACTS, stated_model="nobody/knows"), view())


def test_the_catalog_of_another_revision_is_planned_for_anew() -> None:
    plans, numbers = Plans(on_denied="reroute"), count()
    everything, little = (replace(catalog, revision=next(numbers)) for catalog in (view(), view(LLAMA)))
    assert SMALL in plans.find(FACTS, everything).models
    assert SMALL not in plans.find(FACTS, little).models
