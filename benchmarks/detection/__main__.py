"""Print what the detectors find and what they cost: `python -m benchmarks.detection DATA_DIR`.

DATA_DIR holds `sensitivity/pii.jsonl` (text, spans), `sensitivity/checksums.jsonl` (text, kind, label),
`routing/tiers.jsonl` (prompt, source) and, for the speed on prose, `retrieval/cranfield/docs.jsonl` (text).
"""

import argparse
import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from app.services.detectors import DetectionPolicy, Detectors, Field
from benchmarks.detection.entities import MATCHING, STRUCTURED, Score, score_entities, total
from benchmarks.detection.lookalikes import lookalikes
from benchmarks.detection.speed import hostile_seconds, milliseconds_per_kilobyte
from benchmarks.detection.strong import score_strong

POLICY_PATH = Path(__file__).resolve().parent.parent.parent / "policy.toml"
SEED = 7
OF_EACH = 200


def main() -> None:
    arguments = parse_arguments()
    detectors = Detectors(DetectionPolicy.load(arguments.policy))
    data: Path = arguments.data_dir
    print_entities(detectors, data / "sensitivity" / "pii.jsonl")
    print_strong(detectors, data / "sensitivity" / "checksums.jsonl")
    print_lookalikes(detectors)
    print_harmless(detectors, data / "routing" / "tiers.jsonl")
    print_speed(detectors, data)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.detection", description="What the detectors find.")
    parser.add_argument("data_dir", type=Path, help="the folder of sensitivity, routing and retrieval")
    parser.add_argument("--policy", type=Path, default=POLICY_PATH, help="the file that states the labels")
    return parser.parse_args()


def print_entities(detectors: Detectors, path: Path) -> None:
    report = score_entities(detectors, path)
    print(f"Structured personal data\n{MATCHING}\n")
    print(f"{'entity':<16} {'precision':>9} {'recall':>7} {'F1':>6} {'entities':>9}")
    for entity in STRUCTURED:
        print_score(entity, report.scores[entity])
    print_score("structured, sum", total(report.scores[entity] for entity in STRUCTURED))
    for entity in report.scores.keys() - STRUCTURED.keys():
        print_score(entity, report.scores[entity])
    print(f"Of kinds that the data set does not mark: {dict(report.others) or 'none'}\n")


def print_score(name: str, score: Score) -> None:
    entities = score.found + score.missed
    print(f"{name:<16} {score.precision:>9.3f} {score.recall:>7.3f} {score.f1:>6.3f} {entities:>9}")


def print_strong(detectors: Detectors, path: Path) -> None:
    results = list(score_strong(detectors, path))
    print("Strong identifiers, alone or in a sentence; rows left out are named")
    for result in results:
        note = f"; {result.left_out} left out: {result.why}" if result.left_out else ""
        missed = f"; missed {', '.join(result.missed)}" if result.missed else ""
        print(
            f"{result.kind:<28} {result.found}/{result.valid} found, {result.false}/{result.invalid} invalid",
            note + missed,
            sep="",
        )
    found, valid = sum(result.found for result in results), sum(result.valid for result in results)
    print(f"recall {found / valid:.3f} of {valid}\n")


def print_lookalikes(detectors: Detectors) -> None:
    alarms: Counter[str] = Counter()
    count = 0
    for kind, text in lookalikes(of_each=OF_EACH, seed=SEED):
        count += 1
        alarms[kind] += bool(detectors.spans(text))
    worst = ", ".join(f"{kind} {alarm}" for kind, alarm in alarms.most_common() if alarm) or "none"
    print(f"Look-alikes: {alarms.total()} of {count} raise an alarm ({alarms.total() / count:.2%}): {worst}\n")


def print_harmless(detectors: Detectors, path: Path) -> None:
    raised: Counter[str] = Counter()
    prompts: Counter[str] = Counter()
    for row in read_lines(path):
        prompts[row["source"]] += 1
        raised[row["source"]] += bool(detectors.scan_now([Field("prompt", row["prompt"])]))
    print("Harmless prompts above public, by source")
    for source, count in prompts.items():
        print(f"{source:<55} {raised[source]}/{count}")
    print(f"{raised.total()} of {prompts.total()} ({raised.total() / prompts.total():.2%})\n")


def print_speed(detectors: Detectors, data: Path) -> None:
    prompts = [row["prompt"] for row in read_lines(data / "routing" / "tiers.jsonl")]
    print(f"CPU on prompts: {milliseconds_per_kilobyte(detectors, prompts):.2f} ms a kilobyte")
    prose = data / "retrieval" / "cranfield" / "docs.jsonl"
    if prose.exists():
        texts = [row["text"] for row in read_lines(prose)][:300]
        print(f"CPU on prose: {milliseconds_per_kilobyte(detectors, texts):.2f} ms a kilobyte")
    print("CPU on a megabyte of hostile text, in seconds")
    for name, seconds in hostile_seconds(detectors):
        print(f"{name:<28} {seconds:.2f}")


def read_lines(path: Path) -> Iterator[dict[str, str]]:
    with path.open(encoding="utf-8") as lines:
        for line in lines:
            yield json.loads(line)


if __name__ == "__main__":
    main()
