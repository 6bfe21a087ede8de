"""Small files that cost a careless reader minutes, its memory or its stack."""

import struct

from tests.services.loaders.package_samples import (
    docx,
    office_parts,
    opendocument,
    package,
    word_paragraph,
    workbook,
)

MAIL_HEADERS = b"From: a@b.example\r\nTo: c@d.example\r\nSubject: Nested\r\n"


def nested(opening: bytes, *, times: int, closing: bytes = b"") -> bytes:
    """A page with a word inside so many elements."""
    return b"<html><body>" + opening * times + b"innermost" + closing * times


def giant_tag(attributes: int) -> bytes:
    return b"<html><body><p " + b" ".join(b"a%d=1" % number for number in range(attributes)) + b">innermost</p>"


def commented(comments: int) -> bytes:
    """A page that begins with comments, the last of which does not end."""
    return b"<!-- x -->" * comments + b"<!-- the rest is none"


def boxes_in_boxes(depth: int) -> bytes:
    inner = "<t:p>innermost</t:p>"
    for _ in range(depth):
        inner = f"<t:p><d:frame><d:text-box>{inner}</d:text-box></d:frame></t:p>"
    return opendocument("text", inner)


def sections_in_sections(depth: int) -> bytes:
    return opendocument("text", "<t:section>" * depth + "<t:p>innermost</t:p>" + "</t:section>" * depth)


def book_of_one_chapter(times: int) -> bytes:
    """A book whose only chapter is listed over and over."""
    references = '<itemref idref="0"/>' * times
    return package(
        {
            "mimetype": "application/epub+zip",
            "META-INF/container.xml": '<container><rootfile full-path="book.opf"/></container>',
            "book.opf": '<package><manifest><item id="0" href="a.xhtml"/></manifest>'
            f"<spine>{references}</spine></package>",
            "a.xhtml": "<html><body><p>The only chapter.</p></body></html>",
        }
    )


def laughs() -> bytes:
    """Entities that multiply by ten, ten times over ("billion laughs")."""
    entities = "".join(f'<!ENTITY a{level + 1} "{f"&a{level};" * 10}">' for level in range(10))
    body = f'<!DOCTYPE x [<!ENTITY a0 "ha">{entities}]><w:document xmlns:w="urn:w"><w:body>&a10;</w:body></w:document>'
    return package({**office_parts("word/document.xml"), "word/document.xml": body})


def word_in_controls(depth: int) -> bytes:
    return docx("<w:sdt>" * depth + word_paragraph("innermost") + "</w:sdt>" * depth)


def far_cells(rows: int) -> bytes:
    """A cell in the last column of each row: 16,384 columns that are made up are a lot of nothing."""
    return workbook("".join(f'<row r="{row}"><c r="XFD{row}"><v>{row}</v></c></row>' for row in range(1, rows + 1)))


def styled_cells(rows: int) -> bytes:
    cells = "".join(f'<c r="{column}%d" s="0"/>' for column in "ABCDEFGHIJ")
    return workbook("".join(f'<row r="{row}">{cells.replace("%d", str(row))}</row>' for row in range(1, rows + 1)))


def mails_in_a_mail(depth: int) -> bytes:
    mail = MAIL_HEADERS + b"\r\ninnermost\r\n"
    for _ in range(depth):
        mail = MAIL_HEADERS + b"Content-Type: message/rfc822\r\n\r\n" + mail
    return mail


def parts_in_a_part(depth: int) -> bytes:
    opening = (
        b"Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n" % (level, level) for level in range(depth)
    )
    return MAIL_HEADERS + b"".join(opening) + b"Content-Type: text/plain\r\n\r\ninnermost\r\n"


def archives_in_an_archive(depth: int) -> bytes:
    inner, name = b"innermost", "a.txt"
    for level in range(depth):
        inner, name = package({name: inner}), f"{level}.zip"
    return inner


def understated_bomb() -> bytes:
    """An archive whose member says that it unpacks to ten bytes."""
    data = bytearray(package({"a.txt": bytes(20_000_000)}))
    struct.pack_into("<L", data, 22, 10)
    struct.pack_into("<L", data, data.rfind(b"PK\x01\x02") + 24, 10)
    return bytes(data)
