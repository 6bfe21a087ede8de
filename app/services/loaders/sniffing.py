"""What kind of document some bytes are, told by the bytes; name and declared type only decide between kinds of text."""

from __future__ import annotations

import re
from pathlib import PurePath
from typing import Final

from app.services.loaders import media
from app.services.loaders.document import LoadError
from app.services.loaders.encodings import decode, marked_encoding, unmarked_unicode
from app.services.loaders.packages import Package

_SAMPLE: Final = 64 * 1024
_PDF_HEADER: Final = b"%PDF-"
_PDF_HEADER_WITHIN: Final = 1024
_PDF_END: Final = b"startxref"
_PDF_END_WITHIN: Final = 2048
_BLANKS: Final = b"\xef\xbb\xbf \t\r\n\x00"
# POSIX.1-1988 `ustar`: an archive of text is text and zeros.
_TAPE_MARK: Final = b"ustar"
_TAPE_MARK_AT: Final = 257
_OLE_MAGIC: Final = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_PICTURES: Final = {
    b"\x89PNG\r\n\x1a\n": media.PNG,
    b"\xff\xd8\xff": media.JPEG,
    b"II*\x00": media.TIFF,
    b"MM\x00*": media.TIFF,
}
_ENCRYPTED_STREAM: Final = "EncryptedPackage".encode("utf-16-le")

# What a package holds: folders of Office formats, otherwise members that say what they are.
_OFFICE_PART: Final = "[Content_Types].xml"
_OFFICE_FOLDERS: Final = {"word/": media.DOCX, "ppt/": media.PPTX, "xl/workbook.xml": media.XLSX}
_STATED_KIND: Final = "mimetype"
_MAX_STATED_KIND: Final = 256
_BOOK_PART: Final = "META-INF/container.xml"
_PACKAGES: Final = frozenset(
    {media.DOCX, media.PPTX, media.XLSX, media.ODT, media.ODP, media.ODS, media.EPUB, media.ZIP}
)
# Programs and the documents of other programs, which are no archives of documents.
_OTHER_PARTS: Final = frozenset({"META-INF/MANIFEST.MF", "AndroidManifest.xml", "Index/Document.iwa", "Index.zip"})

# Both take linear time whatever they are given: a comment is left only at its own end, a tag not by way of others.
_HTML_START: Final = re.compile(
    r"\s*+(?:<\?xml[^>]*+>\s*+)?+(?:<!--(?:[^-]|-(?!->)){0,4000}+-->\s*+)*+<(?:!doctype\s+html|html|head|body)\b",
    re.IGNORECASE,
)
_HTML_TAG: Final = re.compile(r"<(?:p|div|h[1-6]|table|ul|ol|span|br|a)\b[^<>]*>|\A\s*+<!--", re.IGNORECASE)
_JSON_START: Final = re.compile(r'\s*(?:\{\s*["}]|\[\s*[\[{"\]])')
_MAIL_HEADER: Final = re.compile(r"([A-Za-z][A-Za-z0-9-]*):[ \t]|[ \t]+\S")
_MAIL_HEADERS: Final = frozenset(
    {"from", "to", "date", "subject", "message-id", "mime-version", "received", "return-path", "delivered-to"}
)
_ENOUGH_MAIL_HEADERS: Final = 3
# Zeros are left out where text is padded or separated by them; what is not text has other control characters as well.
_CONTROL: Final = re.compile("[\x01-\x06\x0e-\x1a\x1c-\x1f]")
# Text has a stray control character at times; compressed or compiled data has one in ten.
_MAX_CONTROL_SHARE: Final = 0.01
# A few letters among zeros may be the beginning of anything.
_FEWEST_BESIDE_ZEROS: Final = 16

_NAMED: Final = {
    **dict.fromkeys((".md", ".markdown", ".mdown"), media.MARKDOWN),
    **dict.fromkeys((".html", ".htm", ".xhtml"), media.HTML),
    **dict.fromkeys((".csv", ".tsv", ".tab"), media.CSV),
    **dict.fromkeys((".json", ".jsonl", ".ndjson"), media.JSON),
    **dict.fromkeys((".txt", ".text", ".log"), media.PLAIN),
}


