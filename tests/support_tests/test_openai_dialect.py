"""The scripted OpenAI server, as OpenAI's own client sees it."""

from __future__ import annotations

from collections.abc import AsyncIterator

import openai
import pytest
from openai import AsyncOpenAI
from openai.types.chat import (
    ChatCompletionChunk,
    ChatCompletionMessageFunctionToolCall,
    ChatCompletionUserMessageParam,
)

from app.models import Usage
from tests.support.behaviours import (
    Answer,
    ContentFilter,
    ContextTooLong,
    EmptyChoices,
    ErrorMidStream,
    NoFinish,
    Status,
    ToolCalls,
)
from tests.support.upstream import ScriptedUpstream

PROMPT: list[ChatCompletionUserMessageParam] = [{"role": "user", "content": "Hello"}]


@pytest.fixture
async def client(openai_upstream: ScriptedUpstream) -> AsyncIterator[AsyncOpenAI]:
    async with AsyncOpenAI(base_url=f"{openai_upstream.origin}/v1", api_key="none", max_retries=0) as client:
        yield client


async def _stream(client: AsyncOpenAI, *, include_usage: bool = False) -> list[ChatCompletionChunk]:
    stream = await client.chat.completions.create(
        model="gpt-4o", messages=PROMPT, stream=True, stream_options={"include_usage": include_usage}
    )
    return [chunk async for chunk in stream]


async def test_completion_has_text_finish_and_usage(client: AsyncOpenAI, openai_upstream: ScriptedUpstream) -> None:
    openai_upstream.script = Answer("Grüße!", usage=Usage(prompt_tokens=3, completion_tokens=2), finish="length")
    completion = await client.chat.completions.create(model="gpt-4o", messages=PROMPT)
    assert completion.choices[0].message.content == "Grüße!"
    assert completion.choices[0].finish_reason == "length"
    assert completion.usage is not None
    assert completion.usage.total_tokens == 5
    assert completion.model == "gpt-4o"


async def test_stream_carries_the_pieces_in_order_and_ends_with_the_reason(
    client: AsyncOpenAI, openai_upstream: ScriptedUpstream
) -> None:
    openai_upstream.script = Answer(pieces=["one ", "two ", "three"])
    chunks = await _stream(client)
    assert [chunk.choices[0].delta.content for chunk in chunks] == ["", "one ", "two ", "three", None]
    assert chunks[0].choices[0].delta.role == "assistant"
    assert [chunk.choices[0].finish_reason for chunk in chunks] == [None, None, None, None, "stop"]


async def test_usage_chunk_comes_only_when_asked_for(client: AsyncOpenAI) -> None:
    without, asked = await _stream(client), await _stream(client, include_usage=True)
    assert all(chunk.choices and chunk.usage is None for chunk in without)
    assert all("usage" not in chunk.model_fields_set for chunk in without)
    assert all("usage" in chunk.model_fields_set and chunk.usage is None for chunk in asked[:-1])
    assert asked[-1].choices == []
    assert asked[-1].usage is not None
    assert asked[-1].usage.total_tokens == 18


async def test_tool_call_streams_its_arguments_in_pieces(
    client: AsyncOpenAI, openai_upstream: ScriptedUpstream
) -> None:
    openai_upstream.script = ToolCalls([("weather", '{"city": "Łódź"}'), ("time", "{}")])
    arguments = {0: "", 1: ""}
    names = {}
    chunks = await _stream(client)
    for call in [call for chunk in chunks for call in chunk.choices[0].delta.tool_calls or ()]:
        assert call.function is not None
        arguments[call.index] += call.function.arguments or ""
        if call.id:
            names[call.index] = call.function.name
    assert arguments == {0: '{"city": "Łódź"}', 1: "{}"}
    assert names == {0: "weather", 1: "time"}
    assert len(chunks) > 5
    assert chunks[-1].choices[0].finish_reason == "tool_calls"


async def test_tool_call_of_a_completion_is_whole(client: AsyncOpenAI, openai_upstream: ScriptedUpstream) -> None:
    openai_upstream.script = ToolCalls([("weather", '{"city": "Oslo"}')])
    completion = await client.chat.completions.create(model="gpt-4o", messages=PROMPT)
    calls = completion.choices[0].message.tool_calls
    assert calls
    (call,) = calls
    assert isinstance(call, ChatCompletionMessageFunctionToolCall)
    assert (call.function.name, call.function.arguments) == ("weather", '{"city": "Oslo"}')
    assert completion.choices[0].message.content is None


