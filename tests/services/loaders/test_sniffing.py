import random

import pytest

from app.services.loaders import LoadError, sniff
from tests.services.loaders.package_samples import docx, epub, opendocument, package, pptx
from tests.services.loaders.pdf_samples import pdf, text_page

RANDOM = random.Random(0).randbytes(10_000)


@pytest.mark.parametrize(
    ("data", "filename", "media_type"),
    [
        (pdf(text_page("x")), "notes.txt", "application/pdf"),
        (b"\n\n%PDF-1.4\n", None, "application/pdf"),
        (b"Received: junk\n" + pdf(text_page("x")), None, "application/pdf"),
        (b"A file begins with %PDF-1.7 if it is one.", None, "text/plain"),
        (docx(""), "a.zip", "application/vnd.openxmlformats-officedocument.wordprocessingml.document"),
        (pptx(), None, "application/vnd.openxmlformats-officedocument.presentationml.presentation"),
        (opendocument("text", ""), None, "application/vnd.oasis.opendocument.text"),
        (epub({}), "a.zip", "application/epub+zip"),
        (package({"a.txt": "x"}), "a.docx", "application/zip"),
        (b"PK\x03\x04 cut off", "a.docx", "application/zip"),
        (b"{\\rtf1 x}", "a.doc", "application/rtf"),
        (b'{"a": 1}', None, "application/json"),
        (b'[{"a": 1}]', "a.json", "application/json"),
        (b"[see below] text", "a.json", "text/plain"),
        (b'{"a": 1}', "a.txt", "text/plain"),
        (b"a,b\n1,2\n", "a.csv", "text/csv"),
        (b"a,b\n1,2\n", None, "text/plain"),
        (b"Date: x\nFrom: a\n b\nSubject: c\n\nText", "mail.txt", "message/rfc822"),
        (b"Date: x\nPlace: y\nSubject: c\n\nText", None, "text/plain"),
        (b"<!DOCTYPE html><p>x", "notes.txt", "text/html"),
        (b'\xef\xbb\xbf<?xml version="1.0"?>\n<!-- c --><html>', None, "text/html"),
        ("<html><p>ж</p></html>".encode("utf-16"), None, "text/html"),
        (b"<p>a fragment</p>", "part.htm", "text/html"),
        (b"no tags at all", "page.html", "text/plain"),
        (b"# Title\n", "README.MD", "text/markdown"),
        (b"# Title\n", None, "text/plain"),
        (b"words", "report.pdf", "text/plain"),
        ("слова".encode("utf-16"), None, "text/plain"),
        ("words".encode("utf-16-le"), None, "text/plain"),
        ("Größe".encode("cp1252"), None, "text/plain"),
    ],
)
def test_the_bytes_decide_and_the_name_only_between_kinds_of_text(
    data: bytes, filename: str | None, media_type: str
) -> None:
    """A file is what its content says, whatever it is called."""
    assert sniff(data, filename=filename, declared="application/octet-stream") == media_type


def test_a_stated_type_decides_between_kinds_of_text_when_the_name_does_not() -> None:
    """A type that the client states is a hint as a name is."""
    assert sniff(b"# Title", filename=None, declared="text/markdown; charset=utf-8") == "text/markdown"


@pytest.mark.parametrize(
    "data",
    [
        package({"[Content_Types].xml": "<Types/>", "visio/document.xml": "<x/>"}),
        package({"mimetype": "application/vnd.oasis.opendocument.graphics", "content.xml": "<x/>"}),
        package({"META-INF/MANIFEST.MF": "x", "a.txt": "x"}),
        b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600),
        RANDOM,
        b"\x7fELF\x02\x01\x01" + bytes(100),
        b"GIF89a" + RANDOM,
        b"text\x00with\x00zeros",
        bytes(50),
    ],
)
def test_what_is_not_text_is_unsupported(data: bytes) -> None:
    """Programs, films and noise are refused, also under the name of a text file."""
    with pytest.raises(LoadError) as raised:
        sniff(data, filename="notes.txt", declared="text/plain")
    assert raised.value.code == "unsupported"


def test_no_bytes_are_empty() -> None:
    """Nothing is a kind of its own."""
    with pytest.raises(LoadError) as raised:
        sniff(b"", filename="notes.txt", declared=None)
    assert raised.value.code == "empty"


@pytest.mark.parametrize(
    ("magic", "kind"),
    [(b"\x89PNG\r\n\x1a\n", "image/png"), (b"\xff\xd8\xff\xe0", "image/jpeg"), (b"II*\x00", "image/tiff")],
)
def test_pictures_that_recognition_reads_are_known_by_their_first_bytes(magic: bytes, kind: str) -> None:
    assert sniff(magic + RANDOM, filename="notes.txt", declared="text/plain") == kind
