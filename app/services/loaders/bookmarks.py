"""The bookmarks of paged documents as headings: where on its page each one's text begins."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Bookmark:
    """An entry of a table of contents; the outermost `level` is 0."""

    level: int
    title: str


def split_at_bookmarks(
    text: str, *, bookmarks: Sequence[Bookmark], heading: tuple[str, ...]
) -> Iterator[tuple[tuple[str, ...], str]]:
    """Cut the text of a page where the titles of its bookmarks stand as lines.

    `heading` is the path in force where the page begins. Yields paths with their text, the last of them also when
    its text is empty, because that path goes on on the next page.
    """
    start = 0
    for bookmark in bookmarks:
        found = _find_line(bookmark.title, text=text, start=start)
        if found is not None:
            if text[start:found].strip():
                yield heading, text[start:found]
            start = found
        heading = (*heading[: bookmark.level], bookmark.title)
    yield heading, text[start:]


def _find_line(title: str, *, text: str, start: int) -> int | None:
    """Where a line begins with `title`, give or take a number in front, letter case and line breaks."""
    words = r"\s+".join(re.escape(word) for word in title.split())
    found = re.compile(rf"^(?:[\dIVXA-Z.]{{1,9}}\s{{1,3}})?{words}", re.MULTILINE | re.IGNORECASE).search(text, start)
    return found.start() if found else None
