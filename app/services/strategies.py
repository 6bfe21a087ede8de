"""In which order the models preferred for a rule are tried: as listed, cheapest, fastest, or split by weight."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from app.models import Model

Latencies = Mapping[str, float]  # seconds to the first content by model id; what was not measured lately is absent


@dataclass(frozen=True, slots=True)
class WeightedSplit:
    """Shares of the traffic by model id. A session stays with its model while the weights stay."""

    weights: Mapping[str, float]


Strategy = Literal["preference", "cheapest", "fastest"] | WeightedSplit


def arrange(models: Sequence[Model], *, strategy: Strategy, latencies: Latencies, sticky: str) -> Sequence[Model]:
    """The models in the order of the strategy. `sticky` is what a split keeps together: the same, the same model."""
    match strategy:
        case "cheapest":
            return cheapest_first(models, latencies=latencies)
        case "fastest":
            return fastest_first(models, latencies=latencies)
        case WeightedSplit(weights):
            return sorted(models, key=lambda model: _draw(model.id, weight=weights.get(model.id, 0.0), sticky=sticky))
        case _:
            return models


def cheapest_first(models: Iterable[Model], *, latencies: Latencies) -> list[Model]:
    """By price, then by latency. An unknown price may be any, so it comes last."""
    return sorted(models, key=lambda model: (price_of(model), latencies.get(model.id, 0.0)))


def fastest_first(models: Iterable[Model], *, latencies: Latencies) -> list[Model]:
    """By latency, then by price. What was not measured lately comes first, so that it is."""
    return sorted(models, key=lambda model: (latencies.get(model.id, 0.0), price_of(model)))


def price_of(model: Model) -> float:
    """US dollars for a token in and a token out."""
    return math.inf if model.price is None else model.price.prompt + model.price.completion


def _draw(model: str, *, weight: float, sticky: str) -> float:
    """Weighted rendezvous hashing: the smallest draw wins, each model in proportion to its weight.

    Schindelhauer and Schomaker, "Weighted distributed hash tables", SPAA 2005: the logarithmic method.
    """
    if weight <= 0:
        return math.inf
    digest = hashlib.blake2b(f"{sticky}\n{model}".encode(), digest_size=8).digest()
    uniform = (int.from_bytes(digest, "big") + 0.5) / 2**64
    return -math.log(uniform) / weight
