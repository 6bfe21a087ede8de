"""Answers and documents keep their label when somebody says them again, without a session to remember it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from app.models import Caller, ChatRequest, Label, Message
from tests.gateway.conftest import CLOUD, LOCAL, Gateway, cloud_settings
from tests.support.answer import Answer
from tests.support.behaviours import CutMidStream
from tests.support.process import ServiceProcess
from tests.support.service import running
from tests.support.upstream import ScriptedUpstream

QUESTION = "What did the board decide in its last meeting?"


def answer_with(canary: str) -> str:
    return f"The board decided to sell the northern plant to {canary} before the end of the year."


async def ask(gateway: Gateway, canary: str, *, label: str) -> str:
    """A question under a label that the caller states; the local model's answer names the canary."""
    gateway.local.script = gateway.cloud.script = Answer(text=answer_with(canary))
    answer = await gateway.chat(QUESTION, sensitivity=label)
    gateway.cloud.forget()
    return str(answer["message"])


async def send(gateway: Gateway, messages: list[dict[str, Any]]) -> Any:
    status, answer = await gateway.post("/chat", {"messages": messages, "documents": False})
    assert status == 200, answer
    return answer


def history(text: str) -> list[dict[str, Any]]:
    return [
        {"role": "user", "content": QUESTION},
        {"role": "assistant", "content": text},
        {"role": "user", "content": "Why?"},
    ]


async def test_a_confidential_answer_that_comes_back_as_history_stays_local(gateway: Gateway, canary: str) -> None:
    text = await ask(gateway, canary, label="confidential")
    answer = await send(gateway, history(text))
    assert answer["model_used"] == LOCAL
    assert answer["sensitivity"] == "confidential"
    assert {"detector": "repeated_answer", "where": "messages[1].content", "count": 1} in answer["route"]["raised_by"]
    assert canary.encode() not in gateway.cloud.received


async def test_the_public_twin_of_the_answer_does_reach_the_cloud(gateway: Gateway, canary: str) -> None:
    text = await ask(gateway, canary, label="public")
    answer = await send(gateway, history(text))
    assert answer["model_used"] == CLOUD
    assert canary.encode() in gateway.cloud.received


@pytest.mark.parametrize(
    "repeat",
    [
        "I was told that {text} Is that true?",
        "  {text}\n",
        "> {text}",
        "{part}",
        "**{upper}**",
    ],
)
async def test_a_part_of_it_in_other_words_case_and_marks_is_recognised(
    gateway: Gateway, canary: str, repeat: str
) -> None:
    text = await ask(gateway, canary, label="confidential")
    part = " ".join(text.split()[3:13])
    answer = await gateway.chat(repeat.format(text=text, part=part, upper=text.upper()), documents=False)
    assert answer["model_used"] == LOCAL
    assert canary.encode() not in gateway.cloud.received


async def test_a_few_common_words_of_it_are_not_enough(gateway: Gateway, canary: str) -> None:
    await ask(gateway, canary, label="confidential")
    answer = await gateway.chat("before the end of the year, what did the board do?", documents=False)
    assert answer["sensitivity"] == "public"
    assert answer["model_used"] == CLOUD


@pytest.mark.parametrize("position", ["tool_result", "tool_arguments", "system"])
async def test_it_is_recognised_in_every_text_of_a_request(gateway: Gateway, canary: str, position: str) -> None:
    text = await ask(gateway, canary, label="confidential")
    arguments = json.dumps({"body": text if position == "tool_arguments" else "x"})
    call = {"id": "call_1", "type": "function", "function": {"name": "send", "arguments": arguments}}
    messages = [
        {"role": "system", "content": text if position == "system" else "Be brief."},
        {"role": "user", "content": "Send it."},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "call_1", "content": text if position == "tool_result" else "done"},
    ]
    status, answer = await gateway.post("/v1/chat/completions", {"model": "auto", "messages": messages})
    assert status == 200, answer
    assert canary.encode() not in gateway.cloud.received
    assert canary.encode() in gateway.local.received


async def test_an_answer_of_one_word_is_recognised_after_its_question_only(gateway: Gateway) -> None:
    gateway.local.script = Answer(text="Yes.")
    await gateway.chat("Will Aurora be bought?", sensitivity="confidential", documents=False)
    again = [{"role": "user", "content": "Will Aurora be bought?"}, {"role": "assistant", "content": "Yes."}]
    other = [{"role": "user", "content": "Is water wet?"}, {"role": "assistant", "content": "Yes."}]
    more = {"role": "user", "content": "Tell me more."}
    assert (await send(gateway, [*again, more]))["sensitivity"] == "confidential"
    assert (await send(gateway, [*other, more]))["sensitivity"] == "public"


async def test_an_answer_that_was_cut_is_recognised_too(gateway: Gateway, canary: str) -> None:
    gateway.local.script = CutMidStream(after=14, of=Answer(text=answer_with(canary)))
    async with gateway.service.client.post(
        "/chat/stream", json={"message": QUESTION, "sensitivity": "confidential"}
    ) as response:
        seen = "".join(json.loads(line[6:]).get("content", "") for line in (await response.text()).splitlines() if line)
    assert canary in seen
    gateway.local.script = Answer()
    assert (await send(gateway, history(seen)))["model_used"] == LOCAL
    assert canary.encode() not in gateway.cloud.received


