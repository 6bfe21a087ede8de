"""The span of a whole HTTP request, and what a caller says of the trace that it belongs to."""

from __future__ import annotations

from http import HTTPStatus

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.edge_log import QUIET, method_of, route_of
from app.utils.logging import REQUEST_ID
from app.utils.tracing import SpanKind, Tracer


class TracedEdge:
    """Pure ASGI; only there while the settings name a collector. Of a path, a span holds the template alone.

    An open socket is no span, it may stay so for days: each of its answers is one.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket") or scope["path"].startswith(QUIET):
            await self._app(scope, receive, send)
            return
        tracer: Tracer = scope["app"].state.services.tracer
        # `tracestate` and `baggage` are text of whoever sends them: they are not read.
        with tracer.join(Headers(scope=scope).get("traceparent")):
            if scope["type"] == "websocket":
                await self._app(scope, receive, send)
            else:
                await self._trace(scope, receive, send, tracer=tracer)

    async def _trace(self, scope: Scope, receive: Receive, send: Send, *, tracer: Tracer) -> None:
        method = method_of(scope)
        with tracer.begin(method, kind=SpanKind.SERVER) as span:
            status = 0

            async def send_on(message: Message) -> None:
                nonlocal status
                if message["type"] == "http.response.start":
                    status = message["status"]
                await send(message)

            if span.context is not None:
                scope["state"]["trace_id"] = span.context.trace_id.hex()
            span.set({"http.request.method": method, "sluice.request_id": REQUEST_ID.get()})
            try:
                await self._app(scope, receive, send_on)
            finally:
                route = route_of(scope)
                span.name = method if route is None else f"{method} {route}"
                span.set({"http.response.status_code": status or None, "http.route": route})
            if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
                span.fail(str(status))
