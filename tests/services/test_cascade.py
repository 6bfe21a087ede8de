"""A cheap model answers first, and its answer is looked at before anything of it is given out."""

from __future__ import annotations

from dataclasses import replace

import pytest

from app.errors import UpstreamTimeoutError
from app.models import (
    Attempt,
    Complexity,
    Delta,
    FinishReason,
    JSONValue,
    Label,
    Message,
    Piece,
    Prompt,
    Sampling,
    Stop,
    ToolCallDelta,
    Tooling,
)
from app.services.cascade import Cascade
from app.services.catalog_file import CatalogFile
from app.services.llm_router import RequestFacts, plan
from tests.services.test_completion import GOOD, ScriptedProvider, completion, model, plan_of
from tests.services.test_llm_router import FACTS, LARGE, LLAMA, MIDDLE, SMALL, names, view

CASCADE = Cascade(first="of-cheap/cheap", min_logprob=-0.5)
CASCADE_ON_SMALL = Cascade(first=SMALL.id, min_logprob=-0.4)
PROMPT = Prompt(messages=(Message.of("user", "Hi"),))
SURE = "Water boils at 100 degrees."


def answer(text: str = SURE, *, logprob: float = -0.1, finish: FinishReason = "stop", refusal: str = "") -> list[Piece]:
    tokens: JSONValue = [{"token": text, "logprob": logprob}]
    return [Delta(content=text, refusal=refusal, logprobs={"content": tokens}), Stop(reason=finish)]


def asks_for(response_format: JSONValue) -> Prompt:
    return replace(PROMPT, tooling=Tooling(response_format=response_format))


SCHEMA: JSONValue = {"type": "json_schema", "json_schema": {"schema": {"required": ["degrees"]}}}


@pytest.mark.parametrize(
    ("pieces", "prompt"),
    [
        (answer("I'm not sure, but it may be 100."), PROMPT),
        (answer("Sorry, I cannot determine that."), PROMPT),
        (answer("As an AI, I have no access to that."), PROMPT),
        (answer(" \n"), PROMPT),
        (answer("Water boi", finish="length"), PROMPT),
        (answer(logprob=-0.9), PROMPT),
        (answer("Not JSON"), asks_for({"type": "json_object"})),
        (answer('{"celsius": 100}'), asks_for(SCHEMA)),
        ([Stop(reason="stop")], PROMPT),
    ],
)
def test_an_answer_that_is_unsure_empty_cut_or_malformed_is_weak(pieces: list[Piece], prompt: Prompt) -> None:
    assert CASCADE.is_weak(pieces, prompt=prompt)


@pytest.mark.parametrize(
    ("pieces", "prompt"),
    [
        (answer(), PROMPT),
        (answer("I am sure that I cannot say it better."), PROMPT),
        (answer("Water", finish="length"), replace(PROMPT, sampling=Sampling(max_tokens=1))),
        (answer('{"degrees": 100}'), asks_for(SCHEMA)),
        (answer("", refusal="I cannot help with that."), PROMPT),
        (answer("", finish="content_filter"), PROMPT),
        ([Delta(tool_calls=(ToolCallDelta(position=0, name="f"),)), Stop(reason="tool_calls")], PROMPT),
        ([Delta(content=SURE), Stop(reason="stop")], PROMPT),
    ],
)
def test_a_good_answer_a_refusal_and_a_cut_that_was_asked_for_are_not(pieces: list[Piece], prompt: Prompt) -> None:
    assert not CASCADE.is_weak(pieces, prompt=prompt)


async def run(provider: ScriptedProvider, *, sampling: Sampling | None = None) -> tuple[list[str], list[Piece]]:
    service, health = completion(provider)
    chosen = replace(plan_of(model("cheap"), model("strong")), cascade=CASCADE)
    prompt = replace(PROMPT, sampling=sampling or Sampling())
    items = [item async for item in service.run(chosen, prompt, label=Label.PUBLIC)]
    assert not health.view.open
    outcomes = [f"{item.model}: {item.outcome}" for item in items if isinstance(item, Attempt)]
    return outcomes, [item for item in items if not isinstance(item, Attempt)]


