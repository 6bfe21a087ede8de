"""Reading request bodies: bounded, decoded once, and refused where two readers could understand them differently."""

from __future__ import annotations

import json
import math
from codecs import BOM_UTF8
from collections.abc import Callable, Coroutine
from email.message import Message as EmailMessage
from typing import Any, NoReturn

from fastapi import Request, Response
from fastapi.routing import APIRoute
from starlette.datastructures import Headers
from starlette.types import Message, Receive

from app.errors import MalformedBodyError, PayloadTooLargeError, UnsupportedMediaError

LARGEST_JSON = 32 * 1024 * 1024
LARGEST_FILE = 100 * 1024 * 1024
LARGEST_FORM = 1024 * 1024 * 1024
SMALLEST_INTEGER, LARGEST_INTEGER = -(2**63), 2**64 - 1


class InvalidTextError(MalformedBodyError):
    status = 422
    code = "invalid_text"
    message = "A text holds a NUL character or half a surrogate pair, which is not text in any encoding."


class BoundedRequest(Request):
    """A request whose body cannot grow past its limit and whose JSON has one meaning only."""

    async def json(self) -> Any:
        if not hasattr(self, "_json"):
            self._json = decode_json(await self.body())
        return self._json

    def bounded(self) -> BoundedRequest:
        """The same request, counting what it receives, unless its headers already tell that it is refused."""
        receive, limit, received = self.receive, refuse_early(self.headers), 0

        async def receive_bounded() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > limit:
                raise PayloadTooLargeError
            return message

        return BoundedRequest(self.scope, receive_bounded)


class BoundedRoute(APIRoute):
    """A route whose handler gets a `BoundedRequest`."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def handle_bounded(request: Request) -> Response:
            return await handle(BoundedRequest(request.scope, request.receive).bounded())

        return handle_bounded


def refuse_early(headers: Headers) -> int:
    """Refuse what the headers already tell, before a byte of the body is read; how many bytes it may have."""
    if headers.get("content-encoding", "identity").lower() != "identity":
        raise UnsupportedMediaError("Compressed request bodies are not accepted; send the body as it is.")
    limit = LARGEST_FORM if headers.get("content-type", "").startswith("multipart/") else LARGEST_JSON
    declared = headers.get("content-length", "0")
    if declared.isascii() and declared.isdigit() and int(declared) > limit:
        raise PayloadTooLargeError
    return limit


async def read_json(headers: Headers, receive: Receive) -> Any:
    """What the JSON of the body says, or the bytes of a body that is not declared to be JSON, as FastAPI has it."""
    body = await _read(receive, limit=refuse_early(headers))
    return decode_json(body) if body and _is_json(headers.get("content-type")) else body


async def _read(receive: Receive, *, limit: int) -> bytes:
    pieces, size, more = [], 0, True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise MalformedBodyError
        pieces.append(message.get("body", b""))
        size += len(pieces[-1])
        if size > limit:
            raise PayloadTooLargeError
        more = message.get("more_body", False)
    return b"".join(pieces)


def _is_json(content_type: str | None) -> bool:
    """Whether it is `application/json` or `application/...+json`."""
    if content_type is None or content_type == "application/json":
        return content_type is not None
    message = EmailMessage()
    message["content-type"] = content_type
    subtype = message.get_content_subtype()
    return message.get_content_maintype() == "application" and (subtype == "json" or subtype.endswith("+json"))


def decode_json(body: bytes) -> Any:
    """Decode JSON strictly: UTF-8, no duplicate keys, bounded nesting, only numbers and text that can be encoded again.

    Raises `MalformedBodyError` and `InvalidTextError`.
    """
    try:
        value = STRICT.decode(body.removeprefix(BOM_UTF8).decode())
        if b"\\u" in body:
            _check_texts(value)
    except (ValueError, RecursionError):
        raise MalformedBodyError from None
    return value


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        raise MalformedBodyError("The body names a key twice in one object.")
    return value


def _refuse_constant(_name: str) -> NoReturn:
    raise MalformedBodyError


def _finite(digits: str) -> float:
    number = float(digits)
    if not math.isfinite(number):
        raise MalformedBodyError("The body holds a number that is too large.")
    return number


def _machine_integer(digits: str) -> int:
    """What 64 bits hold, signed or not: models' servers and our own stores take no more."""
    number = int(digits)
    if not SMALLEST_INTEGER <= number <= LARGEST_INTEGER:
        raise MalformedBodyError("The body holds a number that is too large.")
    return number


def _check_texts(value: Any) -> None:
    """Only escapes can bring in what UTF-8 itself cannot carry."""
    if isinstance(value, str):
        check_text(value)
    elif isinstance(value, dict):
        for key, item in value.items():
            check_text(key)
            _check_texts(item)
    elif isinstance(value, list):
        for item in value:
            _check_texts(item)


STRICT = json.JSONDecoder(
    object_pairs_hook=_object, parse_constant=_refuse_constant, parse_float=_finite, parse_int=_machine_integer
)


def check_text(text: str) -> None:
    """Raise `InvalidTextError` for a NUL or an unpaired surrogate."""
    if "\0" in text:
        raise InvalidTextError
    try:
        text.encode()
    except UnicodeEncodeError:
        raise InvalidTextError from None
