"""What a loader gives back: the text of a document in reading order, or the reason why there is none."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

LoadErrorCode = Literal["encrypted", "no_text_needs_ocr", "corrupt", "unsupported", "too_large", "timeout", "empty"]

# A bound on what one document may become, so that a small file cannot fill memory, disk and index.
MAX_CHARACTERS: Final = 50_000_000
MAX_SECTIONS: Final = 200_000

SECTION_SEPARATOR: Final = "\n\n"

_MESSAGES: Final[dict[LoadErrorCode, str]] = {
    "encrypted": "The document is encrypted; send it without a password.",
    "no_text_needs_ocr": "The document has pictures of text but no text; it needs text recognition first.",
    "corrupt": "The document is damaged and cannot be read.",
    "unsupported": "This kind of content is not supported.",
    "too_large": "The document holds more than one document may.",
    "timeout": "Reading the document took too long.",
    "empty": "The document holds no text.",
}


class LoadError(Exception):
    """A document that gives no text. `code` is stable; the message is fixed words, never text from the document."""

    def __init__(self, code: LoadErrorCode) -> None:
        super().__init__(_MESSAGES[code])
        self.code: Final = code


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """A run of text under one heading on one page.

    `page` counts from 1, for kinds of documents that have pages (or slides). `heading` is the path of headings
    above the text, outermost first; the text begins with the headings that it stands directly under.
    """

    text: str
    page: int | None = None
    heading: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ParsedDocument:
    """A document as text: sections in reading order, none of them blank.

    `warnings` are stable codes for what is missing from the text, with a position where there is one:
    `no_text_on_page:3`.
    """

    title: str | None
    media_type: str
    sections: tuple[Section, ...]
    warnings: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """The whole text: what every character span in this document counts in."""
        return SECTION_SEPARATOR.join(section.text for section in self.sections)
