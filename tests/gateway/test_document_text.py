"""`GET /documents/{document_id}/text`: a document's text in pieces, and a passage at its place."""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import Any

import pytest

from tests.gateway.conftest import Gateway
from tests.support.service import running

# Characters beyond the basic plane count once.
PARAGRAPHS = [
    f"😀 Paragraph {number} speaks of animal number {number}. " + "It goes on for a while. " * 20 + "So it does."
    for number in range(30)
]
TEXT = "\n\n".join(PARAGRAPHS) + "\n\nThe quagga lived in South Africa and was a zebra."


async def read(gateway: Gateway, path: str, **parameters: str | int) -> tuple[int, Any]:
    async with gateway.service.client.get(path, params=parameters) as response:
        return response.status, await response.json()


async def test_a_citation_leads_to_its_place_in_the_document(gateway: Gateway) -> None:
    await gateway.add({"id": "a/b?c", "title": "Animals", "content": TEXT}, sensitivity="public")
    answer = await gateway.chat("Where did the quagga live?")
    citation = answer["citations"][0]
    assert (citation["document_id"], citation["collection"]) == ("a/b?c", "default")
    status, piece = await read(gateway, "/documents/a%2Fb%3Fc/text", passage=citation["passage"], limit=4000)
    assert status == 200
    start = piece["passage"]["start"]
    assert TEXT[start : start + piece["passage"]["length"]] == citation["content"]
    assert TEXT[piece["start"] : piece["start"] + len(piece["text"])] == piece["text"]
    assert piece["start"] <= start
    assert (piece["length"], piece["title"], piece["sensitivity"]) == (len(TEXT), "Animals", "public")


async def test_a_document_is_read_piece_by_piece(gateway: Gateway) -> None:
    await gateway.add({"id": "d", "content": TEXT})
    text = ""
    for _ in range(10):
        _, piece = await read(gateway, "/documents/d/text", start=len(text), limit=5_000)
        text += piece["text"]
    assert text == TEXT


@pytest.mark.parametrize(
    ("path", "passage"),
    [("/documents/none/text", ""), ("/documents/d/text", "x"), ("/documents/d/text", "0" * 32 + ":0")],
)
async def test_what_is_not_there_is_404(gateway: Gateway, path: str, passage: str) -> None:
    await gateway.add({"id": "d", "content": TEXT})
    parameters = {"passage": passage} if passage else {}
    status, body = await read(gateway, path, **parameters)
    assert (status, body["error"]["code"]) == (404, "not_found")


async def test_a_passage_is_not_read_under_the_name_of_another_document(gateway: Gateway) -> None:
    await gateway.add({"id": "d", "content": TEXT}, {"id": "e", "content": "Something else."})
    _, found = await gateway.post("/search", {"query": "quagga", "limit": 1})
    assert found["documents"][0]["metadata"]["document_id"] == "d"
    status, _ = await read(gateway, "/documents/e/text", passage=found["documents"][0]["id"])
    assert status == 404


async def test_a_key_reads_no_text_above_its_clearance_or_of_another_tenant(tmp_path: Path) -> None:
    operator = secrets.token_hex(16)
    async with running(tmp_path, vector_store="memory", auth_required=True, admin_key=operator) as service:
        admin = {"authorization": f"Bearer {operator}"}
        lower = []
        for allowed in ({"clearance": "internal"}, {"tenant": "other"}):
            async with service.client.post("/keys", json={"name": "low", **allowed}, headers=admin) as response:
                lower.append({"authorization": f"Bearer {(await response.json())['key']}"})
        body = {"documents": [{"id": "d", "content": TEXT}], "sensitivity": "confidential"}
        async with service.client.post("/documents?wait=true", json=body, headers=admin) as response:
            assert response.status == 200
        async with service.client.post("/search", json={"query": "quagga", "limit": 1}, headers=admin) as response:
            passage = (await response.json())["documents"][0]["id"]
        for key in lower:
            for parameters in ({}, {"passage": passage}):
                async with service.client.get("/documents/d/text", params=parameters, headers=key) as response:
                    assert response.status == 404
        async with service.client.get("/documents/d/text", params={"passage": passage}, headers=admin) as response:
            assert response.status == 200
