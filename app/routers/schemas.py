"""What the OpenAPI document says of the native answers; the answers themselves are written by their routers."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel

from app.models import Complexity, DocumentStatus, GroundingOutcome, Locality

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


class AttemptReply(BaseModel):
    """One call to one model; `outcome` is `ok` or the code of the failure."""

    model: str
    outcome: str


class RouteReply(BaseModel):
    """Why an answer came from where it came from."""

    label: LabelName
    raised_by: list[FindingReply]
    rule: str
    candidates: list[CandidateReply]
    attempts: list[AttemptReply]
    cache: str


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
    route: RouteReply


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


class PricingReply(BaseModel):
    """US dollars for one token."""

    prompt: float
    completion: float


class CatalogModelReply(BaseModel):
    """A model of the catalog; `available` says whether it can be called now."""

    id: str
    name: str
    description: str
    context_length: int | None
    supports_vision: bool
    pricing: PricingReply | None
    locality: Locality
    clearance: LabelName
    available: bool


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
