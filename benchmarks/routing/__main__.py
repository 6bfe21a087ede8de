"""Print how well prompts are judged: `python -m benchmarks.routing DATA_DIR`.

DATA_DIR holds `tiers.jsonl` (prompt, tier, source) and `mmlu_weak_strong.jsonl` (prompt, weak, strong: whether each
model was right). The weights in the repository are made without the second file.
"""

import argparse
import json
import time
import tomllib
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from app.models import Complexity, Message
from app.services.complexity import ComplexityClassifier, Thresholds
from benchmarks.routing.curves import Outcomes, Ranking, resampled_areas
from benchmarks.routing.tiers import TierResult, learn_classifier, learn_word_count, leave_one_source_out, word_count
from scripts.train_complexity import TieredPrompt, read_anchors, read_prompts

POLICY_PATH = Path(__file__).resolve().parent.parent.parent / "policy.toml"
# US dollars for a million tokens of GPT-4 and Mixtral 8x7B, as RouteLLM (Ong et al. 2024) reckons with.
STRONG_PRICE = 24.7
WEAK_PRICE = 0.24
RECOVERED = (0.5, 0.8, 1.0)
ROUNDS = 1_000
SEED = 0
INTERVAL = (2.5, 97.5)
PROMPT_CHARACTERS = range(900, 1150)


def main() -> None:
    arguments = parse_arguments()
    thresholds = read_thresholds(arguments.policy)
    classifier = ComplexityClassifier.load()
    print_tiers(read_prompts(arguments.data_dir / "tiers.jsonl"), thresholds=thresholds)
    prompts, outcomes = read_outcomes(arguments.data_dir / "mmlu_weak_strong.jsonl")
    scores = {
        "complexity score": [classifier.score([Message.of("user", prompt)]) for prompt in prompts],
        "word count": [float(word_count(prompt)) for prompt in prompts],
        "random": [0.0 for _ in prompts],
    }
    rankings = {name: Ranking(values) for name, values in scores.items()}
    print_areas(rankings, outcomes)
    print_costs(rankings, outcomes)
    print_time(classifier, prompts=prompts)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.routing", description="How well prompts are judged.")
    parser.add_argument("data_dir", type=Path, help="the folder of tiers.jsonl and mmlu_weak_strong.jsonl")
    parser.add_argument("--policy", type=Path, default=POLICY_PATH, help="the file that states the thresholds")
    return parser.parse_args()


def read_thresholds(path: Path) -> Thresholds:
    table = tomllib.loads(path.read_text(encoding="utf-8"))["complexity"]
    return Thresholds(moderate=table["moderate"], complex=table["complex"])


def read_outcomes(path: Path) -> tuple[list[str], Outcomes]:
    with path.open(encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    prompts = [row["prompt"] for row in rows]
    return prompts, Outcomes(
        weak=np.array([float(row["weak"]) for row in rows]),
        strong=np.array([float(row["strong"]) for row in rows]),
        length=np.array([float(len(prompt)) for prompt in prompts]),
    )


def print_tiers(prompts: Sequence[TieredPrompt], *, thresholds: Thresholds) -> None:
    learn = partial(learn_classifier, anchors=read_anchors(), thresholds=thresholds)
    ours = leave_one_source_out(prompts, learn=learn)
    print(f"Tiers, each source judged by what the others teach (moderate from {thresholds.moderate:.2f}, ", end="")
    print(f"complex from {thresholds.complex:.2f})\n")
    print(f"{'source':<54}{'tier':<10}{'simple':>8}{'moderate':>10}{'complex':>9}{'right':>8}")
    for result in ours.sources:
        simple, moderate, complex_ = (result.called[tier] for tier in Complexity)
        print(f"{result.source:<54}{result.tier:<10}{simple:>8}{moderate:>10}{complex_:>9}", end="")
        print(f"{result.right / result.size:>8.0%}")
    routers = {
        "complexity score": ours,
        "without the anchors": leave_one_source_out(prompts, learn=partial(learn, anchors=())),
        "word count": leave_one_source_out(prompts, learn=learn_word_count),
        "always strong": leave_one_source_out(prompts, learn=lambda _: lambda _: Complexity.COMPLEX),
    }
    print_tier_results(routers)


def print_tier_results(routers: Mapping[str, TierResult]) -> None:
    print(f"\n{'':<24}{'accuracy':>10}{'mean of sources':>17}{'complex called simple':>23}")
    for name, result in routers.items():
        print(f"{name:<24}{result.accuracy:>10.3f}{result.accuracy_by_source:>17.3f}", end="")
        print(f"{result.complex_called_simple:>23.1%}")
    print(f"{'random':<24}{1 / 3:>10.3f}{1 / 3:>17.3f}{1 / 3:>23.1%}")


def print_areas(rankings: Mapping[str, Ranking], outcomes: Outcomes) -> None:
    areas = resampled_areas(list(rankings.values()), outcomes, rounds=ROUNDS, seed=SEED)
    weak, strong = outcomes.weak.mean(), outcomes.strong.mean()
    print(f"\nWeak or strong model for {len(outcomes.weak)} questions of MMLU; alone they answer ", end="")
    print(f"{weak:.3f} and {strong:.3f} right\n")
    print(f"{'':<24}{'APGR':>8}{'95 % interval':>18}{'more than word count':>28}")
    baseline = list(rankings).index("word count")
    for column, (name, ranking) in enumerate(rankings.items()):
        low, high = np.percentile(areas[:, column], INTERVAL)
        area = ranking.curve(outcomes).area
        more = area - rankings["word count"].curve(outcomes).area
        more_low, more_high = np.percentile(areas[:, column] - areas[:, baseline], INTERVAL)
        print(f"{name:<24}{area:>8.3f}{f'{low:.3f} .. {high:.3f}':>18}", end="")
        print(f"{f'{more:+.3f} ({more_low:+.3f} .. {more_high:+.3f})':>28}")


def print_costs(rankings: Mapping[str, Ranking], outcomes: Outcomes) -> None:
    """What is saved against always asking the strong model, when so much of the gap in quality is recovered."""
    print(f"\nCost saved at equal quality, strong at {STRONG_PRICE} and weak at {WEAK_PRICE} dollars a million tokens")
    print("(calls of equal cost / calls that cost what their prompts' lengths say)\n")
    print(f"{'recovered of the gap':<24}" + "".join(f"{f'{share:.0%}':>18}" for share in RECOVERED))
    for name, ranking in rankings.items():
        by_call = ranking.curve(outcomes)
        by_length = ranking.curve(outcomes, by_length=True)
        cells = (f"{saved(by_call.spent_for(x)):.1%} / {saved(by_length.spent_for(x)):.1%}" for x in RECOVERED)
        print(f"{name:<24}" + "".join(f"{cell:>18}" for cell in cells))
    print(f"{'always strong':<24}" + "".join(f"{'0.0% / 0.0%':>18}" for _ in RECOVERED))


def saved(strong_share: float) -> float:
    """The share of always-strong's cost that is saved when this share of the spending goes to the strong model."""
    return (1 - strong_share) * (1 - WEAK_PRICE / STRONG_PRICE)


def print_time(classifier: ComplexityClassifier, *, prompts: Sequence[str]) -> None:
    texts = [prompt for prompt in prompts if len(prompt) in PROMPT_CHARACTERS]
    start = time.process_time()
    for text in texts:
        classifier.score([Message.of("user", text)])
    each = (time.process_time() - start) / len(texts)
    print(f"\nCPU for a prompt of about 1 KB: {each * 1000:.2f} ms (mean of {len(texts)})")


if __name__ == "__main__":
    main()
