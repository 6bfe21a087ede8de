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
from app.services.cache_tally import Counts
from app.services.purges import Purge

router = APIRouter(prefix="/cache", tags=["cache"], route_class=BoundedRoute, dependencies=EDGE)

NO_STORE = {"cache-control": "no-store"}


class CountsReply(BaseModel):
    """What the cache did since this process began; money in US dollars, `kept_bytes` are those ever written.

    `hit_rate` is the share of the lookups that made no call of their own: hits of both kinds and shared calls.
    """

    lookups: int
    exact_hits: int
    semantic_hits: int
    shared_calls: int
    hit_rate: float
    kept: int
    kept_bytes: int
    saved_usd: float
    saved_seconds: float


class PartitionReply(CountsReply):
    """What it did for one tenant and label; tenants beyond the first thousand have no name here and stand together."""

    tenant: str | None
    label: str


class CacheReply(BaseModel):
    """`open_calls` are those that requests may share at this moment; `totals` are of the partitions below.

    `bytes_held` are in this process, `server_bytes` in the memory of Redis with all that is in it, `null` if there is
    none or it does not say. Both are for the operator.
    """

    open_calls: int
    bytes_held: int | None
    server_bytes: int | None
    totals: CountsReply
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
    seen = {
        (tenant or "", label): counts
        for (tenant, label), counts in services.caching.tally.partitions.items()
        if caller.operator or tenant == caller.tenant
    }
    body = {
        "open_calls": len(services.caching.reuse.flights),
        "bytes_held": services.cache.bytes_held if caller.operator else None,
        "server_bytes": await services.cache.server_bytes() if caller.operator else None,
        "totals": _counts(sum(seen.values(), Counts())),
        "partitions": [
            {"tenant": tenant or None, "label": label.word, **_counts(counts)}
            for (tenant, label), counts in sorted(seen.items(), key=lambda item: item[0])
        ],
    }
    return json_response(body, headers=NO_STORE)


def _counts(counts: Counts) -> dict[str, float]:
    return {"hit_rate": round(counts.hit_rate, 4), **asdict(counts)}


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
