"""Numbers spelt digit by digit, in words of the main European languages and in Chinese characters."""

from __future__ import annotations

import re

_DIGITS = {
    word: str(digit)
    for digit, words in enumerate(
        (
            "zero oh null nul cero \u96f6 \u3007",
            "one eins ein un uno um een \u4e00 \u5e7a",
            "two zwei zwo deux dos due dois twee \u4e8c",
            "three drei trois tres tre drie \u4e09",
            "four vier quatre cuatro quattro quatro \u56db",
            "five funf fuenf cinq cinco cinque vijf \u4e94",
            "six sechs seis sei zes \u516d",
            "seven sieben sept siete sette sete zeven \u4e03",
            "eight acht huit ocho otto oito \u516b",
            "nine neun neuf nueve nove negen \u4e5d",
        )
    )
    for word in words.split()
}
SPOKEN_WORDS = frozenset(word for word in _DIGITS if word.isascii())

_WORD = "|".join(sorted(SPOKEN_WORDS, key=len, reverse=True))
_SIGN = "".join(sorted(_DIGITS.keys() - SPOKEN_WORDS))
# Seven digits or more: fewer are no number that belongs to anyone. For texts in lower case, which are searched in a
# quarter of the time that ignoring the case takes.
SPOKEN = re.compile(rf"(?<![a-z])(?:{_WORD})(?:[ ,-]{{1,2}}(?:{_WORD})){{6,}}(?![a-z])")
CHINESE_DIGITS = re.compile(rf"[{_SIGN}](?:[ ,-]{{0,2}}[{_SIGN}]){{6,}}")
_ONE_DIGIT = re.compile(rf"{_WORD}|[{_SIGN}]")


def as_digits(match: re.Match[str]) -> str:
    """The digits that a match of one of the patterns spells."""
    return "".join(_DIGITS[word.group()] for word in _ONE_DIGIT.finditer(match.group()))
