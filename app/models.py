"""The nouns the pipeline passes: frozen values that know nothing of HTTP or of any engine."""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Generic, Literal, TypeVar

from app.errors import NotClearedError

JSONValue = None | bool | int | float | str | Sequence["JSONValue"] | Mapping[str, "JSONValue"]


class Label(enum.IntEnum):
    """How sensitive a text is. Ordered, so `max` joins labels and `<=` tests a clearance."""

    PUBLIC = 0
    INTERNAL = 1
    CONFIDENTIAL = 2

    @property
    def word(self) -> str:
        """The name on the wire: `public`, `internal` or `confidential`."""
        return self.name.lower()

    @classmethod
    def parse(cls, word: str) -> Label:
        """Read a name from the wire; raises `ValueError` for anything but the three names."""
        try:
            return cls[word.upper()]
        except KeyError:
            raise ValueError("must be public, internal or confidential") from None


class Complexity(enum.StrEnum):
    """How hard a prompt is, which decides the tier of model that answers it."""

    SIMPLE = "simple"
    MODERATE = "moderate"
    COMPLEX = "complex"


class Locality(enum.StrEnum):
    """Where a model runs: inside the operator's own network, or anywhere else."""

    LOCAL = "local"
    CLOUD = "cloud"


@dataclass(frozen=True, slots=True)
class Finding:
    """What one detector found in one field, without the value: `where` is an index, never text."""

    detector: str
    label: Label
    where: str
    count: int = 1


# Prompts


@dataclass(frozen=True, slots=True)
class TextPart:
    text: str


@dataclass(frozen=True, slots=True)
class ImagePart:
    """An image by `data:` or `https:` URL. Its pixels are not read, so they count as uninspected."""

    url: str
    detail: str | None = None


