"""What a client is told of an exception, whoever catches it."""

from __future__ import annotations

from fastapi.exceptions import RequestValidationError
from starlette.responses import Response
from starlette.types import Scope

from app.errors import NotClearedError, SluiceError
from app.routers.counting import count_denial
from app.routers.replies import error_response
from app.routers.validation import describe


def failure_response(error: SluiceError | RequestValidationError, *, scope: Scope) -> Response:
    """The error in the one envelope."""
    if isinstance(error, RequestValidationError):
        return error_response(describe(error.errors()), path=scope["path"])
    if isinstance(error, NotClearedError):
        count_denial(error, scope=scope)
    return error_response(error, path=scope["path"])
