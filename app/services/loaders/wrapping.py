"""Joins the lines that a page layout has broken inside a sentence, and leaves those that mean something."""

from __future__ import annotations

import re
from typing import Final

# A line shorter than this share of the page's long lines ended because its text did, not because the margin came;
# less is asked for when the next line begins in lower case, which few headings, table rows and list items do.
_FULL_LINE: Final = 0.85
_BROKEN_LINE: Final = 0.35
_SHORTEST_FULL_LINE: Final = 30
_LONG_LINES: Final = 0.9
_GOES_ON: Final = re.compile(r"[^\W\d_]$|[,;(/–—-]$")
_CONTINUES: Final = re.compile(r"[^\W_]|[\"'“‘«(\[$€£]")
_LOWER_CASE: Final = re.compile(r"[a-zß-öø-ÿа-яёα-ω]")
_NO_SPACES: Final = re.compile("[\u2e80-\u9fff\uac00-\ud7af\uf900-\ufaff\uff00-\uffef]")


def join_wrapped_lines(text: str) -> str:
    """Paragraphs of prose as one line each; headings, list items, table rows and short lines stay as they are."""
    lines = [line.strip() for line in text.splitlines()]
    long = _long_line([len(line) for line in lines if line])
    joined: list[str] = []
    previous = ""
    for line in lines:
        if previous and line and _is_wrapped(previous, line, share=len(previous) / long):
            joined[-1] += line if _NO_SPACES.match(line) and _NO_SPACES.match(previous[-1]) else f" {line}"
        else:
            joined.append(line)
        previous = line
    return "\n".join(joined)


def _is_wrapped(line: str, following: str, *, share: float) -> bool:
    """Whether `line`, which fills this share of a long one, was broken by the margin in front of `following`."""
    if _LOWER_CASE.match(following):
        return share >= _BROKEN_LINE and line[-1] not in ".!?:"
    if share < _FULL_LINE:
        return False
    if _NO_SPACES.match(line[-1]):
        return _NO_SPACES.match(following) is not None
    return (
        len(line) >= _SHORTEST_FULL_LINE
        and _GOES_ON.search(line) is not None
        and _CONTINUES.match(following) is not None
    )


def _long_line(lengths: list[int]) -> int:
    return sorted(lengths)[int(_LONG_LINES * (len(lengths) - 1))] if lengths else 0
