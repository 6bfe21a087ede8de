"""What every request passes before a router sees it: an id, one spelling of its path, a guard, a turnstile."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.config import LOOPBACK_HOSTS
from app.edge_log import log_access
from app.errors import ForeignOriginError
from app.routers.counting import count_response
from app.routers.replies import error_response
from app.utils.logging import REQUEST_ID
from app.utils.surfaces import SURFACE, surface_of
from app.utils.turnstile import Turnstile

# A caller's own request id is kept only in this shape, so that it can carry no text into logs.
REQUEST_ID_SHAPE = re.compile(r"[0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12}", re.ASCII)

# A refused handshake of a WebSocket is an HTTP response too.
RESPONSE_STARTS = frozenset({"http.response.start", "websocket.http.response.start"})

# An answer is what it says it is: text of a document is never run as a page.
NEVER_GUESS = (b"x-content-type-options", b"nosniff")


class Edge:
    """Pure ASGI, so that disconnects reach the answers and a request costs no wrapper objects.

    `guarded` is set while anyone on this machine may ask without a key: a web page that somebody visits could then make
    its browser ask too, so hosts and origins that are not this machine are refused.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        guarded: bool,
        make_id: Callable[[], str],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._app = app
        self._monotonic = monotonic
        self._guarded = guarded
        self._make_id = make_id
        self._turnstile = Turnstile()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        given = headers.get("x-request-id", "")
        request_id = given if REQUEST_ID_SHAPE.fullmatch(given) else self._make_id()
        REQUEST_ID.set(request_id)
        SURFACE.set(surface_of(scope["path"]))
        state = scope.setdefault("state", {})
        began, status = self._monotonic(), 0

        async def send_with_id(message: Message) -> None:
            nonlocal status
            if message["type"] in RESPONSE_STARTS:
                status = message["status"]
                count_response(status, scope=scope)
                own = ((b"x-request-id", request_id.encode()), NEVER_GUESS, *state.get("limit_headers", ()))
                message["headers"] = [*message.get("headers", ()), *own]
            await send(message)

        if self._guarded and _foreign(headers):
            await error_response(ForeignOriginError())(scope, receive, send_with_id)
            return
        scope = _without_trailing_slash(scope)
        try:
            await self._turnstile.enter()
            await self._app(scope, receive, send_with_id)
        finally:
            log_access(scope, status=status, seconds=self._monotonic() - began)


def _foreign(headers: Headers) -> bool:
    host = urlsplit(f"//{headers.get('host', '')}").hostname
    origin = headers.get("origin")
    return host not in LOOPBACK_HOSTS or (origin is not None and urlsplit(origin).hostname not in LOOPBACK_HOSTS)


def _without_trailing_slash(scope: Scope) -> Scope:
    path = scope["path"]
    if path == "/" or not path.endswith("/"):
        return scope
    return {**scope, "path": path.rstrip("/") or "/"}
