"""`/documents/{id}/declassify` and `/collections`: what administrators alone may do to labels."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Response
from pydantic import BaseModel, Field

from app.dependencies import EDGE, AdminCaller, ServicesDep
from app.records import DocumentKey
from app.routers.bodies import BoundedRoute
from app.routers.documents import document_reply
from app.routers.native import LabelWord, Name, Strict
from app.routers.replies import json_response
from app.routers.schemas import DocumentReply

router = APIRouter(tags=["documents"], route_class=BoundedRoute, dependencies=EDGE)

# It stands in the audit record, which holds no free text.
Reference = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._:/#-]{0,63}$")]


class DeclassificationBody(Strict):
    """The label that the document is to have from now on; `reason` is a reference such as a ticket's number."""

    sensitivity: LabelWord
    reason: Reference | None = None


class CollectionBody(Strict):
    """The label that no document of the collection is below."""

    floor: LabelWord


class CollectionReply(BaseModel):
    """`raised` is how many versions of documents lay below the floor."""

    name: str
    floor: str
    raised: int


@router.post("/documents/{document_id:path}/declassify", status_code=202, response_model=DocumentReply)
async def declassify_document(
    document_id: str,
    body: DeclassificationBody,
    services: ServicesDep,
    caller: AdminCaller,
    collection: Name = "default",
) -> Response:
    """Make a new version of a document at exactly this label, whatever is found in it; for administrators.

    It is the only way in which a document's label falls. Readers see the version before it until it is indexed.
    """
    key = DocumentKey(tenant=caller.tenant, collection=collection, id=document_id)
    version = await services.relabelling.declassify(key, label=body.sensitivity, reason=body.reason, caller=caller)
    return json_response(document_reply(version), status=202)


@router.put("/collections/{name}", response_model=CollectionReply)
async def set_floor(name: Name, body: CollectionBody, services: ServicesDep, caller: AdminCaller) -> Response:
    """Set a collection's floor and raise what lies below it; for administrators. Lowering it lowers no document."""
    raised = await services.relabelling.set_floor(name, floor=body.floor, caller=caller)
    return json_response({"name": name, "floor": body.floor.word, "raised": raised})
