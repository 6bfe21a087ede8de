"""Answering the routes that are asked most in a straight line, as they are declared."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from functools import partial
from inspect import iscoroutinefunction
from typing import Any

from fastapi.dependencies.models import Dependant
from fastapi.exceptions import RequestValidationError
from fastapi.params import Body
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
Needs = Sequence[tuple[str, Need]]

# What FastAPI says of a body that is not there.
NO_BODY = ({"type": "missing", "loc": ("body",)},)
# What a declaration may ask for beside a body, dependencies and the connection; none of it is filled in here.
OTHERS = (
    "path_params",
    "query_params",
    "header_params",
    "cookie_params",
    "request_param_name",
    "websocket_param_name",
    "response_param_name",
    "background_tasks_param_name",
    "security_scopes_param_name",
)


class DirectRoute(BoundedRoute):
    """A route that takes one JSON body, depends on coroutines of the connection, and returns a `Response`.

    FastAPI reads the declaration for `/docs`; `DirectEndpoint` reads the same one to answer, without the scan of the
    routes, the stacks and the wrappers that FastAPI has for all that a route could need.
    """


class DirectEndpoint:
    """Does what FastAPI does for one `DirectRoute`, in its order: the body, who asks, the validation, the answer.

    Raises `TypeError` for a declaration that asks for more.
    """

    def __init__(self, route: RouteContext) -> None:
        dependant: Dependant = route.dependant
        _refuse_others(dependant)
        if len(dependant.body_params) != 1 or dependant.call is None:
            raise TypeError("a direct route takes one body")
        (self.body,) = dependant.body_params
        if type(self.body.field_info) is not Body or self.body.field_info.embed:
            raise TypeError("the body of a direct route is JSON, and nothing but one value")
        self._endpoint = dependant.call
        # What routers depend on has no name, and comes first.
        self._checks = [_need(each) for each in dependant.dependencies if each.name is None]
        self._needs = _needs(dependant)
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
        body, errors = (None, NO_BODY) if sent == b"" else self.body.validate(sent, loc=("body",))
        if errors:
            raise RequestValidationError(errors)
        response: Response = await self._endpoint(**{self.body.name: body}, **given)
        return response


class DirectPaths:
    """Pure ASGI: finds the endpoint of a direct route by method and path, and leaves all else to `app`."""

    def __init__(self, app: ASGIApp, *, endpoints: Mapping[tuple[str, str], ASGIApp]) -> None:
        self._app = app
        self._endpoints = endpoints

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        endpoint = self._endpoints.get((scope["method"], scope["path"])) if scope["type"] == "http" else None
        await (endpoint or self._app)(scope, receive, send)


def direct_endpoints(routes: Iterable[BaseRoute]) -> Mapping[tuple[str, str], DirectEndpoint]:
    """The endpoints of those among the routes that are direct, by method and path."""
    return {
        (method, route.path): DirectEndpoint(route)
        for route in iter_route_contexts(list(routes))
        if isinstance(route.original_route, DirectRoute) and route.path is not None
        for method in route.methods or ()
    }


def _needs(dependant: Dependant) -> Needs:
    return [(each.name, _need(each)) for each in dependant.dependencies if each.name is not None]


def _need(dependant: Dependant) -> Need:
    """A dependency, with those that it has itself, as a function of the connection."""
    _refuse_others(dependant)
    call, connection = dependant.call, dependant.http_connection_param_name
    if call is None or connection is None or dependant.body_params or not _is_coroutine(call):
        raise TypeError("what a direct route depends on is a coroutine of the connection")
    needs = _needs(dependant)
    return partial(_resolve, call, connection, needs) if needs else call


async def _resolve(call: Callable[..., Awaitable[Any]], name: str, needs: Needs, connection: HTTPConnection) -> Any:
    return await call(**{name: connection}, **{each: await need(connection) for each, need in needs})


def _is_coroutine(call: Callable[..., Any]) -> bool:
    return iscoroutinefunction(call) or iscoroutinefunction(getattr(call, "__call__", None))  # noqa: B004  (its method)


def _refuse_others(dependant: Dependant) -> None:
    asked = next((each for each in OTHERS if getattr(dependant, each)), None)
    if asked is not None:
        raise TypeError(f"a direct route has no {asked}")
