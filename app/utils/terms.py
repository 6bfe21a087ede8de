"""How a text becomes the terms of the lexical index, by the script that each part of it is written in.

SQLite's tokenizer splits at blanks and stems English; what it cannot know is prepared here: scripts that put no blanks
between words, Arabic and Hindi, which grow articles and endings on their words, and numbers, which are one term each.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from functools import lru_cache
from typing import Final

from app.utils.scripts import ARABIC, DEVANAGARI, IDEOGRAPHIC, UNSPACED
from app.utils.stemming import WORDS_KEPT, stem

# A query's terms beyond these tell little more and cost a walk over the index each.
MOST_QUERY_TERMS: Final = 64
# McNamee and Mayfield, "Character n-gram tokenization for European language text retrieval" (2004): words cut to their
# first five letters do nearly as well as stemmed ones.
STEM_LENGTH: Final = 5

_PREPARED: Final = re.compile(
    rf"(?P<ideographic>[{IDEOGRAPHIC}]+)|(?P<unspaced>[{UNSPACED}]+)"
    rf"|(?P<arabic>[{ARABIC}]+)|(?P<devanagari>[{DEVANAGARI}\u200c\u200d]+)"
)
# A separator of thousands: 1,234 and 1234 are one number.
_THOUSANDS: Final = re.compile(r"(?<=\d),(?=\d{3}(?!\d))")
_FOREIGN_DIGIT: Final = re.compile(r"[^\D0-9]")
_SHORT_RUN: Final = re.compile(rf"[{IDEOGRAPHIC}]|[{UNSPACED}]{{1,2}}")

_ACCENTS: Final = re.compile(r"(?<=[a-z])[\u0300-\u036f]+")

# Larkey, Ballesteros and Connell, "Light stemming for Arabic information retrieval" (2007): their stemmer light10,
# after the usual unification of letters that are written one for the other.
_ARABIC_MARKS: Final = re.compile(r"[\u0640\u064b-\u065f\u0670]")
_ARABIC_LETTERS: Final = str.maketrans(
    "\u0623\u0625\u0622\u0671\u0649\u0629\u06cc\u06a9", "\u0627\u0627\u0627\u0627\u064a\u0647\u064a\u0643"
)
_ARABIC_AND: Final = re.compile(r"^\u0648(?=.{3})")
_ARABIC_ARTICLE: Final = re.compile(r"^(?:[\u0628\u0643\u0641\u0648]?\u0627\u0644|\u0644\u0644)(?=..)")
_ARABIC_ENDINGS: Final = (
    "\u0647\u0627",
    "\u0627\u0646",
    "\u0627\u062a",
    "\u0648\u0646",
    "\u064a\u0646",
    "\u064a\u0647",
    "\u0647",
    "\u064a",
)
_SHORTEST_STEM: Final = 2

# Ramanathan and Rao, "A Lightweight Stemmer for Hindi" (2003): the longest of these endings goes. Before it, as Hindi
# is written either way: no nukta, no joiners, a chandrabindu as an anusvara.
_HINDI_MARKS: Final = str.maketrans("\u0901", "\u0902", "\u093c\u200c\u200d")
_HINDI_ENDINGS: Final = frozenset(
    re.split(
        r"\s+",
        """ाएंगी ाएंगे ाऊंगी ाऊंगा ाइयां ाइयों ाएगी ाएगा ाओगी ाओगे एंगी ेंगी एंगे ेंगे ूंगी ूंगा ातीं
        नाओं नाएं ताओं ताएं ियां ियों ाकर ाइए ाईं ाया ेगी ेगा ोगी ोगे ाने ाना ाते ाती ाता तीं ाओं
        ाएं ुओं ुएं ुआं कर ाओ िए ाई ाए ने नी ना ते ीं ती ता ां ों ें ो े ू ु ी ि ा""",
    )
)
_LONGEST_HINDI_ENDING: Final = max(map(len, _HINDI_ENDINGS))

# The words that say least in English, which the index holds but a query does without if it has others: half of the
# words of a question are among them, and each would have to be counted over the whole index.
STOP_WORDS: Final = frozenset(
    re.split(
        r"\s+",
        """a about an and any are as at be been but by can could did do does for from had has have he her him
        his how i if in into is it its may me my no not of on or our she should so some such than that the
        their them then there these they this those to was we were what when where which while who whom
        whose why will with would you your""",
    )
)


def index_text(text: str) -> str:
    """The text as the index takes it in."""
    return " ".join(_pieces(_normalise(text)))


def query_terms(text: str) -> list[str]:
    """The distinct terms of a query, in their order; those that say little only if there are no others."""
    terms = list(dict.fromkeys(_terms_of(text)))
    telling = [term for term in terms if term not in STOP_WORDS]
    return (telling or terms)[:MOST_QUERY_TERMS]


def match_query(text: str) -> str:
    """A query in SQLite's full-text syntax that any one of the text's terms satisfies; empty if it has none."""
    return " OR ".join(_phrase(term) for term in query_terms(text))


def index_terms(text: str) -> list[str]:
    """The words of a text as an index takes them in that has no tokenizer of its own: apart, small and stemmed."""
    return [_indexed(term) for term in _terms_of(text)]


def stemmed_query_terms(text: str) -> list[str]:
    """The distinct terms of a query as such an index holds them."""
    return list(dict.fromkeys(_indexed(term) for term in query_terms(text)))


def is_short_run(term: str) -> bool:
    """Whether the term is too short for a gram, and stands for all grams that begin with it."""
    return _SHORT_RUN.fullmatch(term) is not None


@lru_cache(maxsize=WORDS_KEPT)
def _indexed(term: str) -> str:
    """Without accents on Latin letters, as SQLite's `remove_diacritics` has it, and stemmed if English may be it."""
    if term.isascii():
        return stem(term)
    return stem(unicodedata.normalize("NFC", _ACCENTS.sub("", unicodedata.normalize("NFD", term))))


