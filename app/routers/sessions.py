"""`/sessions` and `/history`: make, list, read, rename, export, delete conversations."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Query, Response
from pydantic import Field, StringConstraints

from app.dependencies import EDGE, ServicesDep, SessionsCaller
from app.models import ImagePart, Message, Part, TextPart
from app.records import SessionChange, SessionEntry, SessionQuery, Turn
from app.routers.bodies import BoundedRoute
from app.routers.native import Name, Strict
from app.routers.replies import json_response
from app.routers.schemas import (
    HistoryReply,
    SessionExportReply,
    SessionReply,
    SessionsPageReply,
    SessionWithMessagesReply,
)
from app.services.session_access import NewSession

router = APIRouter(tags=["sessions"], route_class=BoundedRoute, dependencies=EDGE)

Title = Annotated[str, StringConstraints(min_length=1, max_length=300)]
SessionId = Annotated[str, Path(min_length=1, max_length=512)]
NO_STORE = {"cache-control": "no-store"}
ERASING: dict[int | str, dict[str, Any]] = {202: {"description": "It is gone for readers, and being erased."}}
EXPORT: dict[int | str, dict[str, Any]] = {
    200: {
        "model": SessionExportReply,
        "description": "All branches as JSON, or the active one as Markdown.",
        "content": {"text/markdown": {"schema": {"type": "string"}}},
    }
}


class NewSessionBody(Strict):
    """Its mark is not among this: that is computed from what is said."""

    id: Name | None = None
    title: Title | None = None
    model_id: Name | None = None
    user_id: Name | None = None


class SessionChangeBody(Strict):
    """What is to change. `active` is a message whose branch is continued and shown from now on."""

    title: Title | None = None
    model_id: Name | None = None
    active: Annotated[str, Field(min_length=1, max_length=64)] | None = None


@router.post("/sessions", status_code=201, response_model=SessionWithMessagesReply)
async def create_session(body: NewSessionBody, services: ServicesDep, caller: SessionsCaller) -> Response:
    """Begin an empty session; a `session_id` that is not known yet begins one as well."""
    new = NewSession(id=body.id, title=body.title, model_id=body.model_id, user_id=body.user_id)
    entry = await services.sessions.create(new, caller=caller)
    return _private({**session_reply(entry), "messages": [], "previous": None}, status=201)


@router.get("/sessions", response_model=SessionsPageReply)
async def list_sessions(
    services: ServicesDep,
    caller: SessionsCaller,
    search: Annotated[str | None, Query(min_length=1, max_length=200)] = None,
    user_id: Annotated[str | None, Query(min_length=1, max_length=512)] = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    after: Annotated[str | None, Query(max_length=2000)] = None,
) -> Response:
    """A page of sessions, those that changed last first; `search` looks into titles and messages."""
    query = SessionQuery(text=search, user_id=user_id)
    entries, cursor = await services.sessions.page(query, caller=caller, limit=limit, after=after)
    return _private({"sessions": [session_reply(entry) for entry in entries], "next": cursor})


@router.get("/sessions/{session_id:path}/export", response_model=SessionExportReply, responses=EXPORT)
async def export_session(
    session_id: SessionId,
    services: ServicesDep,
    caller: SessionsCaller,
    format: Literal["json", "markdown"] = "json",
) -> Response:
    """A whole session to take along: all its branches as JSON, or the active one as Markdown."""
    entry = await services.sessions.entry(session_id, caller=caller)
    path = await services.sessions.active_path(session_id, caller=caller)
    if format == "markdown":
        return Response(_markdown(entry, path), media_type="text/markdown; charset=utf-8", headers=NO_STORE)
    turns = await services.sessions.every_message(session_id, caller=caller)
    messages = [message_reply(turn) for turn in turns]
    return _private({**session_reply(entry), "messages": messages, "active": path[-1].id if path else None})


@router.get("/sessions/{session_id:path}", response_model=SessionWithMessagesReply)
async def read_session(
    session_id: SessionId,
    services: ServicesDep,
    caller: SessionsCaller,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    before: Annotated[str | None, Query(max_length=64)] = None,
) -> Response:
    """A session with the newest messages of its active branch; `previous` is the cursor for `before`."""
    entry = await services.sessions.entry(session_id, caller=caller)
    turns, cursor = await services.sessions.messages(session_id, caller=caller, limit=limit, before=before)
    messages = [message_reply(turn) for turn in turns]
    return _private({**session_reply(entry), "messages": messages, "previous": cursor})


@router.patch("/sessions/{session_id:path}", response_model=SessionReply)
async def change_session(
    session_id: SessionId, body: SessionChangeBody, services: ServicesDep, caller: SessionsCaller
) -> Response:
    """Rename a session, choose its model, or go on with another of its branches."""
    change = SessionChange(title=body.title, model_id=body.model_id, active=body.active)
    return _private(session_reply(await services.sessions.change(session_id, change, caller=caller)))


@router.delete("/sessions/{session_id:path}", response_class=Response, status_code=204, responses=ERASING)
async def delete_session(session_id: SessionId, services: ServicesDep, caller: SessionsCaller) -> Response:
    """Erase a session with all its messages: 204 when it is gone, 202 while its traces are being erased."""
    gone = await services.sessions.delete(session_id, caller=caller)
    return Response(status_code=204 if gone else 202)


@router.get("/history/{user_id:path}", response_model=HistoryReply)
async def read_history(
    user_id: Annotated[str, Path(min_length=1, max_length=512)], services: ServicesDep, caller: SessionsCaller
) -> Response:
    """The last 100 messages of a user, newest first, in sessions and without one."""
    past = await services.sessions.history(user_id, caller=caller)
    messages = [{**message_reply(each.turn), "session_id": each.session_id} for each in past]
    return _private({"user_id": user_id, "messages": messages})


@router.delete("/history/{user_id:path}", response_class=Response, status_code=204, responses=ERASING)
async def delete_history(
    user_id: Annotated[str, Path(min_length=1, max_length=512)], services: ServicesDep, caller: SessionsCaller
) -> Response:
    """Erase what a user's history holds beside sessions; those are deleted one by one."""
    gone = await services.sessions.delete_history(user_id, caller=caller)
    return Response(status_code=204 if gone else 202)


