"""What the OpenAPI document says of the native answers; the answers themselves are written by their routers."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel

from app.models import Complexity, DocumentStatus, Locality

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
    """Why an answer came from where it came from."""

    label: LabelName
    raised_by: list[FindingReply]
    rule: str
    candidates: list[CandidateReply]
    attempts: list[AttemptReply]
    cache: str


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


class DocumentsReply(BaseModel):
    documents: list[DocumentReply]


class DocumentsPageReply(BaseModel):
    """`next` is the cursor for `after`, null on the last page."""

    documents: list[DocumentReply]
    next: str | None


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