async def test_as_many_choices_come_as_were_asked_for(client: AsyncOpenAI) -> None:
    completion = await client.chat.completions.create(model="gpt-4o", messages=PROMPT, n=3)
    assert [choice.index for choice in completion.choices] == [0, 1, 2]
    stream = await client.chat.completions.create(model="gpt-4o", messages=PROMPT, n=2, stream=True)
    finished = [choice.index async for chunk in stream for choice in chunk.choices if choice.finish_reason]
    assert finished == [0, 1]


async def test_log_probabilities_come_for_each_token_when_asked_for(
    client: AsyncOpenAI, openai_upstream: ScriptedUpstream
) -> None:
    openai_upstream.script = Answer(pieces=["a", "b"], logprob=-0.5)
    completion = await client.chat.completions.create(model="gpt-4o", messages=PROMPT, logprobs=True)
    assert completion.choices[0].logprobs is not None
    tokens = completion.choices[0].logprobs.content or []
    assert [(token.token, token.logprob) for token in tokens] == [("a", -0.5), ("b", -0.5)]


@pytest.mark.parametrize(
    ("behaviour", "error", "code"),
    [
        (Status(401), openai.AuthenticationError, "invalid_api_key"),
        (Status(404), openai.NotFoundError, "model_not_found"),
        (Status(429), openai.RateLimitError, "rate_limit_exceeded"),
        (Status(503), openai.InternalServerError, None),
        (ContextTooLong(), openai.BadRequestError, "context_length_exceeded"),
        (ContentFilter(), openai.BadRequestError, "content_filter"),
    ],
)
async def test_errors_are_read_as_what_they_are(
    client: AsyncOpenAI,
    openai_upstream: ScriptedUpstream,
    behaviour: Status | ContextTooLong | ContentFilter,
    error: type[openai.APIStatusError],
    code: str | None,
) -> None:
    openai_upstream.script = behaviour
    with pytest.raises(error) as caught:
        await client.chat.completions.create(model="gpt-4o", messages=PROMPT)
    assert caught.value.code == code
    assert isinstance(caught.value.body, dict)
    assert set(caught.value.body) == {"message", "type", "param", "code"}


async def test_error_in_mid_stream_is_raised_after_the_content_before_it(
    client: AsyncOpenAI, openai_upstream: ScriptedUpstream
) -> None:
    openai_upstream.script = ErrorMidStream(after=1, message="it broke")
    stream = await client.chat.completions.create(model="gpt-4o", messages=PROMPT, stream=True)
    assert (await anext(stream)).choices[0].delta.content == ""
    assert (await anext(stream)).choices[0].delta.content == "Water "
    with pytest.raises(openai.APIError, match="it broke"):
        await anext(stream)


async def test_answer_without_finish_never_says_why_it_ended(
    client: AsyncOpenAI, openai_upstream: ScriptedUpstream
) -> None:
    openai_upstream.script = NoFinish()
    assert [chunk.choices[0].finish_reason for chunk in await _stream(client)] == [None] * 6


async def test_empty_choices_are_empty(client: AsyncOpenAI, openai_upstream: ScriptedUpstream) -> None:
    openai_upstream.script = EmptyChoices()
    assert (await client.chat.completions.create(model="gpt-4o", messages=PROMPT)).choices == []
    assert all(not chunk.choices for chunk in await _stream(client))


async def test_embeddings_are_the_same_as_floats_and_in_base64(client: AsyncOpenAI) -> None:
    texts = ["a red house", "a blue house"]
    packed = await client.embeddings.create(model="e", input=texts)
    plain = await client.embeddings.create(model="e", input=texts, encoding_format="float", dimensions=16)
    assert [item.index for item in packed.data] == [0, 1]
    for one, other in zip(packed.data, plain.data, strict=True):
        assert one.embedding == pytest.approx(other.embedding, abs=1e-6)
        assert len(one.embedding) == 16


async def test_models_are_listed_and_found_by_id(client: AsyncOpenAI) -> None:
    assert [model.id async for model in client.models.list()] == ["gpt-4o", "gpt-4o-mini"]
    assert (await client.models.retrieve("gpt-4o")).owned_by == "system"
    with pytest.raises(openai.NotFoundError):
        await client.models.retrieve("gpt-0")
