"""Documents inside documents: the files of an archive, the attachments of a mail."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final, Protocol

from app.services.loaders.document import MAX_CHARACTERS, LoadError, LoadErrorCode, ParsedDocument, Section

# When no member has text, the reason that tells the most about what to do.
_TELLING: Final[tuple[LoadErrorCode, ...]] = ("encrypted", "too_large", "no_text_needs_ocr", "corrupt", "unsupported")


class LoadMember(Protocol):
    """Finds out what a member is and reads it; raises `LoadError`."""

    def __call__(self, data: bytes, *, filename: str | None) -> ParsedDocument: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """A file inside another. Its bytes are read when its turn comes, which may raise `LoadError`."""

    name: str
    read: Callable[[], bytes]


@dataclass(frozen=True, slots=True, kw_only=True)
class Members:
    """What was read of all members, and why the others were not."""

    sections: tuple[Section, ...]
    warnings: tuple[str, ...]
    failures: frozenset[LoadErrorCode]

    @property
    def reason(self) -> LoadErrorCode:
        """Why there is no text at all."""
        return next((code for code in _TELLING if code in self.failures), "empty")


def load_members(members: Iterable[Member], *, load_member: LoadMember) -> Members:
    """Read all members, each under its name as the outermost heading; a failed one is a warning with its position."""
    sections: list[Section] = []
    warnings: list[str] = []
    failures: set[LoadErrorCode] = set()
    characters = 0
    for position, member in enumerate(members, start=1):
        document = _load(member, load_member=load_member)
        if not isinstance(document, ParsedDocument):
            failures.add(document)
            warnings.append(f"member:{position}:{document}")
            continue
        characters += sum(len(section.text) for section in document.sections)
        if characters > MAX_CHARACTERS:
            raise LoadError("too_large")
        warnings.extend(f"member:{position}:{warning}" for warning in document.warnings)
        sections.extend(
            dataclasses.replace(section, heading=(member.name, *section.heading)) for section in document.sections
        )
    return Members(sections=tuple(sections), warnings=tuple(warnings), failures=frozenset(failures))


def _load(member: Member, *, load_member: LoadMember) -> ParsedDocument | LoadErrorCode:
    try:
        return load_member(member.read(), filename=member.name)
    except LoadError as error:
        return error.code
    except Exception:  # noqa: BLE001 - a parser may raise anything over a damaged member; the others are still read
        return "corrupt"
