"""The cues in one text that tell how hard it is to answer: its size, its marks, its words and the kind of task."""

import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain

SIZE = ("words", "sentences", "items", "numbers")
MARKS = ("code_marks", "math_marks", "long_words")
# The lexicon's categories whose words count by themselves; `composition` and `rework` only tell a kind of task.
VOCABULARY = (
    "analysis",
    "casual",
    "code",
    "constraint",
    "construct",
    "explain",
    "format",
    "lookup",
    "math",
    "produce",
    "profession",
    "proof",
    "quantity",
    "technology",
)
KINDS = (
    "short_lookup",
    "no_task",
    "task_verb",
    "how_to",
    "function_exercise",
    "word_problem",
    "language_task",
    "technical_density",
    "mixed_demands",
)
FEATURES = (*SIZE, *MARKS, *VOCABULARY, *KINDS)

TASK_VERBS = frozenset({"analysis", "composition", "construct", "explain", "produce", "rework"})
TASK_WORDS = TASK_VERBS | {"code", "math", "proof", "technology"}
LANGUAGE_TASKS = frozenset({"composition", "rework"})

NO_CATEGORY: frozenset[str] = frozenset()

STEM_KEY = 4
FIRST_UNSPACED_SCRIPT = 0x600  # the Arabic block; before it stand most of Latin, Greek, Cyrillic and Hebrew
LONG_WORD = 9
SHORT_LOOKUP_WORDS = 22
NO_TASK_WORDS = 12
EXERCISE_WORDS = 80
LETTERS_PER_UNSPACED_WORD = 1.7

WORD = re.compile(r"[^\W\d_]+(?:'[a-z]+)?(?:\+\+|#)?")
# A pattern that begins with one sign of a class is looked for at full speed; one that begins with a choice is not.
NUMBER = re.compile(r"\d\d*(?:[.,]\d+)*")
SENTENCE_END = re.compile(r"[.!?؟。！？\n](?:(?<=[.!?؟])(?:\s|$)|(?<=[。！？])|(?<=\n)\n*)")
ITEM = re.compile(r"^[ \t]*(?:[-*•]|\(?\d{1,2}[.):]|\(?[a-z][.)])[ \t]+\S", re.MULTILINE)
UNSPACED = re.compile(r"[\u0e00-\u0e7f\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]")  # Thai, kana, Han, Hangul
OPTIONS = re.compile(r"^[ \t]*\(?[a1][.):][ \t].+\n[ \t]*\(?[b2][.):][ \t].+\n[ \t]*\(?[c3][.):][ \t]", re.MULTILINE)
# The look-behind stands after the literal, which the engine then searches for at full speed.
HOW_TO = re.compile(r"how(?<!\whow) (?:can|could|do|should|to|would)\b(?! you (?:pronounce|say|spell)\b)")
FUNCTION_EXERCISE = re.compile(
    r"write an? (?:[\w+#]+ ){0,2}(?:function|method|one-liner|query|regex|regular)"
    r"|^[ \t]*def [^\n]*:[ \t]*+\n?+[ \t]*+[\"']{3}",
    re.MULTILINE,
)
CODE_MARKS = ("```", "{", "}", ";\n", "==", "!=", "=>", "->", "::", "();", "</", "_", "def ", "#include", "self.")
MATH_MARKS = re.compile(r"[ \\^∫∑∏√≤≥≠≈∞∂∇∈∉⊂⊆∪∩∀∃→⇒±×·÷°αβγδεθλμπσφωΔΩℝℕ²³](?:(?<! )|[=<>+] )")


class Lexicon:
    """Words by category. An entry is a word, a stem (`prov*`, four letters or more) or a phrase, found anywhere.

    Entries from the Arabic script on are found anywhere too: these scripts join particles to words, or use no spaces.
    """

    def __init__(self, entries: Mapping[str, Iterable[str]]) -> None:
        self._words: dict[str, frozenset[str]] = {}
        self._stems: dict[str, list[tuple[str, str]]] = {}
        self._phrases: list[str] = []
        unspaced: list[str] = []
        for category, texts in entries.items():
            for text in texts:
                if text.endswith("*"):
                    self._stems.setdefault(text[:STEM_KEY], []).append((text[:-1], category))
                    continue
                self._words[text] = self._words.get(text, NO_CATEGORY) | {category}
                if ord(text[0]) >= FIRST_UNSPACED_SCRIPT:
                    unspaced.append(text)
                elif not WORD.fullmatch(text):
                    self._phrases.append(text)
        # Longest first, because the first alternative that fits wins; without entries it must match nothing.
        self._unspaced = re.compile("|".join(sorted(map(re.escape, unspaced), key=len, reverse=True)) or r"(?!)")

    def categories(self, word: str) -> frozenset[str]:
        """The categories of a lower-case word: its own entry's, or else those of the stems that it begins with."""
        if word in self._words:
            return self._words[word]
        if word[:STEM_KEY] not in self._stems:
            return NO_CATEGORY
        return frozenset(category for stem, category in self._stems[word[:STEM_KEY]] if word.startswith(stem))

    def count(self, text: str, *, words: Iterable[str]) -> Counter[str]:
        """How many different entries of each category stand in the lower-case `text`, which has these words."""
        entries = {*words, *(phrase for phrase in self._phrases if phrase in text)}
        if not text.isascii():
            entries.update(self._unspaced.findall(text))
        return Counter(chain.from_iterable(map(self.categories, entries)))


