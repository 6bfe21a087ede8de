"""Running a plan: attempts, time-outs, retries and fallback, up to the first content and never after it."""

from __future__ import annotations

import asyncio
import random
from collections import defaultdict
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from itertools import islice

from app.errors import (
    UpstreamBrokenError,
    UpstreamError,
    UpstreamGivenUpError,
    UpstreamRateLimitedError,
    UpstreamUnavailableError,
    WeakAnswerError,
)
from app.models import Attempt, Locality, Model, Piece, Usage
from app.protocols import ChatProvider
from app.services.answer import join_texts
from app.services.bulkhead import Bulkheads
from app.services.call_metrics import CallMetrics
from app.services.calls import Book, Call, address
from app.services.cascade import Verdict, without_logprobs
from app.services.health import Health, is_fault
from app.services.llm_router import Plan
from app.services.redaction import Outgoing
from app.services.restoration import restore
from app.services.spans import trace_call
from app.utils.silence import SilenceBound

# A wait that the upstream asks for is honoured up to here; the next candidate is tried instead of a longer one.
LONGEST_RETRY_AFTER = 2.0
RETRIES_ON_SAME_MODEL = 1
RETRY_BACKOFF = 0.1

# These exactly, none of their subclasses: the same model may answer a moment later. A time-out is not among them, it
# has cost the caller enough already.
PASSING_FAILURES = frozenset({UpstreamError, UpstreamBrokenError, UpstreamUnavailableError})

# A provider that failed two models will likely fail its third; and a caller does not wait for a dozen failures.
STRIKES_OF_A_PROVIDER = 2
MOST_MODELS_TRIED = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class TimeOuts:
    """In seconds. Local models may have to load their weights first, so they get longer for the first token.

    Models are asked for streams, whatever the client wants. `total` is for all attempts together; a model that cannot
    stream has all of it for its answer.
    """

    first_token: float
    first_token_local: float
    between_tokens: float
    total: float