def sniff(data: bytes, *, filename: str | None, declared: str | None) -> str:
    """The media type of `data`; `declared` is the one that the client states.

    Raises:
        LoadError: `empty` without any bytes, `unsupported` when nothing here reads such bytes.
    """
    if not data:
        raise LoadError("empty")
    if data.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        return _kind_of_package(data)
    if data.startswith(_OLE_MAGIC) and _ENCRYPTED_STREAM in data:
        return media.ENCRYPTED_OFFICE
    if data.startswith(b"{\\rtf"):
        return media.RTF
    if _is_pdf(data):
        return media.PDF
    if data[_TAPE_MARK_AT : _TAPE_MARK_AT + len(_TAPE_MARK)] == _TAPE_MARK:
        raise LoadError("unsupported")
    picture = next((kind for magic, kind in _PICTURES.items() if data.startswith(magic)), None)
    if picture is not None:
        return picture
    return _kind_of_text(_text_sample(data), hint=_hint(filename, declared=declared))


def _is_pdf(data: bytes) -> bool:
    """A header at the start; with something in front of it, as mail gateways put there, only if an end is there too."""
    start = data[:_PDF_HEADER_WITHIN]
    return start.lstrip(_BLANKS).startswith(_PDF_HEADER) or (
        _PDF_HEADER in start and _PDF_END in data[-_PDF_END_WITHIN:]
    )


def _kind_of_package(data: bytes) -> str:
    """What the directory says; a package that cannot be opened is left for its loader to fail on."""
    try:
        package = Package(data)
        if _OFFICE_PART in package:
            kind = _office_kind(package)
        elif _STATED_KIND in package:
            kind = package.read(_STATED_KIND, at_most=_MAX_STATED_KIND).decode("ascii", errors="replace").strip()
        else:
            kind = media.EPUB if _BOOK_PART in package else media.ZIP
    except LoadError:
        return media.ZIP
    if kind not in _PACKAGES or any(part in package for part in _OTHER_PARTS):
        raise LoadError("unsupported")
    return kind


def _office_kind(package: Package) -> str | None:
    folders = _OFFICE_FOLDERS.items()
    return next((kind for folder, kind in folders if any(name.startswith(folder) for name in package.names)), None)


def _text_sample(data: bytes) -> str:
    sample = data[:_SAMPLE]
    if marked_encoding(sample) is None and unmarked_unicode(sample) is None and _is_binary(sample.decode("latin-1")):
        raise LoadError("unsupported")
    text, _ = decode(sample)
    if _is_binary(text):
        raise LoadError("unsupported")
    return text.removeprefix("\ufeff")


def _is_binary(text: str) -> bool:
    zeros = text.count("\x00")
    if zeros > _MAX_CONTROL_SHARE * len(text) and len(text) - zeros < _FEWEST_BESIDE_ZEROS:
        return True
    return len(_CONTROL.findall(text)) > _MAX_CONTROL_SHARE * (len(text) - zeros)


def _kind_of_text(text: str, *, hint: str | None) -> str:
    if _HTML_START.match(text) or (hint == media.HTML and _HTML_TAG.search(text)):
        return media.HTML
    if _is_mail(text):
        return media.MAIL
    if _JSON_START.match(text) and hint in {None, media.JSON}:
        return media.JSON
    return hint if hint in {media.MARKDOWN, media.CSV} else media.PLAIN


def _is_mail(text: str) -> bool:
    """Whether the text begins with lines of headers, several of which only mail has."""
    found: set[str] = set()
    for line in text[:_SAMPLE].lstrip().splitlines():
        header = _MAIL_HEADER.match(line)
        if header is None:
            break
        found.add((header[1] or "").lower())
    return len(found & _MAIL_HEADERS) >= _ENOUGH_MAIL_HEADERS


def _hint(filename: str | None, *, declared: str | None) -> str | None:
    """The kind of text that the name says, else the one that the client states; `None` if neither is one."""
    named = _NAMED.get(PurePath(filename or "").suffix.lower())
    stated = (declared or "").partition(";")[0].strip().lower()
    return named or (stated if stated in _NAMED.values() else None)
