from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any

import pytest
from fastapi import APIRouter, Depends, FastAPI, Form, Query, Response
from fastapi import Body as Embed
from pydantic import BaseModel
from starlette.requests import HTTPConnection

from app.limits import EdgeLimit
from app.main import create_app
from app.models import Caller
from app.routers.bodies import LARGEST_JSON
from app.routers.direct import DirectPaths, DirectRoute, direct_endpoints
from app.wiring import Services, open_services
from tests.gateway.conftest import cloud_settings
from tests.support.service import isolated_settings
from tests.support.upstream import ScriptedUpstream

DIRECT = ("/chat", "/chat/stream", "/route", "/search", "/v1/chat/completions", "/v1/embeddings")
GOOD: dict[str, dict[str, Any]] = {
    "/chat": {"message": "hello", "documents": False},
    "/chat/stream": {"message": "hello", "documents": False},
    "/route": {"message": "hello", "documents": False},
    "/search": {"query": "hello"},
    "/v1/chat/completions": {"model": "auto", "messages": [{"role": "user", "content": "hello"}]},
    "/v1/embeddings": {"model": "auto", "input": "hello"},
}
JSON = {"content-type": "application/json"}
# What differs from answer to answer.
MOMENTARY = {b"x-request-id", b"x-ratelimit-reset-requests", b"retry-after"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """A request as it arrives; `pieces` of the body, after which the client has left if it is `cut`."""

    pieces: Sequence[bytes] = (b"{}",)
    headers: dict[str, str] = field(default_factory=lambda: JSON)
    keyed: bool = True
    cut: bool = False
    method: str = "POST"


@dataclass(frozen=True, slots=True)
class Got:
    """`headers` are without what differs from answer to answer."""

    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes

    @property
    def code(self) -> str:
        code: str = json.loads(self.body)["error"]["code"]
        return code


MANY = (b'{"message": "', *(b"x" * 2**20,) * (LARGEST_JSON // 2**20), b'"}')
REFUSED: dict[str, tuple[str, Sent]] = {
    "no key": ("invalid_api_key", Sent(keyed=False)),
    "a wrong key": ("invalid_api_key", Sent(keyed=False, headers={**JSON, "authorization": "Bearer nobody"})),
    "nothing": ("invalid_request", Sent(pieces=(b"",))),
    "no JSON": ("malformed_body", Sent(pieces=(b'{"message": ',))),
    "no JSON and no key": ("malformed_body", Sent(pieces=(b'{"message": ',), keyed=False)),
    "a key twice": ("malformed_body", Sent(pieces=(b'{"message": "a", "message": "b"}',))),
    "half a surrogate pair": ("malformed_body", Sent(pieces=(b'{"message": "\xed\xa0\x80"}',))),
    "an escaped half": ("invalid_text", Sent(pieces=(b'{"message": "\\ud800"}',))),
    "UTF-16": ("malformed_body", Sent(pieces=('{"message": "a"}'.encode("utf-16"),))),
    "a list": ("invalid_request", Sent(pieces=(b"[1]",))),
    "null": ("invalid_request", Sent(pieces=(b"null",))),
    "an empty object": ("invalid_request", Sent()),
    "an empty object and no key": ("invalid_api_key", Sent(keyed=False)),
    "an unknown field": ("invalid_request", Sent(pieces=(b'{"modle": 1}',))),
    "wrong types": ("invalid_request", Sent(pieces=(b'{"model": 1, "message": 2, "messages": 3, ', b'"query": []}'))),
    "a form": ("invalid_request", Sent(headers={"content-type": "application/x-www-form-urlencoded"})),
    "no type": ("invalid_request", Sent(headers={})),
    "a type that is none": ("invalid_request", Sent(headers={"content-type": "json"})),
    "JSON by another name": ("malformed_body", Sent(pieces=(b"{",), headers={"content-type": "application/a+json"})),
    "with a parameter": (
        "malformed_body",
        Sent(pieces=(b"{",), headers={"content-type": "Application/JSON; a=b"}),
    ),
    "a compressed body": ("unsupported_media_type", Sent(headers={**JSON, "content-encoding": "gzip"})),
    "too much, as it says": ("payload_too_large", Sent(headers={**JSON, "content-length": str(LARGEST_JSON + 1)})),
    "too much, as it turns out": ("payload_too_large", Sent(pieces=MANY)),
    "a client that left": ("malformed_body", Sent(pieces=(b'{"message": ',), cut=True)),
    "a misspelt header": ("invalid_request", Sent(headers={**JSON, "x-sluice-sensitivty": "public"})),
    "a label that is none": ("invalid_request", Sent(headers={**JSON, "x-sluice-sensitivity": "secret"})),
    "another method": ("method_not_allowed", Sent(method="PUT")),
}


OVER_THE_LIMIT = {
    "the second": ("rate_limit_exceeded", Sent()),
    "one without a key": ("rate_limit_exceeded", Sent(keyed=False)),
    "one that is no JSON": ("malformed_body", Sent(pieces=(b"{",))),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Twins:
    """One service twice: as it is, and with every route answered by FastAPI."""

    services: Services
    direct: FastAPI
    indirect: FastAPI
    key: str

    async def ask(self, path: str, sent: Sent, *, key: str | None = None) -> tuple[Got, Got]:
        """What each of the two answers."""
        headers = dict(sent.headers)
        if sent.keyed:
            headers["authorization"] = f"Bearer {key or self.key}"
        return (
            await _ask(self.direct, path, replace(sent, headers=headers)),
            await _ask(self.indirect, path, replace(sent, headers=headers)),
        )


@pytest.fixture
async def twins(tmp_path: Path, openai_upstream: ScriptedUpstream) -> AsyncIterator[Twins]:
    admin_key = "an-administrator-for-a-test"
    settings = isolated_settings(
        tmp_path, vector_store="memory", admin_key=admin_key, auth_required=True, **cloud_settings(openai_upstream)
    )
    async with AsyncExitStack() as stack:
        services = await stack.enter_async_context(open_services(settings))
        yield await _twins(services, key=admin_key, stack=stack)


async def _twins(services: Services, *, key: str, stack: AsyncExitStack) -> Twins:
    direct, indirect = (create_app(services.settings, services=services) for _ in range(2))
    assert "DirectPaths" in repr(indirect.user_middleware.pop()), "it is the innermost"
    for app in (direct, indirect):
        await stack.enter_async_context(app.router.lifespan_context(app))
    return Twins(services=services, direct=direct, indirect=indirect, key=key)


async def _ask(app: FastAPI, path: str, sent: Sent) -> Got:
    arriving = [
        {"type": "http.request", "body": piece, "more_body": sent.cut or number < len(sent.pieces)}
        for number, piece in enumerate(sent.pieces, start=1)
    ]
    messages: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        if arriving:
            return arriving.pop(0)
        if not sent.cut:
            await asyncio.Event().wait()
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        messages.append(message)

    sent_headers = {"host": "127.0.0.1", **sent.headers}
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": sent.method,
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "root_path": "",
        "scheme": "http",
        "server": ("127.0.0.1", 80),
        "client": ("127.0.0.1", 1),
        "headers": [(name.encode(), value.encode()) for name, value in sent_headers.items()],
        "state": {},
    }
    try:
        await app(scope, receive, send)
    except RuntimeError:
        assert messages, "an error that is raised on for the server's log has been answered"
    head, *bodies = messages
    assert len({name for name, _ in head["headers"]}) == len(head["headers"]), "no header is there twice"
    headers = [(name, b"" if name in MOMENTARY else value) for name, value in head["headers"]]
    return Got(head["status"], headers, b"".join(each.get("body", b"") for each in bodies))


def test_the_routes_that_are_asked_most_are_direct(tmp_path: Path) -> None:
    app = create_app(isolated_settings(tmp_path))
    assert direct_endpoints(app.routes).keys() == {("POST", path) for path in DIRECT}


@pytest.mark.parametrize("path", DIRECT)
def test_what_is_documented_is_what_is_validated(tmp_path: Path, path: str) -> None:
    app = create_app(isolated_settings(tmp_path))
    described = app.openapi()["paths"][path]["post"]["requestBody"]["content"]["application/json"]["schema"]["$ref"]
    validated = direct_endpoints(app.routes)["POST", path].body.field_info.annotation
    assert isinstance(validated, type)
    assert issubclass(validated, BaseModel)
    assert described == f"#/components/schemas/{validated.__name__}"


@pytest.mark.parametrize("path", DIRECT)
async def test_what_is_refused_is_refused_byte_for_byte_as_by_fastapi(twins: Twins, path: str) -> None:
    for case, (code, sent) in REFUSED.items():
        direct, indirect = await twins.ask(path, sent)
        assert (case, direct) == (case, indirect)
        assert (case, direct.code) == (case, code)


@pytest.mark.parametrize("path", DIRECT)
async def test_a_key_without_the_scope_and_an_address_over_its_limit_are_refused_as_by_fastapi(
    twins: Twins, path: str
) -> None:
    good = Sent(pieces=(json.dumps(GOOD[path]).encode(),))
    keyless = await twins.services.keys.create("no scopes", caller=Caller(scopes=frozenset()))
    direct, indirect = await twins.ask(path, good, key=keyless.text)
    assert direct == indirect
    assert direct.code == "missing_scope"
    twins.direct.state.edge_limit, twins.indirect.state.edge_limit = (EdgeLimit(per_minute=1) for _ in range(2))
    for case, (code, sent) in {"the first": ("invalid_request", Sent()), **OVER_THE_LIMIT}.items():
        direct, indirect = await twins.ask(path, sent)
        assert (case, direct) == (case, indirect)
        assert (case, direct.code) == (case, code)


@pytest.mark.parametrize("path", DIRECT)
async def test_a_good_request_is_answered_as_by_fastapi(twins: Twins, path: str) -> None:
    sent = Sent(pieces=(json.dumps(GOOD[path]).encode(),))
    await twins.ask(path, sent)  # from here on the cache answers
    direct, indirect = await twins.ask(path, sent)
    assert (direct.status, direct.headers) == (indirect.status, indirect.headers)
    assert _without_moments(direct.body) == _without_moments(indirect.body)


@pytest.mark.parametrize("path", ["/chat", "/v1/chat/completions"])
async def test_an_error_that_nobody_expected_is_told_as_by_fastapi(twins: Twins, path: str) -> None:
    async with AsyncExitStack() as stack:
        services = replace(twins.services, gateway=Broken())  # type: ignore[arg-type]  # nothing of it works
        broken = await _twins(services, key=twins.key, stack=stack)
        direct, indirect = await broken.ask(path, Sent(pieces=(json.dumps(GOOD[path]).encode(),)))
    assert direct == indirect
    assert (direct.status, direct.code) == (500, "internal_error")


class Broken:
    def answer(self, request: object, *, caller: object) -> None:
        raise RuntimeError


def _without_moments(body: bytes) -> bytes:
    return re.sub(rb'"(id|created|timestamp)":("[^"]*"|\d+)', b"", body)


class Body(BaseModel):
    text: str


async def coroutine(connection: HTTPConnection) -> str:
    return connection.headers["host"]


def thread(connection: HTTPConnection) -> str:
    return connection.headers["host"]


async def generator(connection: HTTPConnection) -> AsyncIterator[str]:
    yield connection.headers["host"]


async def of_a_query(connection: HTTPConnection, word: str) -> str:
    return connection.headers["host"] + word


async def nested(found: Annotated[str, Depends(coroutine)], connection: HTTPConnection) -> str:
    return found + connection.headers["host"]


async def takes_a_body(body: Body, found: Annotated[str, Depends(nested)]) -> Response:
    return Response(body.text + found)


async def takes_none(found: Annotated[str, Depends(coroutine)]) -> Response:
    return Response(found)


async def takes_two(body: Body, other: Body) -> Response:
    return Response(body.text + other.text)


async def takes_a_form(text: Annotated[str, Form()]) -> Response:
    return Response(text)


async def takes_it_by_name(body: Annotated[Body, Embed(embed=True)]) -> Response:
    return Response(body.text)


async def takes_a_query(body: Body, word: Annotated[str, Query()]) -> Response:
    return Response(body.text + word)


async def takes_a_thread(body: Body, found: Annotated[str, Depends(thread)]) -> Response:
    return Response(body.text + found)


async def takes_a_generator(body: Body, found: Annotated[str, Depends(generator)]) -> Response:
    return Response(body.text + found)


async def takes_another_query(body: Body, found: Annotated[str, Depends(of_a_query)]) -> Response:
    return Response(body.text + found)


@pytest.mark.parametrize(
    "declared",
    [
        takes_none,
        takes_two,
        takes_it_by_name,
        takes_a_form,
        takes_a_query,
        takes_a_thread,
        takes_a_generator,
        takes_another_query,
    ],
)
def test_a_declaration_that_asks_for_more_stops_the_start(declared: Callable[..., Any]) -> None:
    with pytest.raises(TypeError):
        direct_endpoints(_app_with(declared).routes)


async def test_dependencies_of_dependencies_and_those_of_routers_are_asked() -> None:
    app = _app_with(takes_a_body)
    app.add_middleware(DirectPaths, endpoints=direct_endpoints(app.routes))
    sent = Sent(pieces=(b'{"te', b'xt": "to "}'))
    assert (await _ask(app, "/v0/it", sent)).body == b"to 127.0.0.1127.0.0.1"


def _app_with(endpoint: Callable[..., Any]) -> FastAPI:
    inner, outer, app = APIRouter(route_class=DirectRoute), APIRouter(prefix="/v0"), FastAPI()
    inner.post("/it")(endpoint)
    outer.include_router(inner)
    app.include_router(outer, dependencies=[Depends(coroutine)])
    return app
