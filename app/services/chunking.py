"""Cuts documents into passages of bounded length, at the borders that their authors drew."""

from __future__ import annotations

import enum
import math
import re
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Final

from app.records import Chunk
from app.services.loaders.document import SECTION_SEPARATOR, ParsedDocument

# A quarter of MiniLM's window of 256 tokens stays free for the title and the headings that are indexed with a chunk.
MAX_TOKENS: Final = 200
OVERLAP_TOKENS: Final = 30

Measure = Callable[[str], Sequence[tuple[int, int]]]

# Text is measured in blocks of about this many characters, so that the tokens of a large one are never all in memory.
_BLOCK: Final = 16_384
# Tokenizers make one unknown token of a long "word" (WordPiece: of more than 100 characters) and none of blanks. Such
# words are measured in strips, which is what a cut would make of them, and long gaps count, so that chunks stay short.
_LONGEST_TOKEN: Final = 16
_STRIP: Final = 96

_CLOSERS: Final = r"[\"'\u2019\u201d\u00bb)\]\u300d\u300f\uff09]*+"
# Every alternative is tried once a run (possessive, or behind a look-behind), which keeps the search linear.
# What stands after a sentence or a line.
BORDER: Final = re.compile(
    r"\n\s*+"
    # Latin, Greek, Cyrillic: punctuation and a blank; in front of a small letter only after a long word or a blank,
    # which an abbreviation is not and texts in small letters have.
    rf"|(?<![.!?\u2026])[.!?\u2026]++{_CLOSERS}\s++(?![a-z])"
    rf"|(?:(?<=\s)|(?<=\w\w\w\w))[.!?\u2026]++{_CLOSERS}\s++"
    # Chinese, Japanese, Arabic, Urdu, Devanagari, Armenian, Ethiopic, Burmese, Khmer: the mark alone.
    rf"|[\u3002\uff01\uff1f\uff61\u061f\u06d4\u0964\u0965\u0589\u1362\u104b\u17d4]++{_CLOSERS}\s*+"
    # Thai and Lao put a blank between sentences and nothing between words.
    r"|(?<=[\u0e00-\u0eff])\s++"
)
_CLAUSE_END: Final = re.compile(r"[,;:\uff0c\u3001\uff1b\uff1a\u060c\u061b]\s?$")


class Border(enum.IntEnum):
    """What stands at the end of a segment; a larger value is a better place to cut."""

    NONE = 0
    WORD = 1
    CLAUSE = 2
    SENTENCE = 3
    LINE = 4
    PARAGRAPH = 5


@dataclass(frozen=True, slots=True)
class _Segment:
    """A piece of a section that is not cut: a sentence or a line, or a part of a very long one."""

    start: int
    end: int
    tokens: int
    border: Border


def chunk(
    document: ParsedDocument,
    *,
    measure: Measure,
    max_tokens: int = MAX_TOKENS,
    overlap_tokens: int = OVERLAP_TOKENS,
) -> Iterator[Chunk]:
    """The passages of `document` in reading order, each of at most `max_tokens` and inside one section.

    Their `start` and `end` count in `document.text`; no passage is blank or has blanks around it. `measure` gives the
    character spans of the tokens of a text, without special tokens. A passage repeats whole sentences or lines from
    the end of the one before it, of at most `overlap_tokens` (fewer than `max_tokens`) together.
    """
    offset = ordinal = 0
    for section in document.sections:
        segments = list(_segments(section.text, measure=measure, max_tokens=max_tokens))
        for first, last in _pack(segments, max_tokens=max_tokens, overlap_tokens=overlap_tokens):
            start, end = _without_blanks(section.text, start=segments[first].start, end=segments[last - 1].end)
            if start < end:
                yield Chunk(
                    ordinal=ordinal,
                    text=section.text[start:end],
                    start=offset + start,
                    end=offset + end,
                    page=section.page,
                    heading=section.heading,
                )
                ordinal += 1
        offset += len(section.text) + len(SECTION_SEPARATOR)


def _pack(segments: Sequence[_Segment], *, max_tokens: int, overlap_tokens: int) -> Iterator[tuple[int, int]]:
    """Ranges of segments (first, after the last) that fit: cut at the best border, into parts of about one size."""
    totals = list(accumulate((segment.tokens for segment in segments), initial=0))
    first, count = 0, len(segments)
    while first < count:
        rest = totals[count] - totals[first]
        if rest <= max_tokens:
            yield first, count
            return
        ideal = rest / math.ceil(rest / max_tokens)
        # The first segment is taken even if it should not fit, so that each round makes progress.
        longest = max(bisect_right(totals, totals[first] + max_tokens) - 1, first + 1)
        shortest = min(bisect_left(totals, totals[first] + ideal / 2, first + 1), longest)
        cut = max(
            range(shortest, longest + 1),
            key=lambda end: (segments[end - 1].border, -abs(totals[end] - totals[first] - ideal)),
        )
        yield first, cut
        first = bisect_left(totals, totals[cut] - overlap_tokens, first + 1, cut)


