"""What is written on a PDF page but not part of its text: filled form fields, comments, text boxes of reviewers."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from typing import Final

import pypdfium2
import pypdfium2.raw as pdfium

# Where an annotation of each kind keeps its text (ISO 32000-1, 12.5.6 and 12.7.3).
_TEXT_KEYS: Final = {
    pdfium.FPDF_ANNOT_WIDGET: b"V",
    pdfium.FPDF_ANNOT_TEXT: b"Contents",
    pdfium.FPDF_ANNOT_FREETEXT: b"Contents",
    pdfium.FPDF_ANNOT_HIGHLIGHT: b"Contents",
}
# States of check boxes are values as well.
_STATES: Final = frozenset({"Off", "On", "Yes", "No"})
_MAX_ANNOTATIONS: Final = 5_000


def annotation_texts(page: pypdfium2.PdfPage) -> Iterator[str]:
    """The texts of the annotations of a page, in the order of the file."""
    for index in range(min(pdfium.FPDFPage_GetAnnotCount(page), _MAX_ANNOTATIONS)):
        annotation = pdfium.FPDFPage_GetAnnot(page, index)
        try:
            key = _TEXT_KEYS.get(pdfium.FPDFAnnot_GetSubtype(annotation))
            text = _string(annotation, key=key).strip() if key is not None else ""
        finally:
            pdfium.FPDFPage_CloseAnnot(annotation)
        if text and text not in _STATES:
            yield text


def _string(annotation: object, *, key: bytes) -> str:
    """PDFium writes UTF-16LE with a zero at the end, once it is known how long."""
    size = pdfium.FPDFAnnot_GetStringValue(annotation, key, None, 0)
    buffer = ctypes.create_string_buffer(size)
    pdfium.FPDFAnnot_GetStringValue(annotation, key, ctypes.cast(buffer, ctypes.POINTER(ctypes.c_ushort)), size)
    return buffer.raw[: max(size - 2, 0)].decode("utf-16-le", errors="replace")
