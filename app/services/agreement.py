"""Whether two questions ask the same: each is brought into a canonical form by rewriting that keeps its meaning.

Two wordings agree if their canonical forms are equal, word by word and in order. So whatever cosine cannot see counts:
a number, a unit, a name, a negation, a comparison, a direction, a tense, a question word, who does what to whom. What
no rule here knows to mean the same does not agree: unsure is no.
"""

from __future__ import annotations

import calendar
import json
import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Self

LEXICON_PATH = Path(__file__).with_name("agreement_lexicon.json")

# Longer texts rarely come again in other words.
LONGEST_TEXT = 2000

# The words are English; a text with other letters than those of Europe's names is beyond them.
READABLE = re.compile(r"[\x00-\x7f\u00a0-\u024f\u2010-\u203a\u20ac]*")
QUOTED = re.compile(
    r"```.*?```|``.*?''|`[^`]*`|\"[^\"]*\"|\u201c[^\u201d]*\u201d|(?<!\S)'(?!s\s)[^'\n]*[^'\s]'(?!\w)", re.DOTALL
)
# What belongs to a number, a formula or a name such as C++; not the punctuation of sentences.
SIGNS = r"[+*/\\=<>^%$#@|~{}\[\]_\u00a3\u00a5\u20ac\u00b0]"
SIGN = re.compile(rf"(?<=\w){SIGNS}+|{SIGNS}+(?=\s*\w)|(?<![\w-])-(?=\d)")
WORD = re.compile(r"\d+(?:[.,:]\d+)*\w*|[^\W\d_]+\d*")
DAY = re.compile(r"(?:[1-9]|[12]\d|3[01])(?:st|nd|rd|th)?")
YEAR = re.compile(r"1\d{3}|20\d\d")
MONTHS = frozenset(calendar.month_name[number].lower() for number in range(1, 13))
SHORTEST_PLURAL = 4
SHORTEST_ING = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Lexicon:
    """The words that the rewriting knows.

    `dropped` say nothing that decides; `canon` has one word for all that mean the same; `openings` only ask to be
    answered; `classes` name a kind of place or group, before its name or after it.
    """

    dropped: frozenset[str]
    links: frozenset[str]
    pronouns: frozenset[str]
    past: frozenset[str]
    present: frozenset[str]
    future: frozenset[str]
    interrogatives: frozenset[str]
    auxiliaries: frozenset[str]
    classes: frozenset[str]
    openings: tuple[tuple[str, ...], ...]
    how_to: tuple[tuple[str, ...], ...]
    canon: Mapping[str, str]

    @classmethod
    @lru_cache(maxsize=1)
    def load(cls) -> Self:
        table = json.loads(LEXICON_PATH.read_text(encoding="utf-8"))
        groups = [group.split() for group in table["same"]]
        return cls(
            dropped=frozenset(table["dropped"].split()),
            links=frozenset(table["links"].split()),
            pronouns=frozenset(table["pronouns"].split()),
            past=frozenset(table["past"].split()),
            present=frozenset(table["present"].split()),
            future=frozenset(table["future"].split()),
            interrogatives=frozenset(table["interrogatives"].split()),
            auxiliaries=frozenset(table["auxiliaries"].split()),
            classes=frozenset(table["classes"].split()),
            openings=_phrases(table["openings"]),
            how_to=_phrases(table["how_to"]),
            canon={word: group[0] for group in groups for word in group},
        )


def _phrases(phrases: Sequence[str]) -> tuple[tuple[str, ...], ...]:
    """The longest first, so that it is tried first."""
    return tuple(sorted((tuple(phrase.split()) for phrase in phrases), key=len, reverse=True))


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """A question in canonical form. `words` carry it; the other parts may be absent from one of two questions that
    agree, but where both have them they must be equal.
    """

    kind: str
    signs: tuple[str, ...]
    words: tuple[str, ...]
    pronouns: tuple[str, ...]
    times: tuple[str, ...]
    quoted: tuple[str, ...]
    links: tuple[str, ...]

    def agrees(self, other: Form) -> bool:
        if (self.kind, self.signs, "".join(self.words)) != (other.kind, other.signs, "".join(other.words)):
            return False
        pairs = ((self.links, other.links), (self.pronouns, other.pronouns), (self.times, other.times))
        if not all(_is_part(one, another) or _is_part(another, one) for one, another in pairs):
            return False
        return self.quoted == other.quoted or not self.quoted or not other.quoted


def agree(one: str, other: str) -> bool:
    """Whether both texts certainly ask the same."""
    form, another = canonical_form(one), canonical_form(other)
    return form is not None and another is not None and form.agrees(another)


