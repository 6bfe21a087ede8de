"""JSON as it goes to a model's server and as it comes back: checked where it is read, never trusted."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import orjson

from app.errors import UpstreamBrokenError, UpstreamError, UpstreamRejectedError
from app.models import JSONValue, Piece

JSONObject = Mapping[str, JSONValue]


def encode(value: JSONObject) -> bytes:
    """The value as JSON in UTF-8; raises `UpstreamRejectedError` for what it cannot hold, e.g. half a surrogate."""
    try:
        return orjson.dumps(value)
    except TypeError:
        raise UpstreamRejectedError from None


def decode(data: bytes) -> JSONObject:
    """The JSON object that the bytes hold; raises `UpstreamBrokenError` if they hold anything else."""
    try:
        value = orjson.loads(data)
    except ValueError:
        raise UpstreamBrokenError from None
    if not isinstance(value, dict):
        raise UpstreamBrokenError
    return value


def until_broken(pieces: Iterable[Piece]) -> tuple[Sequence[Piece], UpstreamError | None]:
    """The pieces up to the first that raises, and what it raises: what is good of an answer is given out before it."""
    good: list[Piece] = []
    try:
        for piece in pieces:
            good.append(piece)  # noqa: PERF402  (what came before an error stays)
    except UpstreamError as error:
        return good, error
    return good, None


def object_at(value: JSONObject, key: str) -> JSONObject:
    """The object under the key, an empty one if there is none."""
    found = value.get(key)
    return found if isinstance(found, dict) else {}


def objects_at(value: JSONObject, key: str) -> Sequence[JSONObject]:
    """The objects in the list under the key, none if there is no list."""
    found = value.get(key)
    return [item for item in found if isinstance(item, dict)] if isinstance(found, list) else []


def text_at(value: JSONObject, key: str) -> str:
    """The text under the key, an empty one if there is none."""
    found = value.get(key)
    return found if isinstance(found, str) else ""


def count_at(value: JSONObject, key: str) -> int | None:
    """The whole number, zero or more, under the key."""
    found = value.get(key)
    return found if isinstance(found, int) and not isinstance(found, bool) and found >= 0 else None


def without_absent(value: JSONObject) -> dict[str, JSONValue]:
    """The object without the keys whose value is `None`: what a caller left out is not sent."""
    return {key: item for key, item in value.items() if item is not None}
