"""Every seam of the gateway on one page: what a rule may ask of an engine it does not know."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Protocol

import numpy as np
import numpy.typing as npt

from app.models import Dispatch, JSONValue, Label, Model, Passage, Piece, Prompt
from app.records import (
    Account,
    BudgetAlert,
    Chunk,
    DocumentKey,
    DocumentVersion,
    Job,
    JobKind,
    JobState,
    Key,
    NewDocument,
    PastTurn,
    Session,
    SessionChange,
    SessionEntry,
    SessionQuery,
    Spent,
    Summary,
    Turn,
    UsageBatch,
    UsageQuery,
    UsageRow,
    VectorHit,
)

# Shape (n, dimensions), float32, rows of unit length.
Vectors = npt.NDArray[np.float32]

# Shape (n,), uint64.
Fingerprints = npt.NDArray[np.uint64]

Clock = Callable[[], datetime]


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderStatus:
    """What a provider answers when it is asked how it is. `models` is what it lists, `None` if it lists nothing."""

    reachable: bool
    models: tuple[Model, ...] | None = None


class ChatProvider(Protocol):
    """Speaks to the servers of one kind of model. Raises the `UpstreamError` that says what went wrong."""

    def complete(self, dispatch: Dispatch[Prompt]) -> AsyncGenerator[Sequence[Piece], None]:
        """Yield deltas, one `Stop` for each choice and a `Usage` if the server reports one, as many as come together.

        An answer that ends without its proper end raises `UpstreamBrokenError`. Closing the iterator closes
        the connection at once.
        """
        ...

    async def probe(self) -> ProviderStatus:
        """Say whether the server answers and what it offers; sends no client text and never raises `UpstreamError`."""
        ...

    async def close(self) -> None: ...


class EmbeddingModel(Protocol):
    """Turns texts into vectors. `fingerprint` changes whenever the same text would get another vector."""

    @property
    def model(self) -> Model: ...
    @property
    def fingerprint(self) -> str: ...
    @property
    def max_tokens(self) -> int: ...

    async def embed(self, dispatch: Dispatch[Sequence[str]], *, bulk: bool = False) -> Vectors:
        """Embed the texts in their order. `bulk` marks work that may wait for interactive queries."""
        ...

    def token_offsets(self, text: str) -> Sequence[tuple[int, int]]:
        """Character spans of the tokens of `text`, nothing truncated; an estimate where the tokenizer is not here."""
        ...

    async def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class RerankRequest:
    """A question and the texts that may answer it."""

    query: str
    texts: tuple[str, ...]


class Reranker(Protocol):
    """Reads a question and a text together and says how well the one answers the other."""

    @property
    def model(self) -> Model: ...

    async def score(self, dispatch: Dispatch[RerankRequest]) -> Sequence[float]:
        """A score in 0..1 for each text, in their order; raises the `UpstreamError` that says what went wrong."""
        ...

    async def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class WordHit:
    """A chunk id (`version:ordinal`) and how well the chunk's words match; scores of one query compare, no others."""

    chunk_id: str
    score: float


@dataclass(frozen=True, slots=True)
class ChunkText:
    """A chunk's text and what it stands under: the document's title and headings, a line each."""

    id: str
    context: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TextWindow:
    """A piece of a longer text; `start` and the `length` of the whole count characters (code points)."""

    text: str
    start: int
    length: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveVersion:
    """What the record says of a version that readers see; `space` is `None` if it is found by its words alone."""

    id: str
    tenant: str
    collection: str
    label: Label
    chunks: int
    space: str | None


class VectorIndex(Protocol):
    """Vectors by chunk id, in named spaces that never mix. An index, not a record: it holds no text."""

    async def upsert(self, space: str, *, ids: Sequence[str], vectors: Vectors) -> None: ...

    async def query(
        self, space: str, *, vector: Vectors, limit: int, within: Sequence[str] | None = None
    ) -> list[VectorHit]:
        """The nearest `limit` of the space by cosine, nearest first; only ids in `within` where it is given.

        `vector` has the shape (dimensions,). A space that does not exist is empty.
        """
        ...

    async def fetch(self, space: str, *, ids: Sequence[str]) -> Mapping[str, Vectors]:
        """The vectors of those of the ids that the space holds, each of the shape (dimensions,)."""
        ...

    async def delete(self, space: str, *, ids: Sequence[str]) -> None: ...

    async def drop(self, space: str) -> None:
        """Forget a space with all that it holds."""
        ...

    async def count(self, space: str) -> int: ...

    async def ids(self, space: str) -> list[str]:
        """All ids that the space holds."""
        ...

    async def ping(self) -> None:
        """Raise `UnavailableError` if the engine does not answer."""
        ...

    async def close(self) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Outline:
    """A message of a path without what it says."""

    id: str
    role: str
    digest: str


