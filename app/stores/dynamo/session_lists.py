"""Lists over sessions: pages, searches, histories of users, and the turns that belong to no session.

An index says in which order to look; what is found is read again by its key, with the mark that it has now.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import datetime
from typing import Final, TypeVar

from app.errors import InvalidRequestError
from app.models import Label
from app.records import PastTurn, SessionEntry, SessionQuery, Turn
from app.stores.dynamo import codec
from app.stores.dynamo.codec import Item
from app.stores.dynamo.session_items import (
    LOOSE,
    SESSIONS,
    Header,
    facts,
    fold,
    header_key,
    history_partition,
    read_turn,
    text_items,
    text_keys,
)
from app.stores.dynamo.session_trees import Tree, read_contents, read_every_turn
from app.stores.dynamo.table import DUE, LISTS, Table
from app.stores.dynamo.writes import Key

# Sessions or turns that are read again at once.
_BATCH: Final = 50
_CURSOR = re.compile(r"\d{21}#.*")
_T = TypeVar("_T")


async def page(
    table: Table, query: SessionQuery, *, tenant: str, clearance: Label, limit: int, after: str | None
) -> tuple[list[SessionEntry], str | None]:
    """Sessions that changed last first, and the cursor of the next page.

    There is an order to follow and nothing to search by: for a text, or a user, session after session is looked at.
    """
    first = "" if after is None else f"{_read_cursor(after)}\0"
    listed = table.query(codec.join(SESSIONS, tenant), index=LISTS, first=first)
    found: list[Header] = []
    async for batch in _batches(listed):
        items = await table.get_many(map(Key.of, batch))
        for key in map(Key.of, batch):
            header = Header.read(items[key]) if key in items else None
            if header is not None and header.mark <= clearance and await _fits(table, header, query):
                found.append(header)
            if len(found) > limit:
                return [each.entry for each in found[:limit]], _write_cursor(found[limit - 1])
    return [header.entry for header in found], None


async def history(table: Table, user_id: str, *, tenant: str, clearance: Label, limit: int) -> list[PastTurn]:
    """The newest turns of a user, newest first."""
    listed = table.query(history_partition(user_id, tenant=tenant), index=LISTS, descending=True)
    found: list[Item] = []
    async for batch in _batches(listed):
        items = await table.get_many(map(Key.of, batch))
        turns = [items[key] for key in map(Key.of, batch) if key in items]
        found += await _readable(table, turns, tenant=tenant, clearance=clearance)
        if len(found) >= limit:
            break
    chosen = found[:limit]
    contents = await read_contents(table, chosen)
    pairs = zip(chosen, contents, strict=True)
    return [PastTurn(turn=read_turn(item, content), session_id=item.get("session")) for item, content in pairs]


class LooseTurns:
    """Turns that belong to no session, a user's in one partition in the order in which they were said."""

    def __init__(self, table: Table, *, new_id: Callable[[], str]) -> None:
        self._table = table
        self._new_id = new_id

    async def keep(self, user_id: str, *, tenant: str, turns: Sequence[Turn]) -> None:
        if not turns:
            return
        first = await self._table.count("loose-turns", len(turns))
        partition = codec.join(LOOSE, tenant, user_id)
        for number, turn in enumerate(turns, start=first):
            text = self._new_id()
            await self._table.put_many(text_items(partition, turn.message, text=text))
            written = codec.write_moment(turn.created_at)
            item = {
                "pk": partition,
                "sk": codec.join("turn", written, number),
                **facts(turn, text=text),
                "lpk": history_partition(user_id, tenant=tenant),
                "lsk": codec.join(written, number),
                "dpk": LOOSE,
                "dsk": written,
            }
            await self._table.put_many([item])

    async def delete(self, user_id: str, *, tenant: str, clearance: Label) -> None:
        partition = codec.join(LOOSE, tenant, user_id)
        turns = [item async for item in self._table.query(partition, first="turn#", last="turn$")]
        await self._delete([item for item in turns if item["label"] <= clearance])

    async def delete_older(self, than: datetime) -> int:
        """Delete turns that were said before; how many there were."""
        count = 0
        async for batch in _batches(self._table.query(LOOSE, index=DUE, last=codec.write_moment(than))):
            items = await self._table.get_many(map(Key.of, batch))
            old = [item for item in items.values() if codec.read_moment(item["created_at"]) < than]
            await self._delete(old)
            count += len(old)
        return count

    async def _delete(self, turns: Sequence[Item]) -> None:
        await self._table.delete_many(key for item in turns for key in (*text_keys(item), Key.of(item)))


async def _fits(table: Table, header: Header, query: SessionQuery) -> bool:
    if query.user_id is not None and header.user_id != query.user_id:
        return False
    if query.text is None:
        return True
    text = fold(query.text)
    if text in fold(header.title or ""):
        return True
    turns = await read_every_turn(table, await Tree.read(table, header))
    return any(text in fold(turn.message.text) for turn in turns)


async def _readable(table: Table, turns: Sequence[Item], *, tenant: str, clearance: Label) -> list[Item]:
    """Those of the turns whose session is there, at or below the clearance, or that belong to none and are."""
    keys = {item["session"]: header_key(item["session"], tenant=tenant) for item in turns if "session" in item}
    headers = {key: Header.read(item) for key, item in (await table.get_many(keys.values())).items()}
    readable = []
    for item in turns:
        header = headers.get(keys[item["session"]]) if "session" in item else None
        if "session" not in item:
            seen = item["label"] <= clearance
        else:
            seen = header is not None and header.partition == item["pk"] and header.mark <= clearance
        if seen:
            readable.append(item)
    return readable


async def _batches(items: AsyncIterator[_T]) -> AsyncIterator[list[_T]]:
    batch: list[_T] = []
    async for item in items:
        batch.append(item)
        if len(batch) == _BATCH:
            yield batch
            batch = []
    if batch:
        yield batch


def _write_cursor(header: Header) -> str:
    return base64.urlsafe_b64encode(header.write()["lsk"].encode()).decode()


def _read_cursor(cursor: str) -> str:
    try:
        place = base64.urlsafe_b64decode(cursor.encode()).decode()
    except (binascii.Error, ValueError):
        place = ""
    if not _CURSOR.fullmatch(place):
        raise InvalidRequestError("This cursor is not one that a page ended with.", param="after")
    return place
