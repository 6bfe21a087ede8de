"""What operators ask: `/`, `/health`, `/ready`, `/metrics`, `/models`."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import PlainTextResponse

from app.dependencies import EDGE, AnyCaller, ServicesDep
from app.errors import SluiceError
from app.models import Model
from app.routers.native_replies import breaker_word, pricing_reply
from app.routers.pages import page, prefers_html
from app.routers.replies import json_response
from app.routers.schemas import CatalogReply, HealthReply, ReadyReply, RootReply
from app.services.catalog import CatalogView
from app.services.llm_router import fallback_orders
from app.wiring import Services

router = APIRouter(tags=["operations"])

CHECK_SECONDS = 1.0


@router.get("/", response_model=RootReply)
async def root(request: Request, services: ServicesDep) -> Response:
    """What this is and where to read on; browsers, which ask for HTML, get the page."""
    if prefers_html(request.headers):
        return page(key_needed=services.settings.protected)
    body = {"message": "Sluice", "version": services.version, "docs": "/docs", "status": "running"}
    return json_response(body, headers={"vary": "accept"})


@router.get("/health", response_model=HealthReply)
async def health(services: ServicesDep) -> Response:
    """How each part is. Parts that the service does without (a cache server, a provider) make it `degraded` at most."""
    checks = {**await _own_checks(services), **_provider_checks(services)}
    healthy = all(check["status"] in ("ok", "unused") for check in checks.values())
    return json_response(
        {
            "status": "healthy" if healthy else "degraded",
            "checks": checks,
            "timestamp": datetime.now(UTC).isoformat(),
            "version": services.version,
        }
    )


@router.get(
    "/ready",
    response_model=ReadyReply,
    responses={503: {"model": ReadyReply, "description": "Requests cannot be answered."}},
)
async def ready(request: Request, services: ServicesDep) -> Response:
    """200 while requests can be answered, 503 while they cannot, and as soon as this process is told to stop."""
    checks = await _own_checks(services)
    able = not getattr(request.app.state, "stopping", False)
    able = able and checks["database"]["status"] == "ok" and checks["vector_store"]["status"] == "ok"
    return json_response({"ready": able}, status=200 if able else 503)


@router.get("/metrics", response_class=PlainTextResponse)
async def metrics(services: ServicesDep) -> Response:
    """The metrics in Prometheus' text format. Without a database they lack the jobs that are left."""
    with suppress(SluiceError, TimeoutError):
        async with asyncio.timeout(CHECK_SECONDS):
            await services.ingestion.count_queue()
    return Response(await services.metrics.expose(), media_type="text/plain; version=0.0.4; charset=utf-8")


@router.get("/models", response_model=CatalogReply, dependencies=EDGE)
@router.get("/chat/metadata/available_models", response_class=Response, include_in_schema=False, dependencies=EDGE)
async def models(services: ServicesDep, caller: AnyCaller, *, vision: bool = False, free: bool = False) -> Response:
    """The models that the caller may use; `?vision=true` those that see, `?free=true` those that cost nothing."""
    view = services.catalog.view
    orders = fallback_orders(view)
    found = [
        _model_reply(model, view=view, orders=orders)
        for model in view.models.values()
        if caller.may_use(model) and (model.vision or not vision) and (_is_free(model) or not free)
    ]
    return json_response({"models": found, "count": len(found)})


def _is_free(model: Model) -> bool:
    return model.price is not None and model.price.prompt == 0 and model.price.completion == 0


def _model_reply(model: Model, *, view: CatalogView, orders: Mapping[str, Sequence[str]]) -> dict[str, Any]:
    """`fallback` is the model's place in the order in which a public prompt of each tier tries models, from 1 on."""
    return {
        "id": model.id,
        "name": model.title or model.name,
        "description": model.description,
        "tier": model.tier,
        "context_length": model.context_length,
        "supports_vision": model.vision,
        "pricing": pricing_reply(model),
        "locality": model.locality,
        "clearance": model.clearance.word,
        "available": view.answers(model),
        "breaker": breaker_word(model.id, view=view),
        "fallback": {tier: order.index(model.id) + 1 for tier, order in orders.items() if model.id in order},
    }


async def _own_checks(services: Services) -> dict[str, dict[str, str]]:
    names = ("cache", "vector_store", "database")
    pings = (services.cache.ping(), services.index.ping(), services.documents.ping())
    return dict(zip(names, await asyncio.gather(*map(_check, pings)), strict=True))


async def _check(ping: Awaitable[None]) -> dict[str, str]:
    try:
        async with asyncio.timeout(CHECK_SECONDS):
            await ping
    except SluiceError as error:
        return {"status": "down", "code": error.code}
    except TimeoutError:
        return {"status": "down", "code": "timeout"}
    return {"status": "ok"}


def _provider_checks(services: Services) -> dict[str, dict[str, str]]:
    """An Ollama server that nobody configured is looked for, but not missed."""
    looked_for = set() if "ollama_base_url" in services.settings.model_fields_set else {"ollama"}
    return {
        name: {"status": "ok" if reachable else "unused" if name in looked_for else "down"}
        for name, reachable in services.catalog.view.status.items()
    }