def coverage(query: str, text: str) -> float:
    """The share of the query's terms that the text holds, in 0..1, told by their beginnings: a rough stem."""
    wanted = telling_stems(query)
    return len(wanted & stems(text)) / len(wanted) if wanted else 0.0


def stems(text: str) -> set[str]:
    """The beginnings of the text's terms."""
    return {term[:STEM_LENGTH] for term in _terms_of(text)}


def telling_stems(text: str) -> set[str]:
    """The beginnings of a query's terms; of those that say little only if there are no others."""
    return {term[:STEM_LENGTH] for term in query_terms(text)}


def _normalise(text: str) -> str:
    """One way to write each letter and each number."""
    digits = _FOREIGN_DIGIT.sub(lambda digit: str(unicodedata.decimal(digit[0])), unicodedata.normalize("NFKC", text))
    return _THOUSANDS.sub("", digits)


def _pieces(text: str) -> Iterator[str]:
    """The parts of the text in their order; what SQLite's own tokenizer splits well stays as it is."""
    position = 0
    for run in _PREPARED.finditer(text):
        if run.start() > position:
            yield text[position : run.start()]
        yield from _terms(run)
        position = run.end()
    yield text[position:]


def _terms_of(text: str) -> Iterator[str]:
    for piece in _pieces(_normalise(text).casefold()):
        yield from "".join(char if _belongs_to_word(char) else " " for char in piece).split()


def _belongs_to_word(char: str) -> bool:
    """As the tokenizer of the index has it: letters, numbers and marks."""
    return char.isalnum() or unicodedata.category(char).startswith("M")


def _terms(run: re.Match[str]) -> Iterator[str]:
    if run["ideographic"]:
        return _grams(run[0], size=2)
    if run["unspaced"]:
        return _grams(run[0], size=3)
    return iter((_stem_arabic(run[0]) if run["arabic"] else _stem_hindi(run[0]),))


def _grams(text: str, *, size: int) -> Iterator[str]:
    return (text[start : start + size] for start in range(max(1, len(text) - size + 1)))


def _stem_arabic(word: str) -> str:
    word = _ARABIC_MARKS.sub("", word).translate(_ARABIC_LETTERS)
    word = _ARABIC_ARTICLE.sub("", _ARABIC_AND.sub("", word))
    for ending in _ARABIC_ENDINGS:
        if word.endswith(ending) and len(word) >= len(ending) + _SHORTEST_STEM:
            word = word.removesuffix(ending)
    return word


def _stem_hindi(word: str) -> str:
    word = word.translate(_HINDI_MARKS)
    for length in range(_LONGEST_HINDI_ENDING, 0, -1):
        if len(word) > length + 1 and word[-length:] in _HINDI_ENDINGS:
            return word[:-length]
    return word


def _phrase(term: str) -> str:
    return f'"{term}"*' if is_short_run(term) else f'"{term}"'
