"""The nouns that stores keep: keys, documents, sessions and usage, frozen and knowing of no engine."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Literal

from app.models import Caller, JSONValue, Label, Message

# Keys


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """An API key as it is stored: what its bearer may do, and digests in the place of the secret.

    `previous_digest` is the secret before the last rotation, good until `previous_until`. `revision` grows with every
    change to any key.
    """

    id: str
    name: str
    digest: bytes
    caller: Caller
    created_at: datetime
    expires_at: datetime | None = None
    revoked_at: datetime | None = None
    previous_digest: bytes | None = None
    previous_until: datetime | None = None
    revision: int = 0


# Documents


class DocumentStatus(enum.StrEnum):
    PENDING = "pending"
    INDEXING = "indexing"
    INDEXED = "indexed"
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class DocumentKey:
    """What names a document. Ids are unique within a tenant and collection."""

    tenant: str
    collection: str
    id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NewDocument:
    """A document as it was handed in: its bytes and what was stated about it, if its label was stated at all."""

    key: DocumentKey
    title: str | None
    media_type: str
    filename: str | None
    label: Label
    metadata: Mapping[str, JSONValue]
    content: bytes
    label_stated: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class DocumentVersion:
    """One immutable version of a document, and how far its ingestion has come.

    The label of a version that was `declassified` is what an administrator set, whatever is found in it. `done` of
    `total` counts chunks in the current stage; `error` is a stable code with a fixed message.
    """

    id: str
    key: DocumentKey
    title: str | None
    media_type: str
    filename: str | None
    label: Label
    metadata: Mapping[str, JSONValue]
    size: int
    status: DocumentStatus
    stage: str | None = None
    done: int = 0
    total: int = 0
    chunks: int = 0
    error_code: str | None = None
    error_message: str | None = None
    warnings: tuple[str, ...] = ()
    declassified: bool = False
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Chunk:
    """A span of a document version's text, sized for the embedding model."""

    ordinal: int
    text: str
    start: int
    end: int
    page: int | None = None
    heading: tuple[str, ...] = ()


class JobKind(enum.StrEnum):
    INDEX = "index"
    REMOVE = "remove"


class JobState(enum.StrEnum):
    """Whether somebody works on a job, could begin now, or is to wait."""

    RUNNING = "running"
    DUE = "due"
    DELAYED = "delayed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A piece of durable background work on one document version."""

    id: int
    kind: JobKind
    version: DocumentVersion
    attempts: int


@dataclass(frozen=True, slots=True, kw_only=True)
class VectorHit:
    """A chunk id (`version:ordinal`) and its cosine similarity to the query, in -1..1."""

    chunk_id: str
    similarity: float


# Sessions

# What names the place before a session's first message, where a message would have its parent's id.
ROOT = "root"


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """One message of a session as it is stored. `complete` is false for an answer that was cut.

    `tokens` is an estimate. `digest` is the same for messages that say the same. The store fills in `parent_id`, the
    message it follows, and where a reader asks for them `siblings`: all that follow that message, this one included.
    """

    message: Message
    label: Label
    created_at: datetime
    id: str = ""
    model: str | None = None
    complete: bool = True
    tokens: int = 0
    digest: str = ""
    parent_id: str = ROOT
    siblings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """What the messages of a path up to and including `through` said, in short, and the label of that."""

    text: str
    label: Label
    through: str


class TitleSource(enum.StrEnum):
    """Who made a title. What a user set stays; a model's takes the place of the first words."""

    WORDS = "words"
    MODEL = "model"
    USER = "user"


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """A conversation as a request continues it, and its mark: the highest label it has ever carried, which never falls.

    `turns` are the newest of the path that is continued, and all its system messages; `left_out` counts those before.
    `incarnation` tells a session from one that was deleted under the same id; `None` is a session that is not there.
    """

    id: str
    tenant: str
    mark: Label
    turns: tuple[Turn, ...]
    user_id: str | None = None
    incarnation: str | None = None
    model_id: str | None = None
    title_source: TitleSource | None = None
    summary: Summary | None = None
    left_out: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionEntry:
    """A session as a list shows it. `model_id` answers requests that name no model themselves."""

    id: str
    mark: Label
    created_at: datetime
    updated_at: datetime
    user_id: str | None = None
    title: str | None = None
    model_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionChange:
    """What a user changes of a session; `None` leaves it. `active` is a message whose branch is shown from now on."""

    title: str | None = None
    model_id: str | None = None
    active: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionQuery:
    """Which sessions a list shows: those whose title or messages hold `text`, of this user; `None` is no condition."""

    text: str | None = None
    user_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PastTurn:
    """A message of a user's history, and the session it is from if it is from one."""

    turn: Turn
    session_id: str | None


# Usage


@dataclass(frozen=True, slots=True, kw_only=True)
class UsageKey:
    """Whose use of which model on which day in UTC is added up together; what nobody knows is empty.

    `price` is the one that was asked then, in US dollars for one token: `PROMPT/COMPLETION`, and `,KIND=PRICE` for each
    of the `TokenDetails` that has one of its own.
    """

    day: date
    tenant: str
    key_id: str
    user: str
    model: str
    label: str
    price: str


@dataclass(frozen=True, slots=True, kw_only=True)
class UsageCount:
    """Sums over calls and requests. `estimated_tokens` are those of all tokens that no server reported.

    `cached_tokens` to `reasoning_tokens` are those among them that servers told apart, sound in both directions.

    `cost` is in billionths of a US dollar: whole numbers have one sum, in whatever order they are added. `requests` are
    those that were answered, `cached` those of them that made no call of their own.
    """

    prompt_tokens: int = 0
    completion_tokens: int = 0
    estimated_tokens: int = 0
    cached_tokens: int = 0
    cache_write_tokens: int = 0
    image_tokens: int = 0
    audio_tokens: int = 0
    reasoning_tokens: int = 0
    cost: int = 0
    calls: int = 0
    requests: int = 0
    cached: int = 0


UsageDimension = Literal["day", "tenant", "key_id", "user", "model", "label", "price"]


@dataclass(frozen=True, slots=True, kw_only=True)
class UsageQuery:
    """Which usage to add up, by what. Both days are included; `None` for a tenant or a key is all of them."""

    first: date
    last: date
    by: tuple[UsageDimension, ...]
    tenant: str | None = None
    key_id: str | None = None
    user: str | None = None


@dataclass(frozen=True, slots=True)
class UsageRow:
    """A sum, and what it is the sum of: values in the order of the dimensions asked for."""

    values: tuple[str | date, ...]
    count: UsageCount


@dataclass(frozen=True, slots=True)
class UsageBatch:
    """Counts to add to those stored. `writer` numbers its batches from 1 on, so that none is added twice."""

    writer: str
    number: int
    counts: Mapping[UsageKey, UsageCount]


@dataclass(frozen=True, slots=True)
class Account:
    """Whose spending is added up: a key's, or with `None` a whole tenant's."""

    tenant: str
    key_id: str | None = None


@dataclass(frozen=True, slots=True)
class Spent:
    """Billionths of a US dollar since the day began, and since its month began."""

    day: int = 0
    month: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetAlert:
    """That so many percent of a budget are spent, in the `period` (`day` or `month`) that has begun on that day.

    `limit` and `spent` are in billionths of a US dollar. A budget that is changed is another one.
    """

    account: Account
    period: str
    begun: date
    percent: int
    limit: int
    spent: int