@dataclass(frozen=True, slots=True)
class Reading:
    """A text taken apart once; every cue is computed from this. `length` is in words, also for unspaced scripts."""

    text: str
    words: Sequence[str]
    unspaced: int
    length: float
    counts: Counter[str]
    numbers: int
    code_marks: int
    math_marks: int

    @property
    def has_task(self) -> bool:
        return any(self.counts[category] for category in TASK_WORDS)


def features(text: str, *, lexicon: Lexicon) -> dict[str, float]:
    """The value of each of `FEATURES`, in 0..1.

    Where options to choose from are listed, only the size counts: the words belong to the options, and what is
    asked for is a letter.
    """
    lowered = text.lower()
    reading = read(lowered, lexicon=lexicon)
    if OPTIONS.search(lowered):
        return dict.fromkeys(FEATURES, 0.0) | size_of(reading)
    return size_of(reading) | marks_of(reading) | vocabulary_of(reading) | kind_of(reading, lexicon=lexicon)


def read(text: str, *, lexicon: Lexicon) -> Reading:
    words = WORD.findall(text)
    unspaced = 0 if text.isascii() else len(UNSPACED.findall(text))
    return Reading(
        text=text,
        words=words,
        unspaced=unspaced,
        length=len(words) + unspaced / LETTERS_PER_UNSPACED_WORD,
        counts=lexicon.count(text, words=words),
        numbers=len(NUMBER.findall(text)),
        code_marks=sum(map(text.count, CODE_MARKS)),
        math_marks=len(MATH_MARKS.findall(text)),
    )


def size_of(reading: Reading) -> dict[str, float]:
    return {
        "words": saturate(reading.length, full=600),
        "sentences": saturate(len(SENTENCE_END.findall(reading.text)), full=40),
        "items": saturate(len(ITEM.findall(reading.text)), full=10),
        "numbers": saturate(reading.numbers, full=12),
    }


def marks_of(reading: Reading) -> dict[str, float]:
    return {
        "code_marks": saturate(reading.code_marks, full=10),
        "math_marks": saturate(reading.math_marks, full=5),
        "long_words": saturate(sum(len(word) >= LONG_WORD for word in reading.words), full=40),
    }


def vocabulary_of(reading: Reading) -> dict[str, float]:
    return {category: saturate(reading.counts[category], full=4) for category in VOCABULARY}


def kind_of(reading: Reading, *, lexicon: Lexicon) -> dict[str, float]:
    counts, length, has_task = reading.counts, reading.length, reading.has_task
    marks = reading.code_marks + reading.math_marks
    technical = counts["technology"] + counts["math"]
    return {
        "short_lookup": float(
            opens_with(reading, {"lookup"}, within=2, lexicon=lexicon)
            and length <= SHORT_LOOKUP_WORDS
            and not has_task
            and not marks
        ),
        "no_task": 0.0 if has_task else max(0.0, 1 - length / NO_TASK_WORDS),
        "task_verb": float(opens_with(reading, TASK_VERBS, within=4, lexicon=lexicon)),
        "how_to": float(bool(HOW_TO.search(reading.text))),
        "function_exercise": float(length <= EXERCISE_WORDS and bool(FUNCTION_EXERCISE.search(reading.text))),
        "word_problem": float(
            reading.numbers > 1 and counts["quantity"] > 1 and marks <= 1 and counts["technology"] <= 1
        ),
        "language_task": float(
            opens_with(reading, LANGUAGE_TASKS, within=15, lexicon=lexicon)
            and counts["code"] + counts["technology"] <= 1
            and marks <= 1
        ),
        "technical_density": min(1.0, 5 * technical / (length + 10)),
        "mixed_demands": min(1.0, demands(reading) / 4),
    }


def demands(reading: Reading) -> int:
    """How many different things that make work hard are asked for at once."""
    counts = reading.counts
    return sum(
        (
            counts["technology"] > 0,
            counts["math"] + reading.math_marks > 1,
            counts["construct"] > 0,
            counts["analysis"] > 0,
            counts["constraint"] > 1,
            reading.code_marks > 2,  # noqa: PLR2004 - one or two such marks occur in prose
        )
    )


def opens_with(reading: Reading, categories: Iterable[str], *, within: int, lexicon: Lexicon) -> bool:
    """Whether one of the first words is of these categories; a text without spaces may have it anywhere."""
    wanted = frozenset(categories)
    if any(lexicon.categories(word) & wanted for word in reading.words[:within]):
        return True
    return reading.unspaced > 0 and any(reading.counts[category] for category in wanted)


def saturate(count: float, *, full: int) -> float:
    """A count on a logarithmic scale from 0 to 1, which it reaches at `full`: the first few tell the most."""
    return min(1.0, math.log1p(count) / math.log1p(full)) if count else 0.0