class DocumentStore(Protocol):
    """The record of documents, their versions, chunks and jobs. What a method has returned from is durable.

    SQL does each method in one transaction. DynamoDB, whose transactions hold 100 writes, does one document at a time
    in one: `add` stores 33 documents at a time, in their order, and `set_floor` raises what is there document by
    document, so that a call that fails half-way is made again. It has no lexical index (`finds_words`), and a filter
    there reads every document of the collection.
    """

    @property
    def finds_words(self) -> bool:
        """Whether there is a lexical index: without one `search_words` finds nothing, and vectors alone are asked."""
        ...

    async def add(self, documents: Sequence[NewDocument]) -> list[DocumentVersion]:
        """Store bytes, versions and their index jobs in one transaction, in the order given.

        The same content, title and metadata again under a key, at the same label or a lower one, changes nothing and
        returns the version that is there, unless that one failed. The label of a version is never below that of the
        version it replaces.
        """
        ...

    async def get(self, key: DocumentKey, *, clearance: Label) -> DocumentVersion | None:
        """The newest version under the key, `None` if there is none the clearance may read."""
        ...

    async def page(
        self, *, tenant: str, clearance: Label, collection: str | None, limit: int, after: str | None
    ) -> tuple[list[DocumentVersion], str | None]:
        """A page of newest versions in a stable order, and the cursor of the next page."""
        ...

    async def declassify(
        self, key: DocumentKey, *, label: Label, clearance: Label
    ) -> tuple[DocumentVersion, DocumentVersion] | None:
        """Store the newest version again as one whose label is exactly this; the version it is of, and the new one.

        `None` if the clearance may not read all versions that there are. Raises `ConflictError` if that would raise
        the label, or lie below the floor of the collection.
        """
        ...

    async def set_floor(self, collection: str, *, tenant: str, floor: Label) -> int:
        """Set the label that no version in the collection is below, and raise those that are; how many that were.

        Their vectors are queued to move to where their label belongs. A floor that is lowered lowers no version.
        """
        ...

    async def remove(self, key: DocumentKey, *, clearance: Label) -> Sequence[str] | None:
        """Hide the document from every reader and queue the removal of its versions; their ids, `None` if absent.

        Asked again while the removal is under way, it returns the same ids.
        """
        ...

    async def text(self, version: str) -> str | None:
        """The parsed text of a version, whose character spans the chunks name."""
        ...

    async def window(self, version: str, *, start: int, limit: int) -> TextWindow | None:
        """At most `limit` characters of the version's parsed text from `start` on; `None` if it has none."""
        ...

    async def span(self, version: str, *, first: int, last: int) -> tuple[int, int] | None:
        """Where in the version's text chunk `first` begins and chunk `last` ends."""
        ...

    async def content(self, version: str) -> bytes: ...

    async def count_jobs(self, *, now: datetime) -> Mapping[tuple[JobKind, JobState], int]:
        """How many jobs of each kind are in each state; what there is none of may be missing."""
        ...

    async def claim_job(self, *, now: datetime, lease_seconds: float) -> Job | None:
        """Lease the oldest job that is due and that nobody holds; a lease that ran out is up for claiming again.

        Versions of one document are indexed one after the other, and the label of the job's version is already
        joined with that of the versions before it. What is done under a claim that another one has followed is ignored.
        """
        ...

    async def release_leases(self) -> None:
        """Free every job at once: for a process that has just started and is the only one to work the queue."""
        ...

    async def retry_job(self, job: Job, *, due: datetime) -> None:
        """Give the job back, to be claimed again from `due` on."""
        ...

    async def report(self, version: str, *, stage: str, done: int, total: int) -> bool:
        """Note how far the version is, which also renews the lease of the job that works on it.

        False if the version has been removed meanwhile.
        """
        ...

    async def renew_lease(self, version: str) -> None:
        """Hold on to the job that works on the version for as long again as it was claimed for."""
        ...

    async def save_chunks(
        self,
        version: str,
        *,
        text: str,
        title: str | None,
        label: Label,
        warnings: Sequence[str],
        chunks: Sequence[Chunk],
        space: str | None = None,
    ) -> None:
        """Store the parsed text and its chunks with the label they were found to have, replacing earlier ones.

        `space` is where their vectors are about to go: they are taken out of it again even if they are never published.
        """
        ...

    async def chunk_texts(self, version: str, *, start: int, limit: int) -> list[ChunkText]:
        """Chunks from ordinal `start` on, by their ids (`version:ordinal`)."""
        ...

    async def excerpt(self, version: str, *, first: int, last: int) -> str | None:
        """The version's text from the start of chunk `first` to the end of chunk `last`."""
        ...

    async def publish(self, job: Job, *, space: str | None, label: Label | None = None) -> bool:
        """Make the job's version the live one and queue the removal of the one before, in one transaction.

        `label` is what its vectors were made under: if it was raised meanwhile they are queued to be made again.
        False if it did not become live: the document was removed or a newer upload is live, so its removal is queued.
        """
        ...

    async def fail(self, job: Job, *, code: str, message: str) -> None:
        """Mark the version failed. A live version before it stays live."""
        ...

    async def removable(self, version: str) -> tuple[str | None, Sequence[str]]:
        """The vector space and the chunk ids of a version, for taking its vectors out."""
        ...

    async def finish_removal(self, job: Job) -> None:
        """Erase bytes, text, chunks and the version's row, so that no trace of them is left in the database's files.

        Raises `DatabaseUnavailableError` while traces are left: the job stays, to be tried again.
        """
        ...

    async def unfinished(self, versions: Sequence[str]) -> int:
        """How many of these versions still exist and are neither indexed nor failed, or await removal."""
        ...

    async def put_off(self, versions: Sequence[str], *, beyond: datetime) -> bool:
        """Whether some of these versions are unfinished, and all of those wait for an index job that is due later."""
        ...

    async def spaces(self, *, tenant: str, collection: str, clearance: Label) -> list[str]:
        """The vector spaces that hold live versions of the collection at or below the clearance."""
        ...

    async def matching_chunks(
        self, *, tenant: str, collection: str, clearance: Label, filter: Mapping[str, Mapping[str, JSONValue]]
    ) -> list[str]:
        """Chunk ids of live versions whose metadata satisfies the filter.

        Raises `InvalidRequestError` if it is malformed.
        """
        ...

    async def search_words(
        self,
        text: str,
        *,
        tenant: str,
        collection: str,
        clearance: Label,
        limit: int,
        filter: Mapping[str, Mapping[str, JSONValue]] | None = None,
    ) -> list[WordHit]:
        """The best `limit` chunks of live versions in the scope that hold words of the text, best first."""
        ...

    async def passages(self, chunk_ids: Mapping[str, float], *, tenant: str, clearance: Label) -> list[Passage]:
        """The live passages among these ids with the scores given, label re-read; ids without a live row drop out."""
        ...

    async def revision(self, *, tenant: str, collection: str) -> int:
        """A number that grows whenever what a search of the collection can find changes."""
        ...

    async def live_versions(self) -> list[LiveVersion]:
        """Every version that readers see, of all tenants."""
        ...

    async def vector_owners(self, versions: Sequence[str], *, space: str) -> set[str]:
        """Those of the versions that may have vectors in the space: live ones in it, and any that a job works on."""
        ...

    async def queue_indexing(self, versions: Sequence[str]) -> None:
        """Queue live versions for having their vectors made anew; they stay live meanwhile."""
        ...

    async def unused_spaces(self) -> list[str]:
        """The spaces that had a live version once and have no version at all now."""
        ...

    async def forget_space(self, space: str) -> None: ...

    async def versions_without_words(self) -> list[str]:
        """Live versions of which the lexical index holds other chunks than there are."""
        ...

    async def index_words(self, version: str) -> None:
        """Put the version's chunks into the lexical index anew."""
        ...

    async def ping(self) -> None: ...


