"""What the OpenAPI document says of the native answers; the answers themselves are written by their routers."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel

from app.models import Complexity, GroundingOutcome, Locality
from app.records import DocumentStatus

LabelName = Literal["public", "internal", "confidential"]


class ErrorDetail(BaseModel):
    message: str
    type: str
    param: str | None
    code: str


class ErrorReply(BaseModel):
    """`code` is stable, `message` is for people; neither quotes a request, a document or a model."""

    error: ErrorDetail


# One server-sent event, as OpenAPI describes streams: by their items.
EVENT = {"type": "object", "required": ["data"], "properties": {"data": {"type": "string"}}}


class FindingReply(BaseModel):
    """What one detector found, without the value; `where` is a position."""

    detector: str
    where: str
    count: int


class CandidateReply(BaseModel):
    """A model that was looked at; `dropped` says why it is not in the plan, null that it is."""

    model: str
    dropped: str | None


class UsageReply(BaseModel):
    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    estimated: bool


class AttemptReply(BaseModel):
    """One call to one model; `outcome` is `ok`, the code of the failure, or `sample` for a cascade's second look.

    `usage` is what a call took whose answer was not given out; `check` is what a cascade thought of the answer.
    """

    model: str
    outcome: str
    usage: UsageReply | None = None
    check: str | None = None


class RouteReply(BaseModel):
    """Why an answer came from where it came from; `history` says how much of the session was sent."""

    label: LabelName
    raised_by: list[FindingReply]
    rule: str
    candidates: list[CandidateReply]
    attempts: list[AttemptReply]
    cache: str
    history: Literal["none", "whole", "summary", "trimmed"]


class PricingReply(BaseModel):
    """US dollars for one token."""

    prompt: float
    completion: float


class ExplainedCandidateReply(CandidateReply):
    """In the order in which they are tried. An open breaker sends a model to the end and refuses nothing."""

    pricing: PricingReply | None
    breaker: Literal["open", "closed"]


class ExplainedRouteReply(RouteReply):
    candidates: list[ExplainedCandidateReply]  # type: ignore[assignment]  # the same list with more in it


class QuotationReply(BaseModel):
    """A stretch of a document's text that a claim rests on, word for word, and the number of its citation."""

    citation: int
    text: str
    start: int
    end: int
    page: int | None


class ClaimReply(BaseModel):
    """A sentence of the answer by its place there; `supported` is false if what it cites does not bear it out."""

    text: str
    start: int
    end: int
    citations: list[int]
    supported: bool
    evidence: list[QuotationReply]


class GroundingReply(BaseModel):
    """Whether the answer rests on documents, by a check of its words against the passages."""

    outcome: GroundingOutcome
    claims: list[ClaimReply]


class ExplanationReply(BaseModel):
    """`model` is the one a request would go to first, null if there is none."""

    sensitivity: LabelName
    complexity: Complexity
    complexity_score: float
    model: str | None
    route: ExplainedRouteReply


class DocumentErrorReply(BaseModel):
    code: str
    message: str | None


class ProgressReply(BaseModel):
    """`done` of `total` counts chunks in the current stage."""

    stage: str | None
    done: int
    total: int


class DocumentReply(BaseModel):
    """A document's current version; `size` is in bytes."""

    id: str
    collection: str
    title: str | None
    status: DocumentStatus
    sensitivity: LabelName
    media_type: str
    size: int
    chunks: int
    progress: ProgressReply
    warnings: list[str]
    metadata: dict[str, Any]
    error: DocumentErrorReply | None
    created_at: datetime
    updated_at: datetime


class SpanReply(BaseModel):
    """A stretch of a text, counted in characters."""

    start: int
    length: int


class DocumentTextReply(BaseModel):
    """A piece of a document's text: it begins at `start`, the whole has `length` characters."""

    id: str
    collection: str
    title: str | None
    sensitivity: LabelName
    length: int
    start: int
    text: str
    passage: SpanReply | None


class DocumentsReply(BaseModel):
    documents: list[DocumentReply]


class DocumentsPageReply(BaseModel):
    """`next` is the cursor for `after`, null on the last page."""

    documents: list[DocumentReply]
    next: str | None


class SessionReply(BaseModel):
    """`sensitivity` is the session's mark, which never falls; `model_id` answers where a request names no model."""

    id: str
    title: str | None
    model_id: str | None
    user_id: str | None
    sensitivity: LabelName
    created_at: datetime
    updated_at: datetime


class SessionsPageReply(BaseModel):
    """`next` is the cursor for `after`, null on the last page."""

    sessions: list[SessionReply]
    next: str | None


class SessionMessageReply(BaseModel):
    """`content` is a text, or parts as `messages` takes them. `complete` is false for an answer that was cut.

    `parent_id` is the message before it (`root` for none), `siblings` all that follow that one, this one included.
    """

    id: str
    parent_id: str
    siblings: list[str]
    role: str
    content: str | list[dict[str, Any]]
    name: str | None
    tool_calls: list[dict[str, Any]]
    tool_call_id: str | None
    model: str | None
    sensitivity: LabelName
    complete: bool
    created_at: datetime


class SessionWithMessagesReply(SessionReply):
    """The newest messages of the active branch, oldest first; `previous` is the cursor of those before them."""

    messages: list[SessionMessageReply]
    previous: str | None


class SessionExportReply(SessionReply):
    """The messages of all branches, oldest first; `active` is the last of the active one."""

    messages: list[SessionMessageReply]
    active: str | None


class HistoryTurnReply(SessionMessageReply):
    session_id: str | None


class HistoryReply(BaseModel):
    """The newest turns of a user, newest first."""

    user_id: str
    messages: list[HistoryTurnReply]


class CatalogModelReply(BaseModel):
    """A model of the catalog; `available` says whether it can be called now.

    `fallback` has its place among the models that a public prompt of each tier tries, from 1 on. An open `breaker`
    sends it to the end and refuses nothing.
    """

    id: str
    name: str
    description: str
    context_length: int | None
    supports_vision: bool
    pricing: PricingReply | None
    locality: Locality
    clearance: LabelName
    available: bool
    breaker: Literal["open", "closed"]
    fallback: dict[str, int]


class CatalogReply(BaseModel):
    models: list[CatalogModelReply]
    count: int


class RootReply(BaseModel):
    message: str
    version: str
    docs: str
    status: str


class HealthReply(BaseModel):
    """`checks` has a `status` for each part, and a `code` where it is down."""

    status: Literal["healthy", "degraded"]
    checks: dict[str, dict[str, Any]]
    timestamp: datetime
    version: str


class ReadyReply(BaseModel):
    ready: bool
