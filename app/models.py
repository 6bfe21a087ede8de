"""The nouns the pipeline passes: frozen values that know nothing of HTTP or of any engine."""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
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
        return LABEL_WORDS[self]

    @classmethod
    def parse(cls, word: str) -> Label:
        """Read a name from the wire; raises `ValueError` for anything but the three names."""
        try:
            return cls[word.upper()]
        except KeyError:
            raise ValueError("must be public, internal or confidential") from None


LABEL_WORDS = tuple(label.name.lower() for label in Label)


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
    the answer to another wording of the question; `None` leaves that to the caller's key.
    """

    read: bool = True
    write: bool = True
    ttl: int | None = None
    asked: bool = False
    semantic: bool | None = None
    max_age: int | None = None

    def under(self, caller: Caller) -> CacheUse:
        """The same with what it leaves to the caller's key."""
        return replace(self, semantic=True) if self.semantic is None and caller.semantic_cache else self


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
    `semantic_cache` allows for answers to other wordings where a request does not say.
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
    semantic_cache: bool = False
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
    """US dollars for one token. Kinds of `TokenDetails` have the price of their name; `None` is that of all others."""

    prompt: float
    completion: float
    cached: float | None = None
    cache_write: float | None = None
    image: float | None = None
    audio: float | None = None
    spoken: float | None = None
    reasoning: float | None = None


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
class TokenDetails:
    """Kinds of tokens that may have a price of their own, as far as the provider tells them apart.

    Of the prompt: read from the provider's cache, written to it, pictures, sound. Of the completion: sound, thoughts.
    No token is of two kinds.
    """

    cached: int = 0
    cache_write: int = 0
    image: int = 0
    audio: int = 0
    spoken: int = 0
    reasoning: int = 0


NO_DETAILS = TokenDetails()


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """Tokens of one call. `estimated` is true when the provider did not report them; `details` are among them."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    estimated: bool = False
    details: TokenDetails = NO_DETAILS

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


@dataclass(frozen=True, slots=True)
class Opening:
    """The server has begun its answer, so it has read the prompt; nothing of what it says is here yet."""


# What a provider yields: an opening where one comes by itself, deltas, one stop for each choice, and its own usage
# report if it makes one.
Piece = Opening | Delta | Stop | Usage


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

    `price` is what the cost was reckoned by, `tier` the model's.
    """

    model: str
    usage: Usage
    cost: float | None
    price: Price | None = None
    tier: Complexity | None = None


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