def _segments(text: str, *, measure: Measure, max_tokens: int) -> Iterator[_Segment]:
    """The text without gaps, as segments of at most `max_tokens`."""
    for block in _blocks(_borders(text)):
        start = block[0][0]
        end = block[-1][1]
        pieces = [(start + left, start + right) for left, right in _pieces(text[start:end], measure=measure)]
        position = 0
        for left, right, border in block:
            inside = bisect_left(pieces, (right, right), position)
            yield from _fitting(text, pieces[position:inside], start=left, end=right, border=border, limit=max_tokens)
            position = inside


def _borders(text: str) -> Iterator[tuple[int, int, Border]]:
    """Sentences and lines with the borders that end them; longer ones than a block are cut at a blank or anywhere."""
    start = len(text) - len(text.lstrip())
    for match in BORDER.finditer(text, start):
        yield from _cut_long(text, start=start, end=match.end(), border=_border_of(match[0]))
        start = match.end()
    if start < len(text):
        yield from _cut_long(text, start=start, end=len(text), border=Border.PARAGRAPH)


def _border_of(match: str) -> Border:
    line_breaks = match.count("\n")
    if line_breaks == 0:
        return Border.SENTENCE
    return Border.LINE if line_breaks == 1 else Border.PARAGRAPH


def _cut_long(text: str, *, start: int, end: int, border: Border) -> Iterator[tuple[int, int, Border]]:
    while end - start > _BLOCK:
        blank = text.rfind(" ", start + _BLOCK // 2, start + _BLOCK)
        cut = blank + 1 if blank >= 0 else start + _BLOCK
        yield start, cut, Border.WORD if blank >= 0 else Border.NONE
        start = cut
    yield start, end, border


def _blocks(spans: Iterable[tuple[int, int, Border]]) -> Iterator[list[tuple[int, int, Border]]]:
    """Neighbouring spans, as many as make about a block."""
    block: list[tuple[int, int, Border]] = []
    for span in spans:
        if block and span[1] - block[0][0] > _BLOCK:
            yield block
            block = []
        block.append(span)
    if block:
        yield block


def _pieces(text: str, *, measure: Measure) -> Iterator[tuple[int, int]]:
    """The spans of what counts as one token, none of them longer than the longest."""
    position = 0
    for start, end in [*measure(text), (len(text), len(text))]:
        if start - position > _LONGEST_TOKEN:
            yield from _strips(position, start, size=_LONGEST_TOKEN)
        if end - start > _LONGEST_TOKEN:
            yield from _pieces_of_word(text, start=start, end=end, measure=measure)
        elif end > start:
            yield start, end
        position = max(position, end)


def _pieces_of_word(text: str, *, start: int, end: int, measure: Measure) -> Iterator[tuple[int, int]]:
    for left, right in _strips(start, end, size=_STRIP):
        for token_start, token_end in measure(text[left:right]):
            yield from _strips(left + token_start, left + token_end, size=_LONGEST_TOKEN)


def _strips(start: int, end: int, *, size: int) -> Iterator[tuple[int, int]]:
    return ((left, min(left + size, end)) for left in range(start, end, size))


def _fitting(
    text: str, pieces: Sequence[tuple[int, int]], *, start: int, end: int, border: Border, limit: int
) -> Iterator[_Segment]:
    """One segment, or several when it holds more tokens than `limit`: cut after a clause, else a word, else a token."""
    first = 0
    while len(pieces) - first > limit:
        ends = range(first + max(limit // 2, 1), first + limit + 1)
        cut = max(ends, key=lambda index: (_border_before(text, pieces[index][0]), index))
        position = pieces[cut][0]
        if position > start:
            yield _Segment(start, position, cut - first, _border_before(text, position))
            start = position
        first = cut
    yield _Segment(start, end, len(pieces) - first, border)


def _border_before(text: str, position: int) -> Border:
    if _CLAUSE_END.search(text, max(position - 2, 0), position):
        return Border.CLAUSE
    return Border.WORD if text[position - 1 : position].isspace() else Border.NONE


def _without_blanks(text: str, *, start: int, end: int) -> tuple[int, int]:
    while start < end and text[start].isspace():
        start += 1
    while start < end and text[end - 1].isspace():
        end -= 1
    return start, end
