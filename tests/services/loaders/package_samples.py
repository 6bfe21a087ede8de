"""Writes small documents that are ZIP packages: only the parts that carry text."""

import io
import zipfile
from collections.abc import Mapping

_RELATIONS = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_WORD = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
_DRAWING = "http://schemas.openxmlformats.org/drawingml/2006/main"
_SLIDES = "http://schemas.openxmlformats.org/presentationml/2006/main"
_SHEETS = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
_PARTS = "application/vnd.openxmlformats-officedocument.spreadsheetml"
_CORE = "http://schemas.openxmlformats.org/package/2006/metadata/core-properties"
_CONTENT = "http://purl.org/dc/elements/1.1/"
_OFFICE = "urn:oasis:names:tc:opendocument:xmlns:office:1.0"
_TEXT = "urn:oasis:names:tc:opendocument:xmlns:text:1.0"
_TABLE = "urn:oasis:names:tc:opendocument:xmlns:table:1.0"
_DRAW = "urn:oasis:names:tc:opendocument:xmlns:drawing:1.0"


def package(members: Mapping[str, str | bytes]) -> bytes:
    """A ZIP file with these members in this order."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in members.items():
            file.writestr(name, content)
    return buffer.getvalue()


def office_parts(main: str) -> dict[str, str]:
    """What makes a package an Office document about the part `main`."""
    return {"[Content_Types].xml": "<Types/>", "_rels/.rels": _relations({"r1": ("officeDocument", f"/{main}")})}


def docx(body: str, *, title: str = "", **parts: str) -> bytes:
    """A Word document with this content of `w:body`; further parts, `footnotes="..."`, by the stem of their name."""
    styles = (
        '<w:style w:styleId="berschrift1"><w:name w:val="heading 1"/></w:style>'
        '<w:style w:styleId="H2"><w:name w:val="heading 2"/></w:style>'
        '<w:style w:styleId="Own"><w:name w:val="Own"/><w:basedOn w:val="H2"/></w:style>'
    )
    members = {
        **office_parts("word/document.xml"),
        "word/document.xml": f'<w:document xmlns:w="{_WORD}"><w:body>{body}</w:body></w:document>',
        "word/styles.xml": f'<w:styles xmlns:w="{_WORD}">{styles}</w:styles>',
        "docProps/core.xml": f'<c:core xmlns:c="{_CORE}" xmlns:d="{_CONTENT}"><d:title>{title}</d:title></c:core>',
    }
    for stem, content in parts.items():
        members[f"word/{stem}.xml"] = f'<w:part xmlns:w="{_WORD}">{content}</w:part>'
    return package(members)


def word_paragraph(text: str, *, style: str = "") -> str:
    properties = f'<w:pPr><w:pStyle w:val="{style}"/></w:pPr>' if style else ""
    return f"<w:p>{properties}<w:r><w:t>{text}</w:t></w:r></w:p>"


def word_table(*rows: list[str]) -> str:
    """A table whose cells have this content, paragraphs or tables."""
    body = "".join(f"<w:tr>{''.join(f'<w:tc>{cell}</w:tc>' for cell in row)}</w:tr>" for row in rows)
    return f"<w:tbl>{body}</w:tbl>"


def pptx(*slides: str, notes: Mapping[int, str] | None = None, pictures: int = 0) -> bytes:
    """A presentation of slides with these shapes, shown in the reverse order of their part names."""
    count = len(slides)
    parts: dict[str, str | bytes] = {**office_parts("ppt/presentation.xml")}
    for number, shapes in enumerate(slides, start=1):
        name = f"slide{count + 1 - number}.xml"
        parts[f"ppt/slides/{name}"] = _slide(shapes)
        if notes and number in notes:
            parts[f"ppt/notesSlides/{name}"] = _slide(shape(notes[number], placeholder="body"))
            parts[f"ppt/slides/_rels/{name}.rels"] = _relations({"r1": ("notesSlide", f"../notesSlides/{name}")})
    ids = "".join(f'<p:sldId id="{255 + number}" r:id="s{number}"/>' for number in range(1, count + 1))
    parts["ppt/presentation.xml"] = (
        f'<p:presentation xmlns:p="{_SLIDES}" xmlns:r="{_RELATIONS}"><p:sldIdLst>{ids}</p:sldIdLst></p:presentation>'
    )
    parts["ppt/_rels/presentation.xml.rels"] = _relations(
        {f"s{number}": ("slide", f"slides/slide{count + 1 - number}.xml") for number in range(1, count + 1)}
    )
    parts |= {f"ppt/media/image{number}.png": b"" for number in range(pictures)}
    return package(parts)


def shape(*lines: str, placeholder: str = "") -> str:
    kind = f'<p:nvSpPr><p:nvPr><p:ph type="{placeholder}"/></p:nvPr></p:nvSpPr>' if placeholder else ""
    paragraphs = "".join(f"<a:p><a:r><a:t>{line}</a:t></a:r></a:p>" for line in lines)
    return f"<p:sp>{kind}<p:txBody>{paragraphs}</p:txBody></p:sp>"


def _slide(shapes: str) -> str:
    return f'<p:sld xmlns:p="{_SLIDES}" xmlns:a="{_DRAWING}"><p:cSld><p:spTree>{shapes}</p:spTree></p:cSld></p:sld>'


def _relations(targets: Mapping[str, tuple[str, str]]) -> str:
    found = "".join(
        f'<Relationship Id="{name}" Type="{_RELATIONS}/{kind}" Target="{target}"/>'
        for name, (kind, target) in targets.items()
    )
    return (
        f'<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">{found}</Relationships>'
    )


def workbook(rows: str) -> bytes:
    """A workbook of one sheet with this content of `sheetData`, as programs write it that compute nothing."""
    overrides = "".join(
        f'<Override PartName="/xl/{name}.xml" ContentType="{_PARTS}.{kind}+xml"/>'
        for name, kind in (("workbook", "sheet.main"), ("sheet1", "worksheet"))
    )
    return package(
        {
            **office_parts("xl/workbook.xml"),
            "[Content_Types].xml": '<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types">'
            f"{overrides}</Types>",
            "xl/workbook.xml": f'<workbook xmlns="{_SHEETS}" xmlns:r="{_RELATIONS}"><sheets>'
            '<sheet name="Sheet" sheetId="1" r:id="r1"/></sheets></workbook>',
            "xl/_rels/workbook.xml.rels": _relations({"r1": ("worksheet", "sheet1.xml")}),
            "xl/sheet1.xml": f'<worksheet xmlns="{_SHEETS}"><sheetData>{rows}</sheetData></worksheet>',
        }
    )


def opendocument(kind: str, content: str, *, encrypted: bool = False) -> bytes:
    """An OpenDocument file; `kind` is `text`, `presentation` or `spreadsheet`."""
    entry = f"<m:file-entry>{'<m:encryption-data/>' if encrypted else ''}</m:file-entry>"
    return package(
        {
            "mimetype": f"application/vnd.oasis.opendocument.{kind}",
            "content.xml": f'<o:document-content xmlns:o="{_OFFICE}" xmlns:t="{_TEXT}" xmlns:tb="{_TABLE}" '
            f'xmlns:d="{_DRAW}"><o:body><o:{kind}>{content}</o:{kind}></o:body></o:document-content>',
            "META-INF/manifest.xml": f'<m:manifest xmlns:m="urn:manifest">{entry}</m:manifest>',
        }
    )


def epub(chapters: Mapping[str, str], *, title: str = "", **members: str) -> bytes:
    """A book whose chapters, bodies of XHTML by file name, are read in the order given."""
    items = "".join(f'<item id="{number}" href="text/{name}"/>' for number, name in enumerate(chapters))
    spine = "".join(f'<itemref idref="{number}"/>' for number in range(len(chapters)))
    parts = {
        "mimetype": "application/epub+zip",
        "META-INF/container.xml": '<container><rootfile full-path="OEBPS/book.opf"/></container>',
        "OEBPS/book.opf": f'<package xmlns:d="{_CONTENT}"><metadata><d:title>{title}</d:title></metadata>'
        f"<manifest>{items}</manifest><spine>{spine}</spine></package>",
    }
    pages = {
        f"OEBPS/text/{name}": f"<html><head><title>x</title></head><body>{body}</body></html>"
        for name, body in sorted(chapters.items())
        if body
    }
    return package({**parts, **pages, **members})
