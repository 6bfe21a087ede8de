"""Pairs of questions that differ in little and ask for something else, made from templates, by kind."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import permutations

from benchmarks.cache.pairs import Pair

CITIES = ("Paris", "Madrid", "Oslo", "Vienna", "Lima", "Cairo")
PEOPLE = ("Alice", "Robert", "Maria", "Ahmed", "Yuki", "Ivan")
NUMBERS = ("3", "7", "12", "40", "250", "1999")
DAYS = ("Monday", "Tuesday", "Friday", "Sunday", "today", "tomorrow", "yesterday")

NEGATED = (
    ("Is aspirin safe for dogs?", "Is aspirin not safe for dogs?"),
    ("Which mushrooms can I eat raw?", "Which mushrooms can't I eat raw?"),
    ("Should I tell my boss?", "Should I not tell my boss?"),
    ("List the countries that have a king.", "List the countries that do not have a king."),
    ("Which of these drugs are legal?", "Which of these drugs are illegal?"),
    ("How do I enable two factor login?", "How do I disable two factor login?"),
    ("Can I fly with a passport?", "Can I fly without a passport?"),
    ("Why do some people like rain?", "Why do no people like rain?"),
)
ROLES = (
    "Did {a} hire {b}?",
    "How much does {a} owe {b}?",
    "Is {a} older than {b}?",
    "Why did {a} leave {b}?",
    "What did {a} give to {b}?",
    "How do I get from {a} to {b}?",
)
NUMBERED = (
    "What is {x} percent of 900?",
    "How many days are in {x} weeks?",
    "Convert {x} kilometres to miles.",
    "Give me {x} ideas for a party.",
    "What happened in chapter {x}?",
)
NAMED = (
    "What is the population of {x}?",
    "When was the museum of {x} built?",
    "Which river flows through {x}?",
    "Is {x} a good place to live?",
)
TIMED = ("Is the library open {x}?", "What is the weather like {x}?", "Who was on duty {x}?", "Remind me to call {x}.")
TENSES = (
    ("Who is the mayor of Oslo?", "Who was the mayor of Oslo?"),
    ("Can I eat before the operation?", "Can I eat after the operation?"),
    ("What will the rent be?", "What was the rent?"),
    ("Does the shop open at nine?", "Did the shop open at nine?"),
)
COMPARED = (
    ("Which phone is more expensive?", "Which phone is less expensive?"),
    ("What is the highest mountain of Peru?", "What is the lowest mountain of Peru?"),
    ("How can I gain weight?", "How can I lose weight?"),
    ("Which cities are larger than Oslo?", "Which cities are smaller than Oslo?"),
)
ASKED = (
    ("When was the bridge built?", "Where was the bridge built?"),
    ("Who wrote the report?", "Why wrote the report?"),
    ("How does a vaccine work?", "Does a vaccine work?"),
    ("What is the door made of?", "Who is the door made for?"),
)
WRITTEN = (
    ("What does `Map.get` return?", "What does `map.get` return?"),
    ("How do I learn C?", "How do I learn C++?"),
    ("Explain x <= 5.", "Explain x >= 5."),
    ("What is the unit of 5 kg?", "What is the unit of 5 g?"),
)
PAIRED = {
    "negation": NEGATED,
    "time": TENSES,
    "comparison": COMPARED,
    "question word": ASKED,
    "code, signs, units": WRITTEN,
}


def near_misses() -> Iterator[Pair]:
    """Every pair is labelled as asking for something else."""
    for kind, pairs in PAIRED.items():
        yield from (_pair(kind, one, other) for one, other in pairs)
    for one, other in permutations(PEOPLE, 2):
        yield from (_pair("swapped roles", text.format(a=one, b=other), text.format(a=other, b=one)) for text in ROLES)
    for kind, texts, words in (("numbers", NUMBERED, NUMBERS), ("names", NAMED, CITIES), ("time", TIMED, DAYS)):
        for one, other in permutations(words, 2):
            yield from (_pair(kind, text.format(x=one), text.format(x=other)) for text in texts)


def _pair(kind: str, one: str, other: str) -> Pair:
    return Pair(one=one, other=other, same=False, kind=kind)