async def test_the_passages_of_a_document_are_recognised_until_it_is_deleted(gateway: Gateway, canary: str) -> None:
    content = f"The plant in the north is for sale and {canary} has offered the highest price so far."
    await gateway.add({"id": "plant", "content": content, "sensitivity": "confidential"})
    _, found = await gateway.post("/search", {"query": "plant for sale"})
    passage = found["documents"][0]["content"]
    answer = await gateway.chat(f"Translate: {passage}", documents=False)
    assert answer["model_used"] == LOCAL
    assert answer["route"]["raised_by"] == [
        {"detector": "repeated_document", "where": "messages[0].content", "count": 1}
    ]
    assert canary.encode() not in gateway.cloud.received
    async with gateway.service.client.delete("/documents/plant") as response:
        assert response.status == 204
    assert (await gateway.chat(f"Translate: {passage}", documents=False))["model_used"] == CLOUD


async def test_the_public_twin_of_the_passage_does_reach_the_cloud(gateway: Gateway, canary: str) -> None:
    content = f"The plant in the north is for sale and {canary} has offered the highest price so far."
    await gateway.add({"id": "plant", "content": content, "sensitivity": "public"})
    assert (await gateway.chat(f"Translate: {content}", documents=False))["model_used"] == CLOUD
    assert canary.encode() in gateway.cloud.received


async def test_a_document_without_spaces_between_its_words_is_recognised(gateway: Gateway) -> None:
    content = "董事会在昨天的会议上决定把北方的工厂卖给竞争对手，价格为三亿元，消息暂不公开。"
    await gateway.add({"id": "zh", "content": content, "sensitivity": "confidential"})
    assert (await gateway.chat(f"翻译：{content[4:26]}", documents=False))["model_used"] == LOCAL
    assert (await gateway.chat("董事会在会议上决定了什么？", documents=False))["model_used"] == CLOUD


async def test_a_new_document_that_repeats_an_answer_has_its_label(gateway: Gateway, canary: str) -> None:
    text = await ask(gateway, canary, label="confidential")
    added = await gateway.add({"id": "minutes", "content": f"Minutes. {text}", "sensitivity": "public"})
    assert added[0]["sensitivity"] == "confidential"
    twin = await gateway.add({"id": "other", "content": "Minutes. Nothing was decided.", "sensitivity": "public"})
    assert twin[0]["sensitivity"] == "public"


async def test_a_search_for_it_has_its_label_too(gateway: Gateway, canary: str) -> None:
    """The text of a search goes to the embedding model, which must be cleared for it; the built-in one is."""
    text = await ask(gateway, canary, label="confidential")
    await gateway.add({"content": "Anything."})
    status, _ = await gateway.post("/search", {"query": text})
    assert status == 200


async def test_what_was_said_is_remembered_after_kill_9_and_no_text_of_it_is_stored(
    tmp_path: Path, openai_upstream: ScriptedUpstream, ollama_upstream: ScriptedUpstream, canary: str
) -> None:
    ollama_upstream.script = Answer(text=answer_with(canary))
    environment = {
        name.upper(): value if isinstance(value, str) else ",".join(value)
        for name, value in cloud_settings(openai_upstream).items()
    } | {"OLLAMA_BASE_URL": ollama_upstream.origin, "VECTOR_STORE": "memory"}
    async with ServiceProcess(tmp_path, environment=environment) as service:
        body = {"message": QUESTION, "sensitivity": "confidential"}
        async with service.client.post("/chat", json=body) as response:
            text = (await response.json())["message"]
        await service.restart()
        again = {"messages": history(text), "documents": False}
        async with service.client.post("/chat", json=again) as response:
            assert (await response.json())["model_used"] == LOCAL
        for path in service.data_dir.rglob("*"):
            assert not path.is_file() or canary.encode() not in path.read_bytes()
    assert canary.encode() not in openai_upstream.received


async def test_tenants_do_not_recognise_each_others_answers(
    tmp_path: Path, openai_upstream: ScriptedUpstream, ollama_upstream: ScriptedUpstream, canary: str
) -> None:
    settings = cloud_settings(openai_upstream) | {"ollama_base_url": ollama_upstream.origin, "vector_store": "memory"}
    ollama_upstream.script = Answer(text=answer_with(canary))
    async with running(tmp_path, **settings) as service:
        gateway = service.app.state.services.gateway
        request = ChatRequest(messages=(Message.of("user", QUESTION),), sensitivity=Label.CONFIDENTIAL, documents=None)
        async for _ in gateway.answer(request, caller=Caller(tenant="one")):
            pass
        again = ChatRequest(messages=(Message.of("user", answer_with(canary)),), documents=None)
        labels = {
            tenant: (await gateway.explain(again, caller=Caller(tenant=tenant))).route.label
            for tenant in ("one", "two")
        }
    assert labels == {"one": Label.CONFIDENTIAL, "two": Label.PUBLIC}
