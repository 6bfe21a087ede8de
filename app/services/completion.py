"""Running a plan: attempts, time-outs, retries and fallback, up to the first content and never after it."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from itertools import islice

from app.errors import (
    UpstreamBrokenError,
    UpstreamError,
    UpstreamRateLimitedError,
    UpstreamTimeoutError,
    UpstreamUnavailableError,
    WeakAnswerError,
)
from app.models import Attempt, Delta, Dispatch, Label, Locality, Model, Piece, Prompt, Usage
from app.protocols import ChatProvider
from app.services.bulkhead import Bulkheads
from app.services.cascade import without_logprobs
from app.services.health import Health, is_fault
from app.services.llm_router import Plan

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

    An answer that is asked for in one piece has its first token when it is there. `total` is for all attempts together.
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
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._providers = providers
        self._fallback_provider = fallback_provider
        self._health = health
        self._bulkheads = bulkheads
        self._timeouts = timeouts
        self._jitter = jitter

    async def run(self, plan: Plan, prompt: Prompt, *, label: Label) -> AsyncGenerator[Attempt | Piece, None]:
        """Yield an `Attempt` for each call that failed and for the one that answers, then its pieces.

        Nothing of an answer is given out before its first content, and nothing of one that is asked for in one piece
        before its proper end: until then the next model may take its place. A doubted answer of a cascade is given out
        if no other model answers. Raises the last model's `UpstreamError` if none does, and any error after the first
        content as it is.
        """
        deadline = asyncio.get_running_loop().time() + self._timeouts.total
        failures: list[UpstreamError] = []
        doubted: Sequence[Attempt | Piece] = ()
        async with aclosing(self._turns(plan.models, failures=failures, deadline=deadline)) as turns:
            async for model in turns:
                dispatch = Dispatch(_adapted(prompt, model=model, plan=plan), label, model)
                async with aclosing(self._call(dispatch, deadline=deadline)) as pieces:
                    try:
                        held = await _hold(pieces, whole=not prompt.stream or plan.checks(model))
                    except UpstreamError as error:
                        failures.append(error)
                    else:
                        answer = [Attempt(model=model.id, outcome="ok"), *_restored(held, prompt=prompt)]
                        if not plan.doubts(model, held, prompt=prompt):
                            for item in answer:
                                yield item
                            async for piece in pieces:
                                yield piece
                            return
                        doubted = answer
                        failures.append(WeakAnswerError())
                yield Attempt(model=model.id, outcome=failures[-1].code)
        if not doubted:
            raise failures[-1] if failures else UpstreamUnavailableError()
        for item in doubted:
            yield item

    async def _turns(
        self, models: Sequence[Model], *, failures: Sequence[UpstreamError], deadline: float
    ) -> AsyncGenerator[Model, None]:
        """The model to ask next, decided by the last of `failures`; waits before a model is asked again."""
        loop = asyncio.get_running_loop()
        strikes: Counter[str] = Counter()
        for model in islice(self._in_turn(models, strikes=strikes), MOST_MODELS_TRIED):
            yield model
            for _ in range(RETRIES_ON_SAME_MODEL):
                wait = self._wait_before_retry(failures[-1])
                if wait is None:
                    break
                await asyncio.sleep(wait)
                yield model
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

    async def _call(self, dispatch: Dispatch[Prompt], *, deadline: float) -> AsyncGenerator[Piece, None]:
        """One call: in a slot of its model, with its waits bounded, and judged by how it ends."""
        model, streamed = dispatch.model, dispatch.payload.stream
        provider = self._providers.get(model.provider, self._fallback_provider)
        async with self._bulkheads.slot(model.id):
            with self._health.watch(model.id, streamed=streamed) as note_content:
                began = False
                timed = self._in_time(provider.complete(dispatch), model=model, deadline=deadline)
                async with aclosing(timed) as pieces:
                    async for piece in pieces:
                        if _is_thinking(piece):
                            continue
                        if not began:
                            note_content()
                            began = True
                        yield piece

    async def _in_time(
        self, pieces: AsyncGenerator[Piece, None], *, model: Model, deadline: float
    ) -> AsyncGenerator[Piece, None]:
        """The same pieces; raises `UpstreamTimeoutError` if one of them is late. Thinking is a sign of life too."""
        loop = asyncio.get_running_loop()
        local = model.locality is Locality.LOCAL
        patience = self._timeouts.first_token_local if local else self._timeouts.first_token
        async with aclosing(pieces):
            while True:
                try:
                    async with asyncio.timeout_at(min(deadline, loop.time() + patience)):
                        piece = await anext(pieces)
                except TimeoutError:
                    raise UpstreamTimeoutError from None
                except StopAsyncIteration:
                    return
                yield piece
                patience = self._timeouts.between_tokens

    def _wait_before_retry(self, failure: UpstreamError) -> float | None:
        """Seconds after which the same model is worth a second call, `None` if it is not."""
        if failure.retry_after is None:
            return RETRY_BACKOFF * (0.5 + self._jitter()) if type(failure) in PASSING_FAILURES else None
        passing = type(failure) in PASSING_FAILURES or isinstance(failure, UpstreamRateLimitedError)
        if not passing or failure.retry_after > LONGEST_RETRY_AFTER:
            return None
        return failure.retry_after + RETRY_BACKOFF * self._jitter()


async def _hold(pieces: AsyncGenerator[Piece, None], *, whole: bool) -> list[Piece]:
    """The pieces up to the first that a client would see; of a whole answer all of them."""
    held = []
    async for piece in pieces:
        held.append(piece)
        if not whole and not isinstance(piece, Usage):
            return held
    if not held:
        raise UpstreamBrokenError
    return held


def _is_thinking(piece: Piece) -> bool:
    """A delta without content: the model thinks, and its thoughts are not passed on."""
    return isinstance(piece, Delta) and piece == Delta(index=piece.index)


def _adapted(prompt: Prompt, *, model: Model, plan: Plan) -> Prompt:
    """The prompt without the wishes that the model refuses and that an answer is good without."""
    if plan.checks(model) and plan.cascade is not None:
        prompt = plan.cascade.prepare(prompt)
    if model.id not in plan.without_sampling:
        return prompt
    return replace(prompt, sampling=replace(prompt.sampling, temperature=None, top_p=None))


def _restored(held: Sequence[Piece], *, prompt: Prompt) -> Sequence[Piece]:
    """As the caller asked: log-probabilities that only a check wanted are not passed on."""
    return held if prompt.sampling.logprobs else tuple(without_logprobs(held))
