"""Running a plan: attempts, time-outs, retries and fallback, up to the first token and never after it."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass

from app.errors import (
    UpstreamError,
    UpstreamRateLimitedError,
    UpstreamTimeoutError,
    UpstreamUnavailableError,
)
from app.models import Attempt, Dispatch, Label, Locality, Model, Piece, Prompt
from app.protocols import ChatProvider
from app.services.llm_router import Plan, order_by_health

# A wait that the upstream asks for is honoured up to here; the next candidate is tried instead of a longer one.
LONGEST_RETRY_AFTER = 2.0
RETRIES_ON_SAME_MODEL = 1
RETRY_BACKOFF = 0.2

FAILURES_THAT_OPEN = 3
OPEN_SECONDS = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class TimeOuts:
    """In seconds. Local models may have to load their weights first, so they get longer for the first token.

    An answer that is asked for in one piece has its first token when it is there.
    """

    first_token: float
    first_token_local: float
    between_tokens: float
    total: float


class Breaker:
    """Remembers which models failed again and again lately. It orders, it never refuses."""

    def __init__(self, *, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._failures: dict[str, int] = {}
        self._opened: dict[str, float] = {}

    def succeeded(self, model: str) -> None:
        self._failures.pop(model, None)
        self._opened.pop(model, None)

    def failed(self, model: str) -> None:
        self._failures[model] = self._failures.get(model, 0) + 1
        if self._failures[model] >= FAILURES_THAT_OPEN:
            self._opened[model] = self._monotonic()

    @property
    def open(self) -> frozenset[str]:
        """Ids of the models whose breaker is open now."""
        now = self._monotonic()
        return frozenset(model for model, since in self._opened.items() if now - since < OPEN_SECONDS)


class Completion:
    """Asks the models of a plan in turn until one answers."""

    def __init__(
        self,
        *,
        providers: Mapping[str, ChatProvider],
        fallback_provider: ChatProvider,
        breaker: Breaker,
        timeouts: TimeOuts,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._providers = providers
        self._fallback_provider = fallback_provider
        self._breaker = breaker
        self._timeouts = timeouts
        self._jitter = jitter

    async def run(self, plan: Plan, prompt: Prompt, *, label: Label) -> AsyncGenerator[Attempt | Piece, None]:
        """Yield an `Attempt` for each model that failed and for the one that answers, then its pieces.

        Raises the last model's `UpstreamError` if none answers, and any error after the first piece as it is.
        """
        models = order_by_health(plan.models, unhealthy=self._breaker.open)
        failure: UpstreamError = UpstreamUnavailableError()
        for model in models:
            for attempt in range(1 + RETRIES_ON_SAME_MODEL):
                pieces = self._attempt(Dispatch(prompt, label, model))
                async with aclosing(pieces):
                    try:
                        first = await anext(pieces)
                    except UpstreamError as error:
                        failure = error
                        self._breaker.failed(model.id)
                        yield Attempt(model=model.id, outcome=error.code)
                    else:
                        yield Attempt(model=model.id, outcome="ok")
                        yield first
                        async for piece in pieces:
                            yield piece
                        self._breaker.succeeded(model.id)
                        return
                if not failure.fallback:
                    raise failure
                if attempt == RETRIES_ON_SAME_MODEL or not _worth_retrying(failure):
                    break
                await asyncio.sleep(failure.retry_after or RETRY_BACKOFF * (0.5 + self._jitter()))
        raise failure

    async def _attempt(self, dispatch: Dispatch[Prompt]) -> AsyncGenerator[Piece, None]:
        """One call, each wait bounded: for the first piece, between pieces and in total."""
        provider = self._providers.get(dispatch.model.provider, self._fallback_provider)
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._timeouts.total
        patience = self._first_token(dispatch.model)
        pieces = provider.complete(dispatch)
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

    def _first_token(self, model: Model) -> float:
        local = model.locality is Locality.LOCAL
        return self._timeouts.first_token_local if local else self._timeouts.first_token


def _worth_retrying(error: UpstreamError) -> bool:
    """Whether the same model may answer a moment later; a time-out has cost the caller enough already."""
    if isinstance(error, UpstreamRateLimitedError):
        return error.retry_after is not None and error.retry_after <= LONGEST_RETRY_AFTER
    return error.status in (502, 503) and not isinstance(error, UpstreamTimeoutError)
