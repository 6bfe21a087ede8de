"""OpenAI's official Python client, synchronous and asynchronous, with nothing changed but its base URL."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from typing import Any

import openai
import pytest
from openai import AsyncOpenAI, OpenAI
from pydantic import BaseModel

from tests.clients.surroundings import BASE_URL, KEY, MODEL, PIXEL, TEXT, count_cancelled, wait_cancelled

WEATHER: Any = {
    "type": "function",
    "function": {
        "name": "weather",
        "strict": True,
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}},
            "required": ["city"],
            "additionalProperties": False,
        },
    },
}


class City(BaseModel):
    name: str
    inhabitants: int


def ask(text: str) -> Any:
    return [{"role": "user", "content": text}]


@pytest.fixture
def client() -> Iterator[OpenAI]:
    with OpenAI(base_url=BASE_URL, api_key=KEY, max_retries=0) as client:
        yield client


@pytest.fixture
async def async_client() -> AsyncIterator[AsyncOpenAI]:
    async with AsyncOpenAI(base_url=BASE_URL, api_key=KEY, max_retries=0) as client:
        yield client


# Answers


def test_an_answer_has_its_text_its_model_and_its_usage(client: OpenAI) -> None:
    completion = client.chat.completions.create(model="auto", messages=ask("When does water boil?"))
    assert completion.choices[0].message.content == TEXT
    assert completion.model.startswith("openai/gpt-4o")
    assert completion.usage is not None
    assert completion.usage.total_tokens == 18


async def test_the_asynchronous_client_gets_the_same(async_client: AsyncOpenAI) -> None:
    completion = await async_client.chat.completions.create(model=MODEL, messages=ask("When does water boil?"))
    assert completion.choices[0].message.content == TEXT


def test_a_stream_joins_to_the_answer_and_ends_with_its_usage(client: OpenAI) -> None:
    options: Any = {"include_usage": True}
    messages = ask("When does water boil?")
    chunks = list(client.chat.completions.create(model=MODEL, messages=messages, stream=True, stream_options=options))
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks[:-1]) == TEXT
    assert chunks[-1].choices == []
    assert chunks[-1].usage is not None


async def test_an_asynchronous_stream_joins_to_the_answer(async_client: AsyncOpenAI) -> None:
    async with async_client.chat.completions.stream(
        model=MODEL, messages=ask("In pieces: when does water boil?")
    ) as stream:
        pieces = [event.delta async for event in stream if event.type == "content.delta"]
    assert len(pieces) > 1
    assert "".join(pieces) == TEXT


def test_an_image_reaches_the_model(client: OpenAI) -> None:
    image = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PIXEL}"}}
    messages: Any = [{"role": "user", "content": [{"type": "text", "text": "What is this?"}, image]}]
    assert (
        client.chat.completions.create(model="auto", messages=messages).choices[0].message.content == "I see 1 image."
    )


# Tools and structures


def test_a_tool_is_called_and_its_result_answered(client: OpenAI) -> None:
    messages = ask('How is the weather? {"city": "Oslo"}')
    first: Any = client.chat.completions.create(model=MODEL, messages=messages, tools=[WEATHER]).choices[0]
    [call] = first.message.tool_calls
    assert (first.finish_reason, json.loads(call.function.arguments)) == ("tool_calls", {"city": "Oslo"})
    result: Any = {"role": "tool", "tool_call_id": call.id, "content": "rain"}
    second = client.chat.completions.create(model=MODEL, messages=[*messages, first.message, result], tools=[WEATHER])
    assert second.choices[0].message.content == "The tool says: rain"


async def test_parallel_tool_calls_stream_in_pieces(async_client: AsyncOpenAI) -> None:
    messages = ask('How is the weather? {"city": "Oslo"} and {"city": "Bergen"}')
    async with async_client.chat.completions.stream(model=MODEL, messages=messages, tools=[WEATHER]) as stream:
        pieces = [event async for event in stream if event.type == "tool_calls.function.arguments.delta"]
        completion = await stream.get_final_completion()
    calls = completion.choices[0].message.tool_calls or []
    assert len(pieces) > len(calls)
    assert [json.loads(call.function.arguments)["city"] for call in calls] == ["Oslo", "Bergen"]


def test_structured_output_is_parsed(client: OpenAI) -> None:
    messages = ask("'Oslo' has 700000 inhabitants.")
    completion = client.chat.completions.parse(model=MODEL, messages=messages, response_format=City)
    assert completion.choices[0].message.parsed == City(name="Oslo", inhabitants=700000)


# Failures


async def test_each_failure_has_its_type(client: OpenAI, async_client: AsyncOpenAI) -> None:
    failures: list[tuple[type[openai.APIStatusError], dict[str, Any]]] = [
        (openai.BadRequestError, {"model": MODEL, "messages": ask("Hi"), "extra_body": {"sensitivty": "public"}}),
        (openai.NotFoundError, {"model": "no/such-model", "messages": ask("Hi")}),
        (openai.RateLimitError, {"model": MODEL, "messages": ask("fail with 429")}),
        (openai.InternalServerError, {"model": MODEL, "messages": ask("fail with 500")}),
    ]
    for kind, fields in failures:
        with pytest.raises(kind) as raised:
            client.chat.completions.create(**fields)
        with pytest.raises(kind) as raised_async:
            await async_client.chat.completions.create(**fields, stream=True)
        assert raised.value.code == raised_async.value.code
        assert raised.value.request_id


def test_a_wrong_key_is_an_authentication_error(client: OpenAI) -> None:
    with pytest.raises(openai.AuthenticationError):
        client.with_options(api_key="wrong").chat.completions.create(model="auto", messages=ask("Hi"))


def test_a_limit_upstream_says_when_to_come_back(client: OpenAI) -> None:
    with pytest.raises(openai.RateLimitError) as raised:
        client.chat.completions.create(model=MODEL, messages=ask("fail with 429"))
    assert raised.value.response.headers["retry-after"] == "3"


def test_an_error_in_mid_stream_is_raised(client: OpenAI) -> None:
    stream = client.chat.completions.create(model=MODEL, messages=ask("break off"), stream=True)
    with pytest.raises(openai.APIError):
        list(stream)


async def test_a_time_out_of_the_client_ends_the_call_upstream(client: OpenAI, async_client: AsyncOpenAI) -> None:
    before = count_cancelled()
    with pytest.raises(openai.APITimeoutError):
        client.with_options(timeout=0.5).chat.completions.create(model=MODEL, messages=ask("say nothing"))
    with pytest.raises(openai.APITimeoutError):
        await async_client.with_options(timeout=0.5).chat.completions.create(
            model=MODEL, messages=ask("say nothing"), stream=True
        )
    await asyncio.to_thread(wait_cancelled, above=before + 1)


# Leaving


def test_a_stream_that_is_closed_ends_the_call_upstream(client: OpenAI) -> None:
    before = count_cancelled()
    with client.chat.completions.create(model=MODEL, messages=ask("stall"), stream=True) as stream:
        next(stream)
    wait_cancelled(above=before)


async def test_a_task_that_is_cancelled_ends_the_call_upstream(async_client: AsyncOpenAI) -> None:
    before = await asyncio.to_thread(count_cancelled)
    begun = asyncio.Event()

    async def read() -> None:
        stream = await async_client.chat.completions.create(model=MODEL, messages=ask("stall"), stream=True)
        async for _ in stream:
            begun.set()

    task = asyncio.create_task(read())
    await begun.wait()
    task.cancel()
    await asyncio.wait({task})
    await asyncio.to_thread(wait_cancelled, above=before)


# The other endpoints


def test_models_are_listed_and_read_by_names_with_slashes(client: OpenAI) -> None:
    names = [model.id for model in client.models.list()]
    assert names[:3] == ["auto", "documents", "local"]
    assert client.models.retrieve(MODEL).id == MODEL
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("no/such-model")


async def test_embeddings_are_the_same_as_floats_and_in_the_clients_own_encoding(async_client: AsyncOpenAI) -> None:
    encoded = await async_client.embeddings.create(model="auto", input=["one", "two"])
    floats = await async_client.embeddings.create(model="auto", input=["one", "two"], encoding_format="float")
    assert [item.index for item in encoded.data] == [0, 1]
    assert encoded.data[0].embedding == pytest.approx(floats.data[0].embedding)
