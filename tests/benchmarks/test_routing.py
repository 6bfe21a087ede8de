import numpy as np
import pytest

from app.models import Complexity
from app.services.complexity import Thresholds
from benchmarks.routing.candidates import difference
from benchmarks.routing.curves import Outcomes, Ranking, resampled_areas
from benchmarks.routing.tiers import learn_classifier, learn_word_count, leave_one_source_out
from scripts.train_complexity import TieredPrompt, balance, read_anchors

# The strong model is better at the first two of four prompts; the first is three times as long as the others.
OUTCOMES = Outcomes(
    weak=np.array([0.0, 0.0, 1.0, 1.0]), strong=np.array([1.0, 1.0, 1.0, 1.0]), length=np.array([3.0, 1.0, 1.0, 1.0])
)
BEST = [0.9, 0.8, 0.2, 0.1]
PROMPTS = [
    TieredPrompt("what now", Complexity.SIMPLE, "chat"),
    TieredPrompt("who is it", Complexity.SIMPLE, "questions"),
    TieredPrompt("tell me a story of a cat", Complexity.MODERATE, "stories"),
    TieredPrompt("draw up a plan for the whole garden with every bed in it", Complexity.COMPLEX, "plans"),
]


@pytest.mark.parametrize(("scores", "area"), [(BEST, 0.75), ([0.1, 0.2, 0.8, 0.9], 0.25), ([0.0] * 4, 0.5)])
def test_area_is_that_under_the_share_of_the_gap_recovered(scores: list[float], area: float) -> None:
    """The best order encloses most, the worst least, and no order at all exactly one half."""
    assert Ranking(scores).curve(OUTCOMES).area == pytest.approx(area)


@pytest.mark.parametrize(("by_length", "spent"), [(False, 0.25), (True, 0.5)])
def test_spending_counts_calls_or_their_length(by_length: bool, spent: float) -> None:
    """Half the gap costs one call in four, and one half when the long prompt is the one that is sent."""
    assert Ranking(BEST).curve(OUTCOMES, by_length=by_length).spent_for(0.5) == pytest.approx(spent)


def test_repeated_prompts_count_as_often() -> None:
    """A bootstrap sample that drew the fourth prompt four times has no gap left in front of it."""
    curve = Ranking(BEST).curve(OUTCOMES, counts=np.array([1, 0, 0, 3]))
    assert curve.spent.tolist() == [0, 0.25, 0.25, 0.25, 1]


def test_resampling_draws_the_same_samples_for_all_rankings() -> None:
    """Two equal rankings never differ, so what differs between others is theirs."""
    many = Outcomes(*(np.tile(values, 20) for values in (OUTCOMES.weak, OUTCOMES.strong, OUTCOMES.length)))
    areas = resampled_areas([Ranking(BEST * 20), Ranking(BEST * 20)], many, rounds=5, seed=0)
    assert np.array_equal(areas[:, 0], areas[:, 1])
    assert len(set(areas[:, 0])) > 1


def test_left_out_source_is_never_learned_from() -> None:
    seen: list[set[str]] = []

    def learn(prompts: object) -> object:
        assert isinstance(prompts, list)
        seen.append({prompt.source for prompt in prompts})
        return lambda _: Complexity.SIMPLE

    result = leave_one_source_out(PROMPTS, learn=learn)  # type: ignore[arg-type] # the fake takes and gives any object
    for left_out, sources in zip(result.sources, seen, strict=True):
        assert left_out.source not in sources
    assert result.accuracy == 0.5
    assert result.complex_called_simple == 1


def test_word_count_learns_the_cuts_between_tiers() -> None:
    judge = learn_word_count(PROMPTS)
    assert [judge(prompt.text) for prompt in PROMPTS] == [prompt.tier for prompt in PROMPTS]


def test_classifier_is_learned_from_the_prompts_and_the_anchors() -> None:
    judge = learn_classifier(PROMPTS, anchors=read_anchors(), thresholds=Thresholds(moderate=0.4, complex=0.62))
    assert judge("who is it") is Complexity.SIMPLE
    assert judge("Prove the central limit theorem and derive its rate of convergence.") is Complexity.COMPLEX


def test_tiers_weigh_the_same_and_so_do_the_sources_of_one() -> None:
    doubled = [*PROMPTS, PROMPTS[0]]
    assert balance(doubled).tolist() == [0.25, 0.5, 1, 1, 0.25]


def test_a_candidate_is_judged_on_its_half_alone() -> None:
    """One that ranks the questions of one half rightly and those of the other wrongly is worth as much as is lost."""
    gains = np.array([1.0, 0.0, 0.0, 1.0] * 10)
    outcomes = Outcomes(weak=np.zeros(40), strong=gains, length=np.ones(40))
    half = np.arange(40) < 20
    right = np.where(half, gains, -gains)
    flat = np.zeros(40)
    assert difference(right, flat, outcomes=outcomes, half=half).startswith("+0.250")
    assert difference(right, flat, outcomes=outcomes, half=~half).startswith("-0.250")
