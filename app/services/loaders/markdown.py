"""Markdown: its text as it was written, cut into sections at its headings."""

from __future__ import annotations

import itertools
import re
from typing import Final

from markdown_it import MarkdownIt
from markdown_it.token import Token

from app.services.loaders.document import ParsedDocument
from app.services.loaders.encodings import clean, decode
from app.services.loaders.media import MARKDOWN
from app.services.loaders.outline import Outline

# Settings that site generators take from the top of a page: https://jekyllrb.com/docs/front-matter/.
_FRONT_MATTER: Final = re.compile(r"---\n((?=[\w-]+:)(?:[^\n]*\n){1,200}?)(?:---|\.\.\.)(?:\n|\Z)")
_STATED_TITLE: Final = re.compile(r"^title:[ \t]*[\"']?([^\n]*?)[\"']?[ \t]*$", re.MULTILINE)
_BLOCKS: Final = MarkdownIt("commonmark").disable("inline")
_INLINE: Final = MarkdownIt("commonmark")


def load_markdown(data: bytes) -> ParsedDocument:
    """The source text, which keeps links, lists, code and tables.

    The title is that of the front matter, else the first heading of level 1.
    """
    source, warnings = decode(data)
    source = clean(source)
    outline = Outline()
    title: str | None = None
    if front := _FRONT_MATTER.match(source):
        # Read as Markdown, its last line would be a heading.
        outline.add_paragraph(front[1])
        title = stated[1] if (stated := _STATED_TITLE.search(front[1])) else None
        source = source[front.end() :]
    lines = source.split("\n")
    position = 0
    for first, last, level, heading in _headings(source):
        outline.add_paragraph("\n".join(lines[position:first]).strip("\n"))
        outline.add_heading("\n".join(lines[first:last]), level=level, name=heading)
        position = last
        title = title or (heading if level == 1 else None)
    outline.add_paragraph("\n".join(lines[position:]).strip("\n"))
    return ParsedDocument(title=title, media_type=MARKDOWN, sections=outline.sections(), warnings=warnings)


def _headings(source: str) -> list[tuple[int, int, int, str]]:
    """First line, line after the last, level and plain text of each heading that is not inside a list or a quote."""
    tokens = _BLOCKS.parse(source)
    return [
        (opening.map[0], opening.map[1], int(opening.tag[1:]), _plain_text(inline.content))
        for opening, inline in itertools.pairwise(tokens)
        if opening.type == "heading_open" and opening.level == 0 and opening.map is not None
    ]


def _plain_text(inline: str) -> str:
    return "".join(_texts(_INLINE.parseInline(inline)))


def _texts(tokens: list[Token]) -> list[str]:
    texts: list[str] = []
    for token in tokens:
        if token.children:
            texts.extend(_texts(token.children))
        elif token.type in {"text", "code_inline"}:
            texts.append(token.content)
        elif token.type in {"softbreak", "hardbreak"}:
            texts.append(" ")
    return texts
