"""XML, parsed without entities, external references or unbounded trees."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from lxml import etree

from app.services.loaders.document import LoadError

Element = etree._Element  # noqa: SLF001 - lxml has no public name for the type of its elements

_XML_NAMESPACE: Final = "{http://www.w3.org/XML/1998/namespace}"


def parse_xml(data: bytes) -> Element:
    """The root element.

    Raises:
        LoadError: `corrupt` when it is not well-formed, or deeper or longer than libxml2's own bounds.
    """
    parser = etree.XMLParser(
        resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False, remove_comments=True, remove_pis=True
    )
    try:
        root = etree.fromstring(data, parser)
    except (etree.XMLSyntaxError, ValueError):
        raise LoadError("corrupt") from None
    if root.getroottree().docinfo.internalDTD is not None:
        _remove_entities(root)
    return root


def _remove_entities(root: Element) -> None:
    """Close the gaps that references to entities leave, so that the text behind them is not lost."""
    for entity in list(root.iter(etree.Entity)):
        parent, previous, tail = entity.getparent(), entity.getprevious(), entity.tail or ""
        if parent is None:
            continue
        if previous is None:
            parent.text = (parent.text or "") + tail
        else:
            previous.tail = (previous.tail or "") + tail
        parent.remove(entity)


def local_name(element: Element) -> str:
    """The tag without its namespace."""
    return str(element.tag).rpartition("}")[2]


def attribute(element: Element, name: str) -> str | None:
    """The value of the attribute called `name` in whatever namespace: formats agree on names, not on versions."""
    return next((str(value) for key, value in element.attrib.items() if str(key).rpartition("}")[2] == name), None)


def descendants(element: Element, name: str) -> Iterator[Element]:
    """All elements called `name` below `element`, in whatever namespace, in document order."""
    return element.iter(f"{{*}}{name}")


def child(element: Element, *path: str) -> Element | None:
    """The first element down the path of local names, one level each."""
    return element.find("/".join(f"{{*}}{name}" for name in path))


def inline_text(element: Element, *, render: Callable[[Element], str | None]) -> str:
    """The text below `element`: what `render` makes of an element, or, where that is `None`, of its children."""
    pieces: list[str] = []
    pending = [element]
    while pending:
        current = pending.pop()
        rendered = render(current)
        if rendered is None:
            pending.extend(reversed(current))
        else:
            pieces.append(rendered)
    return "".join(pieces)
