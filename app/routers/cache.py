"""`/cache`: what the cache does for whom, forgetting what is in it, and word of an answer that was wrong."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Literal, Self

from fastapi import APIRouter, Query, Response
from pydantic import BaseModel, model_validator

from app.dependencies import EDGE, DocumentWriter, ExplanationCaller, ServicesDep, UsageCaller
from app.errors import PermissionDeniedError
from app.models import Caller
from app.routers.bodies import BoundedRoute
from app.routers.native import ChatBody, Name, Strict
from app.routers.replies import json_response
from app.services.purges import Purge

router = APIRouter(prefix="/cache", tags=["cache"], route_class=BoundedRoute, dependencies=EDGE)

NO_STORE = {"cache-control": "no-store"}


class PartitionReply(BaseModel):
    """What the cache did for one tenant and label since this process began; money in US dollars."""

    tenant: str
    label: str
    lookups: int
    exact_hits: int
    semantic_hits: int
    shared_calls: int
    hit_rate: float
    kept: int
    kept_bytes: int
    saved_usd: float
    saved_seconds: float


class CacheReply(BaseModel):
    """`open_calls` are those that requests may share at this moment."""

    open_calls: int
    partitions: list[PartitionReply]


class FeedbackBody(Strict):
    """An answer from the cache that was wrong: the `id` of one to other words, or the `request` that it was for."""

    id: Name | None = None
    request: ChatBody | None = None
    wrong: Literal[True]

    @model_validator(mode="after")
    def _one(self) -> Self:
        if (self.id is None) == (self.request is None):
            raise ValueError("give exactly one of id and request")
        return self


class FeedbackReply(BaseModel):
    forgotten: bool


@router.get("", response_model=CacheReply)
async def statistics(services: ServicesDep, caller: UsageCaller) -> Response:
    """What the cache did by tenant and label; the operator sees every tenant, others their own."""
    partitions = [
        {"tenant": tenant, "label": label.word, "hit_rate": round(counts.hit_rate, 4), **asdict(counts)}
        for (tenant, label), counts in sorted(services.caching.tally.partitions.items())
        if caller.operator or tenant == caller.tenant
    ]
    body = {"open_calls": len(services.caching.reuse.flights), "partitions": partitions}
    return json_response(body, headers=NO_STORE)


@router.delete("", status_code=204, response_class=Response)
async def purge(
    services: ServicesDep,
    caller: DocumentWriter,
    *,
    collection: Annotated[str | None, Query(min_length=1, max_length=512)] = None,
    model: Annotated[str | None, Query(min_length=1, max_length=512)] = None,
    prefix: Annotated[str | None, Query(min_length=1, max_length=512)] = None,
    tenant: Annotated[str | None, Query(min_length=1, max_length=512)] = None,
) -> Response:
    """Forget what the caller's tenant has in the cache; the operator may name another tenant.

    All that is given must match: the `collection` an answer drew on, the `model` that gave it, the `prefix` of the name
    of either. Without any, everything of the tenant is forgotten.
    """
    wanted = Purge(collection=collection, model=model, prefix=prefix)
    await services.caching.purges.forget(_tenant(tenant, caller=caller), wanted)
    return Response(status_code=204)


@router.post("/feedback", response_model=FeedbackReply)
async def feedback(body: FeedbackBody, services: ServicesDep, caller: ExplanationCaller) -> Response:
    """Forget an answer that was wrong. Where it answered other words, more is asked of such answers from then on."""
    if body.id is not None:
        await services.caching.reuse.disown_served(body.id, tenant=caller.tenant)
    if body.request is not None:
        await services.gateway.disown(body.request.to_request(stream=False, stated=None), caller=caller)
    return json_response({"forgotten": True})


def _tenant(named: str | None, *, caller: Caller) -> str:
    if named is not None and named != caller.tenant and not caller.operator:
        raise PermissionDeniedError("Only the operator may purge the cache of another tenant.", param="tenant")
    return named or caller.tenant
