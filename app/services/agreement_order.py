"""Parts of a sentence that may stand in several places, each put into one: kinds of places, dates, times."""

from __future__ import annotations

import calendar
import re
from collections.abc import Sequence
from collections.abc import Set as AbstractSet

MONTHS = frozenset(calendar.month_name[number].lower() for number in range(1, 13))
DAY = re.compile(r"(?:[1-9]|[12]\d|3[01])(?:st|nd|rd|th)?")
YEAR = r"(?:1\d{3}|20\d\d)"
_MONTH = f"(?:{'|'.join(sorted(MONTHS))})"
_PART = f"(?:{_MONTH}|{YEAR}|{DAY.pattern})"
# A date without a word before it; what follows one of these is a part of something else.
_BEFORE = ("of", "to", "by", "for", "and", "or", "the", "from", "between", "until", "late", "early", "mid")
_NOT_AFTER = "".join(f"(?<!\\b{word} )" for word in _BEFORE)
TIME = re.compile(
    rf"(?<!\S)(?:from {YEAR} to {YEAR}|{_NOT_AFTER}{_MONTH}(?: {DAY.pattern})? {YEAR}"
    r"|(?:in|on|since|until|before|after|during) "
    rf"(?:(?:the )?(?:spring|summer|autumn|fall|winter) of {YEAR}"
    rf"|(?=(?:{DAY.pattern} )*(?:{_MONTH}|{YEAR})(?!\S)){_PART}(?: {_PART})*))(?!\S)"
)


def put_in_order(words: Sequence[str], *, classes: AbstractSet[str]) -> list[str]:
    """The words with the kind of a place after its name, days after their months and the time at the end."""
    return _time_last(_order_dates(_order_classes(words, classes=classes)))


def _order_classes(words: Sequence[str], *, classes: AbstractSet[str]) -> list[str]:
    """`River Leurda`, `district of Siwan`, `province of the Gambia`: the kind after the name."""
    ordered = list(words)
    for position, word in enumerate(words):
        if word in classes:
            name = position + 1
            while name < len(words) and words[name] in ("of", "the"):
                name += 1
            if name < len(words) and (name > position + 1 or (position and words[position - 1] == "the")):
                ordered[position : name + 1] = [*words[position + 1 : name], words[name], word]
    return ordered


def _order_dates(words: Sequence[str]) -> list[str]:
    """`8th May` as `May 8`."""
    ordered = list(words)
    for position in range(len(words) - 1):
        day, month = ordered[position : position + 2]
        if month in MONTHS and DAY.fullmatch(day):
            ordered[position : position + 2] = [month, day]
    return [
        word.rstrip("stndrh") if position and DAY.fullmatch(word) and ordered[position - 1] in MONTHS else word
        for position, word in enumerate(ordered)
    ]


def _time_last(words: Sequence[str]) -> list[str]:
    """The one time that a sentence is about, such as `in 1977` or `on May 8 2015`, at its end wherever it stood."""
    text = " ".join(words)
    times = list(TIME.finditer(text))
    if len(times) != 1:
        return list(words)
    start, end = times[0].span()
    return [*text[:start].split(), *text[end:].split(), *times[0].group().split()]
