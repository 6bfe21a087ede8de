"""Sessions and turns as items: what is stored of them, and the values that they are read back as."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from app.models import Label, Message
from app.records import ROOT, SessionEntry, TitleSource, Turn
from app.stores.dynamo import codec
from app.stores.dynamo.codec import Item, read_moment, write_moment
from app.stores.dynamo.table import parts_of
from app.stores.dynamo.writes import Key
from app.stores.messages import read_message, write_message

SESSIONS: Final = "sessions"
LOOSE: Final = "loose"


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """A session without its turns: `last` numbers its newest turn, `head` the one the active path ends with.

    `revision` counts the changes of the item; `None` is one that is not stored yet.
    """

    tenant: str
    id: str
    user_id: str | None
    mark: Label
    incarnation: str
    created_at: datetime
    updated_at: datetime
    head: int = 0
    last: int = 0
    title: str | None = None
    title_source: str | None = None
    model_id: str | None = None
    revision: int | None = None

    @property
    def key(self) -> Key:
        return header_key(self.id, tenant=self.tenant)

    @property
    def partition(self) -> str:
        """Where the turns are: under the incarnation, so that nobody finds them once the session is deleted."""
        return turns_partition(self.incarnation)

    @property
    def entry(self) -> SessionEntry:
        return SessionEntry(
            id=self.id,
            mark=self.mark,
            created_at=self.created_at,
            updated_at=self.updated_at,
            user_id=self.user_id,
            title=self.title,
            model_id=self.model_id,
        )

    def titled(self, title: str, *, source: TitleSource) -> Header:
        return replace(self, title=title, title_source=source.value)

    def write(self) -> Item:
        return {
            "pk": self.key.pk,
            "sk": self.key.sk,
            "tenant": self.tenant,
            "id": self.id,
            "user_id": self.user_id,
            "mark": int(self.mark),
            "incarnation": self.incarnation,
            "created_at": write_moment(self.created_at),
            "updated_at": write_moment(self.updated_at),
            "head": self.head,
            "last": self.last,
            "title": self.title,
            "title_source": self.title_source,
            "model_id": self.model_id,
            "lpk": codec.join(SESSIONS, self.tenant),
            "lsk": f"{codec.backwards(self.updated_at)}#{codec.join(self.id)}",
            "dpk": SESSIONS,
            "dsk": write_moment(self.updated_at),
        }

    @classmethod
    def read(cls, item: Item) -> Header:
        return cls(
            tenant=item["tenant"],
            id=item["id"],
            user_id=item.get("user_id"),
            mark=Label(item["mark"]),
            incarnation=item["incarnation"],
            created_at=read_moment(item["created_at"]),
            updated_at=read_moment(item["updated_at"]),
            head=item["head"],
            last=item["last"],
            title=item.get("title"),
            title_source=item.get("title_source"),
            model_id=item.get("model_id"),
            revision=item["revision"],
        )


def header_key(session_id: str, *, tenant: str) -> Key:
    return Key(codec.join("session", tenant, session_id), "session")


def turns_partition(incarnation: str) -> str:
    return codec.join("turns", incarnation)


def history_partition(user_id: str, *, tenant: str) -> str:
    """The partition of the index that lists a user's turns, in sessions or without."""
    return codec.join("history", tenant, user_id)


def node(header: Header, turn: Turn, *, number: int, parent: int, text: str) -> Item:
    """A turn's place in the tree, without what it says: that is in the items whose name begins with `text`."""
    listed: Item = {}
    if header.user_id is not None:
        listed["lpk"] = history_partition(header.user_id, tenant=header.tenant)
        listed["lsk"] = codec.join(write_moment(turn.created_at), number, header.incarnation)
    return {
        "pk": header.partition,
        "sk": codec.join("node", number),
        "number": number,
        "parent": parent,
        "session": header.id,
        "tenant": header.tenant,
        **facts(turn, text=text),
        **listed,
    }


def facts(turn: Turn, *, text: str) -> Item:
    """What is stored of any kept turn beside its message."""
    return {
        "id": turn.id,
        "label": int(turn.label),
        "model": turn.model,
        "complete": turn.complete,
        "created_at": write_moment(turn.created_at),
        "role": turn.message.role,
        "tokens": turn.tokens,
        "digest": turn.digest,
        "text": text,
        "parts": len(_parts(turn.message)),
    }


def text_items(partition: str, message: Message, *, text: str) -> list[Item]:
    """What a message says, in as many items as it takes."""
    parts = enumerate(_parts(message))
    return [{"pk": partition, "sk": codec.join("text", text, number), "content": part} for number, part in parts]


def text_keys(item: Item) -> list[Key]:
    """The keys of what a turn says."""
    return [Key(item["pk"], codec.join("text", item["text"], number)) for number in range(item["parts"])]


def read_turn(item: Item, content: bytes, *, parent_id: str = ROOT, siblings: tuple[str, ...] = ()) -> Turn:
    return Turn(
        id=item["id"],
        message=read_message(json.loads(content)),
        label=Label(item["label"]),
        created_at=read_moment(item["created_at"]),
        model=item.get("model"),
        complete=item["complete"],
        tokens=item["tokens"],
        digest=item["digest"],
        parent_id=parent_id,
        siblings=siblings,
    )


def fold(text: str) -> str:
    """The text as it is searched: whatever its case."""
    return text.casefold()


def _parts(message: Message) -> list[bytes]:
    return list(parts_of(json.dumps(write_message(message)).encode()))
