"""HTML: what a reader of the page reads, without navigation, scripts and hidden parts."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final, Literal

from selectolax.lexbor import LexborHTMLParser, LexborNode

from app.services.loaders.document import ParsedDocument
from app.services.loaders.encodings import decode
from app.services.loaders.media import HTML
from app.services.loaders.nesting import flatten
from app.services.loaders.outline import Outline
from app.services.loaders.tables import render_rows

# Not seen by a reader, or there to move around the site: scripts, controls, hidden parts, links to translations.
_UNREAD: Final = (
    "script, style, template, noscript, svg, math annotation, iframe, object, canvas, audio, video, map, "
    "nav, button, select, datalist, dialog, [role=navigation], [role=search], a[hreflang][lang], .mw-editsection, "
    "[hidden], [aria-hidden=true], [style*='display:none' i], [style*='display: none' i]"
)
_NO_TEXT: Final = "script, style, template, svg"
_MAIN: Final = "main, [role=main], article"
# A page whose main element holds less than this share of its text marks something else as main.
_MAIN_SHARE: Final = 0.5
_BLOCKS: Final = frozenset(
    {
        *("address", "article", "aside", "blockquote", "body", "caption", "center", "details", "div", "fieldset"),
        *("figcaption", "figure", "footer", "form", "header", "hr", "legend", "main", "p", "pre", "section", "summary"),
        *("dd", "dl", "dt", "li", "ol", "ul", "table", "tbody", "td", "tfoot", "th", "thead", "title", "tr"),
    }
)
_LEVELS: Final = {"h1": 1, "h2": 2, "h3": 3, "h4": 4, "h5": 5, "h6": 6}
_BLANKS: Final = re.compile(r"[ \t\n\r\f]+")
_META_CHARSET: Final = re.compile(
    rb"(?:<meta[^>]{0,200}?charset|<\?xml[^>]{0,200}?encoding)\s{0,9}=\s{0,9}[\"']?([\w.:-]{1,40})", re.IGNORECASE
)

_Step = tuple[Literal["open", "close", "text"], LexborNode]


def load_html(data: bytes) -> ParsedDocument:
    """Sections by heading; the title is the `title` element, else the first heading."""
    charset = _META_CHARSET.search(data[:4096])
    source, warnings = decode(data, declared=charset[1].decode("ascii") if charset else None)
    outline = Outline()
    title = read_markup(source, outline=outline)
    return ParsedDocument(title=title, media_type=HTML, sections=outline.sections(), warnings=warnings)


def read_markup(source: str, *, outline: Outline) -> str | None:
    """Add a page to `outline` and return its title; mail bodies and chapters of books are such pages as well."""
    source = flatten(source)
    title = _read_without(_UNREAD, source, outline=outline)
    if not outline.sections():
        # A page of links, or for browsers without scripts.
        _read_without(_NO_TEXT, source, outline=outline)
    return title or outline.title()


def _read_without(left_out: str, source: str, *, outline: Outline) -> str:
    """Add the page without these elements to `outline`, and return what its `title` element holds."""
    tree = LexborHTMLParser(source)
    title = tree.css_first("head title")
    for node in tree.css(left_out):
        node.decompose()
    if tree.body is not None:
        _Reader(outline).read(_main_part(tree, body=tree.body))
    return _inline_text(title) if title is not None else ""


def _main_part(tree: LexborHTMLParser, *, body: LexborNode) -> LexborNode:
    """The one element that holds the content, when the page marks one and most of the text is inside it."""
    whole = len(body.text(deep=True))
    candidates = tree.css(_MAIN)
    return next((node for node in candidates if len(node.text(deep=True)) >= _MAIN_SHARE * whole), body)


class _Reader:
    """Walks a tree without recursion, however deep it is, and hands its blocks to an outline."""

    def __init__(self, outline: Outline) -> None:
        self._outline = outline
        self._inline: list[str] = []
        self._lines: list[str] = []

    def read(self, root: LexborNode) -> None:
        steps = _walk(root)
        for kind, node in steps:
            tag = node.tag or ""
            if kind == "text":
                self._inline.append(_text(node))
            elif tag == "br":
                self._inline.append("\n" if kind == "open" else "")
            elif kind == "open" and (tag in _LEVELS or tag == "pre" or (tag == "table" and _holds_data(node))):
                self._end_paragraph()
                self._read_whole(node, tag=tag)
                _skip_to_end(steps, node=node)
            elif tag in _BLOCKS:
                self._end_block(tag, opening=kind == "open")
        self._end_paragraph()

    def _read_whole(self, node: LexborNode, *, tag: str) -> None:
        if tag in _LEVELS:
            self._outline.add_heading(_inline_text(node), level=_LEVELS[tag])
        elif tag == "pre":
            self._outline.add_paragraph(node.text(deep=True).strip("\n"))
        else:
            rows = [[_inline_text(cell) for cell in row.css("td, th")] for row in node.css("tr")]
            caption = node.css_first("caption")
            self._outline.add_paragraph(_inline_text(caption) if caption is not None else "")
            self._outline.add_paragraph(render_rows(rows))

    def _end_block(self, tag: str, *, opening: bool) -> None:
        """List items and definitions are lines of one paragraph, all other blocks are paragraphs."""
        if tag in {"li", "dt", "dd"}:
            self._end_line()
            if opening and tag == "li":
                self._inline.append("- ")
        else:
            self._end_paragraph()

    def _end_line(self) -> None:
        lines = (_BLANKS.sub(" ", line).strip() for line in "".join(self._inline).split("\n"))
        self._lines.extend(line for line in lines if line not in {"", "-"})
        self._inline = []

    def _end_paragraph(self) -> None:
        self._end_line()
        self._outline.add_paragraph("\n".join(self._lines))
        self._lines = []


def _walk(root: LexborNode) -> Iterator[_Step]:
    """Every node below and including `root`: elements when they open and when they close, and texts."""
    node: LexborNode | None = root
    while node is not None:
        if node.is_text_node:
            yield "text", node
        elif node.is_element_node:
            yield "open", node
            if node.child is not None:
                node = node.child
                continue
            yield "close", node
        while node.next is None or node.mem_id == root.mem_id:
            if node.mem_id == root.mem_id or node.parent is None:
                return
            node = node.parent
            yield "close", node
        node = node.next


def _skip_to_end(steps: Iterator[_Step], *, node: LexborNode) -> None:
    for kind, other in steps:
        if kind == "close" and other.mem_id == node.mem_id:
            return


def _holds_data(table: LexborNode) -> bool:
    """Whether a table is one, and not the layout of a page: no tables, headings or lists inside it."""
    return table.css_first("table table, h1, h2, h3, ul, ol, pre") is None


def _text(node: LexborNode) -> str:
    """The text of a text node, in which line breaks mean no more than blanks."""
    return (node.text_content or "").replace("\n", " ")


def _inline_text(node: LexborNode) -> str:
    """All text inside `node` on one line."""
    pieces = (
        _text(inner) if kind == "text" else " " if inner.tag in _BLOCKS or inner.tag == "br" else ""
        for kind, inner in _walk(node)
    )
    return _BLANKS.sub(" ", "".join(pieces)).strip()
