"""The media types that can be read."""

from __future__ import annotations

from typing import Final

PLAIN: Final = "text/plain"
MARKDOWN: Final = "text/markdown"
HTML: Final = "text/html"
CSV: Final = "text/csv"
JSON: Final = "application/json"
MAIL: Final = "message/rfc822"
PDF: Final = "application/pdf"
RTF: Final = "application/rtf"
ZIP: Final = "application/zip"
EPUB: Final = "application/epub+zip"
DOCX: Final = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"
PPTX: Final = "application/vnd.openxmlformats-officedocument.presentationml.presentation"
XLSX: Final = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
ODT: Final = "application/vnd.oasis.opendocument.text"
ODP: Final = "application/vnd.oasis.opendocument.presentation"
ODS: Final = "application/vnd.oasis.opendocument.spreadsheet"
PNG: Final = "image/png"
JPEG: Final = "image/jpeg"
TIFF: Final = "image/tiff"
PICTURES: Final = frozenset({PNG, JPEG, TIFF})
# What Office writes when a password is set: not a package but an older container around an encrypted one.
ENCRYPTED_OFFICE: Final = "application/x-ole-storage"