class SessionStore(Protocol):
    """Conversations and their marks. What a method has returned from is durable.

    Messages form a tree; the active path leads from the first message to the one that was added last, or to one that
    a user chose. A session above the clearance is not found: `NotFoundError`, like one that is not there.

    DynamoDB stores 99 turns of an `append` at a time and lists what changed a moment ago a moment later. For a text or
    a user in a `SessionQuery` it reads the tenant's sessions one after the other: the same answer, at another cost.
    """

    async def read(
        self, session_id: str, *, tenant: str, clearance: Label, tokens: int = 0, after: str | None = None
    ) -> Session:
        """Mark and turns in one transaction; an unknown session is empty, and reading does not create it.

        The turns lead to the message `after`, `None` for the end of the active path and `ROOT` for none. `tokens`
        bounds those that are not system messages, newest first; 0 is no bound. What a summary covers is left out.
        Raises `NotFoundError` if the mark is above the clearance or `after` is not a message of the session.
        """
        ...

    async def outline(self, session_id: str, *, tenant: str) -> list[Outline]:
        """The whole active path, first message first."""
        ...

    async def parent(self, session_id: str, *, tenant: str, message: str) -> str:
        """The id of the message before this answer, or `ROOT`; raises `NotFoundError` if there is no such answer."""
        ...

    async def raise_mark(
        self,
        session_id: str,
        *,
        tenant: str,
        label: Label,
        user_id: str | None = None,
        incarnation: str | None = None,
    ) -> str | None:
        """Raise the mark to at least `label`, creating an unknown session, and return the incarnation.

        The mark never falls. With an `incarnation` nothing is created: `None` if that one is gone.
        """
        ...

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
        """Add turns one after the other behind the message `after`, or at the end of the active path as it is now.

        `title` is taken if there is none. False, and nothing is stored, if the session was deleted meanwhile.
        """
        ...

    async def create(self, session: SessionEntry, *, tenant: str) -> SessionEntry:
        """Begin an empty session; raises `ConflictError` if the id is taken."""
        ...

    async def entry(self, session_id: str, *, tenant: str, clearance: Label) -> SessionEntry: ...

    async def page(
        self, query: SessionQuery, *, tenant: str, clearance: Label, limit: int, after: str | None
    ) -> tuple[list[SessionEntry], str | None]:
        """A page of sessions, those that changed last first, and the cursor of the next page."""
        ...

    async def messages(
        self, session_id: str, *, tenant: str, clearance: Label, limit: int, before: str | None
    ) -> tuple[list[Turn], str | None]:
        """The newest messages of the active path, or those before a cursor, in their order with their siblings.

        The second value is the cursor of the messages before these, `None` if there are none.
        """
        ...

    async def every_message(self, session_id: str, *, tenant: str, clearance: Label) -> list[Turn]:
        """The messages of all branches in the order in which they were stored."""
        ...

    async def change(
        self, session_id: str, change: SessionChange, *, tenant: str, clearance: Label
    ) -> SessionEntry: ...

    async def suggest_title(self, session_id: str, *, tenant: str, incarnation: str, title: str) -> None:
        """Take a model's title, unless a user has set one."""
        ...

    async def keep_summary(self, session_id: str, summary: Summary, *, tenant: str, incarnation: str) -> None:
        """Keep a summary with the session, and raise the mark to its label."""
        ...

    async def delete(self, session_id: str, *, tenant: str, clearance: Label) -> None:
        """Take the session with all of its messages out of every reader's sight at once."""
        ...

    async def delete_older(self, than: datetime) -> int:
        """Delete sessions that have not changed since, and older turns without a session; how many there were."""
        ...

    async def erase_traces(self) -> bool:
        """Take what was deleted off the disk; false if that has to be tried again."""
        ...

    async def keep_loose(self, user_id: str, *, tenant: str, turns: Sequence[Turn]) -> None:
        """Keep turns that belong to no session for the history of a user."""
        ...

    async def history(self, user_id: str, *, tenant: str, clearance: Label, limit: int) -> list[PastTurn]:
        """The newest turns of a user at or below the clearance, in sessions or without, newest first."""
        ...

    async def delete_loose(self, user_id: str, *, tenant: str, clearance: Label) -> None:
        """Delete those turns of a user that belong to no session."""
        ...