Part = TextPart | ImagePart
Role = Literal["system", "developer", "user", "assistant", "tool"]


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A function call a model asked for; `arguments` is the JSON text exactly as the model wrote it."""

    id: str
    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class Message:
    role: Role
    parts: tuple[Part, ...] = ()
    name: str | None = None
    tool_calls: tuple[ToolCall, ...] = ()
    tool_call_id: str | None = None

    @property
    def text(self) -> str:
        """The text parts joined by line breaks."""
        return "\n".join(part.text for part in self.parts if isinstance(part, TextPart))

    @classmethod
    def of(cls, role: Role, text: str) -> Message:
        """A message with a single text part."""
        return cls(role=role, parts=(TextPart(text),))


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampling:
    """How a model is to write. `None` means the caller left it out and it is not sent upstream."""

    temperature: float | None = None
    top_p: float | None = None
    max_tokens: int | None = None
    stop: tuple[str, ...] = ()
    seed: int | None = None
    n: int | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    logprobs: bool | None = None
    top_logprobs: int | None = None
    reasoning_effort: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Tooling:
    """Tools and the shape of the answer, as JSON Schema objects in OpenAI's form."""

    tools: tuple[JSONValue, ...] = ()
    tool_choice: JSONValue = None
    parallel_tool_calls: bool | None = None
    response_format: JSONValue = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Passage:
    """A piece of one document version, as retrieval found it. `score` is in 0..1, higher is nearer.

    `start` is where it begins in the version's text; `pages` are the places in that text from which on a page applies.
    """

    id: str
    document_id: str
    collection: str
    version: str
    title: str
    content: str
    score: float
    label: Label
    metadata: Mapping[str, JSONValue] = field(default_factory=dict)
    start: int = 0
    pages: tuple[tuple[int, int | None], ...] = ()

    def page_at(self, position: int) -> int | None:
        """The page on which this place in the version's text is, `None` if the document has none."""
        return next((page for start, page in reversed(self.pages) if start <= position), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Prompt:
    """Everything that is sent to a model: the value that is classified is the value that is serialised.

    `messages` already contain the passages as text; `passages` is their structure, for citations and
    for the built-in model, and is not serialised itself.
    """

    messages: tuple[Message, ...]
    sampling: Sampling = Sampling()
    tooling: Tooling = Tooling()
    passages: tuple[Passage, ...] = ()
    stream: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class RetrievalScope:
    """Which documents may be drawn on. `filter` is `{field: {operator: value}}` over client metadata."""

    collection: str = "default"
    limit: int = 5
    filter: Mapping[str, Mapping[str, JSONValue]] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheUse:
    """What a request allows the cache to do. `ttl` and `max_age` are in seconds; a `ttl` of `None` takes the setting.

    `asked` says that the caller named the cache: then hot temperatures and tool calls are kept too. `semantic` allows
    the answer to another wording of the question.
    """

    read: bool = True
    write: bool = True
    ttl: int | None = None
    asked: bool = False
    semantic: bool = False
    max_age: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatRequest:
    """One request as any surface states it, before anything is added to it.

    `parent_id` is the message of the session that the new ones follow, `None` for its newest; `regenerate` is one to
    be answered anew.
    """

    messages: tuple[Message, ...]
    model: str = "auto"
    sampling: Sampling = Sampling()
    tooling: Tooling = Tooling()
    sensitivity: Label | None = None
    complexity: Complexity | None = None
    stream: bool = False
    session_id: str | None = None
    parent_id: str | None = None
    regenerate: str | None = None
    user_id: str | None = None
    documents: RetrievalScope | None = RetrievalScope()
    cache: CacheUse = CacheUse()


class Scope(enum.StrEnum):
    """What a caller may do. Each endpoint asks for one; `admin` alone opens the endpoints that grant something."""

    CHAT = "chat"
    DOCUMENTS_READ = "documents:read"
    DOCUMENTS_WRITE = "documents:write"
    SEARCH = "search"
    EMBEDDINGS = "embeddings"
    SESSIONS = "sessions"
    USAGE = "usage"
    ADMIN = "admin"


# What a caller may do of whom nothing else is said.
ORDINARY_SCOPES = frozenset(Scope) - {Scope.ADMIN}


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What one caller may use; `None` is no limit. A minute is any 60 seconds."""

    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None
    concurrent_streams: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """What one caller may spend, in US dollars for a calendar day and month in UTC; `None` is no limit."""

    day: float | None = None
    month: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Who asks. `clearance` bounds what is read, `label_floor` raises what is sent.

    `user` is the person behind the key or token, where that is known. `models` are the only ones that may answer, as
    `provider/name` or `provider/*`; `None` is any. The operator alone rules over the keys of all tenants.
    """

    tenant: str = "default"
    key_id: str | None = None
    user: str | None = None
    clearance: Label = Label.CONFIDENTIAL
    label_floor: Label = Label.PUBLIC
    scopes: frozenset[Scope] = ORDINARY_SCOPES
    models: frozenset[str] | None = None
    limits: Limits = Limits()
    budget: Budget = Budget()
    operator: bool = False

    @property
    def person(self) -> str | None:
        """The user of a token, who sees nobody else's conversations. A key's owner may serve many users with it."""
        return self.user if self.key_id is None else None

    def may_use(self, model: Model) -> bool:
        """Whether the model is among those allowed; one that is named without a tag is meant with any."""
        if self.models is None:
            return True
        names = (model.id, model.id.partition(":")[0], f"{model.provider}/*")
        return any(name in self.models for name in names)


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Remainder:
    """What is left of a limit; `reset` is in seconds from now until all of it is back."""

    limit: int
    remaining: int
    reset: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Allowance:
    """What is left to a caller of its tightest limits; `None` where it has none."""

    requests: Remainder | None = None
    tokens: Remainder | None = None


# Models


@dataclass(frozen=True, slots=True, kw_only=True)
class Price:
    """US dollars for one token."""

    prompt: float
    completion: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """A model as the catalog knows it; `id` is `provider/name`, `name` may contain slashes itself."""

    provider: str
    name: str
    locality: Locality
    clearance: Label
    tier: Complexity | None = None
    context_length: int | None = None
    vision: bool = False
    tools: bool = True
    price: Price | None = None
    title: str | None = None
    description: str = ""

    @property
    def id(self) -> str:
        return f"{self.provider}/{self.name}"


Payload = TypeVar("Payload", covariant=True)


@dataclass(frozen=True, slots=True)
class Dispatch(Generic[Payload]):
    """A payload on its way to a model. One that the model is not cleared for cannot be constructed."""

    payload: Payload
    label: Label
    model: Model

    def __post_init__(self) -> None:
        if not self.label <= self.model.clearance:
            raise NotClearedError(model=self.model.id)


# Answers

FinishReason = Literal["stop", "length", "tool_calls", "content_filter"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """Tokens of one call. `estimated` is true when the provider did not report them."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    estimated: bool = False

    @property
    def total_tokens(self) -> int:
        return self.prompt_tokens + self.completion_tokens


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolCallDelta:
    """A piece of a tool call: `id` and `name` come with its first piece, `arguments` in pieces."""

    position: int
    id: str | None = None
    name: str | None = None
    arguments: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Delta:
    """A piece of the completion of choice `index`."""

    content: str = ""
    index: int = 0
    tool_calls: tuple[ToolCallDelta, ...] = ()
    refusal: str = ""
    logprobs: object = None  # JSON in OpenAI's form, passed through

    @property
    def is_empty(self) -> bool:
        """Whether it has no content of any kind: a sign of life."""
        return not (self.content or self.tool_calls or self.refusal) and self.logprobs is None


@dataclass(frozen=True, slots=True, kw_only=True)
class Stop:
    """The proper end of choice `index`."""

    reason: FinishReason
    index: int = 0


# What a provider yields: deltas, one stop for each choice, and its own usage report if it makes one.
Piece = Delta | Stop | Usage


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A model the router looked at; `dropped` says why it is not in the plan, `None` that it is."""

    model: str
    dropped: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One call to one model; `outcome` is `ok`, the code of the failure, or `sample` for a cascade's second look.

    `usage` is what it took if its answer was not given out, `None` for the one that was. `check` is what a cascade
    made of the answer, `None` if none looked at it.
    """

    model: str
    outcome: str
    usage: Usage | None = None
    check: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Charge:
    """What one call to a model took, whether its answer was given out or not. `cost` is as in `Finished`.

    `price` is what the cost was reckoned by.
    """

    model: str
    usage: Usage
    cost: float | None
    price: Price | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """Why an answer came from where it came from, without quoting any text.

    `history` says how much of the session was sent: `none`, `whole`, `summary` (of what is further back) or `trimmed`.
    """

    label: Label
    complexity: Complexity
    complexity_score: float
    raised_by: tuple[Finding, ...]
    rule: str
    candidates: tuple[Candidate, ...]
    attempts: tuple[Attempt, ...] = ()
    cache: str = "miss"
    history: str = "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class Quotation:
    """A stretch of the passage of number `citation`, word for word; `start` and `end` count in its version's text."""

    citation: int
    text: str
    start: int
    end: int
    page: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """A sentence of an answer, by its place there, the passages that it cites and the evidence found in them."""

    text: str
    start: int
    end: int
    citations: tuple[int, ...]
    supported: bool
    evidence: tuple[Quotation, ...] = ()


class GroundingOutcome(enum.StrEnum):
    """Whether an answer rests on documents: on what they say, or there was nothing, or nothing was asked of them."""

    SUPPORTED = "supported"
    UNSUPPORTED = "unsupported"
    NOT_IN_DOCUMENTS = "not_in_documents"
    NO_DOCUMENTS = "no_documents"


@dataclass(frozen=True, slots=True, kw_only=True)
class Grounding:
    outcome: GroundingOutcome
    claims: tuple[Claim, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Citation:
    """A passage that an answer draws on. `number` is the one it has in the prompt and in the answer.

    `passage` names its place in the document's version.
    `start` and `end` are the span of `quote` in the text of the document version, or that of the passage without one.
    """

    number: int
    document_id: str
    version: str
    title: str
    content: str
    score: float
    collection: str
    passage: str
    quote: str | None
    page: int | None
    start: int
    end: int
    supported: bool


@dataclass(frozen=True, slots=True)
class Admitted:
    """Comes before the first event if the caller has limits, also where they refuse the request: what is left."""

    allowance: Allowance


@dataclass(frozen=True, slots=True, kw_only=True)
class Started:
    """The first event: which model answers, and why."""

    id: str
    model: str
    created: datetime
    route: Route
    session_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """The last event of a complete answer. `cost` is in US dollars, `None` if the price is unknown."""

    usage: Usage
    cost: float | None
    cached: bool
    finish_reasons: tuple[FinishReason, ...]
    citations: tuple[Citation, ...]
    grounding: Grounding
    route: Route


# What the pipeline yields: `Admitted` under limits, `Started`, deltas, `Finished`. Anything else is an error, raised.
Event = Admitted | Started | Delta | Finished


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

    `price` is the one that was asked then, in US dollars for one token: `PROMPT/COMPLETION`.
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

    `cost` is in billionths of a US dollar: whole numbers have one sum, in whatever order they are added. `requests` are
    those that were answered, `cached` those of them that made no call of their own.
    """

    prompt_tokens: int = 0
    completion_tokens: int = 0
    estimated_tokens: int = 0
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
