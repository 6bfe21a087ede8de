"""The scripted Ollama server, frame by frame."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from app.models import ToolCall
from tests.support.behaviours import Answer, ContextTooLong, EmptyChoices, ErrorMidStream, NoDone, RemoteHost, Status
from tests.support.dialects import OllamaDialect, OllamaModel
from tests.support.streams import ndjson
from tests.support.upstream import ScriptedUpstream

METRICS = {
    "total_duration",
    "load_duration",
    "prompt_eval_count",
    "prompt_eval_duration",
    "eval_count",
    "eval_duration",
}


@pytest.fixture
async def client(ollama_upstream: ScriptedUpstream) -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(base_url=ollama_upstream.origin) as client:
        yield client


def _prompt(**more: Any) -> dict[str, Any]:
    return {"model": "llama3", "messages": [{"role": "user", "content": "Hello"}], **more}


async def _frames(client: aiohttp.ClientSession) -> list[Any]:
    async with client.post("/api/chat", json=_prompt()) as response:
        assert response.content_type == "application/x-ndjson"
        return [frame async for frame in ndjson(response)]


async def _chat(client: aiohttp.ClientSession) -> Any:
    async with client.post("/api/chat", json=_prompt(stream=False)) as response:
        assert response.content_type == "application/json"
        return await response.json()


async def test_chat_streams_unless_told_not_to_and_closes_with_reason_and_counts(
    client: aiohttp.ClientSession, ollama_upstream: ScriptedUpstream
) -> None:
    ollama_upstream.script = Answer(pieces=["a ", "b"], finish="length")
    *pieces, last = await _frames(client)
    assert [frame["message"] for frame in pieces] == [
        {"role": "assistant", "content": "a "},
        {"role": "assistant", "content": "b"},
    ]
    assert all(set(frame) == {"model", "created_at", "message", "done"} and not frame["done"] for frame in pieces)
    assert set(last) == {"model", "created_at", "message", "done", "done_reason"} | METRICS
    assert (last["done"], last["done_reason"], last["message"]["content"]) == (True, "length", "")
    assert (last["prompt_eval_count"], last["eval_count"]) == (11, 7)


async def test_chat_that_is_not_streamed_is_one_object_with_everything(client: aiohttp.ClientSession) -> None:
    body = await _chat(client)
    assert set(body) == {"model", "created_at", "message", "done", "done_reason"} | METRICS
    assert body["message"] == {"role": "assistant", "content": "Water boils at 100 degrees."}
    assert body["done"] is True


async def test_thinking_comes_before_content_and_tool_calls_whole_after_it(
    client: aiohttp.ClientSession, ollama_upstream: ScriptedUpstream
) -> None:
    call = ToolCall(id="call_1", name="weather", arguments='{"city": "Oslo"}')
    ollama_upstream.script = Answer("Look.", thinking="Hm.", tool_calls=[call], finish="tool_calls")
    thinking, content, tools, last = await _frames(client)
    assert thinking["message"] == {"role": "assistant", "content": "", "thinking": "Hm."}
    assert content["message"]["content"] == "Look."
    assert tools["message"]["tool_calls"] == [
        {"id": "call_1", "function": {"index": 0, "name": "weather", "arguments": {"city": "Oslo"}}}
    ]
    assert last["done_reason"] == "stop"


async def test_error_in_mid_stream_is_a_line_of_its_own_and_the_last(
    client: aiohttp.ClientSession, ollama_upstream: ScriptedUpstream
) -> None:
    ollama_upstream.script = ErrorMidStream(after=1)
    content, error = await _frames(client)
    assert content["message"]["content"] == "Water "
    assert set(error) == {"error"}


async def test_stream_without_done_has_content_and_no_end(
    client: aiohttp.ClientSession, ollama_upstream: ScriptedUpstream
) -> None:
    ollama_upstream.script = NoDone()
    frames = await _frames(client)
    assert frames
    assert not any(frame["done"] for frame in frames)
    assert (await _chat(client))["done"] is False


async def test_answer_without_choices_has_no_message(
    client: aiohttp.ClientSession, ollama_upstream: ScriptedUpstream
) -> None:
    ollama_upstream.script = EmptyChoices()
    assert ["message" in frame for frame in await _frames(client)] == [False]
    assert "message" not in await _chat(client)


async def test_answer_from_elsewhere_says_so_in_every_frame(
    client: aiohttp.ClientSession, ollama_upstream: ScriptedUpstream
) -> None:
    ollama_upstream.script = RemoteHost()
    frames = [*await _frames(client), await _chat(client)]
    assert {frame["remote_host"] for frame in frames} == {"https://ollama.com:443"}


@pytest.mark.parametrize(("behaviour", "status"), [(Status(503), 503), (ContextTooLong(), 400)])
async def test_errors_have_a_single_field(
    client: aiohttp.ClientSession, ollama_upstream: ScriptedUpstream, behaviour: Status | ContextTooLong, status: int
) -> None:
    ollama_upstream.script = behaviour
    async with client.post("/api/chat", json=_prompt()) as response:
        assert response.status == status
        assert set(await response.json()) == {"error"}


async def test_model_that_was_not_pulled_is_not_found(client: aiohttp.ClientSession) -> None:
    async with client.post("/api/chat", json={"model": "llama9", "messages": []}) as response:
        assert response.status == 404
        assert await response.json() == {"error": "model 'llama9' not found"}


async def test_embeddings_come_for_one_text_and_for_many(client: aiohttp.ClientSession) -> None:
    async with client.post("/api/embed", json={"model": "nomic-embed-text", "input": ["a", "b"]}) as response:
        many = await response.json()
    async with client.post("/api/embed", json={"model": "nomic-embed-text", "input": "b"}) as response:
        one = await response.json()
    assert len(many["embeddings"]) == 2
    assert many["embeddings"][1] == one["embeddings"][0]


async def test_listings_tell_what_is_pulled_and_what_runs_elsewhere() -> None:
    cloud = OllamaModel(name="gpt-oss:120b-cloud", remote_host="https://ollama.com:443", remote_model="gpt-oss:120b")
    dialect = OllamaDialect(models=(OllamaModel(name="llama3:latest", context_length=4096), cloud))
    async with (
        ScriptedUpstream(dialect) as upstream,
        aiohttp.ClientSession(base_url=upstream.origin) as client,
        client.get("/api/tags") as tags,
        client.post("/api/show", json={"model": "llama3"}) as local,
        client.post("/api/show", json={"model": cloud.name}) as remote,
        client.get("/api/version") as version,
    ):
        assert [model["name"] for model in (await tags.json())["models"]] == ["llama3:latest", cloud.name]
        assert (await local.json())["model_info"]["llama.context_length"] == 4096
        assert "remote_host" not in await local.json()
        assert (await remote.json())["remote_host"] == "https://ollama.com:443"
        assert set(await version.json()) == {"version"}
