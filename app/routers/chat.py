"""`/chat`, `/chat/stream` and `/route`."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Response

from app.dependencies import EDGE, ExplanationCaller, ServicesDep, StatedLabelDep
from app.models import Candidate
from app.routers.asking import NativeAskingDep
from app.routers.direct import DirectRoute
from app.routers.native import ChatBody, ChatReply, NativeSurface
from app.routers.native_replies import breaker_word, pricing_reply, route_reply
from app.routers.replies import StreamReply, WholeReply, json_response
from app.routers.schemas import EVENT, ExplanationReply
from app.services.catalog import CatalogView

router = APIRouter(tags=["chat"], route_class=DirectRoute, dependencies=EDGE)
SURFACE = NativeSurface()
WHOLE_OR_STREAM: dict[int | str, dict[str, Any]] = {
    200: {
        "model": ChatReply,
        "description": "The answer, or with `stream` the events of `/chat/stream`.",
        "content": {"text/event-stream": {"schema": EVENT}},
    }
}
STREAM: dict[int | str, dict[str, Any]] = {
    200: {
        "description": (
            "Server-sent events: first `model`, `id` and `route`, then pieces of `content`, then one with `done` and "
            "the accounts, then `[DONE]`. An `error` in their place ends the stream without `[DONE]`."
        ),
        "content": {"text/event-stream": {"schema": EVENT}},
    }
}


@router.post("/chat", response_model=ChatReply, responses=WHOLE_OR_STREAM)
async def chat(body: ChatBody, asking: NativeAskingDep) -> Response:
    """Answer a prompt, from the documents where they bear on it. `stream: true` answers as `/chat/stream`."""
    if body.stream:
        return await chat_stream(body, asking)
    request = asking.freshness.restrict(body.to_request(stream=False, stated=asking.stated))
    return WholeReply(asking.services.gateway.answer(request, caller=asking.caller), surface=SURFACE)


@router.post("/chat/stream", response_class=Response, responses=STREAM)
async def chat_stream(body: ChatBody, asking: NativeAskingDep) -> Response:
    """Answer a prompt as server-sent events: which model answers, the pieces, the accounts, `[DONE]`."""
    request = asking.freshness.restrict(body.to_request(stream=True, stated=asking.stated))
    return StreamReply(asking.services.gateway.answer(request, caller=asking.caller), surface=SURFACE)


@router.post("/route", response_model=ExplanationReply)
async def explain(body: ChatBody, services: ServicesDep, caller: ExplanationCaller, stated: StatedLabelDep) -> Response:
    """Say which model a `/chat` body would go to, and why, without sending it anywhere."""
    explanation = await services.gateway.explain(body.to_request(stream=False, stated=stated), caller=caller)
    route, view = explanation.route, services.catalog.view
    return json_response(
        {
            "sensitivity": route.label.word,
            "complexity": route.complexity,
            "complexity_score": route.complexity_score,
            "model": explanation.model,
            "route": {**route_reply(route), "candidates": [_candidate(each, view=view) for each in route.candidates]},
        }
    )


def _candidate(candidate: Candidate, *, view: CatalogView) -> dict[str, Any]:
    """A candidate with what decides on its place: candidates come in the order in which they are tried."""
    model = view.find(candidate.model)
    return {
        "model": candidate.model,
        "dropped": candidate.dropped,
        "pricing": pricing_reply(model),
        "breaker": breaker_word(candidate.model, view=view),
    }
