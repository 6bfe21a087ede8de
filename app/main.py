"""The application: `create_app` for tests and the command line, `app` for uvicorn."""

from __future__ import annotations

import logging
import time
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http import HTTPStatus

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.middleware.cors import CORSMiddleware
from fastapi.telemetry import TelemetryConfig
from starlette.exceptions import HTTPException
from starlette.routing import Match, Mount

from app.banner import describe_start
from app.config import Settings
from app.edge import Edge
from app.engine_wiring import ALONE, ProcessRole
from app.errors import InvalidRequestError, MalformedBodyError, NotFoundError, SluiceError
from app.limits import SOCKET_BURST, EdgeLimit, TokenBuckets
from app.routers import cache, chat, decisions, documents, keys, operations, pages, relabelling, search, sessions, usage
from app.routers.description import DescribedAPI
from app.routers.direct import DirectPaths, direct_endpoints
from app.routers.failures import failure_response
from app.routers.openai import router as openai
from app.routers.replies import error_response
from app.routers.sockets import router as sockets
from app.settling import Settling
from app.traced_edge import TracedEdge
from app.utils.logging import configure_logging
from app.wiring import VERSION, Services, open_services

logger = logging.getLogger(__name__)

# What scripts of other origins may read of an answer's head, beside what every browser lets them read.
EXPOSED_HEADERS = (
    "retry-after",
    "x-ratelimit-limit-requests",
    "x-ratelimit-limit-tokens",
    "x-ratelimit-remaining-requests",
    "x-ratelimit-remaining-tokens",
    "x-ratelimit-reset-requests",
    "x-ratelimit-reset-tokens",
    "x-request-id",
    "x-sluice-cache",
    "x-sluice-label",
    "x-sluice-model",
)


# FastAPI has traces and logs of its own, which hold the text of exceptions and take exporters from the environment.
NO_TELEMETRY = TelemetryConfig(tracing=False, metrics=False, logs=False, operation_spans=False, auto_configure=False)


class MethodNotAllowedError(InvalidRequestError):
    status = 405
    code = "method_not_allowed"
    message = "This path does not take this method; see /docs."


def create_app(
    settings: Settings | None = None, *, services: Services | None = None, role: ProcessRole = ALONE
) -> FastAPI:
    """Build the application. `services` replaces those that the settings would open, and is not closed here.

    The middleware, outermost first: `Settling`, where nothing runs between answers; (1) `Edge`: request id, path, hosts
    and origins; (2) `TracedEdge`, if there is a collector; (3) CORS, if origins are set; (4) `DirectPaths`.
    Each router then counts the request against its address, finds out who asks, and calls one service.
    """
    settings = settings or Settings()

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        configure_logging(settings.log_level)
        if services is not None:
            app.state.services = services
            yield
            return
        async with open_services(settings, role=role) as opened:
            app.state.services = opened
            if role.leads:
                print(describe_start(opened), flush=True)  # noqa: T201  (what an operator reads first)
            yield

    app = DescribedAPI(
        title="Sluice",
        version=VERSION,
        key_needed=settings.protected,
        debug=settings.debug,
        telemetry=NO_TELEMETRY,
        lifespan=lifespan,
        redirect_slashes=False,
        docs_url=None,
        redoc_url=None,
    )
    _set_limits(app, settings)
    # In this order a request is held against them, so those that are asked most come first.
    first = (openai, chat, search, sessions, documents, cache, relabelling)
    for module in (*first, sockets, keys, usage, operations, decisions, pages):
        app.include_router(module.router)
    app.mount("/static", pages.static_files)
    _handle_errors(app)
    _add_middleware(app, settings)
    return app


def _add_middleware(app: FastAPI, settings: Settings) -> None:
    app.add_middleware(DirectPaths, endpoints=direct_endpoints(app.routes))
    if settings.cors_origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=settings.cors_origins,
            allow_methods=["*"],
            allow_headers=["*"],
            expose_headers=EXPOSED_HEADERS,
        )
    if settings.otel_exporter_otlp_endpoint is not None:
        app.add_middleware(TracedEdge)
    guarded = not settings.protected and not settings.allow_open
    app.add_middleware(Edge, guarded=guarded, make_id=lambda: str(uuid.uuid4()))
    if settings.serverless:

        async def settle() -> None:
            services: Services = app.state.services
            await services.settle()

        app.add_middleware(Settling, settle=settle)


def _set_limits(app: FastAPI, settings: Settings) -> None:
    per_minute = settings.rate_limit_per_minute
    app.state.edge_limit = EdgeLimit(per_minute=per_minute, workers=settings.workers)
    app.state.message_limit = TokenBuckets(per_minute=per_minute, burst=SOCKET_BURST, monotonic=time.monotonic)


def _handle_errors(app: FastAPI) -> None:
    """Every failure leaves in the one envelope."""

    @app.exception_handler(SluiceError)
    @app.exception_handler(RequestValidationError)
    async def on_refusal(request: Request, error: SluiceError | RequestValidationError) -> Response:
        return failure_response(error, scope=request.scope)

    @app.exception_handler(HTTPException)
    async def on_http_exception(request: Request, error: HTTPException) -> Response:
        if isinstance(error.__cause__, SluiceError):  # raised while FastAPI was reading the body
            return failure_response(error.__cause__, scope=request.scope)
        known = {404: NotFoundError, 405: MethodNotAllowedError}
        response = error_response(known.get(error.status_code, MalformedBodyError)())
        if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
            response.headers["allow"] = ", ".join(_methods_of(request))
        return response

    @app.exception_handler(Exception)
    async def on_anything_else(_request: Request, error: Exception) -> Response:
        logger.error("unexpected error", exc_info=error)
        return error_response(SluiceError())


def _methods_of(request: Request) -> list[str]:
    """The methods that the path of the request takes, which may be spread over several routes (RFC 9110, 10.2.1)."""
    routes = [route for route in request.app.routes if not isinstance(route, Mount)]
    return [
        method
        for method in ("GET", "POST", "PUT", "PATCH", "DELETE")
        if any(route.matches({**request.scope, "method": method})[0] is Match.FULL for route in routes)
    ]


def __getattr__(name: str) -> FastAPI:
    """`app.main:app` is built when a server asks for it: importing this module reads no settings."""
    if name == "app":
        return create_app()
    raise AttributeError(name)
