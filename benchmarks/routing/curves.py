"""What a ranking of prompts is worth when the hardest go to a strong model and the rest to a weak one."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Outcomes:
    """Which of the prompts each model answered right (1.0 or 0.0), and the prompts' lengths in characters."""

    weak: Floats
    strong: Floats
    length: Floats

    @property
    def gain(self) -> Floats:
        return self.strong - self.weak


@dataclass(frozen=True, slots=True)
class Curve:
    """The share of the performance gap recovered against the share of the calls (or cost) that go to the strong model.

    Both run from 0 to 1. Prompts of equal score are one step: their order is open, so the line across it is straight.
    """

    spent: Floats
    recovered: Floats

    @property
    def area(self) -> float:
        """The average performance gap recovered (APGR) of RouteLLM, Ong et al. 2024: 0.5 is random."""
        return float(np.trapezoid(self.recovered, self.spent))

    def spent_for(self, recovered: float) -> float:
        """The smallest share at which so much of the gap is recovered."""
        step = int(np.argmax(self.recovered >= recovered))
        before, after = self.recovered[step - 1], self.recovered[step]
        part = (recovered - before) / (after - before)
        return float(self.spent[step - 1] + part * (self.spent[step] - self.spent[step - 1]))


class Ranking:
    """Prompts in the order of falling score, the order in which they are given to the strong model."""

    def __init__(self, scores: Sequence[float] | Floats) -> None:
        _, self._steps = np.unique(-np.asarray(scores), return_inverse=True)

    def curve(self, outcomes: Outcomes, *, counts: Integers | None = None, by_length: bool = False) -> Curve:
        """Calls cost the same each, or `by_length` in proportion to their prompts. `counts` repeats prompts."""
        repeats = np.ones(len(outcomes.weak)) if counts is None else counts
        cost = outcomes.length if by_length else np.ones(len(outcomes.length))
        return Curve(spent=self._cumulate(repeats * cost), recovered=self._cumulate(repeats * outcomes.gain))

    def _cumulate(self, values: Floats) -> Floats:
        """The running share of the sum of `values`, step by step from 0 to 1."""
        sums = np.cumsum(np.bincount(self._steps, weights=values), dtype=np.float64)
        shares: Floats = np.insert(sums, 0, 0.0) / sums[-1]
        return shares


def resampled_areas(rankings: Sequence[Ranking], outcomes: Outcomes, *, rounds: int, seed: int) -> Floats:
    """The APGR of each ranking on bootstrap samples of the prompts: rounds by rankings, the same samples for all."""
    random = np.random.default_rng(seed)
    size = len(outcomes.weak)
    areas = np.empty((rounds, len(rankings)))
    for row in areas:
        counts = np.bincount(random.integers(size, size=size), minlength=size)
        row[:] = [ranking.curve(outcomes, counts=counts).area for ranking in rankings]
    return areas
