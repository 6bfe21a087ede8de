"""`/v1/chat/completions` as the official client of OpenAI sees it."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import openai
import pytest
from openai import AsyncOpenAI, OpenAI
from openai.types.chat import ChatCompletion
from pydantic import BaseModel

from app.routers.openai.schemas import CompletionReply
from tests.gateway.conftest import CLOUD, LOCAL, Gateway
from tests.support.answer import Answer
from tests.support.behaviours import ErrorMidStream, SlowFirstToken, StallMidStream, Status, ToolCalls
from tests.support.streams import sse

PROMPT: Any = [{"role": "user", "content": "When does water boil?"}]
TEXT = "Water boils at 100 degrees."
PIXEL = "data:image/png;base64,iVBORw0KGgo="
WEATHER: Any = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "The weather in a city",
        "strict": True,
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}},
            "required": ["city"],
            "additionalProperties": False,
        },
    },
}


async def test_an_answer_has_every_field_of_a_chat_completion(client: AsyncOpenAI) -> None:
    completion = await client.chat.completions.create(model="auto", messages=PROMPT)
    assert completion.object == "chat.completion"
    assert completion.id.startswith("chatcmpl-")
    assert completion.model == CLOUD
    assert completion.usage is not None
    assert (completion.usage.prompt_tokens, completion.usage.completion_tokens, completion.usage.total_tokens) == (
        11,
        7,
        18,
    )
    choice = completion.choices[0]
    assert (choice.index, choice.finish_reason, choice.logprobs) == (0, "stop", None)
    assert (choice.message.role, choice.message.content, choice.message.refusal) == ("assistant", TEXT, None)


async def test_an_answer_explains_itself_under_a_key_of_its_own(client: AsyncOpenAI) -> None:
    completion = await client.chat.completions.create(model="auto", messages=PROMPT, extra_body={"cache": False})
    sluice = completion.model_dump()["sluice"]
    assert sluice["sensitivity"] == "public"
    assert sluice["citations"] == []
    assert sluice["route"]["attempts"] == [{"model": CLOUD, "outcome": "ok"}]


async def test_the_synchronous_client_is_answered_as_well(gateway: Gateway) -> None:
    def ask() -> str | None:
        with OpenAI(base_url=f"{gateway.service.url}/v1", api_key="unused", max_retries=0) as client:
            return client.chat.completions.create(model="auto", messages=PROMPT).choices[0].message.content

    assert await asyncio.to_thread(ask) == TEXT


async def test_a_stream_is_chunks_that_begin_with_the_role_and_end_with_the_reason(client: AsyncOpenAI) -> None:
    stream = await client.chat.completions.create(model="auto", messages=PROMPT, stream=True)
    chunks = [chunk async for chunk in stream]
    assert {chunk.object for chunk in chunks} == {"chat.completion.chunk"}
    assert len({(chunk.id, chunk.created, chunk.model) for chunk in chunks}) == 1
    assert chunks[0].model == CLOUD
    assert chunks[0].choices[0].delta.role == "assistant"
    assert [chunk.choices[0].finish_reason for chunk in chunks] == [None] * (len(chunks) - 1) + ["stop"]
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == TEXT
    assert "usage" not in chunks[0].model_fields_set


async def test_usage_comes_in_a_last_chunk_without_choices_when_it_is_asked_for(client: AsyncOpenAI) -> None:
    stream = await client.chat.completions.create(
        model="auto", messages=PROMPT, stream=True, stream_options={"include_usage": True}
    )
    *chunks, last = [chunk async for chunk in stream]
    assert all(chunk.usage is None and "usage" in chunk.model_fields_set for chunk in chunks)
    assert last.choices == []
    assert last.usage is not None
    assert last.usage.total_tokens == 18


async def test_a_stream_ends_with_done_and_is_not_buffered_on_its_way(gateway: Gateway) -> None:
    body = {"model": "auto", "messages": PROMPT, "stream": True}
    async with gateway.service.client.post("/v1/chat/completions", json=body) as response:
        events = [event.data async for event in sse(response)]
    assert events[-1] == "[DONE]"
    assert response.headers["content-type"].startswith("text/event-stream")
    assert response.headers["cache-control"] == "no-cache"
    assert response.headers["x-accel-buffering"] == "no"
    assert response.headers["x-sluice-model"] == CLOUD
    assert response.headers["x-request-id"]


async def test_a_tool_is_called_and_its_result_answered(client: AsyncOpenAI, gateway: Gateway) -> None:
    gateway.cloud.script = [ToolCalls([("weather", '{"city": "Oslo"}')]), Answer("It rains in Oslo.")]
    asked: list[Any] = [{"role": "user", "content": "How is the weather in Oslo?"}]
    first = await client.chat.completions.create(model="auto", messages=asked, tools=[WEATHER])
    message: Any = first.choices[0].message
    assert first.choices[0].finish_reason == "tool_calls"
    assert message.content is None
    assert [(call.function.name, json.loads(call.function.arguments)) for call in message.tool_calls] == [
        ("weather", {"city": "Oslo"})
    ]
    result: Any = {"role": "tool", "tool_call_id": message.tool_calls[0].id, "content": "rain"}
    second = await client.chat.completions.create(model="auto", messages=[*asked, message, result], tools=[WEATHER])
    assert second.choices[0].message.content == "It rains in Oslo."
    sent = gateway.cloud.completions[1].json["messages"]
    assert sent[1]["tool_calls"][0]["function"] == {"name": "weather", "arguments": '{"city": "Oslo"}'}
    assert sent[2] == result
    assert gateway.cloud.completions[1].json["tools"] == [WEATHER]


async def test_parallel_tool_calls_stream_in_pieces_that_join_to_their_arguments(
    client: AsyncOpenAI, gateway: Gateway
) -> None:
    calls = [("weather", '{"city": "Oslo"}'), ("weather", '{"city": "Bergen"}')]
    gateway.cloud.script = ToolCalls(calls)
    async with client.chat.completions.stream(model="auto", messages=PROMPT, tools=[WEATHER]) as stream:
        pieces = [event async for event in stream if event.type == "tool_calls.function.arguments.delta"]
        completion = await stream.get_final_completion()
    assert len(pieces) > len(calls)
    assert completion.choices[0].finish_reason == "tool_calls"
    assert [
        (call.function.name, call.function.arguments) for call in completion.choices[0].message.tool_calls or ()
    ] == calls
    assert len({call.id for call in completion.choices[0].message.tool_calls or ()}) == 2


async def test_structured_output_is_asked_for_and_parsed(client: AsyncOpenAI, gateway: Gateway) -> None:
    class City(BaseModel):
        name: str
        inhabitants: int

    gateway.cloud.script = Answer('{"name": "Oslo", "inhabitants": 700000}')
    completion = await client.chat.completions.parse(model="auto", messages=PROMPT, response_format=City)
    assert completion.choices[0].message.parsed == City(name="Oslo", inhabitants=700000)
    sent = gateway.cloud.completions[0].json["response_format"]
    assert sent["type"] == "json_schema"
    assert sent["json_schema"]["schema"]["required"] == ["name", "inhabitants"]


async def test_an_image_reaches_a_model_that_sees(client: AsyncOpenAI, gateway: Gateway) -> None:
    parts = [{"type": "text", "text": "What is this?"}, {"type": "image_url", "image_url": {"url": PIXEL}}]
    messages: Any = [{"role": "user", "content": parts}]
    await client.chat.completions.create(model=CLOUD, messages=messages)
    assert gateway.cloud.completions[0].json["messages"][0]["content"] == parts


async def test_an_image_that_no_model_could_take_safely_is_refused_by_its_field(
    client: AsyncOpenAI, subtests: pytest.Subtests
) -> None:
    for url in ("http://example.org/a.png", "data:image/svg+xml;base64,AAAA", "data:image/png;base64,not base64"):
        messages: Any = [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": url}}]}]
        with subtests.test(url), pytest.raises(openai.BadRequestError) as raised:
            await client.chat.completions.create(model="auto", messages=messages)
        assert raised.value.param == "messages.0.content.0.image_url.url"


async def test_every_sampling_field_reaches_the_model(client: AsyncOpenAI, gateway: Gateway) -> None:
    completion = await client.chat.completions.create(
        model="auto", messages=PROMPT, temperature=0.2, top_p=0.9, max_completion_tokens=50, max_tokens=40, n=2,
        seed=7, stop=["END"], presence_penalty=0.5, frequency_penalty=-0.5, logprobs=True, top_logprobs=2,
        reasoning_effort="low", user="someone", metadata={"team": "a"}, store=False,
    )  # fmt: skip
    sent = gateway.cloud.completions[0].json
    expected = {
        "temperature": 0.2, "top_p": 0.9, "max_tokens": 40, "n": 2, "seed": 7, "stop": ["END"],
        "presence_penalty": 0.5, "frequency_penalty": -0.5, "logprobs": True, "top_logprobs": 2,
        "reasoning_effort": "low",
    }  # fmt: skip
    assert {name: sent[name] for name in expected} == expected
    assert not {"user", "metadata", "store"} & set(sent)
    assert [choice.index for choice in completion.choices] == [0, 1]
    logprobs = completion.choices[1].logprobs
    assert logprobs is not None
    assert "".join(token.token for token in logprobs.content or ()) == TEXT


async def test_choices_and_their_log_probabilities_stream_side_by_side(client: AsyncOpenAI) -> None:
    async with client.chat.completions.stream(model="auto", messages=PROMPT, n=2, logprobs=True) as stream:
        completion = await stream.get_final_completion()
    assert [choice.message.content for choice in completion.choices] == [TEXT, TEXT]
    assert [choice.finish_reason for choice in completion.choices] == ["stop", "stop"]
    assert all(choice.logprobs and len(choice.logprobs.content or ()) > 1 for choice in completion.choices)


async def test_a_refusal_is_a_refusal_whole_and_in_chunks(client: AsyncOpenAI, gateway: Gateway) -> None:
    gateway.cloud.script = Answer(refusal="I cannot help with that.")
    whole = await client.chat.completions.create(model="auto", messages=PROMPT, extra_body={"cache": False})
    assert (whole.choices[0].message.content, whole.choices[0].message.refusal) == (None, "I cannot help with that.")
    async with client.chat.completions.stream(model="auto", messages=PROMPT) as stream:
        completion = await stream.get_final_completion()
    assert completion.choices[0].message.refusal == "I cannot help with that."


REFUSED: dict[str, Any] = {
    "logit_bias": {"50256": -100},
    "functions": [{"name": "weather"}],
    "function_call": "auto",
    "audio": {"voice": "alloy", "format": "wav"},
    "modalities": ["text", "audio"],
    "web_search_options": {"search_context_size": "low"},
    "service_tier": "flex",
    "verbosity": "high",
    "moderation": {"model": "omni-moderation-latest"},
    "api_base": "http://example.org",
    "fallbacks": ["openai/gpt-4o"],
    "sensitivty": "confidential",
}


async def test_a_field_that_is_not_supported_is_refused_by_name(
    client: AsyncOpenAI, gateway: Gateway, subtests: pytest.Subtests
) -> None:
    for field, value in REFUSED.items():
        with subtests.test(field), pytest.raises(openai.BadRequestError) as raised:
            await client.chat.completions.create(model="auto", messages=PROMPT, extra_body={field: value})
        assert raised.value.param == field
        assert field in raised.value.message
        assert raised.value.type == "invalid_request_error"
    assert gateway.cloud.completions == []


async def test_fields_that_ask_for_what_is_done_anyway_are_accepted(client: AsyncOpenAI) -> None:
    harmless: dict[str, Any] = {
        "logit_bias": {},
        "modalities": ["text"],
        "service_tier": "auto",
        "verbosity": "medium",
        "audio": None,
    }
    completion = await client.chat.completions.create(model="auto", messages=PROMPT, extra_body=harmless)
    assert completion.choices[0].message.content == TEXT


GOOD: dict[str, Any] = {"model": "auto", "messages": PROMPT}
UNCLEAR: list[tuple[dict[str, Any], str | None]] = [
    ({"messages": PROMPT}, "model"),
    ({"model": "auto"}, "messages"),
    ({"model": "auto", "messages": []}, "messages"),
    ({"model": "auto", "messages": [{"role": "wizard", "content": "x"}]}, "messages.0"),
    ({"model": "auto", "messages": [{"role": "user"}]}, "messages.0.content"),
    ({"model": "auto", "messages": [{"role": "user", "content": [{"type": "input_audio"}]}]}, "messages.0.content.0"),
    ({"model": "auto", "messages": [{"role": "tool", "content": "x"}]}, "messages.0.tool_call_id"),
    ({**GOOD, "temperature": 3}, "temperature"),
    ({**GOOD, "temperature": "hot"}, "temperature"),
    ({**GOOD, "n": 0}, "n"),
    ({**GOOD, "stop": ["1", "2", "3", "4", "5"]}, "stop"),
    ({**GOOD, "seed": 2**63}, "seed"),
    ({**GOOD, "tools": [{"type": "web_search"}]}, "tools.0"),
    ({**GOOD, "tools": [{**WEATHER, "function": {"name": "f", "parameters": {"maximum": 2**64}}}]}, None),
    ({**GOOD, "response_format": {"type": "xml"}}, "response_format"),
    ({**GOOD, "stream_options": {"include_usage": True}}, None),
    ({**GOOD, "tool_choice": "required"}, None),
    ({**GOOD, "top_logprobs": 3}, None),
]


async def test_what_cannot_be_understood_is_400_and_names_its_field(
    gateway: Gateway, subtests: pytest.Subtests
) -> None:
    for body, param in UNCLEAR:
        with subtests.test(param, body=body):
            status, answer = await gateway.post("/v1/chat/completions", body)
            assert status == 400
            assert set(answer["error"]) == {"message", "type", "param", "code"}
            assert (answer["error"]["type"], answer["error"]["param"]) == ("invalid_request_error", param)


async def test_a_model_that_nobody_has_is_not_found(client: AsyncOpenAI) -> None:
    with pytest.raises(openai.NotFoundError) as raised:
        await client.chat.completions.create(model="no/such-model", messages=PROMPT)
    assert (raised.value.code, raised.value.param) == ("model_not_found", "model")


@pytest.mark.parametrize(
    ("status", "error"),
    [(429, openai.RateLimitError), (500, openai.InternalServerError), (401, openai.InternalServerError)],
)
async def test_a_failure_upstream_is_a_typed_error_before_and_instead_of_a_stream(
    client: AsyncOpenAI, gateway: Gateway, status: int, error: type[openai.APIStatusError]
) -> None:
    gateway.cloud.script = Status(status, retry_after=9 if status == 429 else None)
    for stream in (False, True):
        with pytest.raises(error) as raised:
            await client.chat.completions.create(model=CLOUD, messages=PROMPT, stream=stream)
        if status == 429:
            assert raised.value.response.headers["retry-after"] == "9"


async def test_a_stream_that_breaks_off_raises_in_the_client(client: AsyncOpenAI, gateway: Gateway) -> None:
    gateway.cloud.script = ErrorMidStream(after=3)
    stream = await client.chat.completions.create(model=CLOUD, messages=PROMPT, stream=True)
    seen: list[str | None] = []

    async def read() -> None:
        async for chunk in stream:
            seen.append(chunk.choices[0].delta.content)  # noqa: PERF401  (kept also when the next one raises)

    with pytest.raises(openai.APIError) as raised:
        await read()
    assert any(seen)
    assert raised.value.code == "upstream_error"


async def test_a_stream_that_breaks_off_has_no_done(gateway: Gateway) -> None:
    gateway.cloud.script = ErrorMidStream(after=3)
    body = {"model": CLOUD, "messages": PROMPT, "stream": True}
    async with gateway.service.client.post("/v1/chat/completions", json=body) as response:
        events = [event.data async for event in sse(response)]
    assert "[DONE]" not in events
    assert set(json.loads(events[-1])) == {"error"}


async def test_a_client_that_does_not_wait_gets_its_time_out_and_the_upstream_is_left(
    client: AsyncOpenAI, gateway: Gateway
) -> None:
    gateway.cloud.script = SlowFirstToken(asyncio.Event())
    with pytest.raises(openai.APITimeoutError):
        await client.chat.completions.create(model=CLOUD, messages=PROMPT, timeout=0.3)
    await gateway.cloud.wait_cancelled()


async def test_a_client_that_leaves_a_stream_ends_the_upstream_call(client: AsyncOpenAI, gateway: Gateway) -> None:
    gateway.cloud.script = StallMidStream(after=2)
    stream = await client.chat.completions.create(model=CLOUD, messages=PROMPT, stream=True)
    async for chunk in stream:
        if chunk.choices[0].delta.content:
            break
    await stream.close()
    await gateway.cloud.wait_cancelled()


async def test_a_stated_label_keeps_a_request_local_wherever_it_stands(client: AsyncOpenAI, gateway: Gateway) -> None:
    in_body = await client.chat.completions.create(
        model="auto", messages=PROMPT, extra_body={"sensitivity": "confidential"}
    )
    in_header = await client.chat.completions.create(
        model="auto",
        messages=PROMPT,
        extra_headers={"x-sluice-sensitivity": "confidential"},
        extra_body={"sensitivity": "public"},
    )
    assert (in_body.model, in_header.model) == (LOCAL, LOCAL)
    assert gateway.cloud.completions == []


async def test_local_is_a_model_that_runs_here(client: AsyncOpenAI) -> None:
    assert (await client.chat.completions.create(model="local", messages=PROMPT)).model == LOCAL


async def test_a_header_that_is_not_known_or_not_readable_is_refused_by_its_name(
    gateway: Gateway, subtests: pytest.Subtests
) -> None:
    refused: list[tuple[list[tuple[str, str]], str]] = [
        ([("x-sluice-sensitivty", "public")], "header"),
        ([("x-sluice-sensitivity", "secret")], "x-sluice-sensitivity"),
        ([("x-sluice-cache", "maybe")], "x-sluice-cache"),
        ([("x-sluice-documents", '{"collectoin": "a"}')], "x-sluice-documents"),
        ([("x-sluice-session-id", "")], "x-sluice-session-id"),
        ([("x-sluice-session-id", "s1"), ("x-sluice-session-id", "s2")], "x-sluice-session-id"),
    ]
    for headers, param in refused:
        with subtests.test(param, headers=headers):
            status, answer = await gateway.post("/v1/chat/completions", GOOD, headers=headers)
            assert (status, answer["error"]["param"]) == (400, param)


async def test_of_a_label_given_twice_the_stricter_one_holds(gateway: Gateway) -> None:
    headers = [("x-sluice-sensitivity", "confidential"), ("x-sluice-sensitivity", "public")]
    _, answer = await gateway.post("/v1/chat/completions", GOOD, headers=headers)
    assert answer["sluice"]["sensitivity"] == "confidential"


async def test_a_repeat_comes_from_the_cache_unless_a_header_says_otherwise(
    client: AsyncOpenAI, gateway: Gateway
) -> None:
    for headers in ({}, {}, {"x-sluice-cache": "false"}):
        await client.chat.completions.create(model="auto", messages=PROMPT, extra_headers=headers)
    assert len(gateway.cloud.completions) == 2


async def test_a_session_named_in_a_header_remembers(client: AsyncOpenAI, gateway: Gateway) -> None:
    headers = {"x-sluice-session-id": "s1"}
    await client.chat.completions.create(model="auto", messages=PROMPT, extra_headers=headers)
    more: Any = [{"role": "user", "content": "And on a mountain?"}]
    answer = await client.chat.completions.create(model="auto", messages=more, extra_headers=headers)
    roles = [message["role"] for message in gateway.cloud.completions[-1].json["messages"]]
    assert roles == ["user", "assistant", "user"]
    assert answer.model_dump()["sluice"]["session_id"] == "s1"


DOCUMENT = {
    "id": "d1",
    "title": "Zugspitze",
    "content": "The summit register of the Zugspitze is kept by Anna.",
    "sensitivity": "public",
}
QUESTION: Any = [{"role": "user", "content": "Who keeps the summit register of the Zugspitze?"}]


async def test_documents_are_used_only_when_they_are_asked_for(client: AsyncOpenAI, gateway: Gateway) -> None:
    await gateway.add(DOCUMENT)
    plain = await client.chat.completions.create(model="auto", messages=QUESTION)
    assert plain.choices[0].message.annotations == []
    for asked in ({"model": "documents"}, {"model": "auto", "extra_headers": {"x-sluice-documents": "true"}}):
        answer = await client.chat.completions.create(messages=QUESTION, **asked)
        assert answer.model == CLOUD
        annotation = (answer.choices[0].message.annotations or [])[0]
        assert (annotation.type, annotation.url_citation.url) == ("url_citation", "/documents/d1")
        assert annotation.model_dump()["file_citation"] == {"file_id": "d1", "filename": "Zugspitze", "index": 0}
        ChatCompletion.model_validate(answer.model_dump())
        assert answer.model_dump()["sluice"]["citations"][0]["content"] == DOCUMENT["content"]


async def test_a_stream_carries_its_citations_and_its_route(client: AsyncOpenAI, gateway: Gateway) -> None:
    await gateway.add(DOCUMENT)
    stream = await client.chat.completions.create(model="documents", messages=QUESTION, stream=True)
    chunks = [chunk.model_dump() async for chunk in stream]
    annotations = [note for chunk in chunks for note in chunk["choices"][0]["delta"].get("annotations") or ()]
    assert [(note["type"], note["file_citation"]["filename"]) for note in annotations] == [
        ("url_citation", "Zugspitze")
    ]
    assert chunks[-1]["sluice"]["citations"][0]["document_id"] == "d1"
    assert chunks[-1]["sluice"]["route"]["label"] == "public"


async def test_every_kind_of_message_reaches_the_model(client: AsyncOpenAI, gateway: Gateway) -> None:
    text = {"type": "text", "text": "Oslo"}
    messages: Any = [
        {"role": "developer", "content": [text], "name": "rules"},
        {"role": "user", "content": [text], "name": "anna"},
        {"role": "assistant", "content": [text, {"type": "refusal", "refusal": "No more."}]},
        {"role": "assistant", "content": None, "refusal": "I cannot say."},
        {"role": "user", "content": "Why?"},
    ]
    await client.chat.completions.create(model=CLOUD, messages=messages)
    assert gateway.cloud.completions[0].json["messages"] == [
        {"role": "system", "content": "Oslo", "name": "rules"},
        {"role": "user", "content": "Oslo", "name": "anna"},
        {"role": "assistant", "content": [text, {"type": "text", "text": "No more."}]},
        {"role": "assistant", "content": "I cannot say."},
        {"role": "user", "content": "Why?"},
    ]


async def test_an_answer_sent_back_as_it_came_is_accepted(client: AsyncOpenAI, gateway: Gateway) -> None:
    first = await client.chat.completions.create(model="auto", messages=PROMPT)
    history = [*PROMPT, first.choices[0].message.model_dump(), {"role": "user", "content": "Why?"}]
    await client.chat.completions.create(model="auto", messages=history)
    assert gateway.cloud.completions[-1].json["messages"][1] == {"role": "assistant", "content": TEXT}


async def test_answers_have_the_fields_that_the_openapi_document_says_and_no_others(gateway: Gateway) -> None:
    await gateway.add(DOCUMENT)
    gateway.cloud.script = [ToolCalls([("weather", '{"city": "Oslo"}')]), Answer(TEXT)]
    bodies: list[dict[str, Any]] = [
        {"model": "auto", "messages": PROMPT, "tools": [WEATHER]},
        {"model": "documents", "messages": QUESTION, "logprobs": True},
    ]
    for body in bodies:
        status, answer = await gateway.post("/v1/chat/completions", body)
        assert status == 200
        assert CompletionReply.model_validate(answer).model_dump(exclude_unset=True) == answer
