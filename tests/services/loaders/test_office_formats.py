import datetime as dt
import io
import zipfile
from pathlib import Path

import openpyxl
import pytest

from app.services.loaders import LoadError, ParsedDocument, Section, sniff
from app.services.loaders.loading import load
from tests.services.loaders.package_samples import (
    docx,
    epub,
    office_parts,
    opendocument,
    package,
    pptx,
    shape,
    word_paragraph,
    word_table,
)


def read(data: bytes) -> ParsedDocument:
    return load(data, media_type=sniff(data, filename="file.bin", declared=None), filename=None)


def load_code(data: bytes) -> str:
    with pytest.raises(LoadError) as raised:
        read(data)
    return raised.value.code


def test_word_headings_are_told_by_style_whatever_its_id() -> None:
    """Style ids are translated and styles derived from others; the path of headings comes out all the same."""
    body = (
        word_paragraph("Cover.")
        + word_paragraph("One", style="berschrift1")
        + word_paragraph("Sub", style="Own")
        + word_paragraph("Text.")
    )
    assert read(docx(body, title="Manual")) == ParsedDocument(
        title="Manual",
        media_type="application/vnd.openxmlformats-officedocument.wordprocessingml.document",
        sections=(Section(text="Cover."), Section(text="One\n\nSub\n\nText.", heading=("One", "Sub"))),
    )


def test_word_tables_are_rows_and_layout_tables_are_text() -> None:
    """A table with a table inside is there for the layout."""
    inner = word_table([word_paragraph("Name"), word_paragraph("Age")], [word_paragraph("Ann"), word_paragraph("7")])
    assert read(docx(inner)).text == "Name | Age\nName: Ann | Age: 7"
    assert read(docx(word_table([word_paragraph("Left"), inner]))).text == "Left\n\nName | Age\nName: Ann | Age: 7"


def test_word_text_outside_the_body_is_read_once() -> None:
    """Text boxes come with a second rendering, headers with one part for each kind of page."""
    box = "<w:txbxContent><w:p><w:r><w:t>In a box.</w:t></w:r></w:p></w:txbxContent>"
    body = f"<w:p><w:r><w:t>Body.</w:t><Choice>{box}</Choice><Fallback>{box}</Fallback></w:r></w:p>"
    header = word_paragraph("Letterhead")
    document = read(docx(body, header1=header, header2=header, footnotes=word_paragraph("A note.")))
    assert [section.text for section in document.sections] == ["Body.\n\nIn a box.", "Letterhead\n\nA note."]


def test_word_gives_the_text_as_revised() -> None:
    """Insertions count, deletions do not; tabs, breaks and hidden hyphens are characters."""
    body = (
        "<w:p><w:r><w:t>a</w:t><w:tab/><w:t>b</w:t><w:br/><w:t>c</w:t><w:noBreakHyphen/></w:r>"
        "<w:ins><w:r><w:t>new</w:t></w:r></w:ins><w:del><w:r><w:delText>old</w:delText></w:r></w:del></w:p>"
    )
    assert read(docx(body)).text == "a b\nc-new"


def test_slides_are_pages_in_the_order_in_which_they_are_shown() -> None:
    """The title of a slide is its heading; its number and the date are not text; notes are."""
    first = shape("Welcome", placeholder="ctrTitle") + shape("one", "two") + shape("7", placeholder="sldNum")
    document = read(pptx(first, shape("Last"), notes={1: "Smile."}))
    assert document.title == "Welcome"
    assert document.sections == (
        Section(text="Welcome\n\none\ntwo\n\nSmile.", page=1, heading=("Welcome",)),
        Section(text="Last", page=2, heading=("Welcome",)),
    )


def test_a_slide_of_pictures_is_a_warning_and_a_presentation_of_them_a_failure() -> None:
    """As with pages of a PDF."""
    assert read(pptx(shape("Text"), "")).warnings == ("no_text_on_page:2",)
    assert load_code(pptx("", pictures=1)) == "no_text_needs_ocr"
    assert load_code(pptx("")) == "empty"


def test_a_damaged_part_does_not_take_the_others_with_it() -> None:
    """What can be read is read, with a warning."""
    letter = read(docx(word_paragraph("Body."), footer1="<w:p>broken"))
    slides = read(pptx(shape("Text"), "<broken"))
    assert (letter.text, letter.warnings) == ("Body.", ("unreadable_part",))
    assert (slides.text, slides.warnings) == ("Text", ("no_text_on_page:2",))


