"""Mail messages: the headers that matter, the body, the attachments."""

from __future__ import annotations

import email
import email.errors
import email.header
import functools
from collections.abc import Iterator
from email.message import Message
from typing import Final

from app.services.loaders.document import LoadError, ParsedDocument
from app.services.loaders.encodings import decode
from app.services.loaders.html import read_markup
from app.services.loaders.media import MAIL
from app.services.loaders.members import LoadMember, Member, load_members
from app.services.loaders.outline import Outline

_HEADERS: Final = ("Subject", "From", "To", "Cc", "Date")
_BODIES: Final = ("text/plain", "text/html")
_ENCRYPTED: Final = frozenset({"multipart/encrypted", "application/pkcs7-mime", "application/x-pkcs7-mime"})


def load_mail(data: bytes, *, load_member: LoadMember) -> ParsedDocument:
    """A section with headers and body, then those of each attachment under its name; the subject is the title."""
    message = email.message_from_bytes(data)
    parts = list(_parts(message))
    outline = Outline()
    outline.add_paragraph("\n".join(_header_lines(message)))
    warnings = [warning for part in parts if _is_body(part) for warning in _read_body(part, outline=outline)]
    members = load_members((_member(part) for part in parts if not _is_body(part)), load_member=load_member)
    if any(part.get_content_type() in _ENCRYPTED for part in message.walk()):
        raise LoadError("encrypted")
    return ParsedDocument(
        title=_header(message, "Subject") or None,
        media_type=MAIL,
        sections=(*outline.sections(), *members.sections),
        warnings=(*warnings, *members.warnings),
    )


def _header_lines(message: Message) -> Iterator[str]:
    for name in _HEADERS:
        if value := _header(message, name):
            yield f"{name}: {value}"


def _header(message: Message, name: str) -> str:
    value = str(message.get(name, ""))
    try:
        decoded = str(email.header.make_header(email.header.decode_header(value)))
    except (email.errors.HeaderParseError, LookupError, UnicodeError, ValueError):
        decoded = value
    return " ".join(decoded.split())


def _parts(message: Message) -> Iterator[Message]:
    """The leaves: of alternatives the plain one, messages inside messages whole."""
    if message.get_content_type() == "message/rfc822" or not message.is_multipart():
        yield message
        return
    children = [child for child in message.get_payload() if isinstance(child, Message)]
    if message.get_content_type() == "multipart/alternative":
        children = [min(children, key=_preference)] if children else []
    for child in children:
        yield from _parts(child)


def _preference(alternative: Message) -> int:
    kind = alternative.get_content_type()
    if kind == _BODIES[0] and _payload(alternative).strip():
        return 0
    return 1 if kind in _BODIES or alternative.is_multipart() else 2


def _is_body(part: Message) -> bool:
    return (
        part.get_content_type() in _BODIES
        and part.get_content_disposition() != "attachment"
        and not part.get_filename()
    )


def _read_body(part: Message, *, outline: Outline) -> tuple[str, ...]:
    text, warnings = decode(_payload(part), declared=part.get_content_charset())
    if part.get_content_type() == "text/html":
        read_markup(text, outline=outline)
    else:
        outline.add_paragraph(text)
    return warnings


def _member(part: Message) -> Member:
    name = part.get_filename() or "attachment"
    return Member(name=" ".join(name.split()), read=functools.partial(_payload, part))


def _payload(part: Message) -> bytes:
    if part.get_content_type() == "message/rfc822":
        inner = part.get_payload()
        return b"".join(message.as_bytes() for message in inner if isinstance(message, Message))
    payload = part.get_payload(decode=True)
    return payload if isinstance(payload, bytes) else b""