class KeyStore(Protocol):
    """API keys, of which the secrets are not stored. What a method has returned from is durable."""

    async def add(self, key: Key) -> Key:
        """Store a new key; the key with its revision."""
        ...

    async def replace(self, key: Key) -> Key | None:
        """Store another state of the key with this id; `None` if it is not there or changed since that was read."""
        ...

    async def since(self, revision: int) -> list[Key]:
        """The keys that were added or changed after this revision, in the order in which that became visible."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Demand:
    """So much of something of which any 60 seconds hold at most `limit`; `name` says of what.

    What is taken in one step has one `group`, whoever takes it: an engine of many servers keeps a group on one of them.
    """

    group: str
    name: str
    limit: int
    cost: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """One of at most `limit` places that are held at a time; `id` names the holder, `group` is as in `Demand`."""

    group: str
    name: str
    limit: int
    id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Level:
    """How much of a demand's limit is used. `reset` seconds until all is back, `wait` until the cost fits."""

    used: int
    reset: float
    wait: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Taking:
    """What became of demands: all were met or none. `moment` is what settling names; `here` says which engine counted.

    `leased` is false if only the lease was not to be had.
    """

    admitted: bool
    levels: tuple[Level, ...]
    leased: bool
    moment: int
    here: bool


class WindowStore(Protocol):
    """Exact counts over sliding windows of 60 seconds, to a hundredth of a second on the safe side. Never raises."""

    async def take(self, demands: Sequence[Demand], *, lease: Lease | None = None) -> Taking:
        """Meet all of the demands and grant the lease, or do nothing; one step, whoever else takes at the same time."""
        ...

    def settle(self, demand: Demand, *, taking: Taking, cost: int) -> None:
        """Let a demand that was met have cost something else, as if it had from the start. Does not wait."""
        ...

    def release(self, lease: Lease, *, taking: Taking) -> None:
        """Give a lease back. Does not wait."""
        ...

    async def keep(self) -> None:
        """For ever: hold on to the leases that were granted here, which otherwise run out."""
        ...

    async def close(self) -> None: ...


