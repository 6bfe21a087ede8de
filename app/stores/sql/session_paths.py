"""Paths through a session's tree of turns, from a turn back to the first. Each works in the connection's transaction.

A turn's number is greater than its parent's, so a path in the order of its numbers is in the order of the talk.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

from sqlalchemy import CTE, ColumnElement, Select, and_, case, func, literal, not_, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from app.protocols import Outline
from app.records import Session, Summary, TitleSource, Turn
from app.stores.sql.engine import in_batches
from app.stores.sql.session_rows import read_turn
from app.stores.sql.tables import summaries, turns

PINNED_ROLES = ("system", "developer")

_parents = turns.alias("parents")
# More than a session has turns or tokens.
_NO_LIMIT = 2**31 - 1


def in_session(session_id: str, *, tenant: str) -> ColumnElement[bool]:
    return and_(turns.c.tenant == tenant, turns.c.session == session_id)


async def number_of(connection: AsyncConnection, message: str, *, session_id: str, tenant: str) -> int | None:
    """The number of the turn with this id, `None` if the session has none."""
    found = select(turns.c.number).where(in_session(session_id, tenant=tenant), turns.c.id == message)
    number: int | None = await connection.scalar(found)
    return number


async def read_session(connection: AsyncConnection, row: Any, *, start: int | None, tokens: int) -> Session:
    """The session of this row, with its path up to turn `start`."""
    path = _path(start)
    summary = await _summary(connection, row, path=path)
    covered = 0 if summary is None else summary.turn
    late = path.c.number > covered
    near = or_(path.c.number == start, path.c.total <= (tokens or _NO_LIMIT))
    pinned = turns.c.role.in_(PINNED_ROLES)
    chosen = select(turns).join(path, path.c.number == turns.c.number)
    found = await connection.execute(chosen.where(or_(pinned, and_(late, near))).order_by(turns.c.number))
    lost = select(func.count()).select_from(path.join(turns, path.c.number == turns.c.number))
    left_out = await connection.scalar(lost.where(late, not_(near), not_(pinned)))
    return Session(
        id=row.id,
        tenant=row.tenant,
        user_id=row.user_id,
        mark=row.mark,
        turns=tuple(read_turn(turn) for turn in found),
        incarnation=row.incarnation,
        model_id=row.model_id,
        title_source=None if row.title_source is None else TitleSource(row.title_source),
        summary=None if summary is None else Summary(text=summary.text, label=summary.label, through=summary.id),
        left_out=left_out or 0,
    )


async def outline(connection: AsyncConnection, *, start: int | None) -> list[Outline]:
    """The path without its messages."""
    path = _path(start)
    found = select(turns.c.id, turns.c.role, turns.c.digest).join(path, path.c.number == turns.c.number)
    rows = await connection.execute(found.order_by(turns.c.number))
    return [Outline(id=row.id, role=row.role, digest=row.digest) for row in rows]


async def page(connection: AsyncConnection, *, start: int | None, limit: int) -> tuple[list[Turn], str | None]:
    """The newest turns of a path, in their order, and the id of the first if others come before it."""
    path = _path(start, limit=limit)
    found = _with_parents().join(path, path.c.number == turns.c.number).order_by(turns.c.number)
    rows = (await connection.execute(found)).all()
    siblings = await _children(connection, {row.parent for row in rows}, root=rows[0] if rows else None)
    read = [_read_with_parent(row, siblings=siblings[row.parent]) for row in rows]
    return read, rows[0].id if rows and rows[0].parent is not None else None


async def every_turn(connection: AsyncConnection, session_id: str, *, tenant: str) -> list[Turn]:
    """The turns of all branches, in the order in which they were stored."""
    found = _with_parents().where(in_session(session_id, tenant=tenant)).order_by(turns.c.number)
    return [_read_with_parent(row, siblings=()) for row in await connection.execute(found)]


async def newest_below(connection: AsyncConnection, number: int) -> int:
    """The last turn that was added to the branches that this turn began; the turn itself if there is none."""
    below = select(turns.c.number).where(turns.c.number == number).cte("below", recursive=True)
    children = turns.alias("children")
    same_session = select(turns.c.tenant, turns.c.session).where(turns.c.number == number).subquery()
    grown = below.union_all(
        select(children.c.number)
        .join(below, children.c.parent == below.c.number)
        .join(
            same_session,
            and_(children.c.tenant == same_session.c.tenant, children.c.session == same_session.c.session),
        )
    )
    newest: int = (await connection.execute(select(func.max(grown.c.number)))).scalar_one()
    return newest


def _path(start: int | None, *, limit: int = _NO_LIMIT) -> CTE:
    """Turns from `start` back, with the tokens of what is not pinned added up on the way."""
    cost = case((turns.c.role.in_(PINNED_ROLES), 0), else_=turns.c.tokens)
    columns = (turns.c.number, turns.c.parent, literal(1).label("step"), cost.label("total"))
    path = select(*columns).where(turns.c.number == (start or 0)).cte("path", recursive=True)
    earlier = turns.alias("earlier")
    more = case((earlier.c.role.in_(PINNED_ROLES), 0), else_=earlier.c.tokens)
    return path.union_all(
        select(earlier.c.number, earlier.c.parent, path.c.step + 1, path.c.total + more)
        .join(path, earlier.c.number == path.c.parent)
        .where(path.c.step < limit)
    )


async def _summary(connection: AsyncConnection, row: Any, *, path: CTE) -> Any:
    """The summary that covers most of the path."""
    found = (
        select(summaries.c.text, summaries.c.label, summaries.c.turn, turns.c.id)
        .join(path, path.c.number == summaries.c.turn)
        .join(turns, turns.c.number == summaries.c.turn)
        .where(summaries.c.tenant == row.tenant, summaries.c.session == row.id)
        .order_by(summaries.c.turn.desc())
        .limit(1)
    )
    return (await connection.execute(found)).first()


async def _children(
    connection: AsyncConnection, parents: Iterable[int | None], *, root: Any
) -> dict[int | None, list[str]]:
    """The ids of the turns that follow each of these, oldest first."""
    numbers = [parent for parent in parents if parent is not None]
    children: dict[int | None, list[str]] = defaultdict(list)
    if root is None:
        return children
    mine = in_session(root.session, tenant=root.tenant)
    wanted = [turns.c.parent.in_(batch) for batch in in_batches(numbers)]
    if root.parent is None:
        wanted.append(turns.c.parent.is_(None))
    for condition in wanted:
        found = select(turns.c.parent, turns.c.id).where(mine, condition).order_by(turns.c.number)
        for parent, id in await connection.execute(found):
            children[parent].append(id)
    return children


def _with_parents() -> Select[Any]:
    return select(turns, _parents.c.id.label("parent_id")).join_from(
        turns, _parents, _parents.c.number == turns.c.parent, isouter=True
    )


def _read_with_parent(row: Any, *, siblings: Iterable[str]) -> Turn:
    turn = read_turn(row, siblings=tuple(siblings))
    return turn if row.parent_id is None else read_turn(row, parent_id=row.parent_id, siblings=tuple(siblings))
