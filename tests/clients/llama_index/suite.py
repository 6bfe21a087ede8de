"""LlamaIndex' client for servers that speak OpenAI's API."""

from __future__ import annotations

import asyncio
import base64
from typing import Any

import openai
import pytest
from llama_index.core.llms import ChatMessage, ImageBlock, TextBlock
from llama_index.core.tools import FunctionTool
from llama_index.llms.openai_like import OpenAILike
from pydantic import BaseModel

from tests.clients.surroundings import BASE_URL, KEY, MODEL, PIXEL, TEXT, count_cancelled, wait_cancelled


class City(BaseModel):
    name: str
    inhabitants: int


def weather(city: str) -> str:
    """The weather in a city."""
    return f"rain in {city}"


def client(**options: Any) -> OpenAILike:
    defaults: dict[str, Any] = {
        "model": MODEL,
        "api_base": BASE_URL,
        "api_key": KEY,
        "is_chat_model": True,
        "is_function_calling_model": True,
        "max_retries": 0,
    }
    return OpenAILike(**{**defaults, **options})


@pytest.fixture
def llm() -> OpenAILike:
    return client()


def test_a_prompt_and_a_conversation_are_answered_with_their_usage(llm: OpenAILike) -> None:
    assert llm.complete("When does water boil?").text == TEXT
    answer = llm.chat([ChatMessage(role="system", content="Be brief."), ChatMessage("When does water boil?")])
    assert answer.message.content == TEXT
    assert answer.additional_kwargs["total_tokens"] == 18


async def test_streams_join_to_the_answer(llm: OpenAILike) -> None:
    pieces = [chunk.delta or "" for chunk in llm.stream_complete("In pieces: when does water boil?")]
    stream = await llm.astream_chat([ChatMessage("When does water boil?")])
    async_pieces = [chunk.delta or "" async for chunk in stream]
    assert len(pieces) > 1
    assert "".join(pieces) == "".join(async_pieces) == TEXT


def test_a_tool_is_called_and_its_result_answered(llm: OpenAILike) -> None:
    question = 'How is the weather? {"city": "Oslo"} and {"city": "Bergen"}'
    answer = llm.chat_with_tools(
        [FunctionTool.from_defaults(weather)], user_msg=question, allow_parallel_tool_calls=True
    )
    calls = llm.get_tool_calls_from_response(answer)
    assert [weather(**call.tool_kwargs) for call in calls] == ["rain in Oslo", "rain in Bergen"]
    results = [
        ChatMessage(role="tool", content=weather(**call.tool_kwargs), additional_kwargs={"tool_call_id": call.tool_id})
        for call in calls
    ]
    last = llm.chat([ChatMessage(question), answer.message, *results])
    assert last.message.content == "The tool says: rain in Bergen"


def test_a_tool_call_streams_in_pieces(llm: OpenAILike) -> None:
    question = 'How is the weather? {"city": "Oslo"}'
    chunks = list(llm.stream_chat_with_tools([FunctionTool.from_defaults(weather)], user_msg=question))
    [call] = llm.get_tool_calls_from_response(chunks[-1])
    assert call.tool_kwargs == {"city": "Oslo"}


@pytest.mark.parametrize("by_response_format", [True, False])
def test_structured_output_is_read(by_response_format: bool) -> None:
    structured = client(should_use_structured_outputs=by_response_format).as_structured_llm(City)
    assert structured.complete("'Oslo' has 700000 inhabitants.").raw == City(name="Oslo", inhabitants=700000)


def test_an_image_reaches_the_model(llm: OpenAILike) -> None:
    image = ImageBlock(image=base64.b64decode(PIXEL), image_mimetype="image/png")
    answer = llm.chat([ChatMessage(blocks=[TextBlock(text="What is this?"), image])])
    assert answer.message.content == "I see 1 image."


@pytest.mark.parametrize(
    ("kind", "prompt", "options"),
    [
        (openai.BadRequestError, "Hi", {"additional_kwargs": {"extra_body": {"sensitivty": "public"}}}),
        (openai.AuthenticationError, "Hi", {"api_key": "wrong"}),
        (openai.NotFoundError, "Hi", {"model": "no/such-model"}),
        (openai.RateLimitError, "fail with 429", {}),
        (openai.InternalServerError, "fail with 500", {}),
    ],
)
def test_each_failure_has_its_type(kind: type[openai.APIStatusError], prompt: str, options: dict[str, Any]) -> None:
    with pytest.raises(kind):
        client(**options).complete(prompt)


def test_an_error_in_mid_stream_is_raised(llm: OpenAILike) -> None:
    with pytest.raises(openai.APIError):
        list(llm.stream_complete("break off"))


async def test_a_time_out_and_a_cancelled_stream_end_the_call_upstream(llm: OpenAILike) -> None:
    before = await asyncio.to_thread(count_cancelled)
    with pytest.raises(openai.APITimeoutError):
        await client(timeout=0.5).acomplete("say nothing")
    await asyncio.to_thread(wait_cancelled, above=before)
    begun = asyncio.Event()

    async def read() -> None:
        async for _ in await llm.astream_complete("stall"):
            begun.set()

    task = asyncio.create_task(read())
    await begun.wait()
    task.cancel()
    await asyncio.wait({task})
    await asyncio.to_thread(wait_cancelled, above=before + 1)
