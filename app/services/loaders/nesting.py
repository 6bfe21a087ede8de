"""Bounds how deep markup nests and how long a tag is: a parser's time grows with the square of either."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

# As deep as Chromium's trees become (`kMaximumHTMLParserDOMTreeDepth`).
MAX_DEPTH: Final = 512
# Longer than the tag of any element but one that carries a file inside an attribute, which is no text.
_MAX_TAG: Final = 16_384

_TAG: Final = re.compile(r"<(/?)([a-zA-Z][a-zA-Z0-9]*+)[^<>]*+>")
_LONG_TAG: Final = re.compile(rf"<([a-zA-Z][a-zA-Z0-9]*+)[^<>]{{{_MAX_TAG},}}+>")
# Elements without content, and those that the next of their kind ends: however many there are, they do not nest.
_FLAT: Final = frozenset(
    {
        *("area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "param", "source", "track"),
        *("dd", "dt", "li", "option", "p", "tbody", "td", "tfoot", "th", "thead", "tr", "wbr", "html", "head", "body"),
    }
)
_LINE_BREAK: Final = "<br>"


def flatten(source: str) -> str:
    """The markup with line breaks for the tags of elements deeper than `MAX_DEPTH`, and without giant attributes."""
    source = _LONG_TAG.sub(r"<\1>", source)
    if source.count("<") <= MAX_DEPTH or _depth(source) <= MAX_DEPTH:
        return source
    return "".join(_flattened(source))


def _depth(source: str) -> int:
    """How deep the elements nest at most, as far as the tags tell that do."""
    return max((depth for _, depth in _nesting_tags(source)), default=0)


def _flattened(source: str) -> Iterator[str]:
    position = 0
    for tag, depth in _nesting_tags(source):
        if depth > MAX_DEPTH:
            yield source[position : tag.start()]
            yield _LINE_BREAK
            position = tag.end()
    yield source[position:]


def _nesting_tags(source: str) -> Iterator[tuple[re.Match[str], int]]:
    """Tags of elements that nest, with how deep the element is that they open or close."""
    depth = 0
    for tag in _TAG.finditer(source):
        if tag[2].lower() in _FLAT:
            continue
        if tag[1]:
            yield tag, depth
            depth = max(depth - 1, 0)
        else:
            depth += 1
            yield tag, depth
