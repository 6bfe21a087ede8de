"""Print what other cues than the score's would be worth: `python -m benchmarks.routing.candidates DATA_DIR`.

The questions of `mmlu_weak_strong.jsonl` are parted at random. A candidate that does better than word count on the half
that it is chosen on has to do so on the other half too; the intervals are of the paired difference.
"""

from __future__ import annotations

import argparse
import math
import re
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from app.services import complexity_features as cues
from app.services.complexity import ComplexityClassifier
from benchmarks.routing.__main__ import INTERVAL, SEED, read_outcomes
from benchmarks.routing.curves import Outcomes, Ranking, resampled_areas
from benchmarks.routing.tiers import word_count

Score = Callable[[str], float]

ROUNDS = 400
FIRST_OPTION = re.compile(r"^A\. ", re.MULTILINE)
CONDITION = re.compile(
    r"\b(?:after|assume|because|before|could|given|if|likely|should|suppose|therefore|unless|when|would)\b"
)


def main() -> None:
    parser = argparse.ArgumentParser(description="What other cues than the score's would be worth.")
    parser.add_argument("data_dir", type=Path, help="the folder of mmlu_weak_strong.jsonl")
    prompts, outcomes = read_outcomes(parser.parse_args().data_dir / "mmlu_weak_strong.jsonl")
    chosen = np.random.default_rng(SEED).random(len(prompts)) < 0.5  # noqa: PLR2004  (one half)
    scores = {name: np.array([score(prompt) for prompt in prompts]) for name, score in candidates().items()}
    counts = np.array([float(word_count(prompt)) for prompt in prompts])
    print(f"More than word count in APGR, on {chosen.sum()} questions to choose by and on {(~chosen).sum()} others\n")
    for name, values in scores.items():
        halves = (difference(values, counts, outcomes=outcomes, half=half) for half in (chosen, ~chosen))
        print(f"{name:<52}" + "".join(f"{text:>28}" for text in halves))


def candidates() -> Mapping[str, Score]:
    """Scores by what they look at."""
    classifier = ComplexityClassifier.load()
    return {
        "the score as it is": classifier.score_text,
        "with signs of formal notation": _with(classifier, "math_marks"),
        "with words of mathematics and quantities as well": _with(classifier, "math_marks", "math", "quantity"),
        "with word problems as well": _with(classifier, "math_marks", "math", "quantity", "word_problem"),
        "all features, of the question without its options": lambda text: classifier.score_text(_question(text)),
        "words of the question without its options": lambda text: word_count(_question(text)),
        "length, the options counting less": lambda text: _words(_question(text)) + 0.3 * _words(_options(text)),
        "length, conditions, numbers": _demands,
        "length, conditions, numbers, few words in the options": lambda text: (
            _demands(text) + 0.3 * (_words(_question(text)) - _words(_options(text)))
        ),
    }


def difference(
    values: NDArray[np.float64], counts: NDArray[np.float64], *, outcomes: Outcomes, half: NDArray[np.bool_]
) -> str:
    """By how much more of the gap the ranking recovers than word count does on these questions, with its interval."""
    these = Outcomes(weak=outcomes.weak[half], strong=outcomes.strong[half], length=outcomes.length[half])
    rankings = [Ranking(values[half]), Ranking(counts[half])]
    ours, theirs = (ranking.curve(these).area for ranking in rankings)
    areas = resampled_areas(rankings, these, rounds=ROUNDS, seed=SEED)
    low, high = np.percentile(areas[:, 0] - areas[:, 1], INTERVAL)
    return f"{ours - theirs:+.3f} ({low:+.3f} .. {high:+.3f})"


def _with(classifier: ComplexityClassifier, *names: str) -> Score:
    """The score by the size of the whole and these features of the question; the other features count as absent."""

    def score(text: str) -> float:
        sizes = cues.size_of(cues.read(text.lower(), lexicon=classifier.lexicon))
        found = cues.features(_question(text), lexicon=classifier.lexicon)
        values = dict.fromkeys(cues.FEATURES, 0.0) | sizes | {name: found[name] for name in names}
        return classifier.not_simple.probability(values) * (1 + classifier.complex.probability(values)) / 2

    return score


def _question(text: str) -> str:
    option = FIRST_OPTION.search(text)
    return text[: option.start()] if option else text


def _options(text: str) -> str:
    return text[len(_question(text)) :]


def _words(text: str) -> float:
    return math.log1p(word_count(text))


def _demands(text: str) -> float:
    conditions, numbers = len(CONDITION.findall(text.lower())), len(cues.NUMBER.findall(text))
    return _words(text) + 0.5 * math.log1p(conditions) + 0.3 * math.log1p(numbers)


if __name__ == "__main__":
    main()
