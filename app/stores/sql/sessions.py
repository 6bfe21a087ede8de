"""The session store over SQL: conversations, their turns and their marks."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Update, and_, case, delete, literal, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from app.errors import ConflictError, NotFoundError
from app.models import Label
from app.protocols import Clock, Outline
from app.records import ROOT, PastTurn, Session, SessionChange, SessionEntry, SessionQuery, Summary, TitleSource, Turn
from app.stores.sql import session_lists, session_paths
from app.stores.sql.column_types import LabelRank
from app.stores.sql.engine import Database, insert, insert_absent
from app.stores.sql.session_rows import fold, path_columns, read_entry, turn_row
from app.stores.sql.tables import loose_turns, sessions, summaries, turns


def _random_id() -> str:
    return uuid.uuid4().hex


class SqlSessionStore:
    """Sessions and turns; implements `SessionStore`. `new_id` makes ids of 32 characters."""

    def __init__(self, database: Database, *, clock: Clock, new_id: Callable[[], str] = _random_id) -> None:
        self._database = database
        self._clock = clock
        self._new_id = new_id

    # As a request continues a session

    async def read(
        self, session_id: str, *, tenant: str, clearance: Label, tokens: int = 0, after: str | None = None
    ) -> Session:
        async with self._database.read() as connection:
            row = await _find(connection, session_id, tenant=tenant)
            if row is None and after in (None, ROOT):
                return Session(id=session_id, tenant=tenant, mark=Label.PUBLIC, turns=())
            _require_visible(row, clearance=clearance)
            start = await _place(connection, row, after=after)
            return await session_paths.read_session(connection, row, start=start, tokens=tokens)

    async def outline(self, session_id: str, *, tenant: str) -> list[Outline]:
        async with self._database.read() as connection:
            row = await _find(connection, session_id, tenant=tenant)
            return [] if row is None else await session_paths.outline(connection, start=row.head)

    async def parent(self, session_id: str, *, tenant: str, message: str) -> str:
        asked = turns.alias("asked")
        found = select(turns.c.role, asked.c.id).join_from(turns, asked, asked.c.number == turns.c.parent, isouter=True)
        mine = and_(session_paths.in_session(session_id, tenant=tenant), turns.c.id == message)
        async with self._database.read() as connection:
            row = (await connection.execute(found.where(mine))).first()
        if row is None or row.role != "assistant":
            raise NotFoundError(param="regenerate")
        return ROOT if row.id is None else str(row.id)

    async def raise_mark(
        self,
        session_id: str,
        *,
        tenant: str,
        label: Label,
        user_id: str | None = None,
        incarnation: str | None = None,
    ) -> str | None:
        async with self._database.read() as connection:
            row = await _find(connection, session_id, tenant=tenant)
        if row is not None and row.mark >= label:  # a mark never falls, so this holds whatever others do
            return _same(row, incarnation)
        now = self._clock()
        fresh = {"incarnation": self._new_id(), "mark": label, "created_at": now, "updated_at": now}
        async with self._database.write() as connection:
            if incarnation is None:
                named = {"tenant": tenant, "id": session_id, "user_id": user_id}
                await insert_absent(connection, sessions, [named | fresh])
            mine = _is(session_id, tenant=tenant, incarnation=incarnation)
            await connection.execute(_raise(mine, label=label, now=now))
            return _same(await _find(connection, session_id, tenant=tenant), incarnation)

    async def append(
        self,
        session_id: str,
        *,
        tenant: str,
        incarnation: str,
        turns: Sequence[Turn],
        after: str | None = None,
        title: str | None = None,
    ) -> bool:
        label = max((turn.label for turn in turns), default=Label.PUBLIC)
        mine = _is(session_id, tenant=tenant, incarnation=incarnation)
        async with self._database.write() as connection:
            touched = await connection.execute(_raise(mine, label=label, now=self._clock()))
            if not touched.rowcount:
                return False
            row = await _find(connection, session_id, tenant=tenant)
            head = await _insert_turns(connection, row, added=turns, after=after)
            await connection.execute(update(sessions).where(mine).values(head=head))
            if title is not None:
                named = _title(title, source=TitleSource.WORDS)
                await connection.execute(update(sessions).where(mine, sessions.c.title.is_(None)).values(named))
        return True

    # As a user sees sessions

    async def create(self, session: SessionEntry, *, tenant: str) -> SessionEntry:
        given = {} if session.title is None else _title(session.title, source=TitleSource.USER)
        row = {
            "tenant": tenant,
            "id": session.id,
            "user_id": session.user_id,
            "mark": session.mark,
            "incarnation": self._new_id(),
            "model_id": session.model_id,
            "created_at": session.created_at,
            "updated_at": session.updated_at,
            **given,
        }
        async with self._database.write() as connection:
            await insert_absent(connection, sessions, [row])
            made = await _find(connection, session.id, tenant=tenant)
        if made is None or made.incarnation != row["incarnation"]:
            raise ConflictError("There is a session with this id.", param="id")
        return read_entry(made)

    async def entry(self, session_id: str, *, tenant: str, clearance: Label) -> SessionEntry:
        async with self._database.read() as connection:
            return read_entry(await _get(connection, session_id, tenant=tenant, clearance=clearance))

    async def page(
        self, query: SessionQuery, *, tenant: str, clearance: Label, limit: int, after: str | None
    ) -> tuple[list[SessionEntry], str | None]:
        async with self._database.read() as connection:
            return await session_lists.page(
                connection, query, tenant=tenant, clearance=clearance, limit=limit, after=after
            )

    async def messages(
        self, session_id: str, *, tenant: str, clearance: Label, limit: int, before: str | None
    ) -> tuple[list[Turn], str | None]:
        async with self._database.read() as connection:
            row = await _get(connection, session_id, tenant=tenant, clearance=clearance)
            start = row.head
            if before is not None:
                first = await session_paths.number_of(connection, before, session_id=session_id, tenant=tenant)
                if first is None:
                    raise NotFoundError(param="before")
                start = await connection.scalar(select(turns.c.parent).where(turns.c.number == first))
            return await session_paths.page(connection, start=start, limit=limit)

    async def every_message(self, session_id: str, *, tenant: str, clearance: Label) -> list[Turn]:
        async with self._database.read() as connection:
            await _get(connection, session_id, tenant=tenant, clearance=clearance)
            return await session_paths.every_turn(connection, session_id, tenant=tenant)

    async def change(self, session_id: str, change: SessionChange, *, tenant: str, clearance: Label) -> SessionEntry:
        async with self._database.write() as connection:
            row = await _get(connection, session_id, tenant=tenant, clearance=clearance)
            values: dict[str, Any] = {"updated_at": self._clock()}
            if change.title is not None:
                values |= _title(change.title, source=TitleSource.USER)
            if change.model_id is not None:
                values["model_id"] = change.model_id
            if change.active is not None:
                chosen = await _place(connection, row, after=change.active)
                if chosen is None:
                    raise NotFoundError(param="active")
                values["head"] = await session_paths.newest_below(connection, chosen)
            await connection.execute(update(sessions).where(_is(session_id, tenant=tenant)).values(values))
            return read_entry(await _find(connection, session_id, tenant=tenant))

    async def delete(self, session_id: str, *, tenant: str, clearance: Label) -> None:
        async with self._database.write() as connection:
            await _get(connection, session_id, tenant=tenant, clearance=clearance)
            await connection.execute(delete(sessions).where(_is(session_id, tenant=tenant)))

    # Beside requests

    async def suggest_title(self, session_id: str, *, tenant: str, incarnation: str, title: str) -> None:
        mine = _is(session_id, tenant=tenant, incarnation=incarnation)
        free = sessions.c.title_source.is_distinct_from(TitleSource.USER.value)
        async with self._database.write() as connection:
            named = _title(title, source=TitleSource.MODEL)
            await connection.execute(update(sessions).where(mine, free).values(named))

    async def keep_summary(self, session_id: str, summary: Summary, *, tenant: str, incarnation: str) -> None:
        mine = _is(session_id, tenant=tenant, incarnation=incarnation)
        mark = _joined(summary.label)
        async with self._database.write() as connection:
            touched = await connection.execute(update(sessions).where(mine).values(mark=mark))
            number = await session_paths.number_of(connection, summary.through, session_id=session_id, tenant=tenant)
            if touched.rowcount and number is not None:
                row = {"turn": number, "text": summary.text, "label": summary.label}
                await insert_absent(connection, summaries, [{"tenant": tenant, "session": session_id, **row}])

    async def delete_older(self, than: datetime) -> int:
        async with self._database.write() as connection:
            old = await connection.execute(delete(sessions).where(sessions.c.updated_at < than))
            loose = await connection.execute(delete(loose_turns).where(loose_turns.c.created_at < than))
        return old.rowcount + loose.rowcount

    async def erase_traces(self) -> bool:
        return await self._database.forget()

    # Turns without a session

    async def keep_loose(self, user_id: str, *, tenant: str, turns: Sequence[Turn]) -> None:
        async with self._database.write() as connection:
            rows = ({"tenant": tenant, "user_id": user_id, **turn_row(turn)} for turn in turns)
            await insert(connection, loose_turns, rows)

    async def history(self, user_id: str, *, tenant: str, clearance: Label, limit: int) -> list[PastTurn]:
        async with self._database.read() as connection:
            return await session_lists.history(connection, user_id, tenant=tenant, clearance=clearance, limit=limit)

    async def delete_loose(self, user_id: str, *, tenant: str, clearance: Label) -> None:
        mine = and_(loose_turns.c.tenant == tenant, loose_turns.c.user_id == user_id, loose_turns.c.label <= clearance)
        async with self._database.write() as connection:
            await connection.execute(delete(loose_turns).where(mine))


def _is(session_id: str, *, tenant: str, incarnation: str | None = None) -> ColumnElement[bool]:
    mine = and_(sessions.c.tenant == tenant, sessions.c.id == session_id)
    return mine if incarnation is None else and_(mine, sessions.c.incarnation == incarnation)


async def _find(connection: AsyncConnection, session_id: str, *, tenant: str) -> Any:
    return (await connection.execute(select(sessions).where(_is(session_id, tenant=tenant)))).first()


async def _get(connection: AsyncConnection, session_id: str, *, tenant: str, clearance: Label) -> Any:
    row = await _find(connection, session_id, tenant=tenant)
    _require_visible(row, clearance=clearance)
    return row


def _require_visible(row: Any, *, clearance: Label) -> None:
    """Raise `NotFoundError` for a session that is above the clearance, as for one that is not there."""
    if row is None or row.mark > clearance:
        raise NotFoundError


def _same(row: Any, incarnation: str | None) -> str | None:
    """The incarnation that is there, unless another one was meant."""
    if row is None or incarnation not in (None, row.incarnation):
        return None
    return str(row.incarnation)


async def _place(connection: AsyncConnection, row: Any, *, after: str | None) -> int | None:
    """The number of the turn that others are to follow; raises `NotFoundError` for one that is not the session's."""
    if after is None:
        head: int | None = row.head
        return head
    if after == ROOT:
        return None
    number = await session_paths.number_of(connection, after, session_id=row.id, tenant=row.tenant)
    if number is None:
        raise NotFoundError(param="parent_id")
    return number


def _joined(label: Label) -> ColumnElement[Any]:
    """The session's mark, raised to the label where it is lower."""
    return case((sessions.c.mark < label, literal(label, LabelRank())), else_=sessions.c.mark)


def _raise(mine: ColumnElement[bool], *, label: Label, now: datetime) -> Update:
    return update(sessions).where(mine).values(mark=_joined(label), updated_at=now)


def _title(title: str, *, source: TitleSource) -> dict[str, Any]:
    return {"title": title, "folded": fold(title), "title_source": source.value}


async def _insert_turns(
    connection: AsyncConnection, row: Any, *, added: Sequence[Turn], after: str | None
) -> int | None:
    """Add the turns, each behind the one before it; the number of the last."""
    parent = await _place(connection, row, after=after)
    for turn in added:
        columns = {"tenant": row.tenant, "session": row.id, "parent": parent, **turn_row(turn), **path_columns(turn)}
        parent = await connection.scalar(turns.insert().returning(turns.c.number), columns)
    return parent
