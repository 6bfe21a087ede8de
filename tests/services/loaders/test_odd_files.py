import pytest

from app.services.loaders import LoadError, ParsedDocument, sniff
from app.services.loaders.loading import load
from tests.services.loaders import odd_samples
from tests.services.loaders.package_samples import opendocument, workbook
from tests.services.loaders.pdf_samples import pdf, text_page

SAMPLES = {name: (content, text) for name, content, text in odd_samples.samples()}


def read(content: bytes, *, name: str) -> ParsedDocument:
    return load(content, media_type=sniff(content, filename=name, declared=None), filename=name)


@pytest.mark.parametrize("name", SAMPLES)
def test_a_file_as_it_comes_in_the_wild_gives_its_text(name: str) -> None:
    content, text = SAMPLES[name]
    assert text in read(content, name=name).text


def test_a_mail_gives_all_that_is_in_it() -> None:
    text = read(SAMPLES["attachments.eml"][0], name="attachments.eml").text
    for part in ("Sübject", "The body.", "The attached document.", "The attached archive.", "The attached mail."):
        assert part in text


def test_a_formula_without_a_value_is_a_warning() -> None:
    """Programs that compute nothing write formulas alone: the sheet is not silently short of them."""
    formula = '<row r="1"><c r="A1"><f>A2</f><v>7</v></c></row>'
    assert read(workbook(formula), name="a.xlsx").warnings == ()
    without = read(workbook(formula.replace("<v>7</v>", "")), name="a.xlsx")
    assert (without.text, without.warnings) == ("=A2", ("formulas_without_values",))


def test_the_title_of_the_front_matter_is_that_of_the_page() -> None:
    document = read(b'---\ntitle: "Stated"\n---\n# Heading\n\nBody.', name="a.md")
    assert document.title == "Stated"
    assert [section.heading for section in document.sections] == [(), ("Heading",)]


def test_a_rule_at_the_top_of_a_page_is_no_front_matter() -> None:
    document = read(b"---\n# One\n\nText.\n\n---\nMore.", name="a.md")
    assert (document.title, document.sections[-1].heading) == ("One", ("One",))


def test_text_outside_the_page_is_read_only_where_nothing_is_inside() -> None:
    """What a page's box cuts off its reader does not see."""
    box = b"/MediaBox[0 0 595 842]"
    page = pdf(text_page("Inside.") + b" BT /F1 12 Tf 50 20 Td (Cut off.) Tj ET")
    assert read(page.replace(box, b"/CropBox[0 700 595 842]" + box), name="a.pdf").text == "Inside."


def test_boxes_in_boxes_are_read_once() -> None:
    opening, closing = "<d:frame><d:text-box>", "</d:text-box></d:frame></t:p>"
    box = f"<t:p>Outer{opening}<t:p>Inner{opening}<t:p>Innermost</t:p>{closing}{closing}"
    assert read(opendocument("text", box), name="a.odt").text == "Outer\n\nInner\n\nInnermost"


@pytest.mark.parametrize(
    "content", [b"\x00" * 5_000, b"ab\x00cd" + bytes(50), b"a.txt".ljust(257, b"\x00") + b"ustar\x0000" + bytes(600)]
)
def test_zeros_do_not_make_text_of_what_is_none(content: bytes) -> None:
    """Nothing but zeros, too little beside them, and an archive of text."""
    with pytest.raises(LoadError) as raised:
        sniff(content, filename="a.txt", declared=None)
    assert raised.value.code == "unsupported"
