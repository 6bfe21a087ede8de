"""Whether two questions ask the same: each is brought into a canonical form by rewriting that keeps its meaning.

Two wordings agree if their canonical forms are equal, word by word and in order. So whatever cosine cannot see counts:
a number, a unit, a name, a negation, a comparison, a direction, a tense, a question word, who does what to whom. What
no rule here knows to mean the same does not agree: unsure is no.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from functools import lru_cache

from app.services.agreement_lexicon import Lexicon
from app.services.agreement_order import put_in_order

# Longer texts rarely come again in other words.
LONGEST_TEXT = 2000

# The words are English; a text with other letters than those of Europe's names is beyond them.
READABLE = re.compile(r"[\x00-\x7f\u00a0-\u024f\u2010-\u203a\u20ac]*")
QUOTED = re.compile(
    r"```.*?```|``.*?''|`[^`]*`|\"[^\"]*\"|\u201c[^\u201d]*\u201d|(?<!\S)'(?!s\s)[^'\n]*[^'\s]'(?!\w)", re.DOTALL
)
# What belongs to a number, a unit, a formula, code, or a name such as C++; not the punctuation of sentences.
SIGN = re.compile(
    r"[+*/\\=<>^%$#@|~{}\[\]_\u00a3\u00a5\u20ac\u00b0]+|!=|&&|(?<=\d)[!'\"\u2032\u2033]|'(?=\()"
    r"|(?<![\w-])-(?=\w)|(?<=\d)-(?=\d)|(?<![\s.])\.(?=[^\W\d])|(?<!\S)[.:](?=\w)"
)
NOT = re.compile(r"n['\u2019]t\b")
CONTRACTED_IS = re.compile(r"\b(what|who|where|when|why|how|it|he|she|that|there|here)['\u2019]s\b", re.IGNORECASE)
# Of a place with a name, a date or a year these say the same.
AT_A_NAME = re.compile(
    r"\b(?:[Oo]n|[Aa]t)(?=\s+(?:the\s+)?(?:[A-Z][a-z]|(?:1\d|20)\d\d\b|\d\d?(?:st|nd|rd|th)?\s+(?:of\s+)?[A-Z][a-z]))"
)
BETWEEN_NUMBERS = re.compile(r"(?<=\d)\s*(?:-\s?-?|\u2013)\s*(?=\d+(?!\d| [A-Z]))")
# Names in code, and units of data: Mb is not MB.
INNER_CAPITAL = re.compile(r"[a-z][A-Z]|^[KMGT]i?[bB]$")
WORD = re.compile(r"\d+(?:[.,:]\d+)*\w*|[^\W\d_]+\d*")
SHORTEST_PLURAL = 4
# In a statement of so many words that carry it, one small word more decides nothing. In a question it may be all.
LONG = 5
# They stand alone where others may be written as one word: `not able` is not `notable`.
SEPARATE = frozenset({"not", "no", "never", "none", "now"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """A text in canonical form. `words` carry it; `names` are those with a capital, without the endings of plurals.

    Of two long statements that agree one may have less of the other parts, but what both have must be equal. Of
    questions and short texts all must be equal.
    """

    kind: str
    signs: tuple[str, ...]
    words: tuple[str, ...]
    names: frozenset[str]
    small: tuple[str, ...]
    pronouns: tuple[str, ...]
    links: tuple[str, ...]
    quoted: tuple[str, ...]

    def agrees(self, other: Form) -> bool:
        if (self.kind, self.signs) != (other.kind, other.signs):
            return False
        if self.is_long_statement and other.is_long_statement:
            quotes_fit = not self.quoted or not other.quoted or self.quoted == other.quoted
            pairs = ((self.small, other.small), (self.pronouns, other.pronouns), (self.links, other.links))
            rest_fits = (
                quotes_fit
                and _passive(self.small) == _passive(other.small)
                and all(_is_part(one, another) or _is_part(another, one) for one, another in pairs)
            )
            names = self.names & other.names
            return rest_fits and _joined(_singular(self.words, names)) == _joined(_singular(other.words, names))
        parts = (self.small, self.pronouns, self.links, self.quoted)
        same = parts == (other.small, other.pronouns, other.links, other.quoted)
        return same and _joined(self.words) == _joined(other.words)

    @property
    def is_long_statement(self) -> bool:
        return self.kind == STATEMENT and len(self.words) >= LONG


STATEMENT, QUESTION, WHETHER = "statement", "question", "whether"


def agree(one: str, other: str) -> bool:
    """Whether both texts certainly ask the same."""
    form, another = canonical_form(one), canonical_form(other)
    return form is not None and another is not None and form.agrees(another)


@lru_cache(maxsize=1024)
def canonical_form(text: str) -> Form | None:
    """The form of a text, `None` if the rules do not apply to it: it is too long, or not certainly English."""
    text = BETWEEN_NUMBERS.sub("-", _without_marks(text))
    if len(text) > LONGEST_TEXT or READABLE.fullmatch(text) is None:
        return None
    lexicon = Lexicon.load()
    read = _words(text, lexicon=lexicon)
    words = _without_opening(read, lexicon=lexicon)
    if not words or not lexicon.knows_language(read):
        return None
    kind = _kind(text, words, lexicon=lexicon)
    words = put_in_order(_keep_articles(words, lexicon=lexicon), classes=lexicon.classes)
    first = [word for word in words[:1] if word in lexicon.interrogatives]
    rest = [_canonical(word, lexicon=lexicon) for word in words[len(first) :] if word not in lexicon.dropped]
    aside = lexicon.small | lexicon.pronouns | lexicon.links
    return Form(
        kind=kind,
        signs=tuple(SIGN.findall(text)),
        words=(*first, *(word for word in rest if word not in aside)),
        names=frozenset(_without_s(word.lower()) for word in WORD.findall(text) if word[0].isupper()),
        small=tuple(lexicon.forms.get(word, word) for word in rest if word in lexicon.small),
        pronouns=tuple(word for word in rest if word in lexicon.pronouns),
        links=tuple(word for word in rest if word in lexicon.links),
        quoted=tuple(_quote(quote) for quote in QUOTED.findall(text)),
    )


def _kind(text: str, words: Sequence[str], *, lexicon: Lexicon) -> str:
    """Whether it asks for yes or no, for something else, or states something. A request asks."""
    if words[0] in lexicon.auxiliaries:
        return WHETHER
    asks = words[0] in lexicon.interrogatives | lexicon.requests or text.rstrip().endswith("?")
    return QUESTION if asks else STATEMENT


def _canonical(word: str, *, lexicon: Lexicon) -> str:
    """The word for all that mean the same, in the plural if this is one."""
    if word not in lexicon.canon and _without_s(word) in lexicon.canon:
        return lexicon.canon[_without_s(word)] + "s"
    return lexicon.canon.get(word, word)


def _keep_articles(words: Sequence[str], *, lexicon: Lexicon) -> list[str]:
    """`a few` is not `few`: one word of an article and what it counts."""
    kept: list[str] = []
    for word in words:
        if word in lexicon.counted and kept and kept[-1] in ("a", "the"):
            kept[-1] = f"{kept[-1]}-{word}"
        else:
            kept.append(word)
    return kept


def _quote(quote: str) -> str:
    """What is quoted: code to the letter, other words whatever their capitals and stops."""
    if quote.startswith("`") and not quote.endswith("'"):
        return quote.strip("`")
    return " ".join(WORD.findall(quote.lower()))


def _without_marks(text: str) -> str:
    """Without accents, which one writer sets and another does not. Raised digits stay what they are."""
    parts = unicodedata.normalize("NFD", text)
    return unicodedata.normalize("NFC", "".join(sign for sign in parts if not unicodedata.combining(sign)))


def _is_part(some: Sequence[str], of: Sequence[str]) -> bool:
    """Whether `of` has these words in this order, perhaps with others between them."""
    left = iter(of)
    return all(word in left for word in some)


def _joined(words: Sequence[str]) -> str:
    """As one text: `ex-wife` is `ex wife`, but `1 12` is not `11 2`."""
    return "".join(f"|{word}|" if word[0].isdigit() or word in SEPARATE else word for word in words)


def _words(text: str, *, lexicon: Lexicon) -> list[str]:
    """In lower case, but for words such as US, IT and getName, which are others in small letters."""
    text = CONTRACTED_IS.sub(r"\1 is", NOT.sub(" not", text)).replace("&", " and ")
    text = lexicon.phrase.sub(lambda found: lexicon.phrases[found.group().lower()], AT_A_NAME.sub("in", text))
    shouting = text.isupper()
    known = lexicon.dropped | lexicon.links | lexicon.pronouns | lexicon.interrogatives | lexicon.small
    return [_word(word, is_named=not shouting, known=known) for word in WORD.findall(text)]


def _word(word: str, *, is_named: bool, known: AbstractSet[str]) -> str:
    abbreviated = len(word) > 1 and word.isupper() and word.lower() in known
    return word if is_named and (abbreviated or INNER_CAPITAL.search(word)) else word.lower()


def _without_opening(words: list[str], *, lexicon: Lexicon) -> list[str]:
    """Without what only asks to be answered; the ways to ask for a way become one."""
    for opening in lexicon.openings:
        if tuple(words[: len(opening)]) == opening and len(words) > len(opening):
            return _without_opening(words[len(opening) :], lexicon=lexicon)
    for opening in lexicon.how_to:
        if tuple(words[: len(opening)]) == opening:
            return ["how", "to", *words[len(opening) :]]
    return words


def _passive(small: Sequence[str]) -> list[str]:
    """The words that turn who does something into who has it done to him."""
    return [word for word in small if word in ("been", "being")]


def _singular(words: Sequence[str], names: AbstractSet[str]) -> list[str]:
    """Without the endings of plurals, but for names: Edwards is not Edward."""
    return [word if (stem := _without_s(word)) in names else stem for word in words]


def _without_s(word: str) -> str:
    """Without the ending of a plural, which is also that of a verb after he, she or it."""
    is_word = len(word) >= SHORTEST_PLURAL and word.islower() and word.isalpha()
    if not is_word or not word.endswith("s") or word.endswith(("ss", "us", "is", "news")):
        return word
    if word.endswith("ies"):
        return word[:-3] + "y"
    return word[:-2] if word.endswith(("ches", "shes", "sses", "xes")) else word[:-1]
