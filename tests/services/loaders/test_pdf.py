import pytest

from app.services.loaders import LoadError
from app.services.loaders.loading import load
from app.services.loaders.pdf import _readable
from tests.services.loaders.pdf_samples import DRAWING, pdf, text_page

PDF = "application/pdf"


def load_code(data: bytes) -> str:
    with pytest.raises(LoadError) as raised:
        load(data, media_type=PDF, filename=None)
    return raised.value.code


def test_each_page_is_a_section_with_its_number() -> None:
    """Text keeps the page it stands on."""
    document = load(pdf(text_page("First page."), text_page("Second page.")), media_type=PDF, filename=None)
    assert [(section.page, section.text) for section in document.sections] == [(1, "First page."), (2, "Second page.")]
    assert document.text == "First page.\n\nSecond page."


def test_a_page_without_text_gives_a_warning_and_the_others_their_text() -> None:
    """One scanned page does not fail a document, and is not passed over in silence."""
    document = load(pdf(text_page("Read me."), DRAWING), media_type=PDF, filename=None)
    assert document.text == "Read me."
    assert document.warnings == ("no_text_on_page:2",)


def test_a_document_of_pictures_needs_text_recognition() -> None:
    """When something is drawn but nothing is written, the text is in pictures."""
    assert load_code(pdf(DRAWING, DRAWING)) == "no_text_needs_ocr"


def test_blank_pages_are_empty() -> None:
    """When nothing is drawn at all, text recognition would not help."""
    assert load_code(pdf(b"", b"")) == "empty"


def test_a_password_is_told_from_damage() -> None:
    """A file that a password would open is `encrypted`."""
    assert load_code(pdf(text_page("Secret."), encrypted=True)) == "encrypted"


def test_a_damaged_file_is_corrupt() -> None:
    """A header without a document behind it is `corrupt`."""
    assert load_code(b"%PDF-1.7\n" + b"garbage " * 100) == "corrupt"


def test_the_title_comes_from_the_metadata() -> None:
    """The document's own title is kept, a program's stand-in for one is not."""
    assert load(pdf(text_page("x"), title="Annual Report"), media_type=PDF, filename=None).title == "Annual Report"
    assert load(pdf(text_page("x"), title="\\(anonymous\\)"), media_type=PDF, filename=None).title is None


def test_bookmarks_are_headings_from_where_their_titles_stand() -> None:
    """A page is cut at the titles of its bookmarks, and a chapter goes on over the following pages."""
    data = pdf(
        text_page("Preface", "Hello.", "1 Methods", "We measured."),
        text_page("And measured again."),
        bookmarks=[("Preface", 0), ("Methods", 0)],
    )
    sections = load(data, media_type=PDF, filename=None).sections
    assert [(section.page, section.heading, section.text) for section in sections] == [
        (1, ("Preface",), "Preface\nHello."),
        (1, ("Methods",), "1 Methods\nWe measured."),
        (2, ("Methods",), "And measured again."),
    ]


def test_lines_that_the_margin_broke_are_joined() -> None:
    """A sentence over two lines is one line of text, a short line stays on its own."""
    data = pdf(text_page("Summary", "The quick brown fox jumps over the", "lazy dog and runs away into a wood."))
    assert load(data, media_type=PDF, filename=None).text == (
        "Summary\nThe quick brown fox jumps over the lazy dog and runs away into a wood."
    )


def test_filled_fields_and_comments_are_read() -> None:
    """What somebody wrote into a form is text of the page; the state of a check box is not."""
    field = b"<</Type/Annot/Subtype/Widget/FT/Tx/T(name)/V(Jane Doe)/Rect[0 0 9 9]>>"
    box = b"<</Type/Annot/Subtype/Widget/FT/Btn/T(agree)/V/Off/Rect[0 0 9 9]>>"
    note = b"<</Type/Annot/Subtype/Text/Contents(Please check.)/Rect[0 0 9 9]>>"
    data = pdf(text_page("Name:"), annotation=field + box + note)
    assert load(data, media_type=PDF, filename=None).text == "Name:\nJane Doe\nPlease check."


def test_a_file_that_was_cut_off_says_so() -> None:
    """The pages that came through are read, with a warning that there were more."""
    data = pdf(*(text_page(f"Page {number}.") for number in range(1, 6)))
    whole = load(data, media_type=PDF, filename=None)
    cut = load(data[: data.index(b"startxref")], media_type=PDF, filename=None)
    assert whole.warnings == ()
    assert cut.warnings == ("truncated",)
    assert cut.text.startswith("Page 1.")


def test_letters_are_those_that_people_search_for() -> None:
    """A ligature is its letters; text whose letters a font does not tell is no text."""
    assert _readable("e\ufb03cient \ufefb") == "efficient \u0644\u0627"
    assert _readable("\ufffd\ufffd a \ue001") == ""
    assert _readable("ef\x02ficient Lucene\x02BM25") == "efficient Lucene-BM25"
