"""The session store over SQL: conversations, their turns and their marks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Select, Update, and_, case, literal, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from app.errors import NotFoundError
from app.models import ImagePart, Label, Message, Part, Session, TextPart, ToolCall, Turn
from app.protocols import Clock
from app.stores.sql.engine import Database, insert, insert_absent
from app.stores.sql.tables import LabelRank, sessions, turns


class SqlSessionStore:
    """Sessions and turns; implements `SessionStore`."""

    def __init__(self, database: Database, *, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def read(self, session_id: str, *, tenant: str, clearance: Label) -> Session:
        async with self._database.read() as connection:
            mark: Label | None = await connection.scalar(_mark(session_id, tenant=tenant))
            if mark is not None and mark > clearance:
                raise NotFoundError
            found = await connection.execute(_turns(session_id, tenant=tenant))
            stored = tuple(_read_turn(row) for row in found)
        return Session(id=session_id, tenant=tenant, mark=Label.PUBLIC if mark is None else mark, turns=stored)

    async def raise_mark(self, session_id: str, *, tenant: str, user_id: str | None, label: Label) -> Label:
        async with self._database.read() as connection:
            mark: Label | None = await connection.scalar(_mark(session_id, tenant=tenant))
        if mark is not None and mark >= label:  # a mark never falls, so this holds whatever others do
            return mark
        now = self._clock()
        fresh = {"user_id": user_id, "mark": label, "created_at": now, "updated_at": now}
        async with self._database.write() as connection:
            await insert_absent(connection, sessions, [{"tenant": tenant, "id": session_id, **fresh}])
            await connection.execute(_raise(session_id, tenant=tenant, label=label, now=now))
            return (await connection.execute(_mark(session_id, tenant=tenant))).scalar_one()

    async def append(self, session_id: str, *, tenant: str, turns: Sequence[Turn]) -> None:
        label = max((turn.label for turn in turns), default=Label.PUBLIC)
        async with self._database.write() as connection:
            touched = await connection.execute(_raise(session_id, tenant=tenant, label=label, now=self._clock()))
            if touched.rowcount:
                await _insert_turns(connection, session_id, tenant=tenant, added=turns)


def _is(session_id: str, *, tenant: str) -> ColumnElement[bool]:
    return and_(sessions.c.tenant == tenant, sessions.c.id == session_id)


def _raise(session_id: str, *, tenant: str, label: Label, now: datetime) -> Update:
    mark = case((sessions.c.mark < label, literal(label, LabelRank())), else_=sessions.c.mark)
    return update(sessions).where(_is(session_id, tenant=tenant)).values(mark=mark, updated_at=now)


def _mark(session_id: str, *, tenant: str) -> Select[Label]:
    return select(sessions.c.mark).where(_is(session_id, tenant=tenant))


def _turns(session_id: str, *, tenant: str) -> Select[Any]:
    return select(turns).where(turns.c.tenant == tenant, turns.c.session == session_id).order_by(turns.c.number)


async def _insert_turns(connection: AsyncConnection, session_id: str, *, tenant: str, added: Sequence[Turn]) -> None:
    rows = (
        {
            "tenant": tenant,
            "session": session_id,
            "message": _write_message(turn.message),
            "label": turn.label,
            "model": turn.model,
            "complete": turn.complete,
            "created_at": turn.created_at,
        }
        for turn in added
    )
    await insert(connection, turns, rows)


def _read_turn(row: Any) -> Turn:
    return Turn(
        message=_read_message(row.message),
        label=row.label,
        created_at=row.created_at,
        model=row.model,
        complete=row.complete,
    )


def _write_message(message: Message) -> dict[str, Any]:
    return {
        "role": message.role,
        "parts": [_write_part(part) for part in message.parts],
        "name": message.name,
        "tool_calls": [[call.id, call.name, call.arguments] for call in message.tool_calls],
        "tool_call_id": message.tool_call_id,
    }


def _write_part(part: Part) -> dict[str, Any]:
    match part:
        case TextPart():
            return {"text": part.text}
        case ImagePart():
            return {"image": part.url, "detail": part.detail}


def _read_message(stored: Mapping[str, Any]) -> Message:
    return Message(
        role=stored["role"],
        parts=tuple(_read_part(part) for part in stored["parts"]),
        name=stored["name"],
        tool_calls=tuple(ToolCall(*call) for call in stored["tool_calls"]),
        tool_call_id=stored["tool_call_id"],
    )


def _read_part(stored: Mapping[str, Any]) -> Part:
    return TextPart(stored["text"]) if "text" in stored else ImagePart(stored["image"], stored["detail"])
