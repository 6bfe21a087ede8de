"""What Office Open XML packages have in common: relations between parts, and the title."""

from __future__ import annotations

import posixpath
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from app.services.loaders.document import LoadError
from app.services.loaders.packages import Package
from app.services.loaders.xml import Element, child, parse_xml

_CORE_PROPERTIES: Final = "docProps/core.xml"
_MAIN_KIND: Final = "officeDocument"


@dataclass(frozen=True, slots=True, kw_only=True)
class Relation:
    """A reference from one part to another; `kind` is the last segment of its type's address."""

    kind: str
    target: str


def relations(package: Package, *, part: str) -> Mapping[str, Relation]:
    """The relations of `part` (of the package itself, if that is empty) to other parts by id; none to the outside."""
    folder, name = posixpath.split(part)
    path = posixpath.join(folder, "_rels", f"{name}.rels")
    if path not in package:
        return {}
    return {
        relation.get("Id", ""): Relation(
            kind=relation.get("Type", "").rpartition("/")[2],
            target=posixpath.normpath(posixpath.join("/", folder, relation.get("Target", ""))).lstrip("/"),
        )
        for relation in parse_xml(package.read(path)).iter("{*}Relationship")
        if relation.get("TargetMode") != "External"
    }


def main_part(package: Package) -> str:
    """The name of the part that the package is about; programs differ in what they call it.

    Raises:
        LoadError: `corrupt` if there is none.
    """
    targets = [relation.target for relation in relations(package, part="").values() if relation.kind == _MAIN_KIND]
    if not targets or targets[0] not in package:
        raise LoadError("corrupt")
    return targets[0]


def read_part(package: Package, name: str) -> Element | None:
    """The root of a part, `None` if the package has none of this name."""
    return parse_xml(package.read(name)) if name in package else None


def core_title(package: Package) -> str | None:
    """The title in the core properties."""
    properties = read_part(package, _CORE_PROPERTIES)
    title = child(properties, "title") if properties is not None else None
    return title.text if title is not None else None