def _private(value: object, *, status: int = 200) -> Response:
    return json_response(value, status=status, headers=NO_STORE)


def session_reply(entry: SessionEntry) -> dict[str, Any]:
    return {
        "id": entry.id,
        "title": entry.title,
        "model_id": entry.model_id,
        "user_id": entry.user_id,
        "sensitivity": entry.mark.word,
        "created_at": entry.created_at.isoformat(),
        "updated_at": entry.updated_at.isoformat(),
    }


def message_reply(turn: Turn) -> dict[str, Any]:
    message = turn.message
    return {
        "id": turn.id,
        "parent_id": turn.parent_id,
        "siblings": list(turn.siblings),
        "role": message.role,
        "content": _content(message),
        "name": message.name,
        "tool_calls": [
            {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
            for call in message.tool_calls
        ],
        "tool_call_id": message.tool_call_id,
        "model": turn.model,
        "sensitivity": turn.label.word,
        "complete": turn.complete,
        "created_at": turn.created_at.isoformat(),
    }


def _content(message: Message) -> str | list[dict[str, Any]]:
    """As `messages` takes it: a text where it is one."""
    if len(message.parts) <= 1 and not any(isinstance(part, ImagePart) for part in message.parts):
        return message.text
    return [_part(part) for part in message.parts]


def _part(part: Part) -> dict[str, Any]:
    match part:
        case TextPart():
            return {"type": "text", "text": part.text}
        case ImagePart():
            return {"type": "image_url", "image_url": {"url": part.url, "detail": part.detail}}


def _markdown(entry: SessionEntry, path: list[Turn]) -> str:
    """The active branch to be read; pictures that are data are left out."""
    sections = [f"# {entry.title or entry.id}", f"Sensitivity: {entry.mark.word}"]
    for turn in path:
        cut = "" if turn.complete else " (cut off)"
        sections.append(f"## {turn.message.role}{cut}")
        sections.extend(_written(part) for part in turn.message.parts)
        sections.extend(f"Calls `{call.name}`:\n\n    {call.arguments}" for call in turn.message.tool_calls)
    return "\n\n".join(sections) + "\n"


def _written(part: Part) -> str:
    match part:
        case TextPart():
            return part.text
        case ImagePart():
            return "(image)" if part.url.startswith("data:") else f"![image]({part.url})"