def test_tables_and_lists_on_slides_keep_their_lines() -> None:
    """Rows name their cells; items have a dash; a line break inside a paragraph is one."""
    cells = [[f"<a:tc><a:p><a:r><a:t>{cell}</a:t></a:r></a:p></a:tc>" for cell in row] for row in ("NA", "x7")]
    rows = "".join(f"<a:tr>{''.join(row)}</a:tr>" for row in cells)
    table = f"<p:graphicFrame><a:graphic><a:tbl>{rows}</a:tbl></a:graphic></p:graphicFrame>"
    items = (
        "<p:sp><p:txBody><a:p><a:pPr><a:buChar/></a:pPr><a:r><a:t>one</a:t></a:r></a:p>"
        "<a:p><a:r><a:t>two</a:t></a:r><a:br/><a:r><a:t>three</a:t></a:r></a:p></p:txBody></p:sp>"
    )
    assert read(pptx(table + items)).text == "N | A\nN: x | A: 7\n\n- one\ntwo\nthree"


def test_sheets_are_tables_under_their_names() -> None:
    """Blank rows stand between tables; dates, whole numbers and truth values read as in the program."""
    workbook = openpyxl.Workbook()
    sheet = workbook.active
    assert sheet is not None
    sheet.title = "Stock"
    sheet.append(["Item", "Since", "Left"])
    sheet.append(["Pen", dt.datetime(2024, 5, 1), 3.0])  # noqa: DTZ001 - a workbook knows no time zones
    sheet.append([])
    sheet.append(["Open", True])
    workbook.create_sheet("Empty")
    buffer = io.BytesIO()
    workbook.save(buffer)
    assert read(buffer.getvalue()).sections == (
        Section(text="Item | Since | Left\nItem: Pen | Since: 2024-05-01 | Left: 3", heading=("Stock",)),
        Section(text="Open | TRUE", heading=("Stock",)),
    )


def test_a_sheet_of_a_million_blank_rows_costs_nothing() -> None:
    """The size that a sheet states is not believed."""
    workbook = openpyxl.Workbook()
    sheet = workbook.active
    assert sheet is not None
    sheet["A1"] = "first"
    sheet["XFD1048576"] = "last"
    buffer = io.BytesIO()
    workbook.save(buffer)
    assert [section.text for section in read(buffer.getvalue()).sections] == ["first", "last"]


def test_opendocument_texts_presentations_and_sheets() -> None:
    """Headings, list items, repeated blanks, slides and repeated cells of the three kinds."""
    text = opendocument(
        "text",
        '<t:h t:outline-level="1">One</t:h><t:p>a<t:s t:c="2"/>b<t:line-break/>c</t:p>'
        "<t:list><t:list-item><t:p>item</t:p></t:list-item></t:list>",
    )
    assert read(text).sections == (Section(text="One\n\na  b\nc\n\n- item", heading=("One",)),)
    slides = "".join(
        f"<d:page><d:frame><d:text-box><t:p>{word}</t:p></d:text-box></d:frame></d:page>" for word in ("one", "two")
    )
    assert [(section.page, section.text) for section in read(opendocument("presentation", slides)).sections] == [
        (1, "one"),
        (2, "two"),
    ]
    row = '<tb:table-cell tb:number-columns-repeated="{}"><t:p>{}</t:p></tb:table-cell>'
    sheet = f'<tb:table tb:name="S"><tb:table-row>{row.format(2, "x")}{row.format(10**9, "")}</tb:table-row></tb:table>'
    assert read(opendocument("spreadsheet", sheet)).text == "S\n\nx | x"


def test_opendocument_boxes_and_notes_are_paragraphs_of_their_own() -> None:
    """What hangs on a paragraph does not stand in the middle of its sentence."""
    note = "<t:note><t:note-body><t:p>A note.</t:p></t:note-body></t:note>"
    box = "<d:frame><d:text-box><t:p>A box.</t:p></d:text-box></d:frame>"
    data = opendocument("text", f"<t:p>One <t:span>sen</t:span>tence{note} here.{box}</t:p>")
    assert read(data).text == "One sentence here.\n\nA note.\n\nA box."


