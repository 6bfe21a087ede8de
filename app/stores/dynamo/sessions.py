"""The session store over DynamoDB: conversations, their turns and their marks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Final

from app.errors import ConflictError, NotFoundError
from app.models import Label
from app.protocols import Clock, Outline
from app.records import ROOT, PastTurn, Session, SessionChange, SessionEntry, SessionQuery, Summary, TitleSource, Turn
from app.stores.dynamo import codec, session_lists, session_trees
from app.stores.dynamo.codec import Item
from app.stores.dynamo.session_items import (
    SESSIONS,
    Header,
    header_key,
    node,
    text_items,
    turns_partition,
)
from app.stores.dynamo.session_trees import Tree
from app.stores.dynamo.table import DUE, TRANSACTION_WRITES, LostError, Table, in_batches, put_at
from app.stores.dynamo.writes import Delete, Equal, Key, Put, Write

# Beside the session itself in one transaction.
TURNS_AT_ONCE: Final = TRANSACTION_WRITES - 1
ERASED: Final = "erased-sessions"


class DynamoSessionStore:
    """A session is one item, which every change replaces at the revision it was read at; implements `SessionStore`.

    Its turns are in a partition of their own, under the session's incarnation. `new_id` makes ids of 32 characters.
    """

    def __init__(self, table: Table, *, clock: Clock, new_id: Callable[[], str]) -> None:
        self._table = table
        self._clock = clock
        self._new_id = new_id
        self._loose = session_lists.LooseTurns(table, new_id=new_id)

    # As a request continues a session

    async def read(
        self, session_id: str, *, tenant: str, clearance: Label, tokens: int = 0, after: str | None = None
    ) -> Session:
        header = await self._find(session_id, tenant=tenant)
        if header is None and after in (None, ROOT):
            return Session(id=session_id, tenant=tenant, mark=Label.PUBLIC, turns=())
        header = _visible(header, clearance=clearance)
        tree = await Tree.read(self._table, header)
        end = _place(tree, after=after)
        return await session_trees.read_session(self._table, tree, end=end, tokens=tokens)

    async def outline(self, session_id: str, *, tenant: str) -> list[Outline]:
        header = await self._find(session_id, tenant=tenant)
        if header is None:
            return []
        tree = await Tree.read(self._table, header)
        return session_trees.outline(tree.path(header.head))

    async def parent(self, session_id: str, *, tenant: str, message: str) -> str:
        header = await self._find(session_id, tenant=tenant)
        tree = None if header is None else await Tree.read(self._table, header)
        number = None if tree is None else tree.number_of(message)
        if tree is None or number is None or tree.nodes[number]["role"] != "assistant":
            raise NotFoundError(param="regenerate")
        return tree.parent_id(tree.nodes[number])

    async def raise_mark(
        self,
        session_id: str,
        *,
        tenant: str,
        label: Label,
        user_id: str | None = None,
        incarnation: str | None = None,
    ) -> str | None:
        async def change() -> str | None:
            header = await self._find(session_id, tenant=tenant)
            if header is None:
                if incarnation is not None:
                    return None
                header = self._new(session_id, tenant=tenant, user_id=user_id)
            if incarnation not in (None, header.incarnation):
                return None
            if header.revision is None or header.mark < label:
                await self._store(replace(header, mark=max(header.mark, label), updated_at=self._clock()))
            return header.incarnation

        return await self._table.again(change)

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
        texts = [self._new_id() for _ in turns]
        partition = turns_partition(incarnation)
        written = (
            item
            for turn, text in zip(turns, texts, strict=True)
            for item in text_items(partition, turn.message, text=text)
        )
        if await self._current(session_id, tenant=tenant, incarnation=incarnation) is None:
            return False
        await self._table.put_many(written)
        label = max((turn.label for turn in turns), default=Label.PUBLIC)
        for batch in in_batches(zip(turns, texts, strict=True), TURNS_AT_ONCE) if turns else [[]]:

            async def change(batch: Sequence[tuple[Turn, str]] = batch, after: str | None = after) -> bool:
                header = await self._current(session_id, tenant=tenant, incarnation=incarnation)
                if header is None:
                    return False
                raised = replace(header, mark=max(header.mark, label), updated_at=self._clock())
                if title is not None and header.title is None:
                    raised = raised.titled(title, source=TitleSource.WORDS)
                await self._append(raised, batch, parent=await self._end(header, after=after))
                return True

            if not await self._table.again(change):
                return False
            after = batch[-1][0].id if batch else after
        return True

    async def _append(self, header: Header, turns: Sequence[tuple[Turn, str]], *, parent: int) -> None:
        """Add the turns, each behind the one before it, and make the last the end of the active path."""
        nodes: list[Write] = []
        for number, (turn, text) in enumerate(turns, start=header.last + 1):
            nodes.append(Put(node(header, turn, number=number, parent=parent, text=text)))
            parent = number
        await self._store(replace(header, head=parent, last=header.last + len(nodes)), *nodes)

    async def _end(self, header: Header, *, after: str | None) -> int:
        if after is None:
            return header.head
        return 0 if after == ROOT else _place(await Tree.read(self._table, header), after=after)

    # As a user sees sessions

    async def create(self, session: SessionEntry, *, tenant: str) -> SessionEntry:
        header = replace(
            self._new(session.id, tenant=tenant, user_id=session.user_id),
            mark=session.mark,
            model_id=session.model_id,
            created_at=session.created_at,
            updated_at=session.updated_at,
        )
        if session.title is not None:
            header = header.titled(session.title, source=TitleSource.USER)
        try:
            await self._store(header)
        except LostError:
            raise ConflictError("There is a session with this id.", param="id") from None
        return header.entry

    async def entry(self, session_id: str, *, tenant: str, clearance: Label) -> SessionEntry:
        return (await self._get(session_id, tenant=tenant, clearance=clearance)).entry

    async def page(
        self, query: SessionQuery, *, tenant: str, clearance: Label, limit: int, after: str | None
    ) -> tuple[list[SessionEntry], str | None]:
        return await session_lists.page(
            self._table, query, tenant=tenant, clearance=clearance, limit=limit, after=after
        )

    async def messages(
        self, session_id: str, *, tenant: str, clearance: Label, limit: int, before: str | None
    ) -> tuple[list[Turn], str | None]:
        header = await self._get(session_id, tenant=tenant, clearance=clearance)
        tree = await Tree.read(self._table, header)
        end = header.head
        if before is not None:
            first = tree.number_of(before)
            if first is None:
                raise NotFoundError(param="before")
            end = tree.nodes[first]["parent"]
        return await session_trees.read_page(self._table, tree, end=end, limit=limit)

    async def every_message(self, session_id: str, *, tenant: str, clearance: Label) -> list[Turn]:
        header = await self._get(session_id, tenant=tenant, clearance=clearance)
        return await session_trees.read_every_turn(self._table, await Tree.read(self._table, header))

    async def change(self, session_id: str, change: SessionChange, *, tenant: str, clearance: Label) -> SessionEntry:
        async def apply() -> SessionEntry:
            header = await self._get(session_id, tenant=tenant, clearance=clearance)
            changed = replace(header, updated_at=self._clock(), model_id=change.model_id or header.model_id)
            if change.title is not None:
                changed = changed.titled(change.title, source=TitleSource.USER)
            if change.active is not None:
                tree = await Tree.read(self._table, header)
                number = tree.number_of(change.active)
                if number is None:
                    raise NotFoundError(param="active")
                changed = replace(changed, head=tree.newest_below(number))
            await self._store(changed)
            return changed.entry

        return await self._table.again(apply)

    async def delete(self, session_id: str, *, tenant: str, clearance: Label) -> None:
        async def change() -> Header:
            header = await self._get(session_id, tenant=tenant, clearance=clearance)
            await self._delete(header)
            return header

        await self._erase((await self._table.again(change)).incarnation)

    # Beside requests

    async def suggest_title(self, session_id: str, *, tenant: str, incarnation: str, title: str) -> None:
        async def change() -> None:
            header = await self._current(session_id, tenant=tenant, incarnation=incarnation)
            if header is not None and header.title_source != TitleSource.USER.value:
                await self._store(header.titled(title, source=TitleSource.MODEL))

        await self._table.again(change)

    async def keep_summary(self, session_id: str, summary: Summary, *, tenant: str, incarnation: str) -> None:
        async def change() -> None:
            header = await self._current(session_id, tenant=tenant, incarnation=incarnation)
            if header is None:
                return
            number = (await Tree.read(self._table, header)).number_of(summary.through)
            kept: Item = {"pk": header.partition, "sk": codec.join("summary", number or 0), "number": number}
            kept |= {"text": summary.text, "label": int(summary.label)}
            marked = replace(header, mark=max(header.mark, summary.label))
            await self._store(marked, *([] if number is None else [Put(kept)]))

        await self._table.again(change)

    async def delete_older(self, than: datetime) -> int:
        count = 0
        async for item in self._table.query(SESSIONS, index=DUE, last=codec.write_moment(than)):
            stored = await self._table.get(Key.of(item))
            header = None if stored is None else Header.read(stored)
            if header is None or header.updated_at >= than:
                continue
            try:
                await self._delete(header)
            except LostError:  # it has changed just now
                continue
            count += 1
        return count + await self._loose.delete_older(than)

    async def erase_traces(self) -> bool:
        for item in [item async for item in self._table.query(ERASED)]:
            await self._erase(item["incarnation"])
        return True

    # Turns without a session

    async def keep_loose(self, user_id: str, *, tenant: str, turns: Sequence[Turn]) -> None:
        await self._loose.keep(user_id, tenant=tenant, turns=turns)

    async def history(self, user_id: str, *, tenant: str, clearance: Label, limit: int) -> list[PastTurn]:
        return await session_lists.history(self._table, user_id, tenant=tenant, clearance=clearance, limit=limit)

    async def delete_loose(self, user_id: str, *, tenant: str, clearance: Label) -> None:
        await self._loose.delete(user_id, tenant=tenant, clearance=clearance)

    # Items

    async def _find(self, session_id: str, *, tenant: str) -> Header | None:
        item = await self._table.get(header_key(session_id, tenant=tenant))
        return None if item is None else Header.read(item)

    async def _get(self, session_id: str, *, tenant: str, clearance: Label) -> Header:
        return _visible(await self._find(session_id, tenant=tenant), clearance=clearance)

    async def _current(self, session_id: str, *, tenant: str, incarnation: str) -> Header | None:
        """The session if it is still the one that was meant."""
        header = await self._find(session_id, tenant=tenant)
        return header if header is not None and header.incarnation == incarnation else None

    def _new(self, session_id: str, *, tenant: str, user_id: str | None) -> Header:
        now = self._clock()
        return Header(
            tenant=tenant,
            id=session_id,
            user_id=user_id,
            mark=Label.PUBLIC,
            incarnation=self._new_id(),
            created_at=now,
            updated_at=now,
        )

    async def _store(self, header: Header, *beside: Write) -> None:
        await self._table.commit(put_at(header.write(), revision=header.revision), *beside)

    async def _delete(self, header: Header) -> None:
        """Take the session out of sight, and note that its turns are to be erased."""
        note: Item = {"pk": ERASED, "sk": header.incarnation, "incarnation": header.incarnation}
        await self._table.commit(Delete(header.key, Equal("revision", header.revision)), Put(note))

    async def _erase(self, incarnation: str) -> None:
        await self._table.empty(turns_partition(incarnation))
        await self._table.commit(Delete(Key(ERASED, incarnation)))


def _visible(header: Header | None, *, clearance: Label) -> Header:
    """Raise `NotFoundError` for a session that is above the clearance, as for one that is not there."""
    if header is None or header.mark > clearance:
        raise NotFoundError
    return header


def _place(tree: Tree, *, after: str | None) -> int:
    """The number of the turn that others are to follow; raises `NotFoundError` for one that is not the session's."""
    if after is None:
        return tree.header.head
    if after == ROOT:
        return 0
    number = tree.number_of(after)
    if number is None:
        raise NotFoundError(param="parent_id")
    return number
