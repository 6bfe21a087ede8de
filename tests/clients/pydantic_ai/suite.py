"""Pydantic AI's client for OpenAI's chat completions."""

from __future__ import annotations

import asyncio
import base64
from typing import Any

import pytest
from openai import AsyncOpenAI
from pydantic import BaseModel
from pydantic_ai import Agent, BinaryContent, NativeOutput, ToolOutput
from pydantic_ai.exceptions import ModelAPIError, ModelHTTPError
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.providers.openai import OpenAIProvider

from tests.clients.surroundings import (
    BASE_URL,
    KEY,
    MODEL,
    PIXEL,
    TEXT,
    add_document,
    count_cancelled,
    wait_cancelled,
)


class City(BaseModel):
    name: str
    inhabitants: int


def model(name: str = MODEL, *, key: str = KEY) -> OpenAIChatModel:
    client = AsyncOpenAI(base_url=BASE_URL, api_key=key, max_retries=0)
    return OpenAIChatModel(name, provider=OpenAIProvider(openai_client=client))


@pytest.fixture
def agent() -> Agent[None, str]:
    return Agent(model())


async def test_a_prompt_is_answered_with_its_usage(agent: Agent[None, str]) -> None:
    result = await agent.run("When does water boil?")
    assert result.output == TEXT
    assert result.usage.total_tokens == 18


async def test_an_answer_with_citations_is_accepted() -> None:
    """The client checks every answer against OpenAI's types."""
    add_document()
    result = await Agent(model("documents")).run("At what temperature does water boil?")
    assert result.output
    async with Agent(model("documents")).run_stream("At what temperature does water boil, in pieces?") as stream:
        assert await stream.get_output()


async def test_a_conversation_goes_on_with_its_history(agent: Agent[None, str]) -> None:
    first = await agent.run("When does water boil?")
    second = await agent.run("And on a mountain?", message_history=first.all_messages())
    assert second.output == TEXT


async def test_a_stream_joins_to_the_answer_with_its_usage(agent: Agent[None, str]) -> None:
    async with agent.run_stream("In pieces: when does water boil?") as stream:
        pieces = [piece async for piece in stream.stream_text(delta=True, debounce_by=None)]
    assert len(pieces) > 1
    assert "".join(pieces) == TEXT
    assert stream.usage.total_tokens == 18


async def test_tools_are_called_and_their_results_answered(agent: Agent[None, str]) -> None:
    asked = []

    @agent.tool_plain
    def weather(city: str) -> str:
        """The weather in a city."""
        asked.append(city)
        return f"rain in {city}"

    question = 'How is the weather? {"city": "Oslo"} and {"city": "Bergen"}'
    result = await agent.run(question)
    assert sorted(asked) == ["Bergen", "Oslo"]
    assert result.output == "The tool says: rain in Bergen"
    async with agent.run_stream(question) as stream:
        assert await stream.get_output() == "The tool says: rain in Bergen"


@pytest.mark.parametrize("output_type", [NativeOutput(City), ToolOutput(City)])
async def test_structured_output_is_read(output_type: Any) -> None:
    result = await Agent(model(), output_type=output_type).run("'Oslo' has 700000 inhabitants.")
    assert result.output == City(name="Oslo", inhabitants=700000)


async def test_an_image_reaches_the_model(agent: Agent[None, str]) -> None:
    image = BinaryContent(data=base64.b64decode(PIXEL), media_type="image/png")
    assert (await agent.run(["What is this?", image])).output == "I see 1 image."


@pytest.mark.parametrize(
    ("status", "prompt", "options", "settings"),
    [
        (400, "Hi", {}, {"extra_body": {"sensitivty": "public"}}),
        (401, "Hi", {"key": "wrong"}, {}),
        (404, "Hi", {"name": "no/such-model"}, {}),
        (429, "fail with 429", {}, {}),
        (502, "fail with 500", {}, {}),
    ],
)
async def test_each_failure_has_its_status(
    status: int, prompt: str, options: dict[str, Any], settings: dict[str, Any]
) -> None:
    with pytest.raises(ModelHTTPError) as raised:
        await Agent(model(**options)).run(prompt, model_settings=settings)
    assert raised.value.status_code == status
    assert isinstance(raised.value.body, dict)
    assert set(raised.value.body) == {"message", "type", "param", "code"}


async def test_an_error_in_mid_stream_is_raised(agent: Agent[None, str]) -> None:
    with pytest.raises(ModelAPIError):
        async with agent.run_stream("break off") as stream:
            await stream.get_output()


async def test_a_time_out_and_a_cancelled_stream_end_the_call_upstream(agent: Agent[None, str]) -> None:
    before = await asyncio.to_thread(count_cancelled)
    with pytest.raises(ModelAPIError):
        await agent.run("say nothing", model_settings={"timeout": 0.5})
    await asyncio.to_thread(wait_cancelled, above=before)
    begun = asyncio.Event()

    async def read() -> None:
        async with agent.run_stream("stall") as stream:
            async for _ in stream.stream_text(delta=True, debounce_by=None):
                begun.set()

    task = asyncio.create_task(read())
    await begun.wait()
    task.cancel()
    await asyncio.wait({task})
    await asyncio.to_thread(wait_cancelled, above=before + 1)
