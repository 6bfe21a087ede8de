"""Values as DynamoDB's typed attributes and back, and the texts that keys are made of."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import quote

from app.errors import InvalidRequestError

Item = dict[str, Any]

# A sort key holds 1,024 bytes and a partition key 2,048: a longer name is written as its digest.
LONGEST_PART: Final = 200
_LATEST: Final = 10**20
_WHOLE = re.compile(r"-?\d+")


def write_item(item: Mapping[str, Any]) -> dict[str, Any]:
    """The attributes of an item; `None` is an attribute that is not there."""
    return {name: write_value(value) for name, value in item.items() if value is not None}


def read_item(attributes: Mapping[str, Any]) -> Item:
    return {name: read_value(value) for name, value in attributes.items()}


def write_value(value: Any) -> dict[str, Any]:
    """The value with the letter of its type; raises `InvalidRequestError` for a text that no encoding can write."""
    match value:
        case Mapping():
            return {"M": {name: write_value(inner) for name, inner in value.items()}}
        case list() | tuple():
            return {"L": [write_value(inner) for inner in value]}
        case _:
            letter, written = _write_scalar(value)
            return {letter: written}


def _write_scalar(value: Any) -> tuple[str, Any]:
    match value:
        case None:
            return "NULL", True
        case bool():
            return "BOOL", value
        case str():
            return "S", _encodable(value)
        case bytes():
            return "B", value
        case _:
            return "N", repr(int(value) if isinstance(value, int) else value)


def read_value(typed: Mapping[str, Any]) -> Any:
    ((letter, value),) = typed.items()
    match letter:
        case "NULL":
            return None
        case "N":
            return int(value) if _WHOLE.fullmatch(value) else float(value)
        case "M":
            return read_item(value)
        case "L":
            return [read_value(inner) for inner in value]
        case _:
            return value


def join(*parts: str | int) -> str:
    """A key of several parts, which no two lists of parts share; numbers are in their order."""
    return "#".join(f"{part:012d}" if isinstance(part, int) else _part(part) for part in parts)


def write_moment(moment: datetime) -> str:
    """A text that is ordered as the moments are."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds")


def read_moment(text: str) -> datetime:
    return datetime.fromisoformat(text)


def backwards(moment: datetime) -> str:
    """A text that is ordered as the moments are, the latest first."""
    since = moment.astimezone(UTC) - datetime(1970, 1, 1, tzinfo=UTC)
    microseconds = (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds
    return f"{_LATEST - microseconds:021d}"


def seconds(moment: datetime) -> int:
    """What DynamoDB's time to live counts in: the item is gone some time after this second."""
    return int(moment.timestamp()) + 1


def _part(text: str) -> str:
    quoted = quote(_encodable(text), safe=" ")
    return quoted if len(quoted) <= LONGEST_PART else f"={hashlib.sha256(text.encode()).hexdigest()}"


def _encodable(text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise InvalidRequestError("A text holds half of a surrogate pair, which no encoding can write.") from None
    return text
