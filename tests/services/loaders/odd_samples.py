"""Files as they come in the wild, each with what its reader sees in it."""

from __future__ import annotations

import datetime as dt
import io
from collections.abc import Iterator
from email.message import EmailMessage

import openpyxl

from tests.services.loaders.package_samples import (
    docx,
    epub,
    opendocument,
    package,
    pptx,
    shape,
    word_paragraph,
    workbook,
)
from tests.services.loaders.pdf_samples import pdf, text_page

CHINESE = "这是一个没有字节顺序标记的文档，内容是中文。"
RUSSIAN = "Это документ без метки порядка байтов. Погода в Москве хорошая."
JAPANESE = "これは日本語の文書です。東京の天気は晴れです。"
ARABIC = "هذا مستند باللغة العربية. الطقس جميل اليوم في القاهرة."


def samples() -> Iterator[tuple[str, bytes, str]]:
    """Name, content, and a part of the text."""
    yield from _encodings()
    yield from _texts()
    yield from _pdfs()
    yield from _packages()
    yield "attachments.eml", _mail(), "The attached page."


def _encodings() -> Iterator[tuple[str, bytes, str]]:
    for encoding in ("utf-16-le", "utf-16-be", "utf-32-le"):
        for name, text in (("zh", CHINESE), ("ru", RUSSIAN), ("ja", JAPANESE), ("ar", ARABIC)):
            yield f"{name}-{encoding}.txt", (text + "\n").encode(encoding) * 5, text
    yield "shift_jis.txt", JAPANESE.encode("shift_jis"), JAPANESE
    yield "iso-2022-jp.txt", JAPANESE.encode("iso-2022-jp"), JAPANESE
    yield "gbk.txt", CHINESE.encode("gbk"), CHINESE
    yield "koi8-r.txt", RUSSIAN.encode("koi8-r"), RUSSIAN
    yield "windows-1256.txt", ARABIC.encode("windows-1256"), ARABIC
    yield "pairs.txt", "a smile \ud83d\ude00 in two".encode("utf-8", "surrogatepass"), "a smile \U0001f600 in two"
    yield "lone.txt", "half a pair \ud83d here".encode("utf-8", "surrogatepass"), "half a pair \ufffd here"
    yield "zeros.txt", b"padded fields\x00\x00\x00\x00\x00\x00of fixed width", "padded fields of fixed width"
    page = f'<?xml version="1.0" encoding="windows-1251"?><html><body><p>{RUSSIAN}</p></body></html>'
    yield "declared.html", page.encode("windows-1251"), RUSSIAN
    yield "undeclared.html", f"<html><body><p>{RUSSIAN}</p></body></html>".encode("windows-1251"), RUSSIAN


def _texts() -> Iterator[tuple[str, bytes, str]]:
    yield "links.html", b"<html><body><nav>Only links</nav></body></html>", "Only links"
    yield "noscript.html", b"<html><body><noscript>Without scripts</noscript></body></html>", "Without scripts"
    yield (
        "front.md",
        b"---\ntitle: Stated\nlayout: page\n---\n# Heading\n\nBody.",
        "title: Stated\nlayout: page\n\n# Head",
    )
    yield "carriage.csv", b"name,age\rAnn,7\r", "name: Ann | age: 7"
    yield "excel.csv", b"sep=;\r\nname;age, in years\r\nAnn;7\r\n", "name | age, in years\nname: Ann"
    yield "zeros.csv", b"name,age\nAnn\x00,7\n" * 9, "name: Ann | age: 7"
    yield "lines.jsonl", b'{"a": "one"}\n{"a": NaN}\n', "a: one\n\na: NaN"
    yield "emoji.rtf", rb"{\rtf1\ansi\uc1 smile \u-10179?\u-8704?}", "smile \U0001f600"
    yield "header.rtf", rb"{\rtf1 {\header Letterhead\par}Body\par}", "Letterhead"
    yield "lying.pdf", b"Text that is called a document.", "Text that is called"
    yield "lying.txt", pdf(text_page("A document that is called text.")), "A document that is called"


