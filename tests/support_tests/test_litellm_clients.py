"""The scripted Anthropic and Ollama servers, as litellm sees them."""

from __future__ import annotations

import importlib
from types import ModuleType
from typing import Any

import pytest

from tests.support.behaviours import Answer, Status, ToolCalls
from tests.support.dialects import AnthropicDialect
from tests.support.upstream import ScriptedUpstream

PROMPT = [{"role": "user", "content": "Hello"}]
TOOLS = [{"type": "function", "function": {"name": "weather", "parameters": {"type": "object", "properties": {}}}}]

pytestmark = pytest.mark.filterwarnings("ignore")  # litellm's own imports warn; what is tested here is the wire


@pytest.fixture(scope="module")
def litellm() -> ModuleType:
    """Imported only here, and told not to fetch its price list: it takes seconds and would call out."""
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("LITELLM_LOCAL_MODEL_COST_MAP", "True")
        return importlib.import_module("litellm")


@pytest.fixture(params=["anthropic", "ollama"])
def upstream(
    request: pytest.FixtureRequest, anthropic_upstream: ScriptedUpstream, ollama_upstream: ScriptedUpstream
) -> ScriptedUpstream:
    return anthropic_upstream if request.param == "anthropic" else ollama_upstream


async def _complete(litellm: ModuleType, upstream: ScriptedUpstream, **more: Any) -> Any:
    anthropic = isinstance(upstream.dialect, AnthropicDialect)
    return await litellm.acompletion(
        model="anthropic/claude-sonnet-4-5" if anthropic else "ollama_chat/llama3",
        messages=PROMPT,
        api_base=upstream.origin,
        api_key="none",
        max_tokens=100,
        num_retries=0,
        max_retries=0,
        **more,
    )


async def test_completion_has_text_finish_and_usage(litellm: ModuleType, upstream: ScriptedUpstream) -> None:
    upstream.script = Answer("Grüße!", finish="length")
    completion = await _complete(litellm, upstream)
    assert completion.choices[0].message.content == "Grüße!"
    assert completion.choices[0].finish_reason == "length"
    assert (completion.usage.prompt_tokens, completion.usage.completion_tokens) == (11, 7)


async def test_stream_has_text_finish_and_usage(litellm: ModuleType, upstream: ScriptedUpstream) -> None:
    chunks = [
        chunk async for chunk in await _complete(litellm, upstream, stream=True, stream_options={"include_usage": True})
    ]
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert text == "Water boils at 100 degrees."
    reasons = [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices]
    assert [reason for reason in reasons if reason] == ["stop"]
    assert chunks[-1].usage.completion_tokens == 7


@pytest.mark.parametrize("stream", [False, True])
async def test_tool_call_arrives_with_its_arguments(
    litellm: ModuleType, upstream: ScriptedUpstream, *, stream: bool
) -> None:
    upstream.script = ToolCalls([("weather", '{"city": "Oslo"}')])
    # With tools litellm imports the `mcp` package, which it does not depend on, unless it is told to skip that.
    answer = await _complete(litellm, upstream, tools=TOOLS, stream=stream, _skip_mcp_handler=True)
    if stream:
        answer = litellm.stream_chunk_builder([chunk async for chunk in answer])
    (call,) = answer.choices[0].message.tool_calls
    assert call.function.name == "weather"
    assert litellm.json.loads(call.function.arguments) == {"city": "Oslo"}


async def test_rate_limit_is_read_as_one_with_the_time_to_wait(litellm: ModuleType, upstream: ScriptedUpstream) -> None:
    upstream.script = Status(429, retry_after=7)
    with pytest.raises(litellm.RateLimitError) as caught:
        await _complete(litellm, upstream)
    assert caught.value.response.status_code == 429
