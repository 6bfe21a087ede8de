"""`/search`."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Response
from pydantic import BaseModel, Field

from app.dependencies import EDGE, SearchCaller, ServicesDep, StatedLabelDep
from app.models import RetrievalScope
from app.routers.direct import DirectRoute
from app.routers.native import LabelWord, Name, Strict
from app.routers.replies import json_response
from app.services.retrieval import Found

router = APIRouter(tags=["documents"], route_class=DirectRoute, dependencies=EDGE)


class SearchBody(Strict):
    """A search; `filter` is `{field: {operator: value}}` over the documents' metadata."""

    query: Annotated[str, Field(min_length=1, max_length=8000)]
    limit: Annotated[int, Field(ge=1, le=20)] = 5
    collection: Name = "default"
    filter: dict[str, dict[str, Any]] | None = None
    sensitivity: LabelWord | None = None


class PassageReply(BaseModel):
    id: str
    content: str
    metadata: dict[str, Any]
    score: Annotated[float, Field(ge=0, le=1)]


class SearchReply(BaseModel):
    """The best passages, best first, whatever their score.

    `metadata.ranks` says at which place each ranking has the passage, null where it is not among its first.
    """

    documents: list[PassageReply]
    query: str
    count: int


@router.post("/search", response_model=SearchReply)
async def search(body: SearchBody, services: ServicesDep, caller: SearchCaller, stated: StatedLabelDep) -> Response:
    """Find the passages that are nearest to the query by meaning and by words."""
    scope = RetrievalScope(collection=body.collection, limit=body.limit, filter=body.filter)
    label = max((each for each in (body.sensitivity, stated) if each is not None), default=None)
    passages = await services.search.find(body.query, scope=scope, stated=label, caller=caller)
    found = [_passage_reply(each) for each in passages]
    headers = {"cache-control": "no-store"}
    return json_response({"documents": found, "query": body.query, "count": len(found)}, headers=headers)


def _passage_reply(found: Found) -> dict[str, Any]:
    passage = found.passage
    system = {
        "document_id": passage.document_id,
        "title": passage.title,
        "collection": passage.collection,
        "sensitivity": passage.label.word,
        "ranks": {"meaning": found.by_meaning, "words": found.by_words},
    }
    return {
        "id": passage.id,
        "content": passage.content,
        "metadata": {**passage.metadata, **system},
        "score": round(passage.score, 6),
    }
