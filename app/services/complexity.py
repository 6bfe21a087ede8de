"""How hard a prompt is to answer, judged locally from its text by a small linear model."""

import json
import math
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from operator import mul
from pathlib import Path
from typing import Self

from app.errors import ConfigurationError
from app.models import Complexity, Message
from app.services.complexity_features import FEATURES, WORD, Lexicon, features

LEXICON_PATH = Path(__file__).with_name("complexity_lexicon.json")
WEIGHTS_PATH = Path(__file__).with_name("complexity_weights.json")

# What a very long prompt asks for stands at its beginning or its end; between them is material.
HEAD_CHARACTERS = 3_000
TAIL_CHARACTERS = 1_500

# "Now in Rust", "why?" and "go on" are as hard as what they follow, or nearly so.
FOLLOW_UP_CHARACTERS = 80
FOLLOW_UP_WORDS = 12
FOLLOW_UP_SHARE = 0.75
FOLLOW_UP_TURNS = 4


@dataclass(frozen=True, slots=True)
class Thresholds:
    """The scores from which a prompt is moderate and complex."""

    moderate: float
    complex: float

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read the table `[complexity]` of the policy file; raises `ConfigurationError` if it is not there."""
        try:
            table = tomllib.loads(path.read_text(encoding="utf-8"))["complexity"]
            return cls(moderate=float(table["moderate"]), complex=float(table["complex"]))
        except (OSError, tomllib.TOMLDecodeError, KeyError, TypeError, ValueError) as error:
            raise ConfigurationError(f"{path} has no readable table [complexity]: {error}") from None

    def __post_init__(self) -> None:
        if not 0 <= self.moderate <= self.complex <= 1:
            raise ConfigurationError(
                "The thresholds of the complexity score must satisfy 0 <= moderate <= complex <= 1."
            )


def tier(score: float, *, thresholds: Thresholds) -> Complexity:
    if score >= thresholds.complex:
        return Complexity.COMPLEX
    return Complexity.MODERATE if score >= thresholds.moderate else Complexity.SIMPLE


@dataclass(frozen=True, slots=True)
class LogisticModel:
    """The probability of a yes, given features by name."""

    bias: float
    weights: Mapping[str, float]

    def probability(self, values: Mapping[str, float]) -> float:
        exponent = self.bias + sum(map(mul, self.weights.values(), map(values.__getitem__, self.weights)))
        return 1 / (1 + math.exp(-exponent))


@dataclass(frozen=True, slots=True)
class ComplexityClassifier:
    """Scores prompts in 0..1, growing with difficulty.

    A continuation-ratio model (Agresti, Analysis of Ordinal Categorical Data, chapter 4): the first stage tells
    simple prompts from all others, the second moderate from complex among the others. The score is half the
    expected number of stages passed, so 0 is surely simple, 0.5 surely moderate and 1 surely complex.
    """

    lexicon: Lexicon
    not_simple: LogisticModel
    complex: LogisticModel

    @classmethod
    def load(cls, path: Path | None = None) -> Self:
        """Read the weights at `path`, or those that come with the package.

        Raises `ConfigurationError` if they are for other features than this version computes.
        """
        stages = json.loads((path or WEIGHTS_PATH).read_text(encoding="utf-8"))["stages"]
        models = {name: LogisticModel(bias=stage["bias"], weights=stage["weights"]) for name, stage in stages.items()}
        if models.keys() != {"not_simple", "complex"} or any(set(m.weights) != set(FEATURES) for m in models.values()):
            raise ConfigurationError("The weights of the complexity score do not fit this version; train them anew.")
        return cls(lexicon=load_lexicon(), not_simple=models["not_simple"], complex=models["complex"])

    def score(self, messages: Sequence[Message]) -> float:
        """The difficulty of the last user turn, in 0..1; a short follow-up takes part of what it follows.

        A system prompt is the same for every request of an application, so it says nothing about this one, and an
        answer is only as hard as what was asked: neither is read. Time is bounded, because of a turn at most
        `HEAD_CHARACTERS + TAIL_CHARACTERS` are read.
        """
        users = (message for message in reversed(messages) if message.role == "user")
        turns = [window(message.text) for message in islice(users, FOLLOW_UP_TURNS)]
        if not turns:
            return 0.0
        followed = next((turn for turn in turns[1:] if not is_follow_up(turn)), None)
        score = self.score_text(turns[0])
        if followed is None or not is_follow_up(turns[0]):
            return score
        return max(score, FOLLOW_UP_SHARE * self.score_text(followed))

    def score_text(self, text: str) -> float:
        values = features(text, lexicon=self.lexicon)
        return self.not_simple.probability(values) * (1 + self.complex.probability(values)) / 2


def load_lexicon() -> Lexicon:
    """Read the word lists that come with the package."""
    return Lexicon(json.loads(LEXICON_PATH.read_text(encoding="utf-8")))


def window(text: str) -> str:
    if len(text) <= HEAD_CHARACTERS + TAIL_CHARACTERS:
        return text
    return f"{text[:HEAD_CHARACTERS]}\n{text[-TAIL_CHARACTERS:]}"


def is_follow_up(text: str) -> bool:
    return len(text) <= FOLLOW_UP_CHARACTERS and len(WORD.findall(text)) <= FOLLOW_UP_WORDS