async def test_a_good_answer_of_the_cheap_model_is_the_answer() -> None:
    provider = ScriptedProvider({"cheap": [answer()], "strong": [GOOD]})
    outcomes, pieces = await run(provider)
    assert outcomes == ["of-cheap/cheap: ok"]
    assert pieces == [Delta(content=SURE), Stop(reason="stop")]
    assert provider.sent[0].payload.sampling.logprobs


async def test_a_weak_answer_is_replaced_before_anything_of_it_is_given_out() -> None:
    provider = ScriptedProvider({"cheap": [answer(logprob=-2.0)], "strong": [GOOD]})
    outcomes, pieces = await run(provider)
    assert outcomes == ["of-cheap/cheap: weak_answer", "of-strong/strong: ok"]
    assert pieces == list(GOOD)
    assert provider.sent[1].payload.sampling.logprobs is None
    assert {dispatch.label for dispatch in provider.sent} == {Label.PUBLIC}


async def test_a_doubted_answer_is_better_than_none() -> None:
    provider = ScriptedProvider({"cheap": [answer(logprob=-2.0)], "strong": [[UpstreamTimeoutError()]]})
    outcomes, pieces = await run(provider)
    assert outcomes[1:] == ["of-strong/strong: upstream_timeout", "of-cheap/cheap: ok"]
    assert pieces[0] == Delta(content=SURE)


async def test_log_probabilities_that_the_caller_asked_for_are_passed_on() -> None:
    _, pieces = await run(ScriptedProvider({"cheap": [answer()], "strong": [GOOD]}), sampling=Sampling(logprobs=True))
    assert pieces == answer()


# Routing


def complex_facts(label: Label = Label.PUBLIC, stated: str = "auto") -> RequestFacts:
    return replace(FACTS, complexity=Complexity.COMPLEX, label=label, stated_model=stated)


def test_a_cascade_puts_its_cheap_model_first_for_its_own_tier_only() -> None:
    catalog = view(cascades={"complex": Cascade(first=SMALL.id)})
    chosen = plan(complex_facts(), catalog, on_denied="reroute")
    assert names(chosen) == [SMALL.id, LARGE.id, MIDDLE.id, LLAMA.id]
    assert chosen.considered[0].model == SMALL.id
    assert chosen.checks(SMALL)
    assert plan(replace(FACTS, complexity=Complexity.MODERATE), catalog, on_denied="reroute").cascade is None


def test_there_is_no_cascade_for_a_stated_model_or_through_one_that_is_not_cleared() -> None:
    catalog = view(cascades={"complex": Cascade(first=SMALL.id), "local": Cascade(first=SMALL.id)})
    assert plan(complex_facts(stated=LARGE.id), catalog, on_denied="reroute").cascade is None
    confidential = plan(complex_facts(Label.CONFIDENTIAL), catalog, on_denied="reroute")
    assert (names(confidential), confidential.cascade) == ([LLAMA.id], None)


def test_a_model_that_gives_no_log_probabilities_is_not_asked_for_them() -> None:
    catalog = view(cascades={"complex": CASCADE_ON_SMALL}, lacks={SMALL.id: frozenset({"logprobs"})})
    chosen = plan(complex_facts(), catalog, on_denied="reroute")
    assert chosen.cascade == Cascade(first=SMALL.id)


def test_the_file_says_which_tier_has_one_and_none_has_by_default() -> None:
    text = '[cascade.complex]\nfirst = "openai/small"\nmin_logprob = -0.4'
    assert CatalogFile.parse(text, cloud_clearance=Label.INTERNAL).cascades == {"complex": CASCADE_ON_SMALL}
    assert CatalogFile.parse("", cloud_clearance=Label.INTERNAL).cascades == {}
