"""The OpenAPI document is complete, and what it says of keys and of its own examples is so."""

from __future__ import annotations

import json
import secrets
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from app.main import create_app
from app.routers.description import operations
from tests.gateway.conftest import Gateway
from tests.support.service import Service, isolated_settings, running

SUCCESSES = ("200", "201", "202", "204")


@pytest.fixture
def document(tmp_path: Path) -> dict[str, Any]:
    return create_app(isolated_settings(tmp_path)).openapi()


def contents(operation: dict[str, Any], *, errors: bool) -> Iterator[tuple[str, dict[str, Any]]]:
    """The media types of an operation's answers by status, those of its errors or the others."""
    for status, response in operation["responses"].items():
        failed = status not in SUCCESSES and "ErrorReply" in json.dumps(response)
        if failed is errors:
            yield from ((status, media) for media in response.get("content", {}).values())


def test_every_operation_says_what_it_does(document: dict[str, Any]) -> None:
    for name, operation in operations(document):
        assert operation["summary"], name
        assert operation["description"], name


def test_every_operation_documents_its_errors_with_their_codes(document: dict[str, Any]) -> None:
    for name, operation in operations(document):
        failures = dict(contents(operation, errors=True))
        assert any(status.startswith("4") for status in failures), name
        for status, media in failures.items():
            assert media["schema"] == {"$ref": "#/components/schemas/ErrorReply"}, (name, status)
            assert all(code == example["value"]["error"]["code"] for code, example in media["examples"].items())


def test_every_body_and_every_answer_has_a_schema_and_an_example(document: dict[str, Any]) -> None:
    for name, operation in operations(document):
        assert name.startswith("delete") or list(contents(operation, errors=False)), name
        for status, media in contents(operation, errors=False):
            assert media["schema"], (name, status)
            assert "example" in media, (name, status)
        if "requestBody" in operation:
            assert "example" in operation["requestBody"]["content"]["application/json"], name


def test_every_reference_leads_somewhere(document: dict[str, Any]) -> None:
    schemas = document["components"]["schemas"]

    def references(node: Any) -> Iterator[str]:
        if isinstance(node, dict):
            yield from (value for key, value in node.items() if key == "$ref")
            for value in node.values():
                yield from references(value)
        elif isinstance(node, list):
            for value in node:
                yield from references(value)

    assert {reference.rpartition("/")[2] for reference in references(document)} <= schemas.keys()
    assert "HTTPValidationError" not in schemas


async def test_the_example_of_each_body_is_answered_as_documented(protected: Service, admin_key: str) -> None:
    headers = {"authorization": f"Bearer {admin_key}"}
    async with protected.client.post("/keys", json={"name": "test"}, headers=headers) as response:
        key_id = (await response.json())["id"]
    for name, operation in operations(protected.app.openapi()):
        if "requestBody" not in operation:
            continue
        method, _, template = name.partition(" ")
        path = template.format(key_id=key_id, session_id="trip", document_id="moon", name="handbook")
        example = operation["requestBody"]["content"]["application/json"]["example"]
        async with protected.client.request(method, path, json=example, headers=headers) as response:
            assert str(response.status) in SUCCESSES, (name, await response.text())
            assert response.content_type in operation["responses"][str(response.status)]["content"], name


@pytest.fixture
def admin_key() -> str:
    return secrets.token_hex(16)


@pytest.fixture
async def protected(tmp_path: Path, admin_key: str) -> AsyncIterator[Service]:
    async with running(tmp_path, vector_store="memory", auth_required=True, admin_key=admin_key) as service:
        yield service


async def test_exactly_the_operations_that_ask_for_a_key_answer_401_without_one(protected: Service) -> None:
    for name, operation in operations(protected.app.openapi()):
        method, _, path = name.partition(" ")
        body = operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("example")
        async with protected.client.request(method, path, json=body) as response:
            assert (response.status == 401) == (operation.get("security") == [{"bearer": []}]), name


def test_a_key_is_optional_where_anyone_on_the_machine_may_ask(document: dict[str, Any]) -> None:
    secured = [operation["security"] for _, operation in operations(document) if "security" in operation]
    assert secured
    assert all(alternatives == [{"bearer": []}, {}] for alternatives in secured)


async def test_a_method_that_a_path_does_not_take_is_answered_with_those_it_takes(gateway: Gateway) -> None:
    for path, allowed in (("/documents", "GET, POST"), ("/documents/a", "GET, DELETE"), ("/v1/models", "GET")):
        async with gateway.service.client.put(path) as response:
            assert (response.status, response.headers["allow"]) == (405, allowed)