@lru_cache(maxsize=1024)
def canonical_form(text: str) -> Form | None:
    """The form of a text, `None` if the rules do not apply to it: it is too long, or not in English letters."""
    text = _without_marks(text)
    if len(text) > LONGEST_TEXT or READABLE.fullmatch(text) is None:
        return None
    lexicon = Lexicon.load()
    words = _without_opening(_words(text, lexicon=lexicon), lexicon=lexicon)
    if not words:
        return None
    ordered = _time_last(_order_dates(_order_classes(words, lexicon=lexicon)))
    first = [word for word in words[:1] if word in lexicon.interrogatives]
    rest = [lexicon.canon.get(word, word) for word in ordered[len(first) :] if word not in lexicon.dropped]
    return Form(
        kind="whether" if words[0] in lexicon.auxiliaries else "other",
        signs=tuple(SIGN.findall(text)),
        words=(*first, *(_base(word) for word in rest if word not in lexicon.pronouns | lexicon.links)),
        pronouns=tuple(word for word in rest if word in lexicon.pronouns),
        times=tuple(name for name in ("past", "present", "future") if not getattr(lexicon, name).isdisjoint(words)),
        quoted=tuple(_quote(quote) for quote in QUOTED.findall(text)),
        links=tuple(word for word in rest if word in lexicon.links),
    )


def _quote(quote: str) -> str:
    """What is quoted: code to the letter, other words whatever their capitals and stops."""
    if quote.startswith("`") and not quote.endswith("'"):
        return quote.strip("`")
    return " ".join(WORD.findall(quote.lower()))


def _without_marks(text: str) -> str:
    """Without accents, which one writer sets and another does not."""
    parts = unicodedata.normalize("NFKD", text)
    return unicodedata.normalize("NFC", "".join(sign for sign in parts if not unicodedata.combining(sign)))


def _is_part(some: Sequence[str], of: Sequence[str]) -> bool:
    """Whether `of` has these words in this order, perhaps with others between them."""
    left = iter(of)
    return all(word in left for word in some)


def _words(text: str, *, lexicon: Lexicon) -> list[str]:
    """In lower case, but for words such as US and IT, which are others in small letters."""
    text = re.sub(r"n['\u2019]t\b", " not", text).replace("&", " and ")
    shouting = text.isupper()
    known = lexicon.dropped | lexicon.links | lexicon.pronouns | lexicon.interrogatives
    return [
        word if not shouting and len(word) > 1 and word.isupper() and word.lower() in known else word.lower()
        for word in WORD.findall(text)
    ]


def _without_opening(words: list[str], *, lexicon: Lexicon) -> list[str]:
    """Without what only asks to be answered; the ways to ask for a way become one."""
    for opening in lexicon.openings:
        if tuple(words[: len(opening)]) == opening and len(words) > len(opening):
            return _without_opening(words[len(opening) :], lexicon=lexicon)
    for opening in lexicon.how_to:
        if tuple(words[: len(opening)]) == opening:
            return ["how", "to", *words[len(opening) :]]
    return words


def _order_classes(words: list[str], *, lexicon: Lexicon) -> list[str]:
    """`River Leurda`, `district of Siwan`, `province of the Gambia`: the kind after the name."""
    ordered = list(words)
    for position, word in enumerate(words):
        if word in lexicon.classes:
            name = position + 1
            while name < len(words) and words[name] in ("of", "the"):
                name += 1
            if name < len(words) and (name > position + 1 or (position and words[position - 1] == "the")):
                ordered[position : name + 1] = [*words[position + 1 : name], words[name], word]
    return ordered


def _order_dates(words: list[str]) -> list[str]:
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


def _time_last(words: list[str]) -> list[str]:
    """The one time that a sentence is about, such as `in 1977` or `on May 8 2015`, at its end wherever it stood."""
    spans = [span for start in range(len(words)) if (span := _span_of_time(words, start)) is not None]
    if len(spans) != 1:
        return words
    start, end = spans[0]
    return [*words[:start], *words[end:], *words[start:end]]


def _span_of_time(words: Sequence[str], start: int) -> tuple[int, int] | None:
    if words[start] not in ("in", "on"):
        return None
    end = start + 1
    while end < len(words) and (words[end] in MONTHS or DAY.fullmatch(words[end]) or YEAR.fullmatch(words[end])):
        end += 1
    named = any(word in MONTHS or YEAR.fullmatch(word) for word in words[start + 1 : end])
    return (start, end) if named else None


def _base(word: str) -> str:
    """The word without the endings -s and -ing, and without the e that -ing takes away. -ed tells a time."""
    word = _without_s(word)
    if word.endswith("ing") and len(word) >= SHORTEST_ING:
        word = word[:-3]
        if word[-1] == word[-2] and word[-1] not in "lse":
            word = word[:-1]
    return word[:-1] if word.endswith("e") and len(word) > SHORTEST_PLURAL else word


def _without_s(word: str) -> str:
    """Without the ending of a plural, which is also that of a verb after he, she or it."""
    if len(word) < SHORTEST_PLURAL or not word.endswith("s") or word.endswith(("ss", "us", "is", "news")):
        return word
    if word.endswith("ies"):
        return word[:-3] + "y"
    return word[:-2] if word.endswith(("ches", "shes", "sses", "xes")) else word[:-1]
