"""Three-way accuracy on sources of prompts that had no part in the training."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from app.models import Complexity
from app.services.complexity import Thresholds, load_lexicon, tier
from scripts.train_complexity import TieredPrompt, balance, train

Judge = Callable[[str], Complexity]


@dataclass(frozen=True, slots=True)
class SourceResult:
    """How often the prompts of one left-out source were called each of the tiers."""

    source: str
    tier: Complexity
    called: dict[Complexity, int]

    @property
    def size(self) -> int:
        return sum(self.called.values())

    @property
    def right(self) -> int:
        return self.called[self.tier]


@dataclass(frozen=True, slots=True)
class TierResult:
    sources: tuple[SourceResult, ...]

    @property
    def accuracy(self) -> float:
        return sum(result.right for result in self.sources) / sum(result.size for result in self.sources)

    @property
    def accuracy_by_source(self) -> float:
        """The mean of the sources' accuracies: small sources count as much as large ones."""
        return sum(result.right / result.size for result in self.sources) / len(self.sources)

    @property
    def complex_called_simple(self) -> float:
        """A share of the complex prompts."""
        results = [result for result in self.sources if result.tier is Complexity.COMPLEX]
        return sum(result.called[Complexity.SIMPLE] for result in results) / sum(result.size for result in results)


def leave_one_source_out(
    prompts: Sequence[TieredPrompt], *, learn: Callable[[Sequence[TieredPrompt]], Judge]
) -> TierResult:
    """Judge each source with what is learned from all the others."""
    results = []
    for source in sorted({prompt.source for prompt in prompts}):
        judge = learn([prompt for prompt in prompts if prompt.source != source])
        left_out = [prompt for prompt in prompts if prompt.source == source]
        calls = [judge(prompt.text) for prompt in left_out]
        called = {tier_: calls.count(tier_) for tier_ in Complexity}
        results.append(SourceResult(source=source, tier=left_out[0].tier, called=called))
    return TierResult(tuple(results))


def learn_classifier(
    prompts: Sequence[TieredPrompt], *, anchors: Sequence[TieredPrompt], thresholds: Thresholds
) -> Judge:
    classifier = train([*prompts, *anchors], lexicon=load_lexicon())
    return lambda text: tier(classifier.score_text(text), thresholds=thresholds)


def learn_word_count(prompts: Sequence[TieredPrompt]) -> Judge:
    """The two numbers of words that tell the tiers of these prompts apart best."""
    counts = np.array([word_count(prompt.text) for prompt in prompts])
    tiers = np.array([list(Complexity).index(prompt.tier) for prompt in prompts])
    shares = balance(prompts)

    def accuracy(cuts: tuple[int, int]) -> float:
        return float(shares @ (np.searchsorted(cuts, counts, side="right") == tiers))

    best = max(combinations(range(1, 201), 2), key=accuracy)
    return lambda text: list(Complexity)[int(np.searchsorted(best, word_count(text), side="right"))]


def word_count(text: str) -> int:
    return len(text.split())