def _pdfs() -> Iterator[tuple[str, bytes, str]]:
    box = b"/MediaBox[0 0 595 842]"
    page = pdf(text_page("The whole page."))
    yield (
        "rotated.pdf",
        pdf(b"BT /F1 12 Tf 0 1 -1 0 300 100 Tm (Turned round.) Tj ET").replace(box, b"/Rotate 90" + box),
        "Turned round.",
    )
    yield "cropped.pdf", page.replace(box, b"/CropBox[0 0 90 90]" + box), "The whole page."
    yield "boxless.pdf", page.replace(box, b""), "The whole page."
    yield "moved.pdf", page.replace(b"0000000", b"0000321"), "The whole page."
    yield "behind.pdf", b"Sent by a gateway\r\n\r\n" + page, "The whole page."


def _packages() -> Iterator[tuple[str, bytes, str]]:
    choice = f"<x:AlternateContent xmlns:x='urn:x'><x:Choice>{word_paragraph('In a choice.')}</x:Choice>"
    yield "choice.docx", docx(f"{choice}<x:Fallback>{word_paragraph('Old.')}</x:Fallback></x:AlternateContent>"), "In a"
    drawing = '<a:p xmlns:a="urn:a"><a:r><a:t>In a diagram.</a:t></a:r></a:p>'
    yield "diagram.docx", docx(word_paragraph("Body."), **{"diagrams/data1": drawing}), "In a diagram."
    yield "group.pptx", pptx(f"<p:grpSp><p:grpSp>{shape('In a group.')}</p:grpSp></p:grpSp>"), "In a group."
    formula = '<row r="1"><c r="A1"><v>7</v></c><c r="B1"><f>SUM(A1:A9)</f></c></row>'
    yield "formulas.xlsx", workbook(formula), "7 | =SUM(A1:A9)"
    yield "sheets.xlsx", _workbook(), "day | share\nday: 2026-01-02 | share: 0.5"
    yield "hidden.xlsx", _workbook(), "On a hidden sheet"
    yield (
        "index.odt",
        opendocument("text", "<t:user-index><t:index-body><t:p>Listed.</t:p></t:index-body></t:user-index>"),
        "Listed.",
    )
    yield "edges.odt", _with_edges(), "Letterhead"
    yield "plain.epub", epub({"a.xhtml": "<p>A chapter.</p>"}), "A chapter."
    yield "folder.docx", package({"notes/a.txt": "An archive that is called a document."}), "An archive"


def _workbook() -> bytes:
    book, buffer = openpyxl.Workbook(), io.BytesIO()
    first, second = book.worksheets[0], book.create_sheet("Second")
    for row in (["day", "share"], [dt.date(2026, 1, 2), 0.5]):
        first.append(row)
    first.merge_cells("A5:C5")
    second["A1"], second.sheet_state = "On a hidden sheet", "veryHidden"
    book.save(buffer)
    return buffer.getvalue()


def _with_edges() -> bytes:
    office, text = "urn:oasis:names:tc:opendocument:xmlns:office:1.0", "urn:oasis:names:tc:opendocument:xmlns:text:1.0"
    styles = "<s:master-page xmlns:s='urn:s'><s:header><t:p>Letterhead</t:p></s:header></s:master-page>"
    return package(
        {
            "mimetype": "application/vnd.oasis.opendocument.text",
            "content.xml": f"<o:content xmlns:o='{office}' xmlns:t='{text}'><o:body><o:text><t:p>Body.</t:p></o:text>"
            "</o:body></o:content>",
            "styles.xml": f"<o:styles xmlns:o='{office}' xmlns:t='{text}'>{styles}</o:styles>",
        }
    )


def _mail() -> bytes:
    """HTML alone as its body, and one of each kind as attachments."""
    mail = EmailMessage()
    mail["From"], mail["To"], mail["Subject"] = "a@b.example", "c@d.example", "Sübject"
    mail.set_content("<p>The body.</p>", subtype="html", cte="base64")
    inner = EmailMessage()
    inner["From"], inner["To"], inner["Subject"] = "e@f.example", "c@d.example", "Inner"
    inner.set_content("The attached mail.")
    for name, content in (
        ("a.pdf", pdf(text_page("The attached page."))),
        ("b.docx", docx(word_paragraph("The attached document."))),
        ("c.zip", package({"x.txt": "The attached archive."})),
        ("d.eml", inner.as_bytes()),
    ):
        mail.add_attachment(content, maintype="application", subtype="octet-stream", filename=name)
    return mail.as_bytes()
