"""Turning validation failures into errors that name the field and never quote its value."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, TypeVar

from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ValidationError

from app.errors import InvalidRequestError

Body = TypeVar("Body", bound=BaseModel)

# Messages of these kinds quote what was sent.
QUOTING = frozenset({"union_tag_invalid", "union_tag_not_found", "string_type_mismatch", "url_parsing", "json_invalid"})
FIELD_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,39}", re.ASCII)


def validate(model: type[Body], value: object) -> Body:
    """Read a decoded body; raises the same error as a body that FastAPI reads itself."""
    try:
        return model.model_validate(value)
    except ValidationError as error:
        raise RequestValidationError(error.errors(include_url=False, include_input=False)) from None


def describe(errors: Sequence[Any]) -> InvalidRequestError:
    """The first failure as an error: which field, and what is wrong with it."""
    first = errors[0]
    where = [str(step) for step in first["loc"] if step not in ("body", "query", "path", "header")]
    param = ".".join(step for step in where if FIELD_NAME.fullmatch(step) or step.isdigit()) or None
    return InvalidRequestError(_explain(first, param=param), param=param)


def _explain(failure: Any, *, param: str | None) -> str:
    kind, name = failure["type"], param or "body"
    if kind == "extra_forbidden":
        return f"{name} is not a known field; see /docs for those there are."
    if kind == "missing":
        return f"{name} is missing."
    if kind in QUOTING:
        return f"{name} does not have a known form; see /docs."
    text = failure["msg"].removeprefix("Value error, ")
    return f"{name}: {text[:1].lower()}{text[1:]}."
