"""Files and `data:` URLs that hold text, as parts of messages."""

from __future__ import annotations

import base64
from typing import Any
from urllib.parse import quote

import pytest

from tests.gateway.conftest import CLOUD, LOCAL, Gateway

NATIVE, OPENAI = "/chat", "/v1/chat/completions"


def data_url(text: str, *, media_type: str = "text/plain") -> str:
    return f"data:{media_type};base64,{base64.b64encode(text.encode()).decode()}"


def as_file(url: str) -> dict[str, Any]:
    return {"type": "file", "file": {"filename": "notes.txt", "file_data": url}}


def as_image(url: str) -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": url}}


def asking(*parts: dict[str, Any]) -> dict[str, Any]:
    question = {"type": "text", "text": "What does it say?"}
    return {"model": "auto", "messages": [{"role": "user", "content": [question, *parts]}]}


@pytest.mark.parametrize("path", [NATIVE, OPENAI])
@pytest.mark.parametrize("part", [as_file, as_image])
async def test_a_text_in_a_data_url_is_classified_and_sent_as_text(gateway: Gateway, path: str, part: Any) -> None:
    secret = "The salary of Maria Lopez is 84,000 euros, write to maria.lopez@brightfield.de."
    async with gateway.service.client.post(path, json=asking(part(data_url(secret)))) as response:
        assert (response.status, response.headers["x-sluice-model"]) == (200, LOCAL)
        assert response.headers["x-sluice-label"] == "confidential"
    assert secret.encode() in gateway.local.received
    assert secret.encode() not in gateway.cloud.received


@pytest.mark.parametrize("path", [NATIVE, OPENAI])
@pytest.mark.parametrize("part", [as_file, as_image])
async def test_a_public_text_in_a_data_url_reaches_the_cloud(
    gateway: Gateway, path: str, part: Any, canary: str
) -> None:
    async with gateway.service.client.post(path, json=asking(part(data_url(canary)))) as response:
        assert (response.status, response.headers["x-sluice-model"]) == (200, CLOUD)
        assert response.headers["x-sluice-label"] == "public"
    assert canary in str(gateway.cloud.completions[0].json["messages"])


@pytest.mark.parametrize(
    "url",
    [
        f"data:,{quote('Grüße, 27 days')}",
        "data:text/csv;charset=iso-8859-1;base64," + base64.b64encode("Grüße, 27 days".encode("latin-1")).decode(),
        "data:application/json;base64," + base64.b64encode("\ufeffGrüße, 27 days".encode()).decode(),
        "data:image/svg+xml;base64," + base64.b64encode("<svg>Grüße, 27 days</svg>".encode()).decode(),
    ],
)
async def test_a_text_is_read_in_the_encoding_that_it_says_it_is_in(gateway: Gateway, url: str) -> None:
    status, answer = await gateway.post(NATIVE, asking(as_file(url)))
    assert status == 200, answer
    assert "Grüße, 27 days" in str(gateway.cloud.completions[0].json["messages"])


@pytest.mark.parametrize(
    "url",
    [
        "https://files.example.org/notes.txt",
        data_url("%PDF-1.7", media_type="application/pdf"),
        "data:text/plain;base64,%%%",
        "data:text/plain;charset=no-such-encoding;base64,QQ==",
        "data:text/plain;base64," + base64.b64encode(b"\xff\x00\x01").decode(),
        "data:text/plain," + "a" * 1_000_001,
        "no URL",
    ],
)
@pytest.mark.parametrize(("path", "expected"), [(NATIVE, 422), (OPENAI, 400)])
async def test_a_file_that_cannot_be_read_as_text_is_refused_without_being_quoted(
    gateway: Gateway, url: str, path: str, expected: int
) -> None:
    status, answer = await gateway.post(path, asking(as_file(url)))
    assert (status, "file_data" in answer["error"]["param"]) == (expected, True)
    assert url not in str(answer)
    assert gateway.cloud.completions == []


async def test_an_image_that_is_none_is_refused_by_name(gateway: Gateway) -> None:
    status, answer = await gateway.post(NATIVE, asking(as_image(data_url("x", media_type="application/pdf"))))
    assert (status, "image" in answer["error"]["message"]) == (422, True)
