"""The log line of an HTTP request that no answer of a model has a line for: fixed words, names, numbers and ids."""

from __future__ import annotations

import logging
import re
from collections import Counter
from collections.abc import Mapping
from http import HTTPStatus

from starlette.datastructures import Headers
from starlette.types import Scope

logger = logging.getLogger(__name__)

# What a service is asked every few seconds, and the files of the page, are of interest only when something is wrong.
QUIET = ("/health", "/ready", "/metrics", "/static", "/ui", "/docs", "/redoc", "/openapi.json")

METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
OTHER = "other"

# Headers whose values are shown, and in which shape; of others that are known it is said that they were there, of any
# else only how many there were: names and values are text of whoever sends them.
SHAPES: Mapping[str, re.Pattern[str]] = {
    "content-length": re.compile(r"\d{1,15}", re.ASCII),
    "content-type": re.compile(
        r"application/(?:json|octet-stream|pdf|xml)|multipart/form-data|text/(?:plain|html|csv)"
    ),
    "accept": re.compile(r"\*/\*|application/json|text/event-stream|text/html"),
    "traceparent": re.compile(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}\b", re.ASCII),
}
KNOWN = frozenset(
    {
        "authorization",
        "connection",
        "cookie",
        "host",
        "origin",
        "referer",
        "transfer-encoding",
        "user-agent",
        "x-api-key",
        "x-forwarded-for",
        "x-request-id",
        "x-sluice-sensitivity",
    }
)


def log_access(scope: Scope, *, status: int, seconds: float) -> None:
    """Log a request once it is over; `status` is 0 if it got no answer. A chat that is on record has its line."""
    state = scope["state"]
    if state.get("recorded") and not logger.isEnabledFor(logging.DEBUG):
        return
    level = _level(scope["path"], status=status, recorded="recorded" in state)
    if not logger.isEnabledFor(level):
        return
    fields = {
        "method": method_of(scope),
        "route": route_of(scope),
        "status": status or None,
        "tenant": state.get("tenant"),
        "seconds": round(seconds, 4),
    }
    if "trace_id" in state:
        fields["trace_id"] = state["trace_id"]
    if logger.isEnabledFor(logging.DEBUG):
        fields["headers"] = sanitised(Headers(scope=scope))
    logger.log(level, "access", extra=fields)


def method_of(scope: Scope) -> str:
    """The method, if it is one; a socket has none."""
    method = scope.get("method", "WEBSOCKET" if scope["type"] == "websocket" else "")
    return method if method in METHODS or scope["type"] == "websocket" else OTHER


def route_of(scope: Scope) -> str | None:
    """The template of the path that a request was for, once a router has found it; `None` if none has."""
    route = getattr(scope.get("route"), "path", None)
    return route if isinstance(route, str) else None


def sanitised(headers: Headers) -> Mapping[str, str | int]:
    """What may be shown of a request's headers; see `SHAPES`."""
    shown: dict[str, str | int] = {}
    unknown = Counter[str]()
    for name, value in headers.items():
        shape = SHAPES.get(name)
        if shape is not None:
            found = shape.match(value)
            shown[name] = found[0] if found else OTHER
        elif name in KNOWN:
            shown[name] = "present"
        else:
            unknown[OTHER] += 1
    return {**shown, **unknown}


def _level(path: str, *, status: int, recorded: bool) -> int:
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR and not recorded:
        return logging.WARNING
    return logging.DEBUG if recorded or path == "/" or path.startswith(QUIET) else logging.INFO
