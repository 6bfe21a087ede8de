"""LangChain's client for OpenAI: LangChain's own conformance suite, and what that leaves out."""

from __future__ import annotations

import asyncio
from typing import Any

import openai
import pytest
from langchain_core.messages import HumanMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI
from langchain_tests.integration_tests import ChatModelIntegrationTests
from pydantic import BaseModel

from tests.clients.surroundings import BASE_URL, KEY, MODEL, PIXEL, TEXT, count_cancelled, wait_cancelled

OTHER_MODEL = "openai/gpt-4o-mini"


class TestStandard(ChatModelIntegrationTests):
    """All of the suite runs, except what fetches a file from the web or reads a recording (see the properties)."""

    @property
    def chat_model_class(self) -> type[ChatOpenAI]:
        return ChatOpenAI

    @property
    def chat_model_params(self) -> dict[str, Any]:
        return {"model": MODEL, "base_url": BASE_URL, "api_key": KEY, "stream_usage": True, "max_retries": 0}

    @property
    def supports_json_mode(self) -> bool:
        return True

    @property
    def supports_anthropic_inputs(self) -> bool:
        return True

    @property
    def supports_model_override(self) -> bool:
        return True

    @property
    def model_override_value(self) -> str:
        return OTHER_MODEL

    @property
    def supports_image_inputs(self) -> bool:
        """The suite fetches its picture from the web; `test_an_image_reaches_the_model` has one of its own."""
        return False

    @property
    def enable_vcr_tests(self) -> bool:
        """It times the client against a recording, which says nothing of the gateway."""
        return False


class City(BaseModel):
    name: str
    inhabitants: int


@pytest.fixture
def chat() -> ChatOpenAI:
    return ChatOpenAI(model=MODEL, base_url=BASE_URL, api_key=KEY, max_retries=0)


async def test_a_stream_joins_to_the_answer(chat: ChatOpenAI) -> None:
    pieces = [chunk.text async for chunk in chat.astream("In pieces: when does water boil?")]
    assert len(pieces) > 1
    assert "".join(pieces) == TEXT


def test_a_tool_is_called_and_its_result_answered(chat: ChatOpenAI) -> None:
    @tool
    def weather(city: str) -> str:
        """The weather in a city."""
        return f"rain in {city}"

    with_tools = chat.bind_tools([weather])
    question = HumanMessage('How is the weather? {"city": "Oslo"} and {"city": "Bergen"}')
    asked = with_tools.invoke([question])
    results = [weather.invoke(call) for call in asked.tool_calls]
    assert [result.content for result in results] == ["rain in Oslo", "rain in Bergen"]
    assert with_tools.invoke([question, asked, *results]).text == "The tool says: rain in Bergen"


@pytest.mark.parametrize("method", ["json_schema", "function_calling"])
def test_structured_output_is_read(chat: ChatOpenAI, method: Any) -> None:
    city = chat.with_structured_output(City, method=method).invoke("'Oslo' has 700000 inhabitants.")
    assert city == City(name="Oslo", inhabitants=700000)


def test_an_image_reaches_the_model(chat: ChatOpenAI) -> None:
    image = {"type": "image", "base64": PIXEL, "mime_type": "image/png"}
    answer = chat.invoke([HumanMessage([{"type": "text", "text": "What is this?"}, image])])
    assert answer.text == "I see 1 image."


@pytest.mark.parametrize(
    ("kind", "prompt", "options"),
    [
        (openai.BadRequestError, "Hi", {"extra_body": {"sensitivty": "public"}}),
        (openai.AuthenticationError, "Hi", {"api_key": "wrong"}),
        (openai.NotFoundError, "Hi", {"model": "no/such-model"}),
        (openai.RateLimitError, "fail with 429", {}),
        (openai.InternalServerError, "fail with 500", {}),
    ],
)
def test_each_failure_has_its_type(kind: type[openai.APIStatusError], prompt: str, options: dict[str, Any]) -> None:
    fields: dict[str, Any] = {"model": MODEL, "api_key": KEY} | options
    with pytest.raises(kind):
        ChatOpenAI(base_url=BASE_URL, max_retries=0, **fields).invoke(prompt)


def test_an_error_in_mid_stream_is_raised(chat: ChatOpenAI) -> None:
    with pytest.raises(openai.APIError):
        list(chat.stream("break off"))


async def test_a_time_out_and_a_cancelled_stream_end_the_call_upstream(chat: ChatOpenAI) -> None:
    before = await asyncio.to_thread(count_cancelled)
    impatient = ChatOpenAI(model=MODEL, base_url=BASE_URL, api_key=KEY, max_retries=0, timeout=0.5)
    with pytest.raises(openai.APITimeoutError):
        await impatient.ainvoke("say nothing")
    await asyncio.to_thread(wait_cancelled, above=before)
    begun = asyncio.Event()

    async def read() -> None:
        async for chunk in chat.astream("stall"):
            # The last piece before the stall: Python 3.11's `wait_for`, which LangChain uses, loses a cancellation that
            # comes together with a piece.
            if chunk.text.startswith("boils"):
                begun.set()

    task = asyncio.create_task(read())
    await begun.wait()
    task.cancel()
    await asyncio.wait({task})
    await asyncio.to_thread(wait_cancelled, above=before + 1)
