"""Make the weights of the complexity score from prompts whose source is plainly simple, moderate or complex.

DATA_DIR holds `tiers.jsonl`: one object a line with `prompt`, `tier` (simple, moderate, complex) and `source`. To these
come the prompts of `complexity_anchors.jsonl` beside this program, written for it: kinds of task and languages
that public collections leave out. Run it as `.venv/bin/python -m scripts.train_complexity DATA_DIR`.

Prompts of one source look alike, so a free fit learns to know the sources. Three things hold it back: each source of
a tier weighs the same, each feature may push only in the direction that its meaning gives it, and the weights are
drawn towards what is believed beforehand (`BELIEFS`).
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from app.models import Complexity
from app.services.complexity import WEIGHTS_PATH, ComplexityClassifier, LogisticModel, load_lexicon
from app.services.complexity_features import FEATURES, Lexicon, features

ANCHORS_PATH = Path(__file__).with_name("complexity_anchors.jsonl")
ANCHORS = "anchors"
TIERS = tuple(Complexity)
PENALTY = 0.01
ITERATIONS = 2_000

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class TieredPrompt:
    """A prompt with the tier that its source stands for."""

    text: str
    tier: Complexity
    source: str


@dataclass(frozen=True, slots=True)
class Belief:
    """What a feature may do in one stage: the direction in which it may push, and the weight expected of it."""

    direction: Literal[-1, 1]
    weight: float = 0.0


HARDER = Belief(1)
EASIER = Belief(-1)

# Size makes everything harder. The three narrow kinds of task are never simple and seldom complex, however long; a
# proof is complex, however short.
BELIEFS: Mapping[str, Mapping[str, Belief]] = {
    "not_simple": {
        "words": Belief(1, 1.0),
        "sentences": Belief(1, 1.0),
        "casual": EASIER,
        "lookup": EASIER,
        "short_lookup": EASIER,
        "no_task": EASIER,
        "function_exercise": Belief(1, 1.0),
        "word_problem": Belief(1, 1.0),
        "language_task": Belief(1, 1.0),
        "proof": Belief(1, 1.0),
    },
    "complex": {
        "words": Belief(1, 2.0),
        "sentences": Belief(1, 2.0),
        "casual": EASIER,
        "lookup": EASIER,
        "short_lookup": EASIER,
        "no_task": EASIER,
        "function_exercise": Belief(-1, -2.5),
        "word_problem": Belief(-1, -2.5),
        "language_task": Belief(-1, -2.5),
        "proof": Belief(1, 2.5),
    },
}


def read_prompts(path: Path, *, source: str | None = None) -> list[TieredPrompt]:
    with path.open(encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    return [TieredPrompt(row["prompt"], Complexity(row["tier"]), source or row["source"]) for row in rows]


def read_anchors() -> list[TieredPrompt]:
    return read_prompts(ANCHORS_PATH, source=ANCHORS)


def train(prompts: Sequence[TieredPrompt], *, lexicon: Lexicon) -> ComplexityClassifier:
    """Fit both stages: simple against the rest, then moderate against complex among the rest."""
    table = np.array([[features(prompt.text, lexicon=lexicon)[name] for name in FEATURES] for prompt in prompts])
    tiers = np.array([TIERS.index(prompt.tier) for prompt in prompts])
    shares = balance(prompts)
    rest = tiers > 0
    return ComplexityClassifier(
        lexicon=lexicon,
        not_simple=fit(table, tiers > 0, shares=shares, beliefs=BELIEFS["not_simple"]),
        complex=fit(table[rest], tiers[rest] > 1, shares=shares[rest], beliefs=BELIEFS["complex"]),
    )


def balance(prompts: Iterable[TieredPrompt]) -> Floats:
    """A weight for each prompt such that tiers weigh the same, and within a tier its sources."""
    groups = [(prompt.tier, prompt.source) for prompt in prompts]
    sources = {tier: len({source for other, source in groups if other is tier}) for tier, _ in groups}
    sizes = {group: groups.count(group) for group in set(groups)}
    return np.array([1 / (sizes[group] * sources[group[0]]) for group in groups])


def fit(table: Floats, answers: NDArray[np.bool_], *, shares: Floats, beliefs: Mapping[str, Belief]) -> LogisticModel:
    """Logistic regression with a Gaussian prior and a sign for each weight, by accelerated projected gradient.

    The method is FISTA (Beck and Teboulle 2009). `table` is prompts by `FEATURES`, `shares` the prompts' weights.
    """
    chosen = [beliefs.get(name, HARDER) for name in FEATURES]
    directions = np.array([*(belief.direction for belief in chosen), 0])
    prior = np.array([*(belief.weight for belief in chosen), 0.0])
    penalty = np.array([*(PENALTY for _ in chosen), 0.0])
    design = np.hstack([table, np.ones((len(table), 1))])
    shares = shares / shares.sum()
    step = 1 / (np.linalg.eigvalsh(design.T @ (design * shares[:, None])).max() / 4 + PENALTY)
    weights = ahead = prior
    momentum = 1.0
    for _ in range(ITERATIONS):
        error = 1 / (1 + np.exp(-design @ ahead)) - answers
        moved = ahead - step * (design.T @ (error * shares) + penalty * (ahead - prior))
        moved = np.where(directions * moved < 0, 0.0, moved)
        grown = (1 + np.sqrt(1 + 4 * momentum**2)) / 2
        ahead = moved + (momentum - 1) / grown * (moved - weights)
        weights, momentum = moved, grown
    return LogisticModel(bias=float(weights[-1]), weights=dict(zip(FEATURES, weights[:-1].tolist(), strict=True)))


def write_weights(classifier: ComplexityClassifier, *, sources: Iterable[str], path: Path) -> None:
    stages = {"not_simple": classifier.not_simple, "complex": classifier.complex}
    content = {
        "made_by": "scripts/train_complexity.py",
        "sources": sorted(set(sources)),
        "stages": {
            name: {
                "bias": round(stage.bias, 4),
                "weights": {feature: round(weight, 4) for feature, weight in stage.weights.items()},
            }
            for name, stage in stages.items()
        },
    }
    path.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description="Make the weights of the complexity score.")
    parser.add_argument("data_dir", type=Path, help="the folder that holds tiers.jsonl")
    parser.add_argument("--output", type=Path, default=WEIGHTS_PATH)
    arguments = parser.parse_args()
    prompts = [*read_prompts(arguments.data_dir / "tiers.jsonl"), *read_anchors()]
    classifier = train(prompts, lexicon=load_lexicon())
    write_weights(classifier, sources=(prompt.source for prompt in prompts), path=arguments.output)
    print(f"{arguments.output}: {len(FEATURES)} features, {len(prompts)} prompts")


if __name__ == "__main__":
    main()
