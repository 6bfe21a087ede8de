"""JSON and JSON Lines as lines of `path.to.key: value`, records apart from each other."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Final

from app.services.loaders.document import ParsedDocument, Section
from app.services.loaders.encodings import decode
from app.services.loaders.media import JSON

_NOT_JSON: Final = "not_json"


def load_json(data: bytes) -> ParsedDocument:
    """One section; text that only looks like JSON is kept as it is, with a warning."""
    source, warnings = decode(data)
    source = source.removeprefix("\ufeff")
    try:
        text = "\n\n".join("\n".join(_lines(record, path="")) for record in _records(source))
    except ValueError:
        text, warnings = source, (*warnings, _NOT_JSON)
    return ParsedDocument(title=None, media_type=JSON, sections=(Section(text=text),), warnings=warnings)


def _records(source: str) -> list[Any]:
    """The elements of a list, the objects of JSON Lines, or the one value there is."""
    try:
        value = _parse(source)
    except ValueError:
        return [_parse(line) for line in source.splitlines() if line.strip()]
    return value if isinstance(value, list) else [value]


def _parse(source: str) -> Any:
    # Numbers stay as they are written: the text is for reading, not for arithmetic.
    return json.loads(source, parse_int=str, parse_float=str, parse_constant=str)


def _lines(value: Any, *, path: str) -> Iterator[str]:
    match value:
        case dict():
            for key, inner in value.items():
                yield from _lines(inner, path=f"{path}.{key}" if path else key)
        case list() if any(isinstance(inner, dict | list) for inner in value):
            for inner in value:
                yield from _lines(inner, path=path)
        case list():
            yield from _line(path, ", ".join(filter(None, map(_scalar, value))))
        case _:
            yield from _line(path, _scalar(value))


def _line(path: str, text: str) -> Iterator[str]:
    if text:
        yield f"{path}: {text}" if path else text


def _scalar(value: Any) -> str:
    match value:
        case None:
            return ""
        case bool():
            return str(value).lower()
    return str(value)
