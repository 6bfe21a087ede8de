"""A cheap model answers first, and its answer is looked at before anything of it is given out."""

from __future__ import annotations

from dataclasses import replace

import pytest

from app.errors import UpstreamTimeoutError
from app.models import (
    Attempt,
    Charge,
    Complexity,
    Delta,
    FinishReason,
    JSONValue,
    Label,
    Locality,
    Message,
    Piece,
    Prompt,
    Sampling,
    Stop,
    ToolCallDelta,
    Tooling,
    Usage,
)
from app.services.cascade import Cascade, Verdict, agreement
from app.services.catalog_file import CatalogFile
from app.services.llm_router import RequestFacts, plan
from app.services.redaction import Redacted
from tests.services.test_completion import GOOD, ScriptedProvider, completion, ignore, model, outgoing, plan_of, reading
from tests.services.test_llm_router import FACTS, LARGE, LLAMA, MIDDLE, SMALL, names, view
from tests.support.batches import one_by_one

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
    ("pieces", "prompt", "verdict"),
    [
        (answer("I'm not sure, but it may be 100."), PROMPT, Verdict.UNSURE),
        (answer("Sorry, I cannot determine that."), PROMPT, Verdict.UNSURE),
        (answer("As an AI, I have no access to that."), PROMPT, Verdict.UNSURE),
        (answer(" \n"), PROMPT, Verdict.EMPTY),
        (answer("Water boi", finish="length"), PROMPT, Verdict.CUT),
        (answer(logprob=-0.9), PROMPT, Verdict.IMPROBABLE),
        (answer("Not JSON"), asks_for({"type": "json_object"}), Verdict.FORM),
        (answer('{"celsius": 100}'), asks_for(SCHEMA), Verdict.FORM),
        ([Stop(reason="stop")], PROMPT, Verdict.EMPTY),
    ],
)
def test_an_answer_that_is_unsure_empty_cut_or_malformed_is_weak(
    pieces: list[Piece], prompt: Prompt, verdict: Verdict
) -> None:
    assert CASCADE.judge(pieces, prompt=prompt) is verdict


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
    assert CASCADE.judge(pieces, prompt=prompt) is Verdict.KEPT


async def run(
    provider: ScriptedProvider, *, sampling: Sampling | None = None, cascade: Cascade = CASCADE
) -> tuple[list[str], list[Piece]]:
    """The outcomes of the attempts, and what was given out but for the usage."""
    service, health = completion(provider)
    chosen = replace(plan_of(model("cheap"), model("strong")), cascade=cascade)
    prompt = replace(PROMPT, sampling=sampling or Sampling())
    items = [item async for item in one_by_one(service.run(chosen, outgoing(prompt), book=ignore))]
    assert not health.view.open
    outcomes = [f"{item.model}: {item.outcome}" for item in items if isinstance(item, Attempt)]
    return outcomes, [item for item in items if not isinstance(item, Attempt | Usage)]


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
    assert pieces == list(GOOD[:2])
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


# Agreement


AGREEMENT = Cascade(first="of-cheap/cheap", min_agreement=0.5)


def said(text: str) -> list[Piece]:
    """An answer without log-probabilities."""
    return [Delta(content=text), Stop(reason="stop"), Usage(prompt_tokens=9, completion_tokens=6)]


@pytest.mark.parametrize(
    ("second", "outcome"),
    [
        ("At 100 degrees, water boils.", "of-cheap/cheap: ok"),
        ("It is 212 Fahrenheit.", "of-strong/strong: ok"),
        ("", "of-cheap/cheap: ok"),
    ],
)
async def test_without_log_probabilities_a_second_short_answer_has_to_agree(second: str, outcome: str) -> None:
    provider = ScriptedProvider({"cheap": [said(SURE), said(second)], "strong": [GOOD]})
    outcomes, _ = await run(provider, cascade=AGREEMENT, sampling=Sampling(temperature=0.0, seed=7))
    assert outcomes[0] == "of-cheap/cheap: sample"
    assert outcomes[-1] == outcome
    sampled = provider.sent[1].payload.sampling
    assert (sampled.temperature, sampled.seed, sampled.max_tokens) == (1.0, None, 64)


