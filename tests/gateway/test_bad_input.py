"""Bad input gets a clear 4xx with a stable code, and the service stays up."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest

from app.routers import bodies
from tests.gateway.conftest import Gateway
from tests.support.service import Service

JSON = {"content-type": "application/json"}


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({}, None),
        ({"message": ""}, "message"),
        ({"message": 5}, "message"),
        ({"message": "x" * 1_000_001}, "message"),
        ({"message": "hi", "content": "hi"}, None),
        ({"message": "hi", "temperature": 2.1}, "temperature"),
        ({"message": "hi", "temperature": "hot"}, "temperature"),
        ({"message": "hi", "max_tokens": 0}, "max_tokens"),
        ({"message": "hi", "sensitivity": "secret"}, "sensitivity"),
        ({"message": "hi", "sensitivty": "confidential"}, "sensitivty"),
        ({"message": "hi", "complexity": "very"}, "complexity"),
        ({"message": "hi", "documents": {"limit": 99}}, "documents"),
        ({"messages": []}, "messages"),
        ({"messages": [{"role": "user", "content": [{"type": "video", "url": "x"}]}]}, "messages"),
        (
            {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "file:///x"}}]}]},
            "messages",
        ),
        ([], None),
        ("text", None),
        (None, None),
    ],
)
async def test_an_invalid_chat_body_names_the_field(alone: Service, body: Any, param: str | None) -> None:
    for path in ("/chat", "/chat/stream", "/route"):
        async with alone.client.post(path, data=json.dumps(body), headers=JSON) as response:
            error = (await response.json())["error"]
        assert (response.status, error["code"], error["type"]) == (422, "invalid_request", "invalid_request_error")
        assert set(error) == {"message", "type", "param", "code"}
        assert param is None or error["param"].startswith(param)


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"", 422, "invalid_request"),
        (b"{", 400, "malformed_body"),
        (b'{"message": "\xff\xfe"}', 400, "malformed_body"),
        (b'{"message": "\x00"}', 400, "malformed_body"),
        (b'{"message": "\\u0000"}', 422, "invalid_text"),
        (b'{"message": "\\ud800"}', 422, "invalid_text"),
        (b'{"message": "hi", "temperature": NaN}', 400, "malformed_body"),
        (b'{"message": "hi", "message": "ho"}', 400, "malformed_body"),
        (b'{"message": ' + b"[" * 5_000_000 + b"]" * 5_000_000 + b"}", 400, "malformed_body"),
    ],
    ids=["empty", "cut", "utf8", "raw-nul", "nul", "surrogate", "nan", "twice", "nested"],
)
async def test_a_malformed_body_is_refused(alone: Service, body: bytes, status: int, code: str) -> None:
    async with alone.client.post("/chat", data=io.BytesIO(body), headers=JSON) as response:
        assert (response.status, (await response.json())["error"]["code"]) == (status, code)
    async with alone.client.get("/health") as response:
        assert response.status == 200


async def test_a_body_over_the_limit_is_refused_with_and_without_a_declared_length(alone: Service) -> None:
    async def pieces() -> Any:
        for _ in range(bodies.LARGEST_JSON // 1_000_000 + 2):
            yield b" " * 1_000_000

    for data in (io.BytesIO(b" " * (bodies.LARGEST_JSON + 1)), pieces()):
        async with alone.client.post("/chat", data=data, headers=JSON) as response:
            assert (response.status, (await response.json())["error"]["code"]) == (413, "payload_too_large")


async def test_a_body_that_is_not_json_is_refused(alone: Service) -> None:
    async with alone.client.post("/chat", data={"message": "hi"}) as response:
        assert response.status == 422
    async with alone.client.post("/documents", data=b"text", headers={"content-type": "text/plain"}) as response:
        assert response.status == 415
    compressed = JSON | {"content-encoding": "gzip"}
    async with alone.client.post("/chat", data=b"\x1f\x8b", headers=compressed) as response:
        assert response.status == 415


@pytest.mark.parametrize(
    "body",
    [
        {"query": ""},
        {"query": "x" * 8001},
        {"query": "x", "limit": 0},
        {"query": "x", "limit": 21},
        {"query": "x", "filter": {"year": 5}},
        {"query": "x", "filter": {"year": {"like": 5}}},
        {"query": "x", "top_k": 5},
    ],
)
async def test_an_invalid_search_is_refused(gateway: Gateway, body: Any) -> None:
    await gateway.add({"content": "So that there is something to filter."})
    status, answer = await gateway.post("/search", body)
    assert (status, answer["error"]["code"]) == (422, "invalid_request")


@pytest.mark.parametrize(
    "body",
    [
        {"documents": []},
        {"documents": [{"content": ""}]},
        {"documents": [{"content": "x", "id": ""}]},
        {"documents": [{"content": "x", "id": "i" * 513}]},
        {"documents": [{"content": "x", "label": "public"}]},
        {"documents": [{"content": "x", "metadata": []}]},
    ],
)
async def test_an_invalid_document_is_refused(alone: Service, body: Any) -> None:
    async with alone.client.post("/documents", json=body) as response:
        assert (response.status, (await response.json())["error"]["code"]) == (422, "invalid_request")


async def test_an_unknown_model_path_and_method_have_the_same_envelope(alone: Service) -> None:
    async with alone.client.post("/chat", json={"message": "hi", "model": "nobody/knows"}) as response:
        assert (response.status, (await response.json())["error"]["code"]) == (404, "model_not_found")
    async with alone.client.get("/nowhere") as response:
        assert (response.status, (await response.json())["error"]["code"]) == (404, "not_found")
    async with alone.client.put("/chat") as response:
        assert (response.status, (await response.json())["error"]["code"]) == (405, "method_not_allowed")


async def test_a_misspelt_label_header_is_refused(alone: Service) -> None:
    for header in ({"x-sluice-sensitivity": "secret"}, {"x-sluice-sensitivty": "public"}):
        async with alone.client.post("/chat", json={"message": "hi"}, headers=header) as response:
            assert response.status == 422


async def test_foreign_hosts_and_origins_are_refused_while_nobody_needs_a_key(alone: Service) -> None:
    for header in ({"host": "evil.example"}, {"origin": "https://evil.example"}, {"origin": "null"}):
        async with alone.client.get("/health", headers=header) as response:
            assert (response.status, (await response.json())["error"]["code"]) == (403, "foreign_origin")


async def test_a_trailing_slash_is_accepted(alone: Service) -> None:
    async with alone.client.post("/chat/", json={"message": "hi"}) as response:
        assert response.status == 200


async def test_a_request_id_in_our_shape_is_kept_and_any_other_replaced(alone: Service, canary: str) -> None:
    ours = "0f0e0d0c-0b0a-4908-8706-050403020100"
    async with alone.client.get("/health", headers={"x-request-id": ours}) as response:
        assert response.headers["x-request-id"] == ours
    async with alone.client.get("/health", headers={"x-request-id": canary}) as response:
        assert canary not in response.headers["x-request-id"]
