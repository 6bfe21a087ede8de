"""Running a plan: what is tried when, and what is given out."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import replace

import pytest

from app.errors import (
    ContentFilterError,
    ContextLengthError,
    UpstreamAuthenticationError,
    UpstreamBrokenError,
    UpstreamBusyError,
    UpstreamError,
    UpstreamRateLimitedError,
    UpstreamTimeoutError,
    UpstreamUnavailableError,
)
from app.models import (
    Attempt,
    Charge,
    Delta,
    Dispatch,
    Finding,
    Label,
    Locality,
    Message,
    Model,
    Opening,
    Piece,
    Price,
    Prompt,
    Sampling,
    Stop,
    ToolCallDelta,
    Usage,
)
from app.protocols import ProviderStatus
from app.services.bulkhead import Bulkheads
from app.services.call_metrics import CallMetrics
from app.services.completion import MOST_MODELS_TRIED, Completion, TimeOuts
from app.services.health import Health
from app.services.labels import Reading
from app.services.llm_router import Plan
from app.services.redaction import Outgoing, Redacted
from app.utils.monitoring import Metrics
from tests.support.batches import one_by_one

TIMEOUTS = TimeOuts(first_token=0.05, first_token_local=0.2, between_tokens=0.05, total=5.0)
THINKING = Delta()
GOOD: tuple[Piece, ...] = (Delta(content="Hello"), Stop(reason="stop"), Usage(prompt_tokens=1, completion_tokens=1))

# What a call does: a piece is given out, a number of seconds waited, an error raised.
Step = Piece | float | UpstreamError


class ScriptedProvider:
    """Plays for each model its calls in order, the last one again and again, and remembers what it was sent."""

    def __init__(self, calls: Mapping[str, Sequence[Sequence[Step]]]) -> None:
        self._calls = {model: list(scripts) for model, scripts in calls.items()}
        self.sent: list[Dispatch[Prompt]] = []
        self.open = 0
        self.most_open = 0

    @property
    def asked(self) -> list[str]:
        return [dispatch.model.name for dispatch in self.sent]

    async def complete(self, dispatch: Dispatch[Prompt]) -> AsyncGenerator[Sequence[Piece], None]:
        self.sent.append(dispatch)
        scripts = self._calls[dispatch.model.name]
        script = scripts.pop(0) if len(scripts) > 1 else scripts[0]
        self.open += 1
        self.most_open = max(self.most_open, self.open)
        try:
            for step in script:
                if isinstance(step, UpstreamError):
                    raise step
                if isinstance(step, float):
                    await asyncio.sleep(step)
                else:
                    yield (step,)
        finally:
            self.open -= 1

    async def probe(self) -> ProviderStatus:
        return ProviderStatus(reachable=True)

    async def close(self) -> None: ...


def model(name: str, *, provider: str | None = None, locality: Locality = Locality.CLOUD) -> Model:
    """A model on a provider of its own, unless told otherwise."""
    return Model(provider=provider or f"of-{name}", name=name, locality=locality, clearance=Label.INTERNAL)


def plan_of(*models: Model, without_sampling: frozenset[str] = frozenset()) -> Plan:
    return Plan(rule="simple", models=models, considered=(), without_sampling=without_sampling)


def prompt(*, stream: bool = True, sampling: Sampling | None = None) -> Prompt:
    return Prompt(messages=(Message.of("user", "Hi"),), stream=stream, sampling=sampling or Sampling())


def outgoing(of: Prompt, *, label: Label = Label.PUBLIC, redacted: Redacted | None = None) -> Outgoing:
    """What may be sent for a request with this label, which was stated."""
    return Outgoing(prompt=of, reading=reading(label), redacted=redacted)


def reading(label: Label) -> Reading:
    return Reading(given=(Finding(detector="stated", label=label, where="sensitivity"),))


def ignore(charge: Charge) -> None:
    """For tests that are not about what a call takes."""


def completion(
    provider: ScriptedProvider, *, limit: int = 8, monotonic: Callable[[], float] = lambda: 0.0
) -> tuple[Completion, Health]:
    health = Health(monotonic=monotonic)
    return (
        Completion(
            providers={},
            fallback_provider=provider,
            health=health,
            bulkheads=Bulkheads(limit=limit, patience=0.05),
            timeouts=TIMEOUTS,
            metrics=CallMetrics(Metrics(version="0")),
            jitter=lambda: 0.0,
        ),
        health,
    )


async def run(
    provider: ScriptedProvider, plan: Plan, *, stream: bool = True, sampling: Sampling | None = None
) -> tuple[list[str], list[Piece], UpstreamError | None]:
    """The outcomes of the attempts, the pieces given out, and the error at the end if there was one."""
    service, _ = completion(provider)
    outcomes: list[str] = []
    pieces: list[Piece] = []
    try:
        async for item in one_by_one(
            service.run(plan, outgoing(prompt(stream=stream, sampling=sampling)), book=ignore)
        ):
            if isinstance(item, Attempt):
                outcomes.append(f"{item.model.partition('/')[2]}: {item.outcome}")
            else:
                pieces.append(item)
    except UpstreamError as error:
        return outcomes, pieces, error
    return outcomes, pieces, None


async def test_the_first_model_answers_and_no_other_is_asked() -> None:
    provider = ScriptedProvider({"a": [GOOD], "b": [GOOD]})
    assert await run(provider, plan_of(model("a"), model("b"))) == (["a: ok"], list(GOOD), None)
    assert provider.asked == ["a"]


@pytest.mark.parametrize("failure", [UpstreamError(), UpstreamBrokenError(), UpstreamUnavailableError()])
async def test_a_failure_that_may_pass_is_tried_once_more_on_the_same_model(failure: UpstreamError) -> None:
    provider = ScriptedProvider({"a": [[failure], GOOD]})
    outcomes, pieces, error = await run(provider, plan_of(model("a")))
    assert (outcomes, pieces, error) == ([f"a: {failure.code}", "a: ok"], list(GOOD), None)


@pytest.mark.parametrize(
    "failure",
    [
        UpstreamTimeoutError(),
        UpstreamAuthenticationError(),
        ContextLengthError(),
        UpstreamRateLimitedError(),
        UpstreamRateLimitedError(retry_after=2.1),
        UpstreamUnavailableError(retry_after=30.0),
    ],
)
async def test_a_failure_that_will_not_pass_soon_is_left_to_the_next_model(failure: UpstreamError) -> None:
    provider = ScriptedProvider({"a": [[failure], GOOD], "b": [GOOD]})
    outcomes, _, _ = await run(provider, plan_of(model("a"), model("b")))
    assert outcomes == [f"a: {failure.code}", "b: ok"]


async def test_a_short_retry_after_is_waited_for_once() -> None:
    loop = asyncio.get_running_loop()
    provider = ScriptedProvider({"a": [[UpstreamRateLimitedError(retry_after=0.1)]], "b": [GOOD]})
    began = loop.time()
    outcomes, _, _ = await run(provider, plan_of(model("a"), model("b")))
    assert outcomes == ["a: upstream_rate_limited", "a: upstream_rate_limited", "b: ok"]
    assert 0.1 <= loop.time() - began < 0.2


async def test_a_content_filter_is_the_answer_and_not_routed_around() -> None:
    provider = ScriptedProvider({"a": [[ContentFilterError()]], "b": [GOOD]})
    outcomes, _, error = await run(provider, plan_of(model("a"), model("b")))
    assert outcomes == ["a: content_filter"]
    assert isinstance(error, ContentFilterError)


async def test_the_last_failure_decides() -> None:
    provider = ScriptedProvider({"a": [[UpstreamTimeoutError()]], "b": [[UpstreamRateLimitedError(retry_after=9.0)]]})
    _, _, error = await run(provider, plan_of(model("a"), model("b")))
    assert isinstance(error, UpstreamRateLimitedError)
    assert error.retry_after == 9.0


async def test_after_the_first_content_a_failure_is_final() -> None:
    provider = ScriptedProvider({"a": [[Delta(content="Hel"), UpstreamBrokenError()]], "b": [GOOD]})
    outcomes, pieces, error = await run(provider, plan_of(model("a"), model("b")))
    assert (outcomes, pieces) == (["a: ok"], [Delta(content="Hel")])
    assert isinstance(error, UpstreamBrokenError)
    assert provider.asked == ["a"]


@pytest.mark.parametrize(
    "first",
    [
        Delta(content="x"),
        Delta(refusal="x"),
        Delta(tool_calls=(ToolCallDelta(position=0),)),
        Delta(logprobs={"content": []}),
        Stop(reason="content_filter"),
    ],
)
async def test_whatever_a_client_would_see_counts_as_the_first_content(first: Piece) -> None:
    provider = ScriptedProvider({"a": [[first, UpstreamBrokenError()]], "b": [GOOD]})
    assert (await run(provider, plan_of(model("a"), model("b"))))[0] == ["a: ok"]


async def test_a_whole_answer_that_breaks_off_is_replaced_because_nothing_of_it_was_sent() -> None:
    provider = ScriptedProvider({"a": [[Delta(content="Hel"), UpstreamBrokenError()]], "b": [GOOD]})
    outcomes, pieces, _ = await run(provider, plan_of(model("a"), model("b")), stream=False)
    assert outcomes == ["a: upstream_broken", "a: upstream_broken", "b: ok"]
    assert pieces == list(GOOD)


async def test_thinking_is_no_content() -> None:
    provider = ScriptedProvider({"a": [[THINKING, THINKING, UpstreamBrokenError()]], "b": [[THINKING, *GOOD]]})
    outcomes, pieces, _ = await run(provider, plan_of(model("a"), model("b")))
    assert outcomes[-1] == "b: ok"
    assert pieces == list(GOOD)


async def test_thinking_shows_that_a_model_is_alive() -> None:
    """It may think for longer in all than a first token may take, as long as it shows."""
    thoughts: list[Step] = [step for _ in range(4) for step in (0.02, THINKING)]
    provider = ScriptedProvider({"a": [[*thoughts, *GOOD]]})
    assert (await run(provider, plan_of(model("a"))))[0] == ["a: ok"]


@pytest.mark.parametrize("script", [[0.3], [0.04, Opening(), 0.04], [THINKING, 0.3], [THINKING, THINKING, 0.3]])
async def test_a_model_that_does_not_begin_in_time_is_replaced(script: Sequence[Step]) -> None:
    provider = ScriptedProvider({"a": [[*script, *GOOD]], "b": [GOOD]})
    assert (await run(provider, plan_of(model("a"), model("b"))))[0] == ["a: upstream_timeout", "b: ok"]


async def test_an_answer_that_has_opened_has_the_time_of_a_first_token_still() -> None:
    """Some servers open an answer as soon as they have the request, and read the prompt after that."""
    script: list[Step] = [Opening(), 0.1, *GOOD]
    local = model("a", locality=Locality.LOCAL)
    assert (await run(ScriptedProvider({"a": [script]}), plan_of(local)))[0] == ["a: ok"]


async def test_a_stall_after_content_is_an_error() -> None:
    provider = ScriptedProvider({"a": [[Delta(content="Hel"), 0.3, *GOOD]]})
    _, pieces, error = await run(provider, plan_of(model("a")))
    assert pieces == [Delta(content="Hel")]
    assert isinstance(error, UpstreamTimeoutError)


async def test_a_local_model_gets_longer_for_its_first_token() -> None:
    provider = ScriptedProvider({"a": [[0.1, *GOOD]]})
    assert (await run(provider, plan_of(model("a", locality=Locality.LOCAL))))[0] == ["a: ok"]


async def test_the_total_time_out_is_for_all_attempts_together() -> None:
    provider = ScriptedProvider({name: [[0.3]] for name in "abc"})
    service = Completion(
        providers={},
        fallback_provider=provider,
        health=Health(monotonic=lambda: 0.0),
        bulkheads=Bulkheads(limit=8),
        timeouts=TimeOuts(first_token=0.05, first_token_local=0.05, between_tokens=0.05, total=0.08),
        metrics=CallMetrics(Metrics(version="0")),
    )
    plan = plan_of(*map(model, "abc"))
    with pytest.raises(UpstreamTimeoutError):
        _ = [item async for item in one_by_one(service.run(plan, outgoing(prompt()), book=ignore))]
    assert provider.asked == ["a", "b"]


async def test_a_provider_that_failed_two_models_waits_for_the_others() -> None:
    failing: list[Step] = [UpstreamTimeoutError()]
    provider = ScriptedProvider({"a": [failing], "b": [failing], "c": [GOOD], "d": [GOOD]})
    models = [model(name, provider="same") for name in "abc"]
    assert (await run(provider, plan_of(*models, model("d"))))[0][-1] == "d: ok"


async def test_a_caller_does_not_wait_for_a_dozen_failures() -> None:
    names = [f"m{number}" for number in range(12)]
    provider = ScriptedProvider({name: [[UpstreamTimeoutError()]] for name in names})
    await run(provider, plan_of(*map(model, names)))
    assert provider.asked == names[:MOST_MODELS_TRIED]


async def test_a_model_that_refuses_a_temperature_is_not_sent_one() -> None:
    provider = ScriptedProvider({"a": [[UpstreamTimeoutError()]], "b": [GOOD]})
    plan = plan_of(model("a"), model("b"), without_sampling=frozenset({"of-a/a"}))
    await run(provider, plan, sampling=Sampling(temperature=0.5, top_p=0.9, max_tokens=7))
    sent = [dispatch.payload.sampling for dispatch in provider.sent]
    assert sent == [Sampling(max_tokens=7), Sampling(temperature=0.5, top_p=0.9, max_tokens=7)]


async def test_an_answer_without_anything_is_broken() -> None:
    provider = ScriptedProvider({"a": [[]]})
    assert isinstance((await run(provider, plan_of(model("a"))))[2], UpstreamBrokenError)


async def test_no_more_calls_than_the_limit_reach_a_model_and_the_queue_is_bounded() -> None:
    provider = ScriptedProvider({"a": [[0.01, *GOOD]], "b": [GOOD]})
    service, _ = completion(provider, limit=2)
    plan = plan_of(model("a"), model("b"))

    async def answered_by() -> str:
        items = [item async for item in one_by_one(service.run(plan, outgoing(prompt()), book=ignore))]
        return next(item.model for item in items if isinstance(item, Attempt) and item.outcome == "ok")

    answers = await asyncio.gather(*(answered_by() for _ in range(6)))
    assert sorted(answers) == ["of-a/a"] * 4 + ["of-b/b"] * 2


async def test_a_full_model_without_a_fallback_says_that_it_is_busy() -> None:
    provider = ScriptedProvider({"a": [[0.02, *GOOD]]})
    service, health = completion(provider, limit=1)
    calls = [_collect(service, plan_of(model("a"))) for _ in range(3)]
    results = await asyncio.gather(*calls, return_exceptions=True)
    assert [type(result) for result in results] == [list, list, UpstreamBusyError]
    assert provider.most_open == 1
    assert not health.is_open("of-a/a")


async def _collect(service: Completion, plan: Plan) -> list[Attempt | Piece]:
    return [item async for item in one_by_one(service.run(plan, outgoing(prompt()), book=ignore))]


@pytest.mark.parametrize("stream", [True, False])
async def test_leaving_closes_the_call_and_frees_its_slot(stream: bool) -> None:
    provider = ScriptedProvider({"a": [[10.0]]})
    service, health = completion(provider, limit=1)
    for _ in range(3):
        task = asyncio.create_task(
            anext(service.run(plan_of(model("a")), outgoing(prompt(stream=stream)), book=ignore))
        )
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert provider.open == 1
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert provider.open == 0
    assert not health.is_open("of-a/a")


# What a call takes


async def charges_of(
    provider: ScriptedProvider, plan: Plan, *, stream: bool = True, leave_after: int | None = None
) -> list[Charge]:
    """What was booked for a request whose client leaves after so many pieces, or stays."""
    service, _ = completion(provider)
    charges: list[Charge] = []
    given = 0
    try:
        async with aclosing(service.run(plan, outgoing(prompt(stream=stream)), book=charges.append)) as items:
            async for item in items:
                given += not isinstance(item, Attempt)
                if given == leave_after:
                    break
    except UpstreamError:
        pass
    return charges


async def test_a_complete_call_is_booked_as_its_provider_counted_it() -> None:
    provider = ScriptedProvider({"a": [GOOD]})
    priced = replace(model("a"), price=Price(prompt=2.0, completion=3.0))
    charges = await charges_of(provider, plan_of(priced))
    usage = Usage(prompt_tokens=1, completion_tokens=1)
    assert charges == [Charge(model="of-a/a", usage=usage, cost=5.0, price=priced.price)]


@pytest.mark.parametrize(
    ("script", "stream", "leave_after"),
    [
        ([Delta(content="Hello there"), UpstreamBrokenError()], True, None),
        ([Delta(content="Hello there"), 0.3], True, None),
        ([Delta(content="Hello there"), *GOOD], True, 1),
        ([Delta(content="Hello there"), UpstreamTimeoutError()], False, None),
        ([Delta(content="Hello there"), Stop(reason="stop")], True, None),
    ],
)
async def test_a_call_that_ends_without_a_report_is_booked_as_estimated(
    script: Sequence[Step], stream: bool, leave_after: int | None
) -> None:
    charges = await charges_of(
        ScriptedProvider({"a": [script]}), plan_of(model("a")), stream=stream, leave_after=leave_after
    )
    assert [charge.usage for charge in charges] == [Usage(prompt_tokens=8, completion_tokens=2, estimated=True)]


async def test_what_was_written_in_vain_is_booked_and_told_with_the_attempt() -> None:
    provider = ScriptedProvider({"a": [[THINKING, THINKING, UpstreamTimeoutError()]], "b": [GOOD]})
    service, _ = completion(provider)
    charges: list[Charge] = []
    plan = plan_of(model("a"), model("b"))
    items = [item async for item in one_by_one(service.run(plan, outgoing(prompt()), book=charges.append))]
    thought = Usage(prompt_tokens=8, completion_tokens=2, estimated=True)
    assert items[0] == Attempt(model="of-a/a", outcome="upstream_timeout", usage=thought)
    assert [charge.usage for charge in charges] == [thought, GOOD[-1]]


async def test_a_call_that_was_refused_before_its_answer_began_takes_nothing() -> None:
    """A time-out that the server itself reports, or one of connecting to it, is not our giving up."""
    failures = (UpstreamRateLimitedError(), UpstreamUnavailableError(), UpstreamTimeoutError())
    refusing = ScriptedProvider({name: [[failure]] for name, failure in zip("abc", failures, strict=True)})
    assert await charges_of(refusing, plan_of(*map(model, "abc"))) == []


@pytest.mark.parametrize("script", [[Opening(), UpstreamBrokenError()], [Opening(), UpstreamError()], [0.3]])
async def test_a_call_that_fails_when_its_prompt_was_read_takes_its_prompt(script: Sequence[Step]) -> None:
    """An answer that has opened tells so, and a server that is given up was at work on it."""
    charges = await charges_of(ScriptedProvider({"a": [script], "b": [GOOD]}), plan_of(model("a"), model("b")))
    assert charges[0].usage == Usage(prompt_tokens=8, estimated=True)
    assert charges[-1].usage == GOOD[-1]


async def test_a_call_that_is_left_before_its_first_token_takes_its_prompt() -> None:
    service, _ = completion(ScriptedProvider({"a": [[10.0]]}))
    charges: list[Charge] = []
    answer = service.run(plan_of(model("a")), outgoing(prompt()), book=charges.append)
    waiting = asyncio.create_task(anext(answer))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    assert [charge.usage for charge in charges] == [Usage(prompt_tokens=8, estimated=True)]


# The mode of the call


@pytest.mark.parametrize("stream", [True, False])
async def test_a_model_is_asked_for_a_stream_whatever_the_client_wants(stream: bool) -> None:
    """A long answer in one piece is late for no bound on its first token."""
    words: list[Step] = [step for _ in range(8) for step in (0.01, Delta(content="word "))]
    provider = ScriptedProvider({"a": [[*words, Stop(reason="stop")]]})
    assert (await run(provider, plan_of(model("a")), stream=stream))[0] == ["a: ok"]
    assert provider.sent[0].payload.stream


@pytest.mark.parametrize("stream", [True, False])
async def test_a_model_that_cannot_stream_is_asked_for_one_piece_and_given_the_time_for_it(stream: bool) -> None:
    provider = ScriptedProvider({"a": [[0.1, *GOOD]]})
    plan = replace(plan_of(model("a")), without_streaming=frozenset({"of-a/a"}))
    assert (await run(provider, plan, stream=stream))[1] == list(GOOD)
    assert not provider.sent[0].payload.stream
