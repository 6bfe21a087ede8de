"""Which part of the API a request came in by, in a fixed word."""

from __future__ import annotations

from collections.abc import Mapping
from contextvars import ContextVar
from typing import Final

# What is asked of the pipeline with no request behind it, such as a session's title, has the default.
SURFACE: ContextVar[str] = ContextVar("surface", default="internal")

# By the first part of the path.
SURFACES: Final[Mapping[str, str]] = {
    "chat": "chat",
    "route": "chat",
    "v1": "openai",
    "websockets": "socket",
    "documents": "documents",
    "collections": "documents",
    "search": "search",
    "sessions": "sessions",
    "history": "sessions",
    "keys": "keys",
    "usage": "usage",
    "cache": "cache",
    "decisions": "operations",
    "models": "operations",
    "health": "operations",
    "ready": "operations",
    "metrics": "operations",
    "": "page",
    "ui": "page",
    "static": "page",
    "docs": "page",
    "redoc": "page",
    "openapi.json": "page",
}


def surface_of(path: str) -> str:
    """The surface of a request's path; a path that there is not is `other`."""
    return SURFACES.get(path.lstrip("/").partition("/")[0], "other")
