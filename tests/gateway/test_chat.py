"""`/chat` and `/chat/stream` from the front door."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from tests.gateway.conftest import CLOUD, LOCAL, Gateway
from tests.support.answer import Answer
from tests.support.behaviours import CutMidStream, SlowFirstToken, StallMidStream, Status
from tests.support.service import Service
from tests.support.streams import sse

REPLY_FIELDS = {
    "id", "message", "model_used", "tokens_used", "cost", "cached", "sensitivity", "complexity", "session_id",
    "timestamp", "finish_reason", "usage", "citations", "grounding", "route",
}  # fmt: skip


async def stream(service: Service, body: dict[str, Any]) -> list[str]:
    async with service.client.post("/chat/stream", json=body) as response:
        assert response.status == 200
        assert response.headers["content-type"].startswith("text/event-stream")
        assert response.headers["cache-control"] == "no-cache"
        assert response.headers["x-accel-buffering"] == "no"
        return [event.data async for event in sse(response)]


async def test_a_chat_is_answered_by_the_model_of_its_tier_with_every_field_of_the_contract(gateway: Gateway) -> None:
    body = {"message": "What is Python?", "sensitivity": "public", "complexity": "simple", "temperature": 0.7}
    status, answer = await gateway.post("/chat", body)
    assert status == 200
    assert set(answer) == REPLY_FIELDS
    assert answer["message"] == "Water boils at 100 degrees."
    assert answer["model_used"] == CLOUD
    assert answer["sensitivity"] == "public"
    assert answer["complexity"] == "simple"
    assert answer["cached"] is False
    assert answer["citations"] == []
    assert answer["usage"]["total_tokens"] == answer["tokens_used"]
    assert answer["usage"]["estimated"] is False
    sent = gateway.cloud.completions[0].json
    assert sent["temperature"] == 0.7
    assert "max_tokens" not in sent


async def test_what_the_caller_left_out_is_not_sent_upstream(gateway: Gateway) -> None:
    await gateway.chat("What is Python?")
    assert not {"temperature", "max_tokens", "top_p", "seed"} & set(gateway.cloud.completions[0].json)


async def test_a_stream_names_its_model_then_sends_pieces_the_accounts_and_done(gateway: Gateway) -> None:
    events = await stream(gateway.service, {"message": "What is Python?"})
    first, *pieces, done, end = events
    assert json.loads(first)["model"] == CLOUD
    assert {"model", "id", "route"} == set(json.loads(first))
    assert "".join(json.loads(piece)["content"] for piece in pieces) == "Water boils at 100 degrees."
    assert len(pieces) > 1
    accounts = json.loads(done)
    assert accounts["done"] is True
    assert {"usage", "cost", "cached", "citations", "grounding", "finish_reason"} <= set(accounts)
    assert end == "[DONE]"


async def test_streamed_text_is_json_whatever_it_contains(gateway: Gateway) -> None:
    nasty = ['"quotes"\n\n', "data: [DONE]\n\n", "\r\n \u2028 \x1b", "🙂 </script>"]
    gateway.cloud.script = Answer(pieces=nasty)
    events = await stream(gateway.service, {"message": "What is Python?"})
    assert [json.loads(event)["content"] for event in events[1:-2]] == nasty


async def test_stream_true_on_chat_answers_as_the_stream_does(gateway: Gateway) -> None:
    async with gateway.service.client.post("/chat", json={"message": "Hi", "stream": True}) as response:
        events = [event.data async for event in sse(response)]
    assert events[-1] == "[DONE]"


async def test_content_is_an_alias_of_message_and_messages_carry_roles(gateway: Gateway) -> None:
    await gateway.post("/chat", {"content": "one"})
    messages = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "two"}]
    await gateway.post("/chat", {"messages": messages})
    assert [request.json["messages"][-1]["content"] for request in gateway.cloud.completions] == ["one", "two"]
    assert gateway.cloud.completions[1].json["messages"][0] == {"role": "system", "content": "Be brief."}


async def test_a_repeat_is_answered_from_the_cache_as_json_and_as_a_stream(gateway: Gateway) -> None:
    first = await gateway.chat("What is Python?")
    again = await gateway.chat("What is Python?")
    events = await stream(gateway.service, {"message": "What is Python?"})
    assert again["cached"] is True
    assert again["message"] == first["message"]
    assert json.loads(events[-2])["cached"] is True
    assert len(gateway.cloud.completions) == 1


async def test_the_cache_is_not_used_when_the_caller_says_so(gateway: Gateway) -> None:
    await gateway.chat("What is Python?")
    assert (await gateway.chat("What is Python?", cache=False))["cached"] is False
    assert (await gateway.chat("What is Python?", cache={"read": False}))["cached"] is False


async def test_requests_that_differ_in_a_field_do_not_share_an_answer(gateway: Gateway) -> None:
    for fields in ({}, {"temperature": 0.1}, {"max_tokens": 7}, {"documents": False}, {"complexity": "complex"}):
        assert (await gateway.chat("What is Python?", **fields))["cached"] is False


async def test_confidential_goes_to_a_local_model_and_is_never_cached(gateway: Gateway, canary: str) -> None:
    for _ in range(2):
        answer = await gateway.chat(f"Summarise {canary}", sensitivity="confidential")
        assert answer["model_used"] == LOCAL
        assert answer["cached"] is False
        assert answer["route"]["rule"] == "confidential"
    assert canary.encode() not in gateway.cloud.received
    assert canary.encode() in gateway.local.received


async def test_the_public_twin_does_reach_the_cloud(gateway: Gateway, canary: str) -> None:
    await gateway.chat(f"Summarise {canary}", sensitivity="public")
    assert canary.encode() in gateway.cloud.received


async def test_a_failing_model_is_replaced_by_the_next_that_is_cleared(gateway: Gateway) -> None:
    gateway.cloud.script = Status(500)
    answer = await gateway.chat("What is Python?")
    assert answer["model_used"].startswith("ollama/")
    outcomes = [(attempt["model"], attempt["outcome"]) for attempt in answer["route"]["attempts"]]
    assert outcomes[0][0] == CLOUD
    assert outcomes[-1][1] == "ok"


async def test_a_confidential_request_is_not_sent_to_the_cloud_when_the_local_model_fails(
    gateway: Gateway, canary: str
) -> None:
    gateway.local.script = Status(503)
    status, answer = await gateway.post("/chat", {"message": canary, "sensitivity": "confidential"})
    assert status == 503
    assert canary.encode() not in gateway.cloud.received
    assert canary not in str(answer)


async def test_a_stream_that_breaks_off_ends_with_an_error_and_without_done(gateway: Gateway) -> None:
    gateway.cloud.script = CutMidStream(after=2)
    events = await stream(gateway.service, {"message": "What is Python?", "model": CLOUD})
    assert "error" in json.loads(events[-1])
    assert "[DONE]" not in events


async def test_an_answer_that_broke_off_is_an_error_as_json(gateway: Gateway) -> None:
    gateway.cloud.script = CutMidStream(after=2)
    status, answer = await gateway.post("/chat", {"message": "What is Python?", "model": CLOUD})
    assert status == 502
    assert answer["error"]["code"] == "upstream_broken"


async def test_errors_before_the_first_token_keep_their_status_on_a_stream(gateway: Gateway) -> None:
    gateway.cloud.script = Status(429, retry_after=7)
    async with gateway.service.client.post("/chat/stream", json={"message": "Hi", "model": CLOUD}) as response:
        assert response.status == 429
        assert response.headers["retry-after"] == "7"


async def test_a_client_that_leaves_a_stream_cancels_the_upstream(gateway: Gateway) -> None:
    gateway.cloud.script = StallMidStream(after=1)
    async with gateway.service.client.post("/chat/stream", json={"message": "Hi", "model": CLOUD}) as response:
        await anext(aiter(response.content))
    await gateway.cloud.wait_cancelled(1)


async def test_a_client_that_leaves_before_the_first_token_cancels_the_upstream(gateway: Gateway) -> None:
    gateway.cloud.script = SlowFirstToken(gate=asyncio.Event())
    for count, path in enumerate(("/chat", "/chat/stream"), start=1):
        seen = len(gateway.cloud.requests)
        call = asyncio.create_task(gateway.post(path, {"message": f"Hi {path}", "model": CLOUD}))
        await gateway.cloud.wait_requests(seen + 1)
        call.cancel()
        await gateway.cloud.wait_cancelled(count)


async def test_a_session_continues_with_its_history_and_its_mark_never_falls(gateway: Gateway, canary: str) -> None:
    await gateway.chat(f"My name is {canary}.", session_id="s1", sensitivity="confidential")
    answer = await gateway.chat("What is my name?", session_id="s1", sensitivity="public")
    assert answer["sensitivity"] == "confidential"
    assert answer["session_id"] == "s1"
    assert canary in str(gateway.local.completions[-1].json)
    assert canary.encode() not in gateway.cloud.received


async def test_without_a_model_the_builtin_one_quotes_the_documents_and_says_so(alone: Service) -> None:
    body = {"documents": [{"id": "moon", "title": "Moon", "content": "The moon orbits the Earth every 27 days."}]}
    async with alone.client.post("/documents?wait=true", json=body) as response:
        assert response.status == 200
    async with alone.client.post("/chat", json={"message": "How often does the moon orbit the Earth?"}) as response:
        answer = await response.json()
    assert answer["model_used"] == "builtin/extractive"
    assert "The moon orbits the Earth every 27 days." in answer["message"]
    assert answer["citations"][0]["document_id"] == "moon"
    async with alone.client.post("/chat", json={"message": "Who won the 1966 world cup?"}) as response:
        answer = await response.json()
    assert "no answer" in answer["message"]
    assert answer["citations"] == []


async def test_the_builtin_model_does_not_stand_in_for_one_that_fails(gateway: Gateway) -> None:
    gateway.cloud.script = Status(500)
    gateway.local.script = Status(500)
    status, _ = await gateway.post("/chat", {"message": "Hi"})
    assert status == 502
