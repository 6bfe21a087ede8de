"""The text as a reader would take it: look-alike characters made plain, invisible ones removed, encodings opened."""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_right
from dataclasses import dataclass, field
from functools import cached_property

from app.services.detectors.numbers import SHORTEST_NUMBER, Number, read_number

# Characters without width: soft hyphen, joiners, direction marks, byte order mark, variation selectors, tags.
# Accents that stand behind their letter go too: the table below has already taken those that are part of it.
_INVISIBLE = re.compile(
    "[\u00ad\u0300-\u036f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufe00-\ufe0f\ufeff\U000e0000-\U000e01ef]+"
)
_DASHES = "\u058a\u2010\u2011\u2012\u2013\u2014\u2015\u2043\u2212\ufe58\ufe63\uff0d"
_SPACES = "\u00a0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u202f\u205f\u3000"
# Blocks whose characters stand for an ASCII one: full-width forms, mathematical letters, circled and raised digits.
_STYLED = (range(0xFF01, 0xFF5F), range(0x1D400, 0x1D800), range(0x2460, 0x2469), range(0x2070, 0x208A))

_WORD = re.compile(r"[^\W\d_]+")
_ASCII_WORD = re.compile(r"[a-z]+")
# Scripts written without spaces, or with endings on their words.
UNSPACED = re.compile("[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af\u0e00-\u0e7f]")
_DIGIT_RUN = re.compile(r"\d(?:[ ]{0,2}[-./()_:\u00b7]{0,2}[ ]{0,2}\d){3,}")
_LONG_TOKEN = re.compile(r"[A-Za-z0-9_+/=.$:~%-]{16,}")


def _plain_characters() -> dict[int, str]:
    """Code point -> one ASCII character, so that a translated text keeps its length."""
    table = dict.fromkeys(map(ord, _DASHES), "-") | dict.fromkeys(map(ord, _SPACES), " ")
    for code in range(0x80, 0x20000):
        digit = unicodedata.decimal(chr(code), None)
        if digit is not None:
            table[code] = str(digit)
    for block in _STYLED:
        for code in block:
            plain = unicodedata.normalize("NFKC", chr(code))
            if len(plain) == 1 and plain.isascii():
                table[code] = plain
    for code in range(0xC0, 0x250):
        letter = unicodedata.normalize("NFD", chr(code))[0]
        if letter.isascii():
            table[code] = letter
    for code in range(0x1E00, 0x1F00):
        letter = unicodedata.normalize("NFD", chr(code))[0]
        if letter.isascii():
            table[code] = letter
    table |= {
        ord(letter): plain
        for letter, plain in zip("\u00d8\u00f8\u0110\u0111\u0141\u0142\u0131", "OoDdLli", strict=True)
    }
    # The only character whose lower case is longer than itself, which would shift every offset behind it.
    table[0x0130] = "I"
    return table


_PLAIN = _plain_characters()


@dataclass(frozen=True, slots=True)
class Offsets:
    """Where the runs of a rewritten text come from: their starts in it, and their spans in the text before."""

    rewritten: tuple[int, ...]
    sources: tuple[tuple[int, int], ...]
    copied: tuple[bool, ...]

    def source(self, start: int, end: int) -> tuple[int, int]:
        """A span of the rewritten text as a span of the text before. A part of a replaced run is all of that run."""
        first, last = bisect_right(self.rewritten, start) - 1, bisect_right(self.rewritten, max(start, end - 1)) - 1
        begin, _ = self.sources[first]
        _, finish = self.sources[last]
        if self.copied[first]:
            begin += start - self.rewritten[first]
        if self.copied[last]:
            finish = self.sources[last][0] + end - self.rewritten[last]
        return begin, finish


@dataclass(frozen=True, eq=False)
class View:
    """One reading of a text. Without `offsets` its positions are those of what it reads, `parent` or the original."""

    text: str
    offsets: Offsets | None = None
    parent: View | None = None
    # Where each vocabulary occurs, kept by the vocabulary that looked.
    memory: dict[object, list[tuple[int, int]]] = field(default_factory=dict, repr=False)

    @cached_property
    def lower(self) -> str:
        return self.text.lower()

    @cached_property
    def words(self) -> frozenset[str]:
        """The words of the text in lower case, as runs of letters."""
        return frozenset((_ASCII_WORD if self.text.isascii() else _WORD).findall(self.lower))

    @cached_property
    def is_unspaced(self) -> bool:
        """Whether some of the text is Chinese, Japanese, Korean or Thai."""
        return not self.text.isascii() and UNSPACED.search(self.text) is not None

    @cached_property
    def digit_runs(self) -> list[tuple[int, int]]:
        """Runs of four digits or more, with the spaces and signs that people write between them."""
        return [match.span() for match in _DIGIT_RUN.finditer(self.text)]

    @cached_property
    def numbers(self) -> list[Number]:
        """The runs that have six digits or more, group by group."""
        runs = (read_number(self.text, start, end) for start, end in self.digit_runs if end - start >= SHORTEST_NUMBER)
        return [number for number in runs if len(number.digits) >= SHORTEST_NUMBER]

    @cached_property
    def long_tokens(self) -> list[tuple[int, int]]:
        """Unbroken runs of 16 characters or more of those that keys, encodings and URLs are made of."""
        return [match.span() for match in _LONG_TOKEN.finditer(self.text)]

    def original(self, start: int, end: int) -> tuple[int, int]:
        """A span of this reading as a span of the original text."""
        if self.offsets is not None:
            start, end = self.offsets.source(start, end)
        return (start, end) if self.parent is None else self.parent.original(start, end)


class Rewriting:
    """A text in which some spans are replaced, in order, and the offsets that lead back."""

    def __init__(self, text: str, *, parent: View | None = None, reach: int | None = None) -> None:
        """With `reach`, only so many characters on either side of a replaced span are kept."""
        self._text = text
        self._parent = parent
        self._reach = reach
        self._position = self._length = 0
        self._pieces: list[str] = []
        self._runs: list[tuple[int, tuple[int, int], bool]] = []

    def replace(self, start: int, end: int, *, by: str) -> None:
        self._copy(start, before_replaced=True)
        self._put(by, (start, end), copied=False)
        self._position = end

    def view(self) -> View:
        self._copy(len(self._text), before_replaced=False)
        rewritten, sources, copied = zip(*self._runs or [(0, (0, 0), True)], strict=True)
        return View("".join(self._pieces), Offsets(rewritten, sources, copied), self._parent)

    def _copy(self, end: int, *, before_replaced: bool) -> None:
        start, reach = self._position, self._reach
        if reach is None or end - start <= 2 * reach:
            self._put(self._text[start:end], (start, end), copied=True)
            return
        if start:
            self._put(self._text[start : start + reach] + "\n", (start, start + reach + 1), copied=True)
        if before_replaced:
            self._put(self._text[end - reach : end], (end - reach, end), copied=True)

    def _put(self, piece: str, source: tuple[int, int], *, copied: bool) -> None:
        if piece:
            self._runs.append((self._length, source, copied))
            self._pieces.append(piece)
            self._length += len(piece)


def plain_view(text: str) -> View:
    """The text with look-alikes replaced and invisible characters removed; ASCII text as it is."""
    if text.isascii():
        return View(text)
    text = text.translate(_PLAIN)
    if _INVISIBLE.search(text) is None:
        return View(text)
    rewriting = Rewriting(text)
    for match in _INVISIBLE.finditer(text):
        rewriting.replace(match.start(), match.end(), by="")
    return rewriting.view()
