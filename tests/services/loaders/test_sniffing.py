import random

import pytest

from app.services.loaders import LoadError, sniff
from tests.services.loaders.pdf_samples import pdf, text_page

RANDOM = random.Random(0).randbytes(10_000)


@pytest.mark.parametrize(
    ("data", "filename", "media_type"),
    [
        (pdf(text_page("x")), "notes.txt", "application/pdf"),
        (b"\n\njunk before the header %PDF-1.4\n", None, "application/pdf"),
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
    [RANDOM, b"\x7fELF\x02\x01\x01" + bytes(100), b"\x89PNG\r\n\x1a\n" + RANDOM, b"text\x00with\x00zeros", bytes(50)],
)
def test_what_is_not_text_is_unsupported(data: bytes) -> None:
    """Programs, pictures and noise are refused, also under the name of a text file."""
    with pytest.raises(LoadError) as raised:
        sniff(data, filename="notes.txt", declared="text/plain")
    assert raised.value.code == "unsupported"


def test_no_bytes_are_empty() -> None:
    """Nothing is a kind of its own."""
    with pytest.raises(LoadError) as raised:
        sniff(b"", filename="notes.txt", declared=None)
    assert raised.value.code == "empty"
