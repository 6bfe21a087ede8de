"""What the operator writes into the catalog file about the order of models, seen from the front door."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.support.answer import Answer
from tests.support.behaviours import Behaviour
from tests.support.dialects import OpenAIDialect
from tests.support.http import RecordedRequest
from tests.support.service import Service, running
from tests.support.streams import sse
from tests.support.upstream import ScriptedUpstream

CHEAP, STRONG = "shop/cheap", "shop/strong"
MODELS = """
[[model]]
id = "shop/cheap"
tier = "simple"
prompt_per_million = 1
completion_per_million = 1
lacks = ["json_schema"]

[[model]]
id = "shop/strong"
tier = "complex"
sampling = false
prompt_per_million = 9
completion_per_million = 9
"""


def answer_by_name(request: RecordedRequest) -> Behaviour | None:
    """The strong model is sure of itself, the cheap one only of what is easy."""
    if not request.path.endswith("/chat/completions"):
        return None
    asked = request.json["messages"][-1]["content"]
    unsure = request.json["model"] == "cheap" and "hard" in asked
    return Answer("I'm not sure about that." if unsure else f"It is {request.json['model']}.")


@asynccontextmanager
async def shop(directory: Path, policy: str) -> AsyncIterator[tuple[Service, ScriptedUpstream]]:
    """A gateway to one server with two models, under a policy in the catalog file."""
    async with ScriptedUpstream(OpenAIDialect(models={"cheap": {}, "strong": {}}), script=answer_by_name) as upstream:
        path = directory / "catalog.toml"
        path.write_text(f'[[provider]]\nname = "shop"\nbase_url = "{upstream.origin}/v1"\n{MODELS}\n{policy}')
        async with running(directory, catalog_file=path, vector_store="memory") as service:
            yield service, upstream


async def ask(service: Service, message: str = "Hi", **fields: Any) -> Any:
    body = {"message": message, "cache": False, "documents": False, "sensitivity": "public", **fields}
    async with service.client.post("/chat", json=body) as response:
        assert response.status == 200, await response.text()
        return await response.json()


async def test_a_weighted_split_keeps_a_session_with_its_model(tmp_path: Path) -> None:
    policy = '[strategy]\nsimple = { "shop/cheap" = 50, "shop/strong" = 50 }'
    async with shop(tmp_path, policy) as (service, _):
        used: dict[str, set[str]] = {}
        for session in (f"session-{number}" for number in range(12)):
            answers = [await ask(service, complexity="simple", session_id=session) for _ in range(2)]
            used[session] = {answer["model_used"] for answer in answers}
    assert all(len(models) == 1 for models in used.values())
    assert set.union(*used.values()) == {CHEAP, STRONG}


@pytest.mark.parametrize(("question", "model"), [("easy", CHEAP), ("hard", STRONG)])
async def test_a_cascade_asks_the_strong_model_only_where_the_cheap_one_is_unsure(
    tmp_path: Path, question: str, model: str
) -> None:
    async with shop(tmp_path, '[cascade.complex]\nfirst = "shop/cheap"') as (service, _):
        answer = await ask(service, question, complexity="complex")
        assert answer["model_used"] == model
        outcomes = [attempt["outcome"] for attempt in answer["route"]["attempts"]]
        assert outcomes == (["ok"] if model == CHEAP else ["weak_answer", "ok"])
        body = {"message": question, "complexity": "complex", "cache": False, "documents": False}
        async with service.client.post("/chat/stream", json=body) as response:
            events = [event.data async for event in sse(response)]
        assert "not sure" not in "".join(events)
        async with service.client.get("/metrics") as response:
            metrics = await response.text()
        assert (f'model="{CHEAP}",outcome="weak_answer"' in metrics) is (model == STRONG)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(("logprob", "model"), [(-0.1, CHEAP), (-0.9, STRONG)])
async def test_a_cascade_goes_by_the_models_own_log_probabilities_where_it_gives_them(
    tmp_path: Path, logprob: float, model: str, stream: bool
) -> None:
    """They are asked for, looked at before anything is sent, and not passed on to a client that did not want them."""
    policy = '[cascade.complex]\nfirst = "shop/cheap"\nmin_logprob = -0.4'
    async with shop(tmp_path, policy) as (service, upstream):
        upstream.script = lambda request: Answer(f"It is {request.json['model']}.", logprob=logprob)
        body = {"model": "auto", "stream": stream, "messages": [{"role": "user", "content": "Hi"}]}
        options = {"complexity": "complex", "cache": False}
        async with service.client.post("/v1/chat/completions", json={**body, **options}) as response:
            assert response.headers["x-sluice-model"] == model
            said = await response.text()
    assert upstream.completions[0].json["logprobs"] is True
    assert str(logprob) not in said
    assert len(upstream.completions) == (1 if model == CHEAP else 2)


@pytest.mark.parametrize(
    ("asked", "rule", "model"),
    [
        ({"message": "word " * 1_000}, "simple", CHEAP),
        ({"message": "word " * 40_000}, "long_context", STRONG),
        ({"message": "Hi", "max_tokens": 40_000}, "long_context", STRONG),
    ],
)
async def test_a_long_prompt_or_a_long_answer_goes_to_a_model_with_a_long_context(
    tmp_path: Path, asked: dict[str, Any], rule: str, model: str
) -> None:
    policy = f'[preferences]\nsimple = ["{CHEAP}"]\nlong_context = ["{STRONG}"]'
    async with shop(tmp_path, policy) as (service, upstream):
        body = {"complexity": "simple", "documents": False, "sensitivity": "public", **asked}
        async with service.client.post("/route", json=body) as response:
            shown = await response.json()
    assert (shown["route"]["rule"], shown["model"]) == (rule, model)
    assert upstream.completions == []


async def test_a_model_that_is_known_not_to_do_what_is_asked_is_skipped_with_a_reason(tmp_path: Path) -> None:
    async with shop(tmp_path, "") as (service, _):
        schema = {"type": "json_schema", "json_schema": {"name": "a", "schema": {"type": "object"}}}
        body = {"model": "auto", "messages": [{"role": "user", "content": "Hi"}], "response_format": schema}
        async with service.client.post("/v1/chat/completions", json=body) as response:
            assert response.headers["x-sluice-model"] == STRONG
        async with service.client.post("/v1/chat/completions", json={**body, "model": CHEAP}) as response:
            assert (response.status, (await response.json())["error"]["code"]) == (400, "no_capable_model")


async def test_a_temperature_is_not_sent_to_a_model_that_refuses_one(tmp_path: Path) -> None:
    async with shop(tmp_path, "") as (service, upstream):
        for model in (CHEAP, STRONG):
            await ask(service, model=model, temperature=0.5)
    assert ["temperature" in request.json for request in upstream.completions] == [True, False]
