import pytest

from app.services.loaders import LoadError, ParsedDocument, Section, sniff
from app.services.loaders.loading import load
from tests.services.loaders.package_samples import docx, package, word_paragraph
from tests.services.loaders.pdf_samples import DRAWING, pdf, text_page

MAIL = b"""From: =?utf-8?q?J=C3=BCrgen?= <j@example.org>
To: ann@example.org
Subject: =?iso-8859-1?q?Gr=FC=DFe?=
Date: Fri, 23 Dec 2022 12:08:48 -0600
MIME-Version: 1.0
Content-Type: multipart/mixed; boundary="b"

--b
Content-Type: multipart/alternative; boundary="a"

--a
Content-Type: text/html; charset=utf-8

<p>HTML</p>
--a
Content-Type: text/plain; charset=iso-8859-1
Content-Transfer-Encoding: quoted-printable

Sch=F6ne Gr=FC=DFe
--a--
--b
Content-Type: application/octet-stream
Content-Disposition: attachment; filename="notes.md"
Content-Transfer-Encoding: base64

IyBOb3RlcwoKQnV5IG1pbGsu
--b
Content-Type: image/png; name="logo.png"
Content-Transfer-Encoding: base64

iVBORw0KGgoAAAANSUhEUgAAAAEAAAAB
--b--
"""


def read(data: bytes, *, filename: str | None = None) -> ParsedDocument:
    return load(data, media_type=sniff(data, filename=filename, declared=None), filename=filename)


def load_code(data: bytes, *, filename: str | None = None) -> str:
    with pytest.raises(LoadError) as raised:
        read(data, filename=filename)
    return raised.value.code


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
def test_the_separator_of_a_table_is_found(separator: str) -> None:
    """Comma, semicolon, tab and bar, also with commas inside quoted values."""
    rows = [["Name", "Born"], ["Ann", '"Oslo, Norway"'], ["Bob", '"Bergen, Norway"']]
    data = "\r\n".join(separator.join(row) for row in rows).encode()
    assert read(data, filename="people.csv").text == (
        "Name | Born\nName: Ann | Born: Oslo, Norway\nName: Bob | Born: Bergen, Norway"
    )


def test_a_table_that_is_none_is_kept_as_text() -> None:
    """A quote that never ends does not swallow what follows it."""
    data = ('a,b\n"' + "never closed\n" * 20_000).encode()
    document = read(data, filename="odd.csv")
    assert document.warnings == ("not_a_table",)
    assert document.text.count("never closed") == 20_000


def test_json_is_read_as_paths_and_values() -> None:
    """Records stand apart, numbers as they are written, lists on one line."""
    data = b'[{"name": "Ann", "home": {"city": "Oslo"}, "tags": ["a", "b"]}, {"price": 1.10, "sold": true, "x": null}]'
    assert read(data).text == "name: Ann\nhome.city: Oslo\ntags: a, b\n\nprice: 1.10\nsold: true"


def test_json_lines_are_records() -> None:
    """One object a line."""
    assert read(b'{"a": 1}\n{"a": 2}\n', filename="log.jsonl").text == "a: 1\n\na: 2"


def test_what_only_looks_like_json_is_kept_as_text() -> None:
    """Broken JSON is still text, and the document says that it was not what it seemed."""
    document = read(b'{"a": 1, ')
    assert (document.text, document.warnings) == ('{"a": 1,', ("not_json",))


def test_rtf_is_text_without_its_commands() -> None:
    """Characters come out of code pages and of Unicode escapes."""
    data = rb"{\rtf1\ansi\ansicpg1252{\fonttbl{\f0 Arial;}}\f0 Gr\'fc\'dfe \u8364?\par {\b bold} line\par}"
    assert read(data).text == "Grüße €\nbold line"


def test_rtf_footnotes_are_text() -> None:
    """A note is read where it is referred to."""
    data = rb"{\rtf1\ansi Claim{\super 1}{\footnote\pard The {\i proof}.} goes on.}"
    assert read(data).text.split() == ["Claim1", "The", "proof.", "goes", "on."]


def test_a_mail_has_headers_a_body_and_attachments() -> None:
    """The plain alternative is taken, attachments are read by what they are, and what cannot be read is a warning."""
    document = read(MAIL)
    assert document.title == "Grüße"
    assert document.sections == (
        Section(
            text="Subject: Grüße\nFrom: Jürgen <j@example.org>\nTo: ann@example.org\n"
            "Date: Fri, 23 Dec 2022 12:08:48 -0600\n\nSchöne Grüße"
        ),
        Section(text="# Notes\n\nBuy milk.", heading=("notes.md", "Notes")),
    )
    assert document.warnings == ("member:2:no_text_needs_ocr",)


