"""The cache through the front door: headers, other wordings, feedback, purges, accounts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.gateway.conftest import CLOUD, Gateway, cloud_settings
from tests.support.answer import Answer
from tests.support.service import running
from tests.support.upstream import ScriptedUpstream

QUESTION = "How can I buy a car?"
OTHER_WORDS = "How do I purchase an automobile?"
SEMANTIC: dict[str, Any] = {"cache": {"semantic": True}}


async def how(gateway: Gateway, message: str, *, headers: Any = None, **fields: Any) -> str:
    """What the cache did for a request."""
    status, answer = await gateway.post("/chat", {"message": message, **fields}, headers=headers or {})
    assert status == 200, answer
    cache: str = answer["route"]["cache"]
    return cache


async def test_the_header_of_a_request_decides_what_the_cache_may_do(gateway: Gateway) -> None:
    no_store, no_cache = {"Cache-Control": "no-store"}, {"Cache-Control": "No-Cache"}
    assert await how(gateway, QUESTION, headers=no_store) == "miss"
    assert await how(gateway, QUESTION, headers=no_cache) == "miss"
    assert await how(gateway, QUESTION, headers=no_store) == "miss"
    assert await how(gateway, QUESTION, headers=no_cache) == "miss"
    assert await how(gateway, QUESTION, headers={"Cache-Control": "max-age=0"}) == "miss"
    assert await how(gateway, QUESTION, headers={"Cache-Control": "max-age=600, something=new"}) == "hit"
    assert await how(gateway, QUESTION) == "hit"
    body = {"model": "auto", "messages": [{"role": "user", "content": QUESTION}], "documents": True}
    for headers, cache in (({}, "hit"), (no_cache, "miss")):
        async with gateway.service.client.post("/v1/chat/completions", json=body, headers=headers) as response:
            assert response.headers["x-sluice-cache"] == cache


async def test_an_answer_that_is_not_whole_is_asked_for_again(gateway: Gateway) -> None:
    gateway.cloud.script = Answer(finish="length")
    assert [await how(gateway, QUESTION) for _ in range(2)] == ["miss", "miss"]


async def test_a_hot_request_is_answered_from_the_cache_only_if_it_names_the_cache(
    tmp_path: Path, openai_upstream: ScriptedUpstream
) -> None:
    settings = cloud_settings(openai_upstream) | {"vector_store": "memory", "cache_max_temperature": 0.5}
    async with running(tmp_path, **settings) as service:
        gateway = Gateway(service=service, cloud=openai_upstream, local=openai_upstream)
        cases: list[tuple[dict[str, Any], str]] = [({}, "miss"), ({"cache": True}, "hit")]
        for fields, expected in cases:
            found = [await how(gateway, QUESTION, temperature=0.9, **fields) for _ in range(2)]
            assert found[-1] == expected


async def test_other_words_find_the_answer_only_where_that_is_allowed(gateway: Gateway) -> None:
    assert await how(gateway, QUESTION, **SEMANTIC) == "miss"
    assert await how(gateway, OTHER_WORDS) == "miss"
    assert await how(gateway, "What is the way to buy cars?", **SEMANTIC) == "miss"
    assert await how(gateway, "Please, how can I purchase a car?", **SEMANTIC) == "semantic"


async def test_other_words_find_no_answer_of_another_system_prompt_setting_model_or_label(gateway: Gateway) -> None:
    assert await how(gateway, QUESTION, **SEMANTIC) == "miss"
    system = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": OTHER_WORDS}]
    status, answer = await gateway.post("/chat", {"messages": system, **SEMANTIC})
    assert (status, answer["route"]["cache"]) == (200, "miss")
    for fields in ({"temperature": 0.5}, {"model": CLOUD}, {"sensitivity": "internal"}, {"max_tokens": 9}):
        assert await how(gateway, OTHER_WORDS, **SEMANTIC, **fields) == "miss"
        assert await how(gateway, QUESTION, **SEMANTIC, **fields) == "semantic"


async def test_other_words_find_no_answer_that_drew_on_a_document_which_has_changed(gateway: Gateway) -> None:
    fields = SEMANTIC | {"documents": {"collection": "cars"}}
    await gateway.add({"id": "d", "content": "To buy a car, go to a dealer."}, collection="cars")
    assert await how(gateway, QUESTION, **fields) == "miss"
    assert await how(gateway, OTHER_WORDS, **fields) == "semantic"
    await gateway.add({"id": "d", "content": "To buy a car, ask the Minister."}, collection="cars")
    assert await how(gateway, OTHER_WORDS, **fields) == "miss"


async def test_confidential_questions_are_in_no_cache_in_any_words(gateway: Gateway) -> None:
    fields = SEMANTIC | {"sensitivity": "confidential"}
    assert await how(gateway, QUESTION, **fields) == "miss"
    assert await how(gateway, OTHER_WORDS, **fields) == "miss"


@pytest.mark.parametrize("by", ["id", "request"])
async def test_feedback_removes_a_wrong_answer_and_raises_the_bar(gateway: Gateway, by: str) -> None:
    await how(gateway, QUESTION, **SEMANTIC)
    answer = await gateway.chat(OTHER_WORDS, **SEMANTIC)
    assert answer["route"]["cache"] == "semantic"
    named = {"id": answer["id"]} if by == "id" else {"request": {"message": OTHER_WORDS, **SEMANTIC}}
    async with gateway.service.client.post("/cache/feedback", json={**named, "wrong": True}) as response:
        assert (response.status, await response.json()) == (200, {"forgotten": True})
    assert await how(gateway, QUESTION, **SEMANTIC) == "miss"
    # The bar is above the cosine of these two from now on, and below that of nearer ones.
    assert await how(gateway, OTHER_WORDS, **SEMANTIC) == "miss"
    assert await how(gateway, "How can I buy a car, please?", **SEMANTIC) in ("semantic", "miss")


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"wrong": True}, 422),
        ({"id": "x", "wrong": False}, 422),
        ({"id": "x", "request": {"message": "x"}, "wrong": True}, 422),
        ({"id": "unknown", "wrong": True}, 404),
    ],
    ids=str,
)
async def test_feedback_that_names_no_answer_is_refused(gateway: Gateway, body: dict[str, Any], status: int) -> None:
    assert (await gateway.post("/cache/feedback", body))[0] == status


async def test_a_wrong_answer_to_the_same_words_is_removed_by_its_request(gateway: Gateway) -> None:
    assert [await how(gateway, QUESTION) for _ in range(2)] == ["miss", "hit"]
    body = {"request": {"message": QUESTION}, "wrong": True}
    async with gateway.service.client.post("/cache/feedback", json=body) as response:
        assert response.status == 200
    assert await how(gateway, QUESTION) == "miss"


async def test_a_purge_forgets_what_matches(gateway: Gateway) -> None:
    async def purge(**which: str) -> int:
        async with gateway.service.client.delete("/cache", params=which) as response:
            return response.status

    assert await how(gateway, QUESTION) == "miss"
    assert await purge(model="openai/another") == 204
    assert await how(gateway, QUESTION) == "hit"
    assert await purge(prefix="openai/") == 204
    assert await how(gateway, QUESTION) == "miss"
    assert await purge(collection="default") == 204
    assert await how(gateway, QUESTION) == "miss"
    assert await purge() == 204
    assert await how(gateway, QUESTION) == "miss"
    assert await purge(tenant="somebody") == 403


async def test_the_accounts_tell_what_the_cache_saved_and_no_text(gateway: Gateway, canary: str) -> None:
    for _ in range(3):
        await how(gateway, f"What is a {canary}?")
    async with gateway.service.client.get("/cache") as response:
        text = await response.text()
        statistics = await response.json()
    (counts,) = statistics["partitions"]
    assert statistics["totals"].items() <= counts.items()
    assert canary not in text
    assert (counts["tenant"], counts["label"]) == ("default", "public")
    assert (counts["lookups"], counts["exact_hits"], counts["hit_rate"], counts["kept"]) == (3, 2, 0.6667, 1)
    assert counts["kept_bytes"] > 0
    async with gateway.service.client.get("/metrics") as response:
        metrics = await response.text()
    assert 'sluice_cache_hits_total{kind="exact"} 2.0' in metrics
    assert "sluice_cache_lookups_total 3.0" in metrics


async def test_a_replay_is_paced_when_the_operator_says_so(tmp_path: Path, openai_upstream: ScriptedUpstream) -> None:
    settings = cloud_settings(openai_upstream) | {"vector_store": "memory", "cache_replay_pause": 0.01}
    async with running(tmp_path, **settings) as service:
        texts = []
        for _ in range(2):
            async with service.client.post("/chat/stream", json={"message": QUESTION}) as response:
                texts.append([line for line in (await response.text()).split("\n\n") if '"content"' in line])
    assert texts[0] == texts[1]
    assert len(texts[0]) > 1
