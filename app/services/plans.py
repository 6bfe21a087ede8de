"""Plans that many requests have in common, worked out once."""

from __future__ import annotations

from typing import Literal

from app.services.catalog import CatalogView
from app.services.llm_router import LONG_CONTEXT_TOKENS, Plan, RequestFacts, plan
from app.services.strategies import WeightedSplit

# How models do decides on their order, and so changes what is asked for now and then; this many are a lot.
MOST_PLANS = 1_000


class Plans:
    """Answers as `plan` does, and remembers its answers while the catalog stays as it is.

    The plan of a short prompt follows from a handful of facts that most requests share. A long one may not fit into
    every model, and a split is drawn for each session: those are always worked out anew.
    """

    def __init__(self, *, on_denied: Literal["reroute", "refuse"]) -> None:
        """`on_denied` is what a stated model that is not cleared leads to."""
        self._on_denied = on_denied
        self._revision = -1
        self._short = 0
        self._known: dict[object, Plan] = {}

    def find(self, facts: RequestFacts, catalog: CatalogView) -> Plan:
        """As `plan`, errors included."""
        if catalog.revision != self._revision or len(self._known) >= MOST_PLANS:
            self._begin(catalog)
        if facts.most_tokens > self._short:
            return plan(facts, catalog, on_denied=self._on_denied)
        key = _key(facts, catalog)
        found = self._known.get(key)
        if found is None:
            found = self._known[key] = plan(facts, catalog, on_denied=self._on_denied)
        return found

    def _begin(self, catalog: CatalogView) -> None:
        self._revision = catalog.revision
        self._known.clear()
        splits = any(isinstance(strategy, WeightedSplit) for strategy in catalog.strategies.values())
        windows = (model.context_length for model in catalog.models.values() if model.context_length is not None)
        self._short = -1 if splits else min((LONG_CONTEXT_TOKENS, *windows))


def _key(facts: RequestFacts, catalog: CatalogView) -> object:
    """All that a short prompt's plan depends on. Of the latencies it is only their order."""
    health = catalog.health
    return (
        facts.label,
        facts.complexity,
        facts.stated_model,
        tuple(facts.needs),
        facts.caller.models,
        health.open,
        tuple(sorted(health.latency, key=health.latency.__getitem__)),
    )
