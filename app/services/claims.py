"""What an answer claims: its sentences, the sources that each one cites, what it quotes, names and counts."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from app.services.chunking import BORDER
from app.utils.terms import STOP_WORDS, stems, telling_stems

# [1], [1, 2] and [1][2], also in the brackets that some models prefer.
MARKER: Final = re.compile(
    r"[\[\u3010]\s*(\d{1,3}(?:\s*[,;]\s*\d{1,3})*)\s*(?:\u2020[^\]\u3011]*)?[\]\u3011]", re.ASCII
)
_TRAILING: Final = re.compile(rf"[^\S\n]*(?:{MARKER.pattern}[^\S\n]*)+[.,;:]?", re.ASCII)
_QUOTED: Final = re.compile(
    r"\u201c([^\u201d\n]+)\u201d|\"([^\"\n]+)\"|\u00ab\s?([^\u00bb\n]+?)\s?\u00bb|\u300c([^\u300d\n]+)\u300d|\u201e([^\u201c\u201d\n]+)[\u201c\u201d]"
)
_CODE: Final = re.compile(r"```.*?(?:```|\Z)", re.DOTALL)
_BULLET: Final = re.compile(r"^\s*(?:[-*\u2022#>|]+|\d{1,3}[.)])\s+")
_NUMBER: Final = re.compile(r"\d[\d.,'\u2019\u00a0\u202f]*")
_WORD: Final = re.compile(r"[^\W\d_][\w'\u2019-]*")
# A sentence about the conversation itself claims nothing of the world.
_CONVERSATION: Final = re.compile(r"\b(?:I|I'm|I\u2019m|you|your|let me|let's)\b")

# A sentence that cites nothing claims something from this many telling words on.
FEWEST_TERMS: Final = 3
# A shorter string in quotation marks may be a name or a turn of phrase.
FEWEST_QUOTED_WORDS: Final = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """A sentence of an answer as it is checked; `start` and `end` count characters of the answer."""

    text: str
    start: int
    end: int
    numbers: tuple[int, ...]
    quotations: tuple[str, ...]
    terms: frozenset[str]
    names: frozenset[str]
    figures: frozenset[str]


def statements(answer: str) -> list[Statement]:
    """The sentences of the answer that claim something: those that cite or quote, and those that tell something."""
    read = [_read(answer, start=start, end=end) for start, end in sentences(answer)]
    return [each for each in read if _claims(each)]


def whole(answer: str) -> Statement:
    """The answer as a single statement: for one too short to have any."""
    return _read(answer, start=0, end=len(answer))


def sentences(text: str) -> Iterator[tuple[int, int]]:
    """Where sentences and lines stand, without blanks around them. One keeps its quotations and its markers whole."""
    masked = _QUOTED.sub(lambda quoted: "x" * len(quoted[0]), _CODE.sub(lambda code: " " * len(code[0]), text))
    start = 0
    for border in (*(match.end() for match in BORDER.finditer(masked)), len(masked)):
        if border <= start:
            continue
        end = border
        if not masked[start:border].endswith("\n") and (markers := _TRAILING.match(masked, border)):
            end = markers.end()
        first, last = _without_blanks(masked, start=start, end=end)
        if first < last:
            yield first, last
        start = end


def figures(text: str) -> frozenset[str]:
    """The numbers of a text by their digits alone, whatever separates them and whichever script they are in."""
    plain = "".join(_digit(character) for character in unicodedata.normalize("NFKC", text))
    return frozenset(re.sub(r"\D", "", number) for number in _NUMBER.findall(plain))


def _read(answer: str, *, start: int, end: int) -> Statement:
    text = answer[start:end]
    bare = _BULLET.sub("", MARKER.sub(" ", text))
    cited = [int(number) for marker in MARKER.finditer(text) for number in re.findall(r"\d+", marker[1])]
    return Statement(
        text=text,
        start=start,
        end=end,
        numbers=tuple(dict.fromkeys(cited)),
        quotations=tuple(quoted for quoted in _quotations(bare) if len(quoted.split()) >= FEWEST_QUOTED_WORDS),
        terms=frozenset(telling_stems(bare)),
        names=_names(bare),
        figures=figures(bare),
    )


def _claims(statement: Statement) -> bool:
    if statement.numbers or statement.quotations:
        return True
    plain = statement.text.rstrip("*_ ")
    if plain.endswith(("?", "\uff1f", ":", "\uff1a")) or _CONVERSATION.search(plain):
        return False
    return len(statement.terms - STOP_WORDS) >= FEWEST_TERMS


def _quotations(text: str) -> Iterator[str]:
    return (next(part for part in found.groups() if part is not None) for found in _QUOTED.finditer(text))


def _names(text: str) -> frozenset[str]:
    """Words with a capital that no sentence begins with, by their stems."""
    words = _WORD.findall(text)[1:]
    return frozenset(stem for word in words if word[:1].isupper() for stem in stems(word)) - STOP_WORDS


def _digit(character: str) -> str:
    return str(unicodedata.decimal(character)) if character.isdecimal() else character


def _without_blanks(text: str, *, start: int, end: int) -> tuple[int, int]:
    piece = text[start:end]
    return start + len(piece) - len(piece.lstrip()), end - (len(piece) - len(piece.rstrip()))
