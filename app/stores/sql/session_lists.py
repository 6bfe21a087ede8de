"""Lists over sessions: pages, searches, histories of users. Each works in the connection's transaction."""

from __future__ import annotations

import base64
import binascii
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, exists, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from app.errors import InvalidRequestError
from app.models import Label
from app.records import PastTurn, SessionEntry, SessionQuery
from app.stores.sql.session_rows import fold, read_entry, read_turn
from app.stores.sql.tables import loose_turns, sessions, turns

ESCAPE = "\\"


async def page(
    connection: AsyncConnection, query: SessionQuery, *, tenant: str, clearance: Label, limit: int, after: str | None
) -> tuple[list[SessionEntry], str | None]:
    """Sessions that changed last first, and the cursor of the next page."""
    statement = select(sessions).where(sessions.c.tenant == tenant, sessions.c.mark <= clearance)
    if query.user_id is not None:
        statement = statement.where(sessions.c.user_id == query.user_id)
    if query.text is not None:
        statement = statement.where(_holds(query.text))
    if after is not None:
        statement = statement.where(_is_after(after))
    ordered = statement.order_by(sessions.c.updated_at.desc(), sessions.c.id)
    found = (await connection.execute(ordered.limit(limit + 1))).all()
    cursor = _write_cursor(found[limit - 1]) if len(found) > limit else None
    return [read_entry(row) for row in found[:limit]], cursor


async def history(
    connection: AsyncConnection, user_id: str, *, tenant: str, clearance: Label, limit: int
) -> list[PastTurn]:
    """The newest turns of a user, newest first."""
    within = _turns_in_sessions(user_id, tenant=tenant, clearance=clearance).limit(limit)
    beside = _turns_beside(user_id, tenant=tenant, clearance=clearance).limit(limit)
    rows = [*(await connection.execute(within)).all(), *(await connection.execute(beside)).all()]
    rows.sort(key=lambda row: (row.created_at, row.number), reverse=True)
    return [PastTurn(turn=read_turn(row), session_id=getattr(row, "session", None)) for row in rows[:limit]]


def _turns_in_sessions(user_id: str, *, tenant: str, clearance: Label) -> Select[Any]:
    mine = and_(sessions.c.tenant == turns.c.tenant, sessions.c.id == turns.c.session)
    return (
        select(turns)
        .join(sessions, mine)
        .where(sessions.c.tenant == tenant, sessions.c.user_id == user_id, sessions.c.mark <= clearance)
        .order_by(turns.c.created_at.desc(), turns.c.number.desc())
    )


def _turns_beside(user_id: str, *, tenant: str, clearance: Label) -> Select[Any]:
    return (
        select(loose_turns)
        .where(loose_turns.c.tenant == tenant, loose_turns.c.user_id == user_id, loose_turns.c.label <= clearance)
        .order_by(loose_turns.c.created_at.desc(), loose_turns.c.number.desc())
    )


def _holds(text: str) -> ColumnElement[bool]:
    """Whether the title or a message holds the text, whatever its case."""
    literally = str.maketrans({ESCAPE: rf"{ESCAPE}{ESCAPE}", "%": rf"{ESCAPE}%", "_": rf"{ESCAPE}_"})
    pattern = f"%{fold(text).translate(literally)}%"
    said = exists().where(
        turns.c.tenant == sessions.c.tenant,
        turns.c.session == sessions.c.id,
        turns.c.folded.like(pattern, escape=ESCAPE),
    )
    return or_(sessions.c.folded.like(pattern, escape=ESCAPE), said)


def _is_after(cursor: str) -> ColumnElement[bool]:
    moment, id = _read_cursor(cursor)
    return or_(sessions.c.updated_at < moment, and_(sessions.c.updated_at == moment, sessions.c.id > id))


def _write_cursor(row: Any) -> str:
    return base64.urlsafe_b64encode(f"{row.updated_at.isoformat()} {row.id}".encode()).decode()


def _read_cursor(cursor: str) -> tuple[datetime, str]:
    try:
        moment, _, id = base64.urlsafe_b64decode(cursor.encode()).decode().partition(" ")
        read = datetime.fromisoformat(moment)
    except (binascii.Error, ValueError):
        raise InvalidRequestError("This cursor is not one that a page ended with.", param="after") from None
    if read.tzinfo is None:
        raise InvalidRequestError("This cursor is not one that a page ended with.", param="after")
    return read, id
