"""PowerPoint presentations: a page for each slide, with tables, diagrams, charts and notes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from app.services.loaders.document import LoadError, ParsedDocument
from app.services.loaders.media import PPTX
from app.services.loaders.ooxml import core_title, main_part, read_part, relations
from app.services.loaders.outline import Outline
from app.services.loaders.packages import Package
from app.services.loaders.tables import render_rows
from app.services.loaders.xml import Element, attribute, child, descendants, inline_text, local_name, parse_xml

_TITLES: Final = frozenset({"title", "ctrTitle"})
# Placeholders that repeat on every slide.
_FURNITURE: Final = frozenset({"sldNum", "dt", "ftr", "hdr", "sldImg"})
_ASIDE: Final = frozenset({"notesSlide", "diagramData", "chart", "comments"})


def load_pptx(data: bytes) -> ParsedDocument:
    """Sections by slide; a warning for each slide without text, or too damaged to give any."""
    package = Package(data)
    outline = Outline()
    warnings: list[str] = []
    for number, name in enumerate(_slide_names(package), start=1):
        outline.start_page(number)
        try:
            has_text = _read_slide(package, name, outline=outline)
        except LoadError:
            has_text = False
        if not has_text:
            warnings.append(f"no_text_on_page:{number}")
    sections = outline.sections()
    if not sections:
        raise LoadError("no_text_needs_ocr" if any("/media/" in name for name in package.names) else "empty")
    title = core_title(package) or outline.title()
    return ParsedDocument(title=title, media_type=PPTX, sections=sections, warnings=tuple(warnings))


def _slide_names(package: Package) -> Iterator[str]:
    """The parts of the slides in the order in which they are shown."""
    name = main_part(package)
    presentation = parse_xml(package.read(name))
    targets = relations(package, part=name)
    for slide in descendants(presentation, "sldId"):
        # `id` is there twice, as a number and, in another namespace, as the relation's name.
        ids = [str(value) for key, value in slide.attrib.items() if str(key).endswith("}id")]
        yield from (targets[identity].target for identity in ids if identity in targets)


def _read_slide(package: Package, name: str, *, outline: Outline) -> bool:
    """Add the text of a slide; whether there is any."""
    slide = read_part(package, name)
    if slide is None:
        return False
    shapes = list(_shapes(slide))
    titles = [_shape_text(shape) for shape in shapes if _placeholder(shape) in _TITLES]
    outline.add_heading(" ".join(titles), level=1)
    texts = [_shape_text(shape) for shape in shapes if _placeholder(shape) not in _TITLES | _FURNITURE]
    texts.extend(_texts_aside(package, slide=name))
    for text in texts:
        outline.add_paragraph(text)
    return any(text.strip() for text in [*titles, *texts])


def _texts_aside(package: Package, *, slide: str) -> Iterator[str]:
    """Notes, diagrams, charts and comments, which are parts of their own."""
    for relation in relations(package, part=slide).values():
        part = read_part(package, relation.target) if relation.kind in _ASIDE else None
        if part is None:
            continue
        if relation.kind == "notesSlide":
            yield from (_shape_text(shape) for shape in _shapes(part) if _placeholder(shape) not in _FURNITURE)
        else:
            lines = [*_paragraphs(part), *(value.text or "" for value in descendants(part, "v")), *_comments(part)]
            yield "\n".join(dict.fromkeys(line for line in lines if line))


def _comments(part: Element) -> Iterator[str]:
    return (comment.text or "" for comment in descendants(part, "text"))


def _shapes(slide: Element) -> Iterator[Element]:
    """Shapes and frames in the order of the slide, groups opened, fallback renderings left out."""
    for shape in slide.iter("{*}sp", "{*}graphicFrame", "{*}cxnSp"):
        if next(shape.iterancestors("{*}Fallback"), None) is None:
            yield shape


def _placeholder(shape: Element) -> str | None:
    found = next(descendants(shape, "ph"), None)
    return attribute(found, "type") if found is not None else None


def _shape_text(shape: Element) -> str:
    table = next(descendants(shape, "tbl"), None)
    if table is None:
        return "\n".join(line for line in _paragraphs(shape) if line)
    rows = [
        [" ".join(line for line in _paragraphs(cell) if line) for cell in row.iterchildren("{*}tc")]
        for row in descendants(table, "tr")
    ]
    return render_rows(rows)


def _paragraphs(element: Element) -> Iterator[str]:
    """Paragraphs of drawing text, those of a list with a dash."""
    for paragraph in descendants(element, "p"):
        text = inline_text(paragraph, render=_render).strip()
        is_item = child(paragraph, "pPr", "buChar") is not None or child(paragraph, "pPr", "buAutoNum") is not None
        yield f"- {text}" if is_item and text else text


def _render(element: Element) -> str | None:
    match local_name(element):
        case "t":
            return element.text or ""
        case "br":
            return "\n"
        case "rPr" | "pPr" | "endParaRPr":
            return ""
    return None