def test_an_office_document_of_pictures_needs_text_recognition() -> None:
    """As with pages of a PDF."""
    empty = docx("<w:p/>")
    assert load_code(empty) == "empty"
    with zipfile.ZipFile(buffer := io.BytesIO(empty), "a") as file:
        file.writestr("word/media/image1.png", b"")
    assert load_code(buffer.getvalue()) == "no_text_needs_ocr"


def test_books_are_read_in_the_order_of_the_spine() -> None:
    """Chapters keep their headings; one that is listed but missing is a warning."""
    document = read(epub({"b.xhtml": "<h1>First</h1><p>x</p>", "a.xhtml": "<p>y</p>", "c.xhtml": ""}, title="Book"))
    assert document.title == "Book"
    assert document.text == "First\n\nx\n\ny"
    assert document.warnings == ("missing_chapter:3",)


def test_protected_documents_are_encrypted() -> None:
    """Each format has its own way to say so."""
    office = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600) + "EncryptedPackage".encode("utf-16-le")
    book = epub(
        {"a.xhtml": "<p>x</p>"},
        **{"META-INF/encryption.xml": '<e><CipherReference URI="OEBPS/text/a.xhtml"/></e>'},
    )
    assert load_code(office) == "encrypted"
    assert load_code(opendocument("text", "<t:p>x</t:p>", encrypted=True)) == "encrypted"
    assert load_code(book) == "encrypted"


@pytest.mark.parametrize("part", ["word/document.xml", "ppt/presentation.xml"])
def test_a_package_with_a_broken_part_is_corrupt(part: str) -> None:
    """The directory says what it should be, the part is not XML."""
    assert load_code(package({**office_parts(part), part: "<broken"})) == "corrupt"


def declaring(entities: str, *, text: str) -> bytes:
    """A Word document whose body declares entities and uses them in its text."""
    body = f"<w:body><w:p><w:r><w:t>Safe.</w:t><w:t>{text}</w:t></w:r></w:p></w:body>"
    document = f'<!DOCTYPE d [{entities}]><w:document xmlns:w="w">{body}</w:document>'
    return package({**office_parts("word/document.xml"), "word/document.xml": document})


def test_external_references_are_not_followed(tmp_path: Path) -> None:
    """A document that names a file of the server does not get its text."""
    secret = tmp_path / "secret.txt"
    secret.write_text("unreachable", encoding="ascii")
    data = declaring(f'<!ENTITY file SYSTEM "{secret.as_uri()}">', text="&file;")
    assert read(data).text == "Safe."


def test_entities_that_multiply_are_refused() -> None:
    """A few lines that would expand to gigabytes are damage."""
    bomb = "".join(f'<!ENTITY e{n} "{f"&e{n - 1};" * 10}">' for n in range(1, 12))
    assert load_code(declaring(f'<!ENTITY e0 "ha">{bomb}', text="&e11;")) == "corrupt"


def test_an_external_entity_is_not_read_and_the_text_behind_it_is_kept() -> None:
    document = (
        '<!DOCTYPE d [<!ENTITY x SYSTEM "file:///etc/passwd">]>'
        '<w:document xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"><w:body>'
        "<w:p><w:r><w:t>before &x; behind</w:t></w:r></w:p></w:body></w:document>"
    )
    data = package({**office_parts("word/document.xml"), "word/document.xml": document})
    assert read(data).text == "before  behind"


def test_a_book_without_a_spine_is_read_in_the_order_of_its_manifest() -> None:
    assert read(book(order="")).text == "First.\n\nSecond."


def test_a_book_whose_spine_leads_nowhere_is_read_page_by_page() -> None:
    """Its text is not lost because the list of its chapters is."""
    document = read(book(order='<spine><itemref idref="gone"/></spine>'))
    assert (document.text, document.warnings) == ("Second.\n\nFirst.", ("missing_chapter:1",))


def book(*, order: str) -> bytes:
    """A book of two pages, the second of which comes first in the archive, with this spine."""
    page = "<html><body><p>{}</p></body></html>"
    item = '<item id="{0}" href="{0}.xhtml" media-type="application/xhtml+xml"/>'
    return package(
        {
            "mimetype": "application/epub+zip",
            "META-INF/container.xml": '<container><rootfile full-path="book.opf"/></container>',
            "book.opf": f"<package><manifest>{item.format('b')}{item.format('a')}</manifest>{order}</package>",
            "a.xhtml": page.format("Second."),
            "b.xhtml": page.format("First."),
        }
    )
