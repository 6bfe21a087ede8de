"""Sluice's own options on OpenAI's surface: in the body, or in headers where a client cannot add fields."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, TypeVar

from fastapi import Depends
from pydantic import TypeAdapter, ValidationError
from starlette.datastructures import Headers
from starlette.requests import HTTPConnection

from app.dependencies import own_headers, read_stated_label
from app.errors import InvalidRequestError, MalformedBodyError
from app.models import Label
from app.routers.bodies import decode_json
from app.routers.native import CacheBody, DocumentsBody, LabelWord, Name, Strict

DOCUMENTS_HEADER = "x-sluice-documents"
CACHE_HEADER = "x-sluice-cache"
SESSION_HEADER = "x-sluice-session-id"
OPTION_HEADERS = frozenset({DOCUMENTS_HEADER, CACHE_HEADER, SESSION_HEADER})


class SluiceOptions(Strict):
    """The options as fields of a body. `documents` is left out where the model's name decides."""

    sensitivity: LabelWord | None = None
    documents: bool | DocumentsBody | None = None
    cache: bool | CacheBody | None = None
    session_id: Name | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class HeaderOptions:
    """The options as headers state them: the label is joined with the body's; for the others the body decides."""

    sensitivity: Label | None
    documents: bool | DocumentsBody | None
    cache: bool | CacheBody | None
    session_id: str | None


NO_OPTIONS = HeaderOptions(sensitivity=None, documents=None, cache=None, session_id=None)

Option = TypeVar("Option")

DOCUMENTS: TypeAdapter[bool | DocumentsBody] = TypeAdapter(bool | DocumentsBody)
CACHE: TypeAdapter[bool | CacheBody] = TypeAdapter(bool | CacheBody)
SESSION: TypeAdapter[str] = TypeAdapter(Name)


async def read_options(connection: HTTPConnection) -> HeaderOptions:
    """The options in the headers: `documents` and `cache` in JSON, as the body has them, `session_id` as it is.

    Raises `InvalidRequestError` for a header that is not known, is given twice or cannot be read.
    """
    headers = connection.headers
    if not own_headers(headers):
        return NO_OPTIONS
    documents, cache, session_id = (_single(headers, name) for name in (DOCUMENTS_HEADER, CACHE_HEADER, SESSION_HEADER))
    return HeaderOptions(
        sensitivity=read_stated_label(headers, also_known=OPTION_HEADERS),
        documents=_json(DOCUMENTS, documents, name=DOCUMENTS_HEADER),
        cache=_json(CACHE, cache, name=CACHE_HEADER),
        session_id=None if session_id is None else _read(SESSION, session_id, name=SESSION_HEADER),
    )


def _single(headers: Headers, name: str) -> str | None:
    given = headers.getlist(name)
    if len(given) > 1:
        raise InvalidRequestError(f"{name} is given twice.", param=name)
    return given[0] if given else None


def _json(adapter: TypeAdapter[Option], text: str | None, *, name: str) -> Option | None:
    if text is None:
        return None
    try:
        value = decode_json(text.encode("latin-1"))
    except MalformedBodyError:
        raise _unreadable(name) from None
    return _read(adapter, value, name=name)


def _read(adapter: TypeAdapter[Option], value: object, *, name: str) -> Option:
    try:
        return adapter.validate_python(value)
    except ValidationError:
        raise _unreadable(name) from None


def _unreadable(name: str) -> InvalidRequestError:
    return InvalidRequestError(f"{name} does not have a known form; see /docs.", param=name)


OptionsDep = Annotated[HeaderOptions, Depends(read_options)]