class Completion:
    """Asks the models of a plan in turn until one answers."""

    def __init__(
        self,
        *,
        providers: Mapping[str, ChatProvider],
        fallback_provider: ChatProvider,
        health: Health,
        bulkheads: Bulkheads,
        timeouts: TimeOuts,
        metrics: CallMetrics,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._providers = providers
        self._fallback_provider = fallback_provider
        self._health = health
        self._bulkheads = bulkheads
        self._timeouts = timeouts
        self._metrics = metrics
        self._jitter = jitter

    async def run(
        self, plan: Plan, outgoing: Outgoing, *, book: Book
    ) -> AsyncGenerator[Sequence[Attempt | Piece], None]:
        """Yield an `Attempt` for each call that failed and for the one that answers, then its pieces, as they come.

        Each model gets the version of the prompt that it is cleared for. Nothing of an answer is given out before its
        first content, and nothing of one that the client wants in one piece before its proper end: until then the next
        model may take its place. A doubted answer of a cascade is given out if no other model answers. What a call
        took is booked when it ends. Raises the last model's `UpstreamError` if none answers, and any error after the
        first content as it is.
        """
        deadline = asyncio.get_running_loop().time() + self._timeouts.total
        failures: list[UpstreamError] = []
        doubted: Sequence[Attempt | Piece] = ()
        for model, wait in self._turns(plan.models, failures=failures, deadline=deadline):
            if wait:
                await asyncio.sleep(wait)
            call = Call(address(model, plan=plan, outgoing=outgoing), outgoing=outgoing, book=book)
            check: Verdict | None = None
            async with aclosing(self._traced(call, deadline=deadline)) as batches:
                try:
                    held = await _hold(batches, whole=not outgoing.prompt.stream or plan.checks(model))
                except UpstreamError as error:
                    failures.append(error)
                else:
                    check, samples = await self._check(plan, call, held=held, deadline=deadline)
                    if samples:
                        yield samples
                    answer = [Attempt(model=model.id, outcome="ok", check=check), *_as_asked(held, outgoing)]
                    if check in (None, Verdict.KEPT):
                        yield answer
                        async for pieces in batches:
                            yield pieces
                        return
                    doubted = answer
                    failures.append(WeakAnswerError())
            yield (Attempt(model=model.id, outcome=failures[-1].code, usage=call.usage, check=check),)
        if not doubted:
            raise failures[-1] if failures else UpstreamUnavailableError()
        yield doubted

    async def _check(
        self, plan: Plan, call: Call, *, held: Sequence[Piece], deadline: float
    ) -> tuple[Verdict | None, Sequence[Attempt]]:
        """What a cascade makes of a whole answer, `None` without one, and the second call that this took, if any."""
        if plan.cascade is None or not plan.checks(call.model):
            return None, ()
        cascade = plan.cascade
        verdict = cascade.judge(held, prompt=call.prompt)
        if verdict is not Verdict.KEPT or not cascade.wants_sample(held):
            return verdict, ()
        second = call.with_prompt(cascade.resample(call.prompt, fixed=call.model.id in plan.without_sampling))
        pieces: list[Piece] = []
        outcome = "sample"
        try:
            async with aclosing(self._traced(second, deadline=deadline)) as sampled:
                pieces.extend([piece async for batch in sampled for piece in batch])
        except UpstreamError as error:
            outcome = error.code
        verdict = cascade.compare(held, pieces, prompt=call.prompt) if outcome == "sample" else verdict
        return verdict, (Attempt(model=call.model.id, outcome=outcome, usage=second.usage),)

    def _turns(
        self, models: Sequence[Model], *, failures: Sequence[UpstreamError], deadline: float
    ) -> Iterator[tuple[Model, float]]:
        """The model to ask next, decided by the last of `failures`, and for how many seconds to wait before it is."""
        loop = asyncio.get_running_loop()
        strikes: defaultdict[str, int] = defaultdict(int)
        for model in islice(self._in_turn(models, strikes=strikes), MOST_MODELS_TRIED):
            yield model, 0.0
            for _ in range(RETRIES_ON_SAME_MODEL):
                wait = self._wait_before_retry(failures[-1])
                if wait is None:
                    break
                yield model, wait
            if not failures[-1].fallback or loop.time() >= deadline:
                return
            strikes[model.provider] += is_fault(failures[-1])

    def _in_turn(self, models: Sequence[Model], *, strikes: Mapping[str, int]) -> Iterator[Model]:
        """In the order of the plan, but models that likely fail wait for the others: nothing is refused."""
        waiting = []
        for model in models:
            if self._health.is_open(model.id) or strikes[model.provider] >= STRIKES_OF_A_PROVIDER:
                waiting.append(model)
            else:
                yield model
        yield from waiting

    def _traced(self, call: Call, *, deadline: float) -> AsyncGenerator[Sequence[Piece], None]:
        """One call as a client may see it: with what was redacted put back, and as a span if there are any."""
        seen, values = self._ask(call, deadline=deadline), call.redacted_values
        return trace_call(seen if values is None else restore(seen, values=values), call=call)

    async def _ask(self, call: Call, *, deadline: float) -> AsyncGenerator[Sequence[Piece], None]:
        """One call: in a slot of its model, with its waits bounded, metered, and judged by how it ends.

        Raises `UpstreamGivenUpError` if a piece is late. Thinking is a sign of life too; an opening is not the first
        token that is waited for.
        """
        loop, model = asyncio.get_running_loop(), call.model.id
        provider = self._providers.get(call.model.provider, self._fallback_provider)
        with await self._bulkheads.slot(model):
            late = loop.time() + self._patience(call)
            with (
                SilenceBound(late=UpstreamGivenUpError) as bound,
                self._metrics.watch(call),
                self._health.watch(model) as note_content,
                call.metered(),
            ):
                async with aclosing(provider.complete(call.dispatch)) as batches:
                    while (pieces := await bound.next_of(batches, end=min(deadline, late))) is not None:
                        if seen := call.note(pieces):
                            note_content()
                            yield seen
                        if call.first_piece_at is not None:
                            late = loop.time() + self._timeouts.between_tokens
                if estimated := call.missing_usage():
                    note_content()
                    yield estimated

    def _patience(self, call: Call) -> float:
        """Seconds to wait for the first token."""
        if not call.prompt.stream:
            return self._timeouts.total
        local = call.model.locality is Locality.LOCAL
        return self._timeouts.first_token_local if local else self._timeouts.first_token

    def _wait_before_retry(self, failure: UpstreamError) -> float | None:
        """Seconds after which the same model is worth a second call, `None` if it is not."""
        if failure.retry_after is None:
            return RETRY_BACKOFF * (0.5 + self._jitter()) if type(failure) in PASSING_FAILURES else None
        passing = type(failure) in PASSING_FAILURES or isinstance(failure, UpstreamRateLimitedError)
        if not passing or failure.retry_after > LONGEST_RETRY_AFTER:
            return None
        return failure.retry_after + RETRY_BACKOFF * self._jitter()


async def _hold(batches: AsyncGenerator[Sequence[Piece], None], *, whole: bool) -> Sequence[Piece]:
    """The pieces up to the first that a client would see and those that came with it; of a whole answer all of them."""
    held: list[Piece] = []
    async for pieces in batches:
        held += pieces
        if not whole and not all(isinstance(piece, Usage) for piece in pieces):
            return held
    if not held:
        raise UpstreamBrokenError
    return held


def _as_asked(held: Sequence[Piece], outgoing: Outgoing) -> Sequence[Piece]:
    """Log-probabilities that only a check wanted are not passed on, and a whole answer is in one piece from here on."""
    asked = held if outgoing.prompt.sampling.logprobs else tuple(without_logprobs(held))
    return asked if outgoing.prompt.stream else join_texts(asked)