async def test_no_second_answer_is_asked_for_where_the_log_probabilities_tell() -> None:
    both = replace(CASCADE, min_agreement=0.5)
    provider = ScriptedProvider({"cheap": [answer()], "strong": [GOOD]})
    assert (await run(provider, cascade=both))[0] == ["of-cheap/cheap: ok"]


async def test_a_second_answer_that_fails_says_nothing_of_the_first() -> None:
    provider = ScriptedProvider({"cheap": [said(SURE), [UpstreamTimeoutError()]], "strong": [GOOD]})
    outcomes, _ = await run(provider, cascade=AGREEMENT)
    assert outcomes == ["of-cheap/cheap: upstream_timeout", "of-cheap/cheap: ok"]


@pytest.mark.parametrize(
    ("first", "second", "asked", "agreed"),
    [
        ("The capital is Paris.", "Paris", "What is the capital of France?", 1.0),
        ("The capital is Paris.", "The capital is Lyon.", "What is the capital?", 0.0),
        ("The sum is 1,024.", "1,024 it is", "Add them up", 2 / 3),
        ("Yes.", "yes", "Say yes", 1.0),
    ],
)
def test_agreement_is_the_share_of_the_telling_words(first: str, second: str, asked: str, agreed: float) -> None:
    assert agreement(first, second, asked=asked) == pytest.approx(agreed)


async def test_every_call_of_a_cascade_is_booked_once() -> None:
    """The doubted answer, the second sample that made it so, and the answer that took its place."""
    provider = ScriptedProvider({"cheap": [said(SURE), said("No idea whatever.")], "strong": [GOOD]})
    service, _ = completion(provider)
    charges: list[Charge] = []
    chosen = replace(plan_of(model("cheap"), model("strong")), cascade=AGREEMENT)
    items = [item async for item in one_by_one(service.run(chosen, outgoing(PROMPT), book=charges.append))]
    assert [charge.model for charge in charges] == ["of-cheap/cheap", "of-cheap/cheap", "of-strong/strong"]
    attempts = [item for item in items if isinstance(item, Attempt)]
    told = Usage(prompt_tokens=9, completion_tokens=6)
    assert [(attempt.outcome, attempt.usage, attempt.check) for attempt in attempts] == [
        ("sample", told, None),
        ("weak_answer", told, Verdict.DISAGREES),
        ("ok", None, None),
    ]


async def test_a_redacted_cheap_model_and_a_local_strong_one_share_one_plan() -> None:
    """Each gets its own version of the prompt, and the strong one is asked although it alone gets the values."""
    bare = Redacted(
        prompt=replace(PROMPT, messages=(Message.of("user", "Pay [CARD#1#abc]"),)),
        reading=reading(Label.INTERNAL),
        values={"[CARD#1#abc]": "4111"},
    )
    provider = ScriptedProvider({"cheap": [answer(logprob=-2.0)], "strong": [said("Paid 4111.")]})
    service, _ = completion(provider)
    strong = replace(model("strong", locality=Locality.LOCAL), clearance=Label.CONFIDENTIAL)
    chosen = replace(plan_of(model("cheap"), strong), cascade=CASCADE)
    both = outgoing(PROMPT, label=Label.CONFIDENTIAL, redacted=bare)
    items = [item async for item in one_by_one(service.run(chosen, both, book=ignore))]
    assert [(sent.label, sent.payload.messages[0].text) for sent in provider.sent] == [
        (Label.INTERNAL, "Pay [CARD#1#abc]"),
        (Label.CONFIDENTIAL, "Hi"),
    ]
    assert [item.outcome for item in items if isinstance(item, Attempt)] == ["weak_answer", "ok"]


async def test_values_come_back_in_a_doubted_answer_that_is_given_out_after_all() -> None:
    bare = Redacted(prompt=PROMPT, reading=reading(Label.INTERNAL), values={"[CARD#1#abc]": "4111"})
    provider = ScriptedProvider(
        {"cheap": [answer("Pay [CARD#1#abc].", logprob=-2.0)], "strong": [[UpstreamTimeoutError()]]}
    )
    service, _ = completion(provider)
    chosen = replace(plan_of(model("cheap"), model("strong")), cascade=CASCADE)
    both = outgoing(PROMPT, label=Label.CONFIDENTIAL, redacted=bare)
    items = [item async for item in one_by_one(service.run(chosen, both, book=ignore))]
    assert "".join(item.content for item in items if isinstance(item, Delta)) == "Pay 4111."


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
