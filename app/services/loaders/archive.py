"""ZIP archives of documents."""

from __future__ import annotations

import functools
from collections.abc import Iterator

from app.services.loaders.document import LoadError, ParsedDocument
from app.services.loaders.media import ZIP
from app.services.loaders.members import LoadMember, Member, load_members
from app.services.loaders.packages import Package


def load_zip(data: bytes, *, load_member: LoadMember) -> ParsedDocument:
    """The documents of the archive one after the other; one that cannot be read is a warning."""
    package = Package(data)
    members = load_members(_members(package), load_member=load_member)
    if not members.sections:
        raise LoadError(members.reason)
    return ParsedDocument(title=None, media_type=ZIP, sections=members.sections, warnings=members.warnings)


def _members(package: Package) -> Iterator[Member]:
    """All files but those that operating systems leave behind."""
    for name in package.names:
        if not name.startswith("__MACOSX/") and not name.rpartition("/")[2].startswith("."):
            yield Member(name=name, read=functools.partial(package.read, name))
