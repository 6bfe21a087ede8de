"""OpenAI's surface: `/v1/chat/completions`, `/v1/embeddings`, `/v1/models`."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Response

from app.dependencies import EDGE, AnyCaller, EmbeddingsCaller, ServicesDep
from app.errors import UnknownModelError
from app.models import Model
from app.routers.direct import DirectRoute
from app.routers.openai.asking import OpenAIAskingDep
from app.routers.openai.bodies import ChatCompletionBody
from app.routers.openai.embeddings import EmbeddingsBody, embeddings_reply
from app.routers.openai.options import OptionsDep
from app.routers.openai.rendering import CompletionSurface
from app.routers.openai.schemas import STREAM, CompletionReply, EmbeddingsReply, ModelReply, ModelsReply
from app.routers.replies import StreamReply, WholeReply, json_response
from app.services.catalog import CatalogView

router = APIRouter(prefix="/v1", tags=["openai"], dependencies=EDGE)
direct = APIRouter(route_class=DirectRoute)

# Names that stand for a rule instead of a model.
ALIASES = ("auto", "documents", "local")
OWNER = "sluice"


@direct.post("/chat/completions", response_model=CompletionReply, responses=STREAM)
async def complete(body: ChatCompletionBody, asking: OpenAIAskingDep) -> Response:
    """Answer a conversation as OpenAI does, whole or, with `stream`, in chunks."""
    request = asking.freshness.restrict(body.to_request(asking.options))
    events = asking.services.gateway.answer(request, caller=asking.caller)
    surface = CompletionSurface(include_usage=body.include_usage)
    return StreamReply(events, surface=surface) if body.stream else WholeReply(events, surface=surface)


@direct.post("/embeddings", response_model=EmbeddingsReply)
async def embed(body: EmbeddingsBody, services: ServicesDep, caller: EmbeddingsCaller, options: OptionsDep) -> Response:
    """Turn texts into vectors, in their order, as OpenAI does."""
    embedded = await services.embeddings.embed(body.to_request(options), caller=caller)
    headers = {"x-sluice-model": embedded.model, "x-sluice-label": embedded.label.word, "x-sluice-cache": "none"}
    return json_response(embeddings_reply(embedded, encoding_format=body.encoding_format), headers=headers)


@router.get("/models", response_model=ModelsReply)
async def list_models(services: ServicesDep, caller: AnyCaller) -> Response:
    """The names that `model` takes: `auto`, `documents`, `local`, then the catalog, models that answer now first."""
    view = services.catalog.view
    allowed = filter(caller.may_use, view.models.values())
    models = sorted(allowed, key=lambda model: model.id not in view.available)
    data = [*map(_alias, ALIASES), *(_listed(model, view=view) for model in models)]
    return json_response({"object": "list", "data": data})


@router.get("/models/{name:path}", response_model=ModelReply)
async def read_model(name: str, services: ServicesDep, caller: AnyCaller) -> Response:
    """One model; its name may contain slashes."""
    if name in ALIASES:
        return json_response(_alias(name))
    view = services.catalog.view
    model = view.find(name)
    if model is None or not caller.may_use(model):
        raise UnknownModelError(param="model")
    return json_response(_listed(model, view=view))


router.include_router(direct)


def _alias(name: str) -> dict[str, Any]:
    return {"id": name, "object": "model", "created": 0, "owned_by": OWNER, "available": True}


def _listed(model: Model, *, view: CatalogView) -> dict[str, Any]:
    return {
        "id": model.id,
        "object": "model",
        "created": 0,
        "owned_by": model.provider,
        "available": model.id in view.available,
    }
