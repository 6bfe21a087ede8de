"""Answering the routes that are asked most in a straight line, as they are declared."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from functools import partial
from inspect import iscoroutinefunction
from typing import Any

from fastapi.dependencies.models import Dependant
from fastapi.exceptions import RequestValidationError
from fastapi.routing import RouteContext, iter_route_contexts
from starlette.requests import HTTPConnection
from starlette.responses import Response
from starlette.routing import BaseRoute
from starlette.types import ASGIApp, Receive, Scope, Send

from app.errors import SluiceError
from app.routers.bodies import BoundedRoute, read_json
from app.routers.failures import failure_response
from app.routers.request_headers import IndexedConnection

Need = Callable[[HTTPConnection], Awaitable[Any]]

# What FastAPI says of a body that is not there.
NO_BODY = ({"type": "missing", "loc": ("body",)},)
# What a declaration may ask for beside a body and dependencies, none of which is filled in here.
OTHER_PARAMETERS = ("path_params", "query_params", "header_params", "cookie_params")
OTHER_NEEDS = (
    "request_param_name",
    "websocket_param_name",
    "response_param_name",
    "background_tasks_param_name",
    "security_scopes_param_name",
)


class DirectRoute(BoundedRoute):
    """A route that takes one JSON body and dependencies on the connection, and returns a `Response`.

    FastAPI reads the declaration for `/docs`; `DirectEndpoint` reads the same one to answer, without the scan of the
    routes, the stacks and the wrappers that FastAPI has for all that a route could need.
    """


class DirectEndpoint:
    """Does for one `DirectRoute` what FastAPI does, in its order: the body, who asks, the validation, the answer.

    Raises `TypeError` for a declaration that asks for more.
    """

    def __init__(self, route: RouteContext) -> None:
        dependant: Dependant = route.dependant
        _refuse_other_needs(dependant, route=route)
        if len(dependant.body_params) != 1 or dependant.call is None:
            raise TypeError(f"{route.path} does not take one body")
        (self._body,) = dependant.body_params
        self._endpoint = dependant.call
        # Those that routers ask for have no names, and come first.
        self._checks = [_need(each, route=route) for each in dependant.dependencies if each.name is None]
        self._needs = [(each.name, _need(each, route=route)) for each in dependant.dependencies if each.name is not None]
        self._route = route.original_route

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope["route"] = self._route
        try:
            response = await self._answer(IndexedConnection(scope), receive)
        except (SluiceError, RequestValidationError) as error:
            response = failure_response(error, scope=scope)
        await response(scope, receive, send)

    async def _answer(self, connection: HTTPConnection, receive: Receive) -> Response:
        sent = await read_json(connection.headers, receive)
        for check in self._checks:
            await check(connection)
        given = {name: await need(connection) for name, need in self._needs}
        body, errors = (None, NO_BODY) if sent == b"" else self._body.validate(sent, loc=("body",))
        if errors:
            raise RequestValidationError(errors)
        response: Response = await self._endpoint(**{self._body.name: body}, **given)
        return response


class DirectPaths:
    """Pure ASGI: hands a request for a direct route to its endpoint by method and path, and the rest to `app`."""

    def __init__(self, app: ASGIApp, *, endpoints: Mapping[tuple[str, str], ASGIApp]) -> None:
        self._app = app
        self._endpoints = endpoints

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        app = self._endpoints.get((scope["method"], scope["path"])) if scope["type"] == "http" else None
        await (app or self._app)(scope, receive, send)


def direct_endpoints(routes: Iterable[BaseRoute]) -> Mapping[tuple[str, str], DirectEndpoint]:
    """The endpoints of the direct routes among these, by method and path."""
    return {
        (method, route.path): DirectEndpoint(route)
        for route in iter_route_contexts(list(routes))
        if isinstance(route.original_route, DirectRoute) and route.path is not None
        for method in route.methods or ()
    }


def _need(dependant: Dependant, *, route: RouteContext) -> Need:
    """A dependency as a function of the connection, with those that it depends on."""
    _refuse_other_needs(dependant, route=route)
    call, connection = dependant.call, dependant.http_connection_param_name
    if call is None or connection is None or dependant.body_params or not _is_coroutine(call):
        raise TypeError(f"{route.path} depends on what is no coroutine of the connection")
    needs = [(each.name, _need(each, route=route)) for each in dependant.dependencies]
    return partial(_resolve, call, connection, needs) if needs else call


async def _resolve(call: Callable[..., Awaitable[Any]], name: str, needs: list[tuple[str, Need]], connection: HTTPConnection) -> Any:
    return await call(**{name: connection}, **{each: await need(connection) for each, need in needs})


def _is_coroutine(call: Callable[..., Any]) -> bool:
    return iscoroutinefunction(call) or iscoroutinefunction(getattr(call, "__call__", None))


def _refuse_other_needs(dependant: Dependant, *, route: RouteContext) -> None:
    for need in (*OTHER_PARAMETERS, *OTHER_NEEDS):
        if getattr(dependant, need):
            raise TypeError(f"{route.path} asks for {need}, which a direct route does not have")
