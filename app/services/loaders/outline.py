"""Collects headings and paragraphs in reading order into sections that know the path of headings above them."""

from __future__ import annotations

from typing import Final

from app.services.loaders.document import SECTION_SEPARATOR, Section

# A heading stands in front of every chunk below it, so it must stay a line, whatever a document calls a heading.
MAX_HEADING: Final = 200


class Outline:
    """Builds sections. A heading without text of its own begins the section of the first text below it."""

    def __init__(self) -> None:
        self._sections: list[Section] = []
        self._path: list[tuple[int, str]] = []
        self._paragraphs: list[str] = []
        self._has_body = False
        self._page: int | None = None

    def add_heading(self, text: str, *, level: int, name: str | None = None) -> None:
        """Start a section inside the last heading of a smaller `level`; `name` is `text` without its markup."""
        name = " ".join((text if name is None else name).split())
        if not name:
            return
        if self._has_body:
            self._close_section()
        self._path = [step for step in self._path if step[0] < level]
        self._path.append((level, name[:MAX_HEADING]))
        self._paragraphs.append(text)

    def add_paragraph(self, text: str) -> None:
        """Add `text`, which may have several lines, to the section."""
        if text.strip():
            self._paragraphs.append(text)
            self._has_body = True

    def start_page(self, page: int) -> None:
        """Start a section on `page`, under the same headings."""
        self._close_section()
        self._page = page

    def title(self) -> str | None:
        """The outermost heading of the first section, if the document begins with one."""
        sections = self.sections()
        return sections[0].heading[0] if sections and sections[0].heading else None

    def sections(self) -> tuple[Section, ...]:
        """What was collected; the outline can go on afterwards."""
        self._close_section()
        return tuple(self._sections)

    def _close_section(self) -> None:
        if self._paragraphs:
            heading = tuple(title for _, title in self._path)
            text = SECTION_SEPARATOR.join(self._paragraphs)
            self._sections.append(Section(text=text, page=self._page, heading=heading))
        self._paragraphs = []
        self._has_body = False
