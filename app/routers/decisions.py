"""`/decisions`: the last requests and where they went, for those who run the service."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query, Response
from pydantic import BaseModel

from app.dependencies import AnyCaller, ServicesDep, require
from app.models import Locality, Scope
from app.routers.replies import json_response
from app.routers.schemas import LabelName
from app.services.answer import cost_of
from app.services.catalog import CatalogView
from app.services.decisions import LENGTH, Decision

router = APIRouter(tags=["operations"])

# Of a request that ended before it was read.
UNKNOWN = "unknown"


class DecisionReply(BaseModel):
    """One request that is over. `saved` is what an answer from the cache would have cost, in US dollars like `cost`."""

    time: str
    request_id: str
    tenant: str
    label: LabelName | None
    raised_by: list[str]
    rule: str | None
    model: str | None
    locality: Locality | None
    outcome: str
    cached: bool
    seconds: float
    first_token_seconds: float | None
    prompt_tokens: int | None
    completion_tokens: int | None
    cost: float | None
    saved: float | None


class DecisionsReply(BaseModel):
    """The newest first; of the process that answers, since its start, and of its last thousand requests."""

    decisions: list[DecisionReply]
    count: int


@router.get("/decisions", response_model=DecisionsReply)
async def decisions(
    services: ServicesDep, caller: AnyCaller, limit: Annotated[int, Query(ge=1, le=LENGTH)] = 100
) -> Response:
    """The last requests: label and what raised it, model, outcome, times, tokens and cost; never text.

    For those who administer, and for everyone while the service is open; of all tenants for the operator alone.
    """
    if services.settings.protected:
        require(Scope.ADMIN, caller=caller)
    view = services.catalog.view
    tenant = None if caller.operator else caller.tenant
    found = [_reply(decision, view=view) for decision in services.decisions.newest(limit, tenant=tenant)]
    return json_response({"decisions": found, "count": len(found)}, headers={"cache-control": "no-store"})


def _reply(decision: Decision, *, view: CatalogView) -> dict[str, Any]:
    model = view.find(decision.model) if decision.model else None
    usage = decision.usage
    return {
        "time": decision.time.isoformat(),
        "request_id": decision.request_id,
        "tenant": decision.tenant,
        "label": decision.label if decision.label != UNKNOWN else None,
        "raised_by": list(decision.raised_by),
        "rule": decision.rule,
        "model": decision.model,
        "locality": model.locality if model else None,
        "outcome": decision.outcome,
        "cached": decision.cached,
        "seconds": round(decision.seconds, 4),
        "first_token_seconds": None if decision.first_token_seconds is None else round(decision.first_token_seconds, 4),
        "prompt_tokens": usage.prompt_tokens if usage else None,
        "completion_tokens": usage.completion_tokens if usage else None,
        "cost": decision.cost,
        "saved": cost_of(usage, model=model) if usage and decision.cached else 0.0,
    }