class CacheStore(Protocol):
    """Bytes under keys, for a while. Trouble inside is a miss, never an error to the caller."""

    async def get(self, key: str) -> bytes | None: ...

    async def set(self, key: str, value: bytes, *, ttl: int) -> None:
        """`ttl` is in seconds."""
        ...

    async def delete(self, key: str) -> None: ...

    async def get_many(self, keys: Sequence[str]) -> list[bytes | None]:
        """The values under the keys, in one question to the engine."""
        ...

    async def add(self, key: str, value: bytes, *, ttl: float) -> bool:
        """Set what is not set, in one step; whether it was not. `ttl` is in seconds and may be a fraction."""
        ...

    async def extend(self, key: str, value: bytes, *, ttl: float) -> bool:
        """Let what still has this very value live for `ttl` seconds from now; whether it has."""
        ...

    async def discard(self, key: str, value: bytes) -> None:
        """Delete what still has this very value."""
        ...

    @property
    def bytes_held(self) -> int:
        """How many bytes are kept in this process."""
        ...

    async def server_bytes(self) -> int | None:
        """How much memory the engine's servers use for all they hold; `None` if there is none or it does not say."""
        ...

    async def ping(self) -> None:
        """Raise `UnavailableError` if the engine does not answer."""
        ...

    async def close(self) -> None: ...


@dataclass(frozen=True, slots=True, eq=False)
class Echo:
    """Fingerprints of something that was said above `public`; `number` grows from one row to the next."""

    number: int
    fingerprints: Fingerprints


@dataclass(frozen=True, slots=True)
class Standing:
    """What a row still says. `document` names the document it is from, unless that is being erased."""

    label: Label
    is_document: bool
    document: DocumentKey | None = None


class ReplayStore(Protocol):
    """Remembers small values under keys for a while: by which a repeated request is known."""

    async def get(self, key: str) -> bytes | None:
        """What was set first under the key and has not run out."""
        ...

    async def set(self, key: str, value: bytes, *, ttl: int) -> None:
        """Remember the value for `ttl` seconds, unless the key has one."""
        ...


class UsageStore(Protocol):
    """Sums of what was used. What `add` has returned from is durable, and counted once however often it is said."""

    async def add(self, batch: UsageBatch) -> None:
        """Add a batch, unless it or a later one of its writer was added before."""
        ...

    async def find(self, query: UsageQuery, *, limit: int, offset: int = 0) -> list[UsageRow]:
        """The sums in the order of their values, at most `limit` of them from `offset` on."""
        ...

    async def read_spent(self, accounts: Sequence[Account], *, day: date) -> Mapping[Account, Spent]:
        """What each account has spent on the day and in its month; one that spent nothing may be missing."""
        ...

    async def claim_alert(self, alert: BudgetAlert) -> bool:
        """Whether the alert is for whoever asks to give: true once, for one of all that ask."""
        ...


class EchoStore(Protocol):
    """Fingerprints of answers and document versions above `public`. What a method has returned from is durable."""

    async def add(
        self,
        parts: Sequence[Fingerprints],
        *,
        label: Label,
        tenant: str,
        version: str | None,
        expires_at: datetime | None,
    ) -> None:
        """Add a row for each part. Those of a version go when the version goes; one that is gone already adds none."""
        ...

    async def since(self, number: int, *, limit: int) -> list[Echo]:
        """The rows after this number, in the order in which they became visible."""
        ...

    async def standing(self, numbers: Sequence[int], *, tenant: str, now: datetime) -> dict[int, Standing]:
        """Which of the rows still stand: they are the tenant's, their version exists, they have not run out."""
        ...

    async def forget_version(self, version: str) -> None: ...

    async def forget_expired(self, *, now: datetime) -> int:
        """Erase the rows that have run out; how many there were."""
        ...


class AuditTrail(Protocol):
    """Where audit records go, in the order in which they were appended."""

    def append(self, record: Mapping[str, JSONValue]) -> None:
        """Take in a record at once; it is durable a moment later. Never raises and never waits."""
        ...
