"""The OpenAPI document: what FastAPI reads off the routes, with keys, errors with their codes, and examples."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from fastapi import FastAPI

from app import errors
from app.errors import SluiceError
from app.routers.bodies import InvalidTextError
from app.routers.examples import REPLIES, REQUESTS
from app.routers.replies import error_body, error_status
from app.routers.schemas import ErrorReply

DESCRIPTION = """One gateway in front of cloud and local models. It answers from the documents you give it, picks a
model for each request by sensitivity and complexity, answers repeats from a cache, and streams.

Two endpoints are WebSockets, which this document has no place for: `/websockets/chat/{session_id}` with stored history
and `/websockets/openrouter` without. Every answer carries `x-request-id`; every error has the same envelope and a
stable code. A label may also be stated in the header `x-sluice-sensitivity`."""

TAGS = [
    {"name": "chat", "description": "Answers, as JSON and as streams, and why they come from where they come from."},
    {"name": "documents", "description": "What answers draw on: put in, search, delete."},
    {"name": "openai", "description": "OpenAI's API: clients change their base URL and nothing else."},
    {"name": "keys", "description": "Who may ask, and for what; for keys with the scope `admin`."},
    {"name": "operations", "description": "How the service is, and which models it has."},
]

BEARER = {
    "type": "http",
    "scheme": "bearer",
    "description": "A key of this gateway. It is optional while the service is open on its loopback address.",
}

# Operations that anyone may ask, because load balancers and collectors do.
OPEN = frozenset({"get /", "get /health", "get /ready", "get /metrics"})
# Operations that send something to a model.
ANSWERING = frozenset({"post /chat", "post /chat/stream", "post /v1/chat/completions"})
NAMING_A_MODEL = frozenset({*ANSWERING, "post /route", "post /v1/embeddings"})
EMBEDDING = frozenset({"post /search", "post /v1/embeddings", "post /documents", "post /route", *ANSWERING})
# Operations for which a key needs a scope are all but these.
WITHOUT_SCOPE = frozenset({"get /models", "get /v1/models", "get /v1/models/{name}"})
# Operations that grant something.
GRANTING = frozenset({"post /keys", "patch /keys/{key_id}"})
CHANGING_A_KEY = frozenset({"patch /keys/{key_id}", "delete /keys/{key_id}", "post /keys/{key_id}/rotate"})
# Operations that begin something under an id that may be taken.
BEGINNING = frozenset({"post /sessions"})
# Operations whose bodies may be files.
STORING = frozenset({"post /documents"})
FOR_ADMINISTRATORS = frozenset({"post /documents/{document_id}/declassify", "put /collections/{name}"})

Errors = Sequence[type[SluiceError]]

EVERYWHERE: Errors = (errors.ForeignOriginError, SluiceError)
WITH_A_KEY: Errors = (
    errors.AuthenticationError,
    errors.InvalidRequestError,
    errors.RateLimitedError,
    errors.DatabaseUnavailableError,
    errors.ShuttingDownError,
)
WITH_PARAMETERS: Errors = (errors.InvalidRequestError,)
WITH_A_PATH: Errors = (errors.NotFoundError,)
WITH_A_BODY: Errors = (
    errors.MalformedBodyError,
    errors.PayloadTooLargeError,
    errors.UnsupportedMediaError,
    errors.InvalidRequestError,
    InvalidTextError,
)
FROM_MODELS: Errors = (
    errors.NoCapableModelError,
    errors.UpstreamRejectedError,
    errors.ContextLengthError,
    errors.ContentFilterError,
    errors.BudgetExceededError,
    errors.UpstreamRateLimitedError,
    errors.UpstreamError,
    errors.UpstreamBrokenError,
    errors.UpstreamAuthenticationError,
    errors.UpstreamModelNotFoundError,
    errors.NoClearedModelError,
    errors.UpstreamUnavailableError,
    errors.UpstreamBusyError,
    errors.UpstreamTimeoutError,
)
FROM_EMBEDDERS: Errors = (
    errors.UpstreamError,
    errors.NoClearedModelError,
    errors.VectorStoreUnavailableError,
    errors.UpstreamUnavailableError,
    errors.UpstreamTimeoutError,
)

OF_OPERATIONS: Sequence[tuple[frozenset[str], Errors]] = (
    (ANSWERING, FROM_MODELS),
    (NAMING_A_MODEL, (errors.UnknownModelError, errors.ModelNotAllowedError)),
    (EMBEDDING, FROM_EMBEDDERS),
    (STORING, (errors.EmptyDocumentError, errors.ConflictError)),
    (GRANTING, (errors.PermissionDeniedError,)),
    (frozenset({"post /cache/feedback"}), (errors.NotFoundError,)),
    (CHANGING_A_KEY | FOR_ADMINISTRATORS | BEGINNING, (errors.ConflictError,)),
)

Operation = dict[str, Any]


class DescribedAPI(FastAPI):
    """An application whose OpenAPI document is complete. `key_needed` says whether anything is answered without one."""

    def __init__(self, *, key_needed: bool, **options: Any) -> None:
        super().__init__(description=DESCRIPTION, openapi_tags=TAGS, **options)
        self._key_needed = key_needed

    def openapi(self) -> dict[str, Any]:
        if self.openapi_schema is None:
            _complete(super().openapi(), key_needed=self._key_needed)
        return super().openapi()


def operations(document: Mapping[str, Any]) -> Iterator[tuple[str, Operation]]:
    """Each operation of an OpenAPI document with its name, as in `get /models`."""
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield f"{method} {path}", operation


def _complete(document: dict[str, Any], *, key_needed: bool) -> None:
    components = document["components"]
    components["securitySchemes"] = {"bearer": BEARER}
    schema = ErrorReply.model_json_schema(ref_template="#/components/schemas/{model}")
    components["schemas"].update(schema.pop("$defs"), ErrorReply=schema)
    for generated in ("HTTPValidationError", "ValidationError"):
        components["schemas"].pop(generated, None)
    for name, operation in operations(document):
        if name not in OPEN:
            operation["security"] = [{"bearer": []}] if key_needed else [{"bearer": []}, {}]
        _add_errors(operation, name=name)
        _add_examples(operation, name=name)


def _add_errors(operation: Operation, *, name: str) -> None:
    """Document the errors by status; what FastAPI says of its own validation is never sent."""
    responses = operation["responses"]
    responses.pop("422", None)
    path = name.partition(" ")[2]
    by_status: dict[str, list[SluiceError]] = {}
    for kind in dict.fromkeys(_errors(operation, name=name)):
        error = kind()
        by_status.setdefault(str(error_status(error, path=path)), []).append(error)
    for status, alternatives in sorted(by_status.items()):
        responses.setdefault(status, _error_response(alternatives))


def _errors(operation: Operation, *, name: str) -> Iterator[type[SluiceError]]:
    yield from EVERYWHERE
    if name not in OPEN:
        yield from WITH_A_KEY
    if name not in OPEN | WITHOUT_SCOPE:
        yield errors.ScopeError
    if "parameters" in operation:
        yield from WITH_PARAMETERS
    if "{" in name:
        yield from WITH_A_PATH
    if "requestBody" in operation:
        yield from WITH_A_BODY
    for names, possible in OF_OPERATIONS:
        if name in names:
            yield from possible


def _error_response(alternatives: Sequence[SluiceError]) -> dict[str, Any]:
    """The codes that a status can have, each with its message as an example."""
    codes = ", ".join(f"`{error.code}`" for error in alternatives)
    examples = {error.code: {"value": error_body(error)} for error in alternatives}
    content = {"schema": {"$ref": "#/components/schemas/ErrorReply"}, "examples": examples}
    return {"description": f"The code is {codes}.", "content": {"application/json": content}}


def _add_examples(operation: Operation, *, name: str) -> None:
    for media_type, example in REQUESTS.get(name, {}).items():
        operation["requestBody"]["content"][media_type]["example"] = example
    for (status, media_type), example in REPLIES.get(name, {}).items():
        operation["responses"][status].setdefault("content", {}).setdefault(media_type, {})["example"] = example