def test_a_mail_in_a_mail_is_read() -> None:
    """A forwarded message is an attachment with headers of its own."""
    inner = b"From: c@example.org\nTo: d@example.org\nSubject: Inner\nDate: today\n\nInner text.\n"
    head = b"From: a@example.org\nTo: b@example.org\nSubject: =?broken?x?Outer?=\nMIME-Version: 1.0\n"
    body = b'Content-Type: multipart/mixed; boundary="b"\n\n--b\nContent-Type: message/rfc822\n\n' + inner + b"--b--\n"
    document = read(head + body)
    assert document.title == "=?broken?x?Outer?="
    assert document.sections[1].text == (
        "Subject: Inner\nFrom: c@example.org\nTo: d@example.org\nDate: today\n\nInner text."
    )


def test_a_mail_may_be_html_alone() -> None:
    """Without a plain alternative the page is read as a page."""
    head = b"From: a@example.org\nTo: b@example.org\nSubject: x\nContent-Type: text/html\n\n"
    assert read(head + b"<h1>Offer</h1><p>Half price.</p>").sections[1].text == "Offer\n\nHalf price."


def test_an_encrypted_mail_is_encrypted() -> None:
    """Headers in the clear are not taken for its text."""
    head = (
        b"From: a@example.org\nTo: b@example.org\nSubject: x\nContent-Type: application/pkcs7-mime; name=smime.p7m\n\n"
    )
    assert load_code(head + b"AAAA") == "encrypted"


def test_an_archive_is_the_documents_in_it() -> None:
    """Members keep page and heading under their name; a damaged one is a warning, by position and not by name."""
    data = package(
        {
            "a/page.pdf": pdf(text_page("Page one."), DRAWING),
            "__MACOSX/a/._page.pdf": b"junk",
            "broken.docx": docx("<broken"),
            "letter.docx": docx(word_paragraph("Dear Ann.")),
        }
    )
    document = read(data)
    assert document.sections == (
        Section(text="Page one.", page=1, heading=("a/page.pdf",)),
        Section(text="Dear Ann.", heading=("letter.docx",)),
    )
    assert document.warnings == ("member:1:no_text_on_page:2", "member:2:corrupt")


@pytest.mark.parametrize(
    ("members", "code"),
    [
        ({"a.gif": b"GIF89a\x00\x00"}, "unsupported"),
        ({"a.png": b"\x89PNG\r\n\x1a\n\x00\x00"}, "no_text_needs_ocr"),
        ({"a.pdf": pdf(DRAWING), "b.png": b"\x89PNG\r\n\x1a\n\x00\x00"}, "no_text_needs_ocr"),
        ({"a.txt": b" "}, "empty"),
        ({}, "empty"),
    ],
)
def test_an_archive_without_text_fails_for_the_most_telling_reason(members: dict[str, bytes], code: str) -> None:
    """One reason stands for all of its members."""
    assert load_code(package(members)) == code


def test_a_bomb_is_too_large_before_it_is_unpacked() -> None:
    """What says that it unpacks to hundreds of times its size is not unpacked."""
    assert load_code(package({"zeros.txt": bytes(64 << 20)})) == "too_large"


def test_archives_in_archives_have_an_end() -> None:
    """Nesting is followed for a few levels only."""
    data = b"the core"
    for _ in range(10):
        data = package({"inner.zip": data})
    assert load_code(data) == "too_large"


def test_an_archive_of_too_many_files_is_too_large() -> None:
    """The number of members is a bound as well."""
    assert load_code(package({f"{number}.txt": b"x" for number in range(10_001)})) == "too_large"


@pytest.mark.parametrize("data", [b"PK\x03\x04 cut off", package({"a.txt": b"text"})[:-30]])
def test_a_damaged_archive_is_corrupt(data: bytes) -> None:
    """Without its directory nothing is known of its members."""
    assert load_code(data) == "corrupt"


def test_a_locked_member_is_encrypted() -> None:
    """The flag of an encrypted member is obeyed."""
    data = bytearray(package({"a.txt": b"text"}))
    for signature, flags in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        data[data.index(signature) + flags] |= 1
    assert load_code(bytes(data)) == "encrypted"
