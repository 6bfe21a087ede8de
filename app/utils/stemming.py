"""The stem of an English word, as SQLite's `porter` tokenizer has it.

Porter, "An algorithm for suffix stripping" (1980), with its author's later corrections (bli, logi).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Final

SHORTEST: Final = 3
LONGEST: Final = 64
WORDS_KEPT: Final = 50_000

_CONSONANT: Final = r"(?:[^aeiouy]|(?:(?<![^aeiou])|^)y)"
_VOWEL: Final = r"(?:[aeiou]|(?<=[^aeiou])y)"
_MEASURED: Final = re.compile(rf"{_VOWEL}+{_CONSONANT}+")
_HAS_VOWEL: Final = re.compile(_VOWEL)
_DOUBLE: Final = re.compile(r"([^aeiouylsz])\1$")
# A short syllable at the end: consonant, vowel, consonant, the last one not w, x or y.
_SHORT: Final = re.compile(rf"{_CONSONANT}{_VOWEL}[^aeiouwxy]$")

_STEP_2: Final = {
    "ational": "ate",
    "tional": "tion",
    "enci": "ence",
    "anci": "ance",
    "izer": "ize",
    "logi": "log",
    "bli": "ble",
    "alli": "al",
    "entli": "ent",
    "eli": "e",
    "ousli": "ous",
    "ization": "ize",
    "ation": "ate",
    "ator": "ate",
    "alism": "al",
    "iveness": "ive",
    "fulness": "ful",
    "ousness": "ous",
    "aliti": "al",
    "iviti": "ive",
    "biliti": "ble",
}
_STEP_3: Final = {"icate": "ic", "ative": "", "alize": "al", "iciti": "ic", "ical": "ic", "ful": "", "ness": ""}
_STEP_4: Final = dict.fromkeys(
    [
        "al",
        "ance",
        "ence",
        "er",
        "ic",
        "able",
        "ible",
        "ant",
        "ement",
        "ment",
        "ent",
        "ion",
        "ou",
        "ism",
        "ate",
        "iti",
        "ous",
        "ive",
        "ize",
    ],
    "",
)


@lru_cache(maxsize=WORDS_KEPT)
def stem(word: str) -> str:
    """The stem of a word in small letters; a word without ASCII letters comes back as it is, or nearly so."""
    if not SHORTEST <= len(word) <= LONGEST:
        return word
    word = _without_y(_without_participle(_without_plural(word)))
    word = _replace(word, _STEP_2, lambda rest: _measure(rest) > 0)
    word = _replace(word, _STEP_3, lambda rest: _measure(rest) > 0)
    word = _replace(word, _STEP_4, lambda rest: _measure(rest) > 1)
    return _without_end(word)


def _measure(word: str) -> int:
    """How often a run of vowels is followed by one of consonants: Porter's m."""
    return len(_MEASURED.findall(word))


def _without_plural(word: str) -> str:
    if word.endswith(("sses", "ies")):
        return word[:-2]
    return word[:-1] if word.endswith("s") and not word.endswith("ss") else word


def _without_participle(word: str) -> str:
    if word.endswith("eed"):
        return word[:-1] if _measure(word[:-3]) > 0 else word
    for ending in ("ed", "ing"):
        rest = word.removesuffix(ending)
        if rest != word:
            return _mended(rest) if _HAS_VOWEL.search(rest) else word
    return word


def _mended(word: str) -> str:
    """The word after -ed or -ing: hop(p), conflat(e), fil(e)."""
    if word.endswith(("at", "bl", "iz")):
        return f"{word}e"
    if _DOUBLE.search(word):
        return word[:-1]
    return f"{word}e" if _measure(word) == 1 and _SHORT.search(word) else word


def _without_y(word: str) -> str:
    return f"{word[:-1]}i" if word.endswith("y") and _HAS_VOWEL.search(word[:-1]) else word


def _replace(word: str, endings: Mapping[str, str], admits: Callable[[str], bool]) -> str:
    """Exchange the longest ending that the word has, if what is before it is long enough."""
    ending = max((each for each in endings if word.endswith(each)), key=len, default=None)
    if ending is None:
        return word
    rest = word[: -len(ending)]
    if not admits(rest) or (ending == "ion" and not rest.endswith(("s", "t"))):
        return word
    return rest + endings[ending]


def _without_end(word: str) -> str:
    if word.endswith("e"):
        rest = word[:-1]
        if _measure(rest) > 1 or (_measure(rest) == 1 and not _SHORT.search(rest)):
            word = rest
    return word[:-1] if word.endswith("ll") and _measure(word) > 1 else word
