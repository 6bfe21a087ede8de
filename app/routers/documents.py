"""`/documents`: put in, list, read, delete."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import replace
from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Header, Query, Request, Response
from fastapi.responses import StreamingResponse

from app.dependencies import EDGE, DocumentReader, DocumentWriter, ServicesDep, StatedLabelDep
from app.errors import NotFoundError
from app.models import Caller, Label
from app.records import DocumentKey, DocumentVersion
from app.routers.bodies import BoundedRoute
from app.routers.native import Name
from app.routers.replies import json_response
from app.routers.schemas import EVENT, DocumentReply, DocumentsPageReply, DocumentsReply, DocumentTextReply
from app.routers.uploads import DocumentsBody, read_uploads
from app.services.ingestion import Upload
from app.services.reading import Excerpt, Reader
from app.wiring import Services

router = APIRouter(prefix="/documents", tags=["documents"], route_class=BoundedRoute, dependencies=EDGE)

# Most clients and proxies give up on an answer after five minutes.
WAIT_SECONDS = 240.0
REMOVAL_WAIT_SECONDS = 5.0
STREAM_HEADERS = {"cache-control": "no-store", "x-accel-buffering": "no"}

EVENTS = "text/event-stream"
Accept = Annotated[str, Header(max_length=1000)]


def _self_contained(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema with its definitions written out where they are used: there is no other place for them here."""
    definitions = schema.pop("$defs", {})

    def resolve(node: Any) -> Any:
        if isinstance(node, dict):
            name = str(node.get("$ref", "")).rpartition("/")[2]
            return resolve(definitions[name]) if name else {key: resolve(value) for key, value in node.items()}
        return [resolve(item) for item in node] if isinstance(node, list) else node

    resolved: dict[str, Any] = resolve(schema)
    return resolved


REQUEST_SCHEMA: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {"schema": _self_contained(DocumentsBody.model_json_schema())},
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["files"],
                    "properties": {
                        "files": {"type": "array", "items": {"type": "string", "format": "binary"}},
                        "ids": {"type": "string", "description": "A JSON list with an id for each file."},
                        "collection": {"type": "string"},
                        "sensitivity": {"type": "string", "enum": [label.word for label in Label]},
                        "metadata": {"type": "string", "description": "A JSON object."},
                    },
                }
            },
        },
    }
}


@router.post(
    "",
    status_code=202,
    response_model=DocumentsReply,
    responses={200: {"model": DocumentsReply, "description": "With `wait`: each is indexed or failed."}},
    openapi_extra=REQUEST_SCHEMA,
)
async def add_documents(
    request: Request,
    services: ServicesDep,
    caller: DocumentWriter,
    stated: StatedLabelDep,
    wait: bool = False,
    idempotency_key: Annotated[str | None, Header(min_length=1, max_length=255)] = None,
) -> Response:
    """Store documents durably, then index them; `?wait=true` answers when each is indexed or failed.

    That answer is 202 with how far each is if it takes more than four minutes, or what it needs is away.
    With an `Idempotency-Key` the same request again changes nothing, and another one under the key is refused.
    """
    uploads = await read_uploads(request, stated=stated)
    versions = await _accept_once(services, uploads, caller=caller, key=idempotency_key)
    if not wait:
        return _documents_response(versions, status=202)
    settled = await services.ingestion.settled([version.id for version in versions], within=WAIT_SECONDS)
    current = [await services.documents.get(version.key, clearance=caller.clearance) for version in versions]
    return _documents_response([version for version in current if version is not None], status=200 if settled else 202)


@router.get("", response_model=DocumentsPageReply)
async def list_documents(
    services: ServicesDep,
    caller: DocumentReader,
    collection: Annotated[str | None, Query(min_length=1, max_length=512)] = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    after: Annotated[str | None, Query(max_length=2000)] = None,
) -> Response:
    """A page of documents; `next` is the cursor for `after`, null on the last page."""
    versions, cursor = await services.documents.page(
        tenant=caller.tenant, clearance=caller.clearance, collection=collection, limit=limit, after=after
    )
    body = {"documents": [document_reply(version) for version in versions], "next": cursor}
    return json_response(body, headers={"cache-control": "no-store"})


@router.get(
    "/{document_id:path}/events",
    response_class=StreamingResponse,
    responses={200: {"description": "Server-sent events.", "content": {"text/event-stream": {"schema": EVENT}}}},
)
async def watch_document(
    document_id: str,
    services: ServicesDep,
    caller: DocumentReader,
    collection: Name = "default",
    accept: Accept = "*/*",
) -> Response:
    """Server-sent events: the document each time it has come further, until it is indexed or failed, then `[DONE]`.

    Where a document's own id is `{document_id}/events`, this is that document; with `Accept: text/event-stream` the
    events of any document are at its own address too.
    """
    named = DocumentKey(tenant=caller.tenant, collection=collection, id=f"{document_id}/events")
    version = await services.documents.get(named, clearance=caller.clearance)
    if version is not None and EVENTS in accept:
        return await _watch(named, services=services, caller=caller)
    if version is not None:
        return _document_response(version)
    return await _watch(replace(named, id=document_id), services=services, caller=caller)


