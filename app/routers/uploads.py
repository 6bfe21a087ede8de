"""What is handed in at `POST /documents`, as JSON or as a form, and the uploads it stands for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from fastapi import Request
from pydantic import Field, JsonValue
from starlette.datastructures import FormData, UploadFile

from app.errors import InvalidRequestError, PayloadTooLargeError, UnsupportedMediaError
from app.models import Label
from app.routers.bodies import LARGEST_FILE, check_text, decode_json
from app.routers.native import LabelWord, Name, Strict
from app.routers.validation import validate
from app.services.ingestion import Upload

FILES_AT_ONCE = 1000
FORM_FIELDS = frozenset({"files", "ids", "collection", "sensitivity", "metadata"})
JSON_FIELDS = frozenset({"ids", "metadata"})
Metadata = Annotated[dict[str, JsonValue], Field(max_length=100)]


class DocumentBody(Strict):
    id: Name | None = None
    title: Annotated[str, Field(max_length=1000)] | None = None
    content: Annotated[str, Field(min_length=1)]
    metadata: Annotated[Metadata, Field(default_factory=dict)]
    sensitivity: LabelWord | None = None


class DocumentsBody(Strict):
    """Documents as text. Values beside the list are defaults; of two labels the stricter wins."""

    documents: Annotated[list[DocumentBody], Field(min_length=1, max_length=10_000)]
    collection: Name = "default"
    sensitivity: LabelWord | None = None
    metadata: Annotated[Metadata, Field(default_factory=dict)]


class FormDefaults(Strict):
    """The fields of a multipart upload beside its files; `ids` are the files' ids in their order."""

    ids: list[Name] | None = None
    collection: Name = "default"
    sensitivity: LabelWord | None = None
    metadata: Annotated[Metadata, Field(default_factory=dict)]


async def read_uploads(request: Request, *, stated: Label | None) -> list[Upload]:
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type == "application/json":
        body = validate(DocumentsBody, await request.json())
        return [_text_upload(document, body=body, stated=stated) for document in body.documents]
    if media_type == "multipart/form-data":
        async with request.form(max_files=FILES_AT_ONCE, max_fields=100) as form:
            return await _file_uploads(form, stated=stated)
    raise UnsupportedMediaError("Send documents as application/json or multipart/form-data.")


def _text_upload(document: DocumentBody, *, body: DocumentsBody, stated: Label | None) -> Upload:
    return Upload(
        id=document.id,
        collection=body.collection,
        title=document.title,
        content=document.content.encode(),
        media_type="text/plain",
        filename=None,
        label=_join(document.sensitivity, body.sensitivity, stated),
        metadata={**body.metadata, **document.metadata},
    )


async def _file_uploads(form: FormData, *, stated: Label | None) -> list[Upload]:
    defaults = _form_defaults(form)
    files = [value for value in form.getlist("files") if isinstance(value, UploadFile)]
    if not files:
        raise InvalidRequestError("Send at least one file in the field `files`.", param="files")
    ids: Sequence[str | None] = defaults.ids or [None] * len(files)
    if len(ids) != len(files):
        raise InvalidRequestError("Send as many ids as files.", param="ids")
    label = _join(defaults.sensitivity, stated)
    pairs = zip(files, ids, strict=True)
    return [await _file_upload(file, id=id, defaults=defaults, label=label) for file, id in pairs]


async def _file_upload(file: UploadFile, *, id: str | None, defaults: FormDefaults, label: Label | None) -> Upload:
    if file.size is not None and file.size > LARGEST_FILE:
        raise PayloadTooLargeError
    filename = (file.filename or "").replace("\\", "/").rpartition("/")[2][:512]
    check_text(filename)
    return Upload(
        id=id,
        collection=defaults.collection,
        title=None,
        content=await file.read(),
        media_type=None,
        filename=filename or None,
        label=label,
        metadata=defaults.metadata,
    )


def _form_defaults(form: FormData) -> FormDefaults:
    """The fields beside the files; a field that is not known, or is given twice, is refused."""
    values: dict[str, object] = {}
    for name, value in form.multi_items():
        if name == "files" and isinstance(value, UploadFile):
            continue
        if name not in FORM_FIELDS or name in values or not isinstance(value, str):
            raise InvalidRequestError("A form field is not known or is given twice.", param="form")
        check_text(value)
        values[name] = decode_json(value.encode()) if name in JSON_FIELDS else value
    return validate(FormDefaults, values)


def _join(*labels: Label | None) -> Label | None:
    return max((label for label in labels if label is not None), default=None)
