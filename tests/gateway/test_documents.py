"""`/documents` and `/search` from the front door."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import aiohttp
import pytest

from tests.gateway.conftest import CLOUD, LOCAL, Gateway, cloud_settings
from tests.support.answer import ORDINARY
from tests.support.behaviours import Status
from tests.support.service import Service, running
from tests.support.streams import sse
from tests.support.upstream import ScriptedUpstream

MOON = {"id": "moon", "title": "The Moon", "content": "The moon orbits the Earth every 27 days."}
BREAD = {"id": "bread", "title": "Bread", "content": "Sourdough bread rises with wild yeast and needs a hot oven."}


async def test_documents_are_acknowledged_then_indexed_found_listed_read_and_deleted(gateway: Gateway) -> None:
    status, answer = await gateway.post("/documents", {"documents": [MOON, BREAD]})
    assert status == 202
    assert [document["id"] for document in answer["documents"]] == ["moon", "bread"]
    await gateway.add(MOON, BREAD)  # the same again changes nothing, and waits until both are indexed
    async with gateway.service.client.get("/documents") as response:
        assert {document["id"] for document in (await response.json())["documents"]} == {"moon", "bread"}
    status, found = await gateway.post("/search", {"query": "satellite of our planet", "limit": 5})
    assert status == 200
    assert found["query"] == "satellite of our planet"
    assert found["count"] == len(found["documents"]) == 2
    first = found["documents"][0]
    assert set(first) == {"id", "content", "metadata", "score"}
    assert first["metadata"]["document_id"] == "moon"
    assert all(0 <= document["score"] <= 1 for document in found["documents"])
    async with gateway.service.client.delete("/documents/moon") as response:
        assert response.status == 204
    async with gateway.service.client.get("/documents/moon") as response:
        assert response.status == 404
    _, found = await gateway.post("/search", {"query": "satellite of our planet"})
    assert [document["metadata"]["document_id"] for document in found["documents"]] == ["bread"]


async def test_an_empty_collection_is_searched_without_a_result(gateway: Gateway) -> None:
    status, found = await gateway.post("/search", {"query": "machine learning concepts", "limit": 5})
    assert (status, found["count"], found["documents"]) == (200, 0, [])


async def test_new_content_under_an_id_replaces_the_old(gateway: Gateway) -> None:
    await gateway.add(MOON)
    await gateway.add({**MOON, "content": "The moon is made of rock."})
    _, found = await gateway.post("/search", {"query": "moon"})
    assert [document["content"] for document in found["documents"]] == ["The moon is made of rock."]


async def test_files_are_taken_by_content_and_cited_by_name(gateway: Gateway) -> None:
    form = aiohttp.FormData()
    form.add_field("files", b"# Volcanoes\n\nLava is molten rock.", filename="volcanoes.md")
    form.add_field(
        "files", b"<html><title>Ice</title><body><p>Ice floats on water.</p></body></html>", filename="i.html"
    )
    form.add_field("metadata", '{"shelf": "nature"}')
    async with gateway.service.client.post("/documents?wait=true", data=form) as response:
        answer = await response.json()
        assert response.status == 200, answer
    assert [document["status"] for document in answer["documents"]] == ["indexed", "indexed"]
    _, found = await gateway.post("/search", {"query": "molten rock", "limit": 1})
    assert "Lava is molten rock." in found["documents"][0]["content"]
    assert found["documents"][0]["metadata"]["shelf"] == "nature"


async def test_a_filter_over_metadata_narrows_a_search(gateway: Gateway) -> None:
    await gateway.add({**MOON, "metadata": {"year": 1969}}, {**BREAD, "metadata": {"year": 2020}})
    _, found = await gateway.post("/search", {"query": "moon", "filter": {"year": {"gte": 2000}}})
    assert [document["metadata"]["document_id"] for document in found["documents"]] == ["bread"]


async def test_an_answer_draws_on_the_documents_that_bear_on_it_and_cites_them(gateway: Gateway) -> None:
    await gateway.add({**MOON, "sensitivity": "public"}, {**BREAD, "sensitivity": "public"})
    answer = await gateway.chat("How long does the moon take to orbit the Earth?")
    assert [citation["document_id"] for citation in answer["citations"]] == ["moon"]
    assert {"document_id", "title", "content", "score", "collection", "passage"} < set(answer["citations"][0])
    prompt = str(gateway.cloud.completions[0].json["messages"])
    assert "orbits the Earth every 27 days" in prompt
    assert "Sourdough" not in prompt


async def test_documents_false_keeps_passages_out(gateway: Gateway) -> None:
    await gateway.add(MOON)
    answer = await gateway.chat("How long does the moon take to orbit the Earth?", documents=False)
    assert answer["citations"] == []
    assert "27 days" not in str(gateway.cloud.completions[0].json)


async def test_a_document_that_is_deleted_is_gone_from_cached_answers_too(gateway: Gateway) -> None:
    await gateway.add(MOON)
    question = "How long does the moon take to orbit the Earth?"
    assert (await gateway.chat(question))["citations"]
    async with gateway.service.client.delete("/documents/moon") as response:
        assert response.status == 204
    again = await gateway.chat(question)
    assert (again["cached"], again["citations"]) == (False, [])


async def test_a_confidential_passage_raises_the_request_and_reroutes_it_before_dispatch(
    gateway: Gateway, canary: str
) -> None:
    secret = {"id": "merger", "content": f"The project to buy the competitor is called {canary}."}
    await gateway.add({**secret, "sensitivity": "confidential"})
    answer = await gateway.chat("What is the project to buy the competitor called?", sensitivity="public")
    assert answer["model_used"] == LOCAL
    assert answer["sensitivity"] == "confidential"
    assert {"detector": "document", "where": "passages[0]", "count": 1} in answer["route"]["raised_by"]
    assert canary.encode() not in gateway.cloud.received
    assert canary.encode() in gateway.local.received


async def test_the_public_twin_of_the_passage_does_reach_the_cloud(gateway: Gateway, canary: str) -> None:
    open_secret = {"id": "merger", "content": f"The project to buy the competitor is called {canary}."}
    await gateway.add({**open_secret, "sensitivity": "public"})
    answer = await gateway.chat("What is the project to buy the competitor called?", sensitivity="public")
    assert answer["model_used"] == CLOUD
    assert canary.encode() in gateway.cloud.received


async def test_a_document_without_a_stated_label_is_internal_and_detection_raises_it(gateway: Gateway) -> None:
    card = {"id": "card", "content": "Please charge the card 4111 1111 1111 1111 for the order."}
    added = await gateway.add(MOON, card)
    assert [document["sensitivity"] for document in added] == ["internal", "confidential"]


@pytest.mark.parametrize("stated", ["document", "batch", "header"])
async def test_of_all_stated_labels_the_strictest_wins(gateway: Gateway, stated: str) -> None:
    strict = {"sensitivity": "confidential"}
    document = {**MOON, "sensitivity": "public", **(strict if stated == "document" else {})}
    body = {"documents": [document], "sensitivity": "public", **(strict if stated == "batch" else {})}
    headers = {"x-sluice-sensitivity": "confidential" if stated == "header" else "public"}
    status, answer = await gateway.post("/documents?wait=true", body, headers=headers)
    assert (status, answer["documents"][0]["sensitivity"]) == (200, "confidential")


async def test_posting_an_id_again_as_public_does_not_lower_its_label(gateway: Gateway) -> None:
    await gateway.add({**MOON, "sensitivity": "confidential"})
    again = await gateway.add({**MOON, "content": "The moon, again.", "sensitivity": "public"})
    assert again[0]["sensitivity"] == "confidential"


@pytest.mark.parametrize(
    ("name", "content", "status", "code"),
    [
        ("empty.txt", b"", 422, "empty_document"),
        ("blank.txt", b" \n\t", 422, "empty_document"),
        ("program.txt", b"\x7fELF\x02\x01\x01\x00" + bytes(64), 415, "unsupported_media_type"),
    ],
)
async def test_what_the_bytes_tell_is_refused_at_once(
    alone: Service, name: str, content: bytes, status: int, code: str
) -> None:
    form = aiohttp.FormData()
    form.add_field("files", content, filename=name)
    async with alone.client.post("/documents", data=form) as response:
        answer = await response.json()
    assert (response.status, answer["error"]["code"]) == (status, code)


async def test_a_file_that_only_parsing_finds_broken_fails_with_its_reason(alone: Service) -> None:
    form = aiohttp.FormData()
    form.add_field("files", b"%PDF-1.7\nnothing that a PDF holds", filename="broken.pdf")
    async with alone.client.post("/documents?wait=true", data=form) as response:
        [document] = (await response.json())["documents"]
    assert document["status"] == "failed"
    assert document["error"]["code"] == "corrupt"
    assert document["error"]["message"]


async def test_a_chinese_question_finds_its_passage_by_words(gateway: Gateway) -> None:
    await gateway.add(
        {"id": "a", "content": "\u5317\u4eac\u5927\u5b66\u4f4d\u4e8e\u6d77\u6dc0\u533a\u3002"},
        {"id": "b", "content": "\u4e0a\u6d77\u7684\u6e2f\u53e3\u5f88\u5927\u3002"},
        MOON,
    )
    _, found = await gateway.post("/search", {"query": "\u5317\u4eac\u5927\u5b66\u5728\u54ea\u91cc\uff1f"})
    first = found["documents"][0]["metadata"]
    assert (first["document_id"], first["ranks"]["words"]) == ("a", 1)


async def test_scores_fall_with_the_order_and_both_ranks_are_told(gateway: Gateway) -> None:
    await gateway.add(MOON, BREAD)
    _, found = await gateway.post("/search", {"query": "How often does the moon orbit the Earth?"})
    scores = [document["score"] for document in found["documents"]]
    assert scores == sorted(scores, reverse=True)
    assert found["documents"][0]["metadata"]["ranks"] == {"meaning": 1, "words": 1}
    assert found["documents"][1]["metadata"]["ranks"] == {"meaning": 2, "words": None}


async def test_the_title_of_a_file_is_searched_with_its_text(gateway: Gateway) -> None:
    await gateway.add({"id": "a", "title": "Zeppelin", "content": "It flew over the lake."}, BREAD)
    _, found = await gateway.post("/search", {"query": "zeppelin", "limit": 1})
    assert found["documents"][0]["metadata"]["ranks"]["words"] == 1


async def test_the_events_of_a_document_end_when_it_is_indexed(gateway: Gateway) -> None:
    status, _ = await gateway.post("/documents", {"documents": [MOON]})
    assert status == 202
    async with gateway.service.client.get("/documents/moon/events") as response:
        assert response.headers["content-type"].startswith("text/event-stream")
        lines = [line.decode() async for line in response.content if line.strip()]
    assert lines[-1] == "data: [DONE]\n"
    last = json.loads(lines[-2].removeprefix("data: "))
    assert (last["id"], last["status"], last["progress"]["done"]) == ("moon", "indexed", 1)
    async with gateway.service.client.get("/documents/nobody/events") as response:
        assert response.status == 404


async def test_an_id_that_ends_in_events_is_read_at_its_own_address(gateway: Gateway) -> None:
    """What a document is called decides, not what its address looks like; its events are there for who accepts them."""
    await gateway.add({"id": "log/events", "content": "An event."})
    async with gateway.service.client.get("/documents/log/events") as response:
        assert (response.status, (await response.json())["id"]) == (200, "log/events")
    accept = {"Accept": "text/event-stream"}
    for path in ("/documents/log/events", "/documents/log/events/events"):
        async with gateway.service.client.get(path, headers=accept if path.count("events") == 1 else {}) as response:
            events = [event.data async for event in sse(response)]
        assert (json.loads(events[0])["id"], events[-1]) == ("log/events", "[DONE]")


async def test_an_idempotency_key_carries_a_request_out_once(gateway: Gateway) -> None:
    headers = {"idempotency-key": "monday"}
    await gateway.post("/documents?wait=true", {"documents": [MOON]}, headers=headers)
    async with gateway.service.client.delete("/documents/moon"):
        pass
    status, answer = await gateway.post("/documents", {"documents": [MOON]}, headers=headers)
    assert (status, answer["documents"]) == (202, [])
    status, answer = await gateway.post("/documents", {"documents": [BREAD]}, headers=headers)
    assert (status, answer["error"]["code"]) == (409, "conflict")


async def test_files_are_named_by_the_caller(alone: Service) -> None:
    form = aiohttp.FormData()
    form.add_field("ids", '["a/one.txt", "a/two.txt"]')
    for text in (b"The first.", b"The second."):
        form.add_field("files", text, filename="text.txt")
    async with alone.client.post("/documents?wait=true", data=form) as response:
        assert [document["id"] for document in (await response.json())["documents"]] == ["a/one.txt", "a/two.txt"]
    form = aiohttp.FormData()
    form.add_field("ids", '["a", "b"]')
    form.add_field("files", b"The only.", filename="text.txt")
    async with alone.client.post("/documents", data=form) as response:
        assert (response.status, (await response.json())["error"]["param"]) == (422, "ids")


async def test_neighbouring_passages_are_joined(gateway: Gateway) -> None:
    sentences = [
        f"Paragraph {number} tells of the lighthouse keeper's {number}th winter on the rock." for number in range(60)
    ]
    await gateway.add({"id": "a", "content": " ".join(sentences)})
    _, found = await gateway.post("/search", {"query": "lighthouse keeper winter", "limit": 1})
    [document] = found["documents"]
    assert "-" in document["id"].rpartition(":")[2]
    assert document["content"] in " ".join(sentences)


async def test_waiting_for_a_document_ends_when_the_embedding_model_is_away(
    tmp_path: Path, openai_upstream: ScriptedUpstream
) -> None:
    """The answer is 202 with how far the document is, and it is indexed once the model is back."""
    openai_upstream.script = lambda request: Status(503) if request.path.endswith("/embeddings") else None
    settings = cloud_settings(openai_upstream) | {"embedding_model": "openai/made-up", "vector_store": "memory"}
    async with running(tmp_path, **settings) as service, asyncio.timeout(30):
        gateway = Gateway(service=service, cloud=openai_upstream, local=openai_upstream)
        status, answer = await gateway.post("/documents?wait=true", {"documents": [MOON]})
        assert (status, answer["documents"][0]["status"]) == (202, "pending")
        openai_upstream.script = ORDINARY
        async with service.client.get("/documents/moon/events") as response:
            assert b'"status":"indexed"' in await response.read()


async def test_a_follow_up_question_finds_what_the_conversation_is_about(gateway: Gateway) -> None:
    oven = {
        "id": "oven",
        "title": "Oven",
        "content": "A crater of the oven is cleaned once a year by a firm from Essen.",
    }
    crater = {
        "id": "crater",
        "title": "Tycho",
        "content": "Tycho is a crater on the moon, named after a Danish astronomer.",
    }
    await gateway.add({**oven, "sensitivity": "public"}, {**crater, "sensitivity": "public"})
    await gateway.chat("Where is the crater Tycho?", session_id="s")
    answer = await gateway.chat("And who is it named after?", session_id="s")
    assert [citation["document_id"] for citation in answer["citations"]] == ["crater"]