async def _watch(key: DocumentKey, *, services: Services, caller: Caller) -> Response:
    if await services.documents.get(key, clearance=caller.clearance) is None:
        raise NotFoundError
    events = _events(services.ingestion.watch(key, caller=caller))
    return StreamingResponse(events, media_type="text/event-stream", headers=STREAM_HEADERS)


def _document_response(version: DocumentVersion) -> Response:
    return json_response(document_reply(version), headers={"cache-control": "no-store"})


async def _events(versions: AsyncGenerator[DocumentVersion | None]) -> AsyncIterator[bytes]:
    """As the wire has them; a comment keeps the connection alive where there is nothing new."""
    async with aclosing(versions):
        async for version in versions:
            yield b":\n\n" if version is None else b"data: " + orjson.dumps(document_reply(version)) + b"\n\n"
    yield b"data: [DONE]\n\n"


@router.get("/{document_id:path}/text", response_model=DocumentTextReply)
async def read_text(
    document_id: str,
    services: ServicesDep,
    caller: DocumentReader,
    collection: Name = "default",
    passage: Annotated[str | None, Query(max_length=64)] = None,
    start: Annotated[int, Query(ge=0, le=2**31 - 1)] = 0,
    limit: Annotated[int, Query(ge=1, le=100_000)] = 20_000,
) -> Response:
    """A piece of a document's text: from `start` on, or around a `passage` that a citation or a search has named.

    All figures count characters (Unicode code points).
    """
    reader = Reader(services.documents)
    key = DocumentKey(tenant=caller.tenant, collection=collection, id=document_id)
    if passage is None:
        found = await reader.read(key, start=start, limit=limit, caller=caller)
    else:
        found = await reader.read_around(passage, key=key, limit=limit, caller=caller)
    return json_response(_text_reply(found), headers={"cache-control": "no-store"})


@router.get("/{document_id:path}", response_model=DocumentReply)
async def read_document(
    document_id: str,
    services: ServicesDep,
    caller: DocumentReader,
    collection: Name = "default",
    accept: Accept = "*/*",
) -> Response:
    """How far a document has come, what it holds, and why it failed; `Accept: text/event-stream` watches it."""
    key = DocumentKey(tenant=caller.tenant, collection=collection, id=document_id)
    if EVENTS in accept:
        return await _watch(key, services=services, caller=caller)
    version = await services.documents.get(key, clearance=caller.clearance)
    if version is None:
        raise NotFoundError
    return _document_response(version)


@router.delete(
    "/{document_id:path}",
    response_class=Response,
    status_code=204,
    responses={202: {"description": "It is hidden, and being erased."}},
)
async def delete_document(
    document_id: str, services: ServicesDep, caller: DocumentWriter, collection: Name = "default"
) -> Response:
    """Hide a document from every search at once and erase it: 204 when it is gone, 202 while it is being erased."""
    key = DocumentKey(tenant=caller.tenant, collection=collection, id=document_id)
    versions = await services.ingestion.remove(key, caller=caller)
    if versions is None:
        raise NotFoundError
    gone = await services.ingestion.settled(versions, within=REMOVAL_WAIT_SECONDS)
    return Response(status_code=204 if gone else 202)


async def _accept_once(
    services: Services, uploads: Sequence[Upload], *, caller: Caller, key: str | None
) -> list[DocumentVersion]:
    if key is None:
        return await services.ingestion.accept(uploads, caller=caller)
    if await services.replays.is_replay(key, uploads, caller=caller):
        return await services.ingestion.current(uploads, caller=caller)
    versions = await services.ingestion.accept(uploads, caller=caller)
    await services.replays.remember(key, uploads, caller=caller)
    return versions


def _documents_response(versions: Iterable[DocumentVersion], *, status: int) -> Response:
    return json_response({"documents": [document_reply(version) for version in versions]}, status=status)


def _text_reply(excerpt: Excerpt) -> dict[str, Any]:
    passage = None
    if excerpt.passage is not None:
        start, length = excerpt.passage
        passage = {"start": start, "length": length}
    return {
        "id": excerpt.key.id,
        "collection": excerpt.key.collection,
        "title": excerpt.title,
        "sensitivity": excerpt.label.word,
        "length": excerpt.window.length,
        "start": excerpt.window.start,
        "text": excerpt.window.text,
        "passage": passage,
    }


def document_reply(version: DocumentVersion) -> Mapping[str, Any]:
    """A version as answers show it."""
    error = {"code": version.error_code, "message": version.error_message} if version.error_code else None
    return {
        "id": version.key.id,
        "collection": version.key.collection,
        "title": version.title,
        "status": version.status,
        "sensitivity": version.label.word,
        "media_type": version.media_type,
        "size": version.size,
        "chunks": version.chunks,
        "progress": {"stage": version.stage, "done": version.done, "total": version.total},
        "warnings": list(version.warnings),
        "metadata": dict(version.metadata),
        "error": error,
        "created_at": version.created_at.isoformat(),
        "updated_at": version.updated_at.isoformat(),
    }
