"""Writes small PDF files: pages of text lines or of shapes, a title, bookmarks, a password."""

from collections.abc import Sequence

# A filled square: something is drawn, but it is not text.
DRAWING = b"100 100 200 200 re f"


def text_page(*lines: str) -> bytes:
    """The content of a page with one line of text below the other; Latin letters only."""
    shown = b" ".join(b"(%s) Tj T*" % line.encode("latin-1") for line in lines)
    return b"BT /F1 12 Tf 14 TL 50 800 Td " + shown + b" ET"


def pdf(
    *pages: bytes,
    title: str = "",
    bookmarks: Sequence[tuple[str, int]] = (),
    annotation: bytes = b"",
    encrypted: bool = False,
) -> bytes:
    """A PDF with these page contents.

    `bookmarks` are titles with the index of the page they point to; `annotation` is one dictionary, on every page.
    """
    objects: dict[int, bytes] = {}
    page_ids = [10 + 2 * index for index in range(len(pages))]
    for page_id, content in zip(page_ids, pages, strict=True):
        objects[page_id] = (
            b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 595 842]/Resources<</Font<</F1 3 0 R>>>>"
            b"/Contents %d 0 R/Annots[%s]>>" % (page_id + 1, annotation)
        )
        objects[page_id + 1] = b"<</Length %d>>stream\n%s\nendstream" % (len(content), content)
    kids = b" ".join(b"%d 0 R" % page_id for page_id in page_ids)
    objects[1] = b"<</Type/Catalog/Pages 2 0 R/Outlines 6 0 R>>"
    objects[2] = b"<</Type/Pages/Kids[%s]/Count %d>>" % (kids, len(pages))
    objects[3] = b"<</Type/Font/Subtype/Type1/BaseFont/Helvetica/Encoding/WinAnsiEncoding>>"
    objects[4] = b"<</Title(%s)>>" % title.encode("latin-1")
    # Keys that no password produces.
    objects[5] = b"<</Filter/Standard/V 1/R 2/Length 40/P -4/O<%s>/U<%s>>>" % (b"11" * 32, b"22" * 32)
    objects |= _outline(bookmarks, page_ids=page_ids)
    return _file(objects, trailer=b"/Encrypt 5 0 R/ID[<00><00>]" if encrypted else b"")


def _outline(bookmarks: Sequence[tuple[str, int]], *, page_ids: Sequence[int]) -> dict[int, bytes]:
    first, last = 1000, 1000 + len(bookmarks) - 1
    objects = {6: b"<</Type/Outlines/First %d 0 R/Last %d 0 R>>" % (first, last) if bookmarks else b"<<>>"}
    for number, (title, page) in enumerate(bookmarks, start=first):
        following = b"/Next %d 0 R" % (number + 1) if number < last else b""
        objects[number] = b"<</Title(%s)/Parent 6 0 R/Dest[%d 0 R/Fit]%s>>" % (
            title.encode("latin-1"),
            page_ids[page],
            following,
        )
    return objects


def _file(objects: dict[int, bytes], *, trailer: bytes) -> bytes:
    body = b"%PDF-1.7\n"
    table = b""
    for number, content in sorted(objects.items()):
        table += b"%d 1\n%010d 00000 n \n" % (number, len(body))
        body += b"%d 0 obj\n%s\nendobj\n" % (number, content)
    size = max(objects) + 1
    return (
        body
        + b"xref\n0 1\n0000000000 65535 f \n%strailer<</Size %d/Root 1 0 R/Info 4 0 R%s>>\nstartxref\n%d\n%%%%EOF"
        % (
            table,
            size,
            trailer,
            len(body),
        )
    )
