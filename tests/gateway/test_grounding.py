"""Citations are looked up in the documents on every surface, whole or in pieces, fresh or from the cache."""

from __future__ import annotations

import json
from typing import Any

import aiohttp
import pytest

from tests.gateway.conftest import Gateway
from tests.services.loaders.pdf_samples import pdf, text_page
from tests.support.answer import Answer
from tests.support.service import Service

TEXT = "The Halden plant was opened in 1984 by Ingrid Moe. It employs 1,200 people in three halls."
PLANT = {"id": "plant", "title": "The Halden plant", "content": TEXT, "sensitivity": "public"}
QUESTION = "When was the Halden plant opened?"
RIGHT = "The Halden plant was opened in 1984 [1]."
WRONG = "The Halden plant was opened in 1985 [1]."


async def streamed(gateway: Gateway, path: str, body: dict[str, Any]) -> list[dict[str, Any]]:
    async with gateway.service.client.post(path, json=body) as response:
        text = await response.text()
    events = [line.removeprefix("data: ") for line in text.splitlines() if line.startswith("data: ")]
    return [json.loads(event) for event in events if event != "[DONE]"]


async def test_a_true_citation_carries_its_quotation_with_version_and_span(gateway: Gateway) -> None:
    await gateway.add(PLANT)
    gateway.cloud.script = Answer(RIGHT)
    answer = await gateway.chat(QUESTION)
    [citation] = answer["citations"]
    assert citation["quote"] == TEXT[citation["start"] : citation["end"]] == TEXT.split(". ", maxsplit=1)[0] + "."
    assert (citation["supported"], citation["page"], citation["number"]) == (True, None, 1)
    assert len(citation["version"]) == 32
    assert answer["grounding"]["outcome"] == "supported"
    assert answer["grounding"]["claims"][0]["evidence"][0]["text"] == citation["quote"]


async def test_a_false_one_is_marked_whole_streamed_and_from_the_cache(gateway: Gateway) -> None:
    await gateway.add(PLANT)
    gateway.cloud.script = Answer(WRONG)
    whole = await gateway.chat(QUESTION)
    assert whole["grounding"]["outcome"] == "unsupported"
    assert [claim["supported"] for claim in whole["grounding"]["claims"]] == [False]
    assert [citation["supported"] for citation in whole["citations"]] == [False]
    cached = await gateway.chat(QUESTION)
    last = (await streamed(gateway, "/chat/stream", {"message": QUESTION, "cache": False}))[-1]
    assert (cached["cached"], last["cached"]) == (True, False)
    for other in (cached, last):
        assert (other["grounding"], other["citations"]) == (whole["grounding"], whole["citations"])


async def test_openai_clients_find_it_under_sluice(gateway: Gateway) -> None:
    await gateway.add(PLANT)
    gateway.cloud.script = Answer(WRONG)
    body = {"model": "documents", "messages": [{"role": "user", "content": QUESTION}], "cache": False}
    _, whole = await gateway.post("/v1/chat/completions", body)
    last = (await streamed(gateway, "/v1/chat/completions", {**body, "stream": True}))[-1]
    assert whole["sluice"]["grounding"] == last["sluice"]["grounding"]
    assert whole["sluice"]["grounding"]["outcome"] == "unsupported"


async def test_what_was_not_found_is_told_from_what_was_not_asked(gateway: Gateway) -> None:
    assert (await gateway.chat(QUESTION))["grounding"]["outcome"] == "no_documents"
    await gateway.add(PLANT)
    off = await gateway.chat("Who wrote the opera Fidelio?", documents=False)
    assert off["grounding"]["outcome"] == "no_documents"
    unrelated = await gateway.chat("Who wrote the opera Fidelio?")
    assert (unrelated["grounding"]["outcome"], unrelated["citations"]) == ("not_in_documents", [])
    gateway.cloud.script = Answer("The documents hold no answer to this.")
    denied = await gateway.chat("Who owns the Halden plant?")
    assert denied["grounding"]["outcome"] == "not_in_documents"


@pytest.mark.parametrize(("question", "outcome"), [(QUESTION, "supported"), ("Who wrote Fidelio?", "not_in_documents")])
async def test_the_builtin_model_quotes_what_stands_there_or_says_that_nothing_does(
    alone: Service, question: str, outcome: str
) -> None:
    async with alone.client.post("/documents?wait=true", json={"documents": [PLANT]}) as response:
        assert response.status == 200
    async with alone.client.post("/chat", json={"message": question}) as response:
        answer = await response.json()
    assert answer["model_used"] == "builtin/extractive"
    assert answer["grounding"]["outcome"] == outcome


async def test_a_quotation_in_a_paged_file_is_found_on_its_page(gateway: Gateway) -> None:
    form = aiohttp.FormData()
    pages = (text_page("The history of the plant begins with a river."), text_page("It was opened in 1984 by Moe."))
    form.add_field("files", pdf(*pages), filename="plant.pdf")
    form.add_field("sensitivity", "public")
    async with gateway.service.client.post("/documents?wait=true", data=form) as response:
        assert response.status == 200
    gateway.cloud.script = Answer("It was opened in 1984 by Moe [1]. The history of the plant begins with a river [1].")
    answer = await gateway.chat("Who opened the plant, and how does its history begin?")
    assert [claim["evidence"][0]["page"] for claim in answer["grounding"]["claims"]] == [2, 1]
