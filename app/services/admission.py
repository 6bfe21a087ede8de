"""Admission: what each key and each user may use, reserved before a request is answered and settled after it."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import aclosing
from dataclasses import dataclass

from app.errors import RateLimitedError, TokensOverLimitError, TooManyStreamsError
from app.models import Admitted, Allowance, Caller, ChatRequest, Delta, Event, Finished, Limits, Remainder, Started
from app.protocols import Demand, Lease, Taking, WindowStore
from app.services.prompting import estimate_text_tokens, estimate_tokens
from app.services.recorder import Progress

# What an answer is taken to cost when nobody says how long it may be.
ANSWER_TOKENS = 256
# A place that is taken is free again when some stream ends; nobody knows when that is.
SECONDS_FOR_A_PLACE = 1.0
NO_LIMITS = Limits()
REQUESTS, TOKENS = "requests", "tokens"

Events = AsyncGenerator[Event | Progress, None]


@dataclass(frozen=True, slots=True)
class Reservation:
    """What was asked of the windows for one request, and what became of it."""

    demands: tuple[Demand, ...]
    lease: Lease | None
    taking: Taking

    @property
    def allowance(self) -> Allowance:
        return Allowance(requests=self._tightest(REQUESTS), tokens=self._tightest(TOKENS))

    def refuse_excess(self) -> None:
        """Raise `RateLimitedError` for what was not to be had."""
        if not self.taking.admitted:
            raise RateLimitedError(retry_after=max(level.wait for level in self.taking.levels))
        if not self.taking.leased:
            raise TooManyStreamsError(retry_after=SECONDS_FOR_A_PLACE)

    def _tightest(self, quantity: str) -> Remainder | None:
        """Of several limits on the same thing the one of which least is left."""
        left = [
            Remainder(limit=demand.limit, remaining=max(0, demand.limit - level.used), reset=level.reset)
            for demand, level in zip(self.demands, self.taking.levels, strict=True)
            if demand.name.endswith(quantity)
        ]
        return min(left, key=lambda each: each.remaining, default=None)


class Admission:
    """Counts requests, tokens and streams of keys and of users; `user_limits` hold for each user over all keys.

    `secret` keys the digests that stand for users' names in a shared store.
    """

    def __init__(self, *, windows: WindowStore, user_limits: Limits, secret: bytes, make_id: Callable[[], str]) -> None:
        self._windows = windows
        self._user_limits = user_limits
        self._secret = secret
        self._make_id = make_id

    async def count(self, caller: Caller) -> Reservation | None:
        """Count a request that answers nothing; `None` if the caller has no limits."""
        demands = tuple(self._demands(caller, tokens=None))
        if not demands:
            return None
        return Reservation(demands, None, await self._windows.take(demands))

    def watch(self, events: Events, *, request: ChatRequest, caller: Caller) -> Events:
        """The events of the request's answer under the caller's limits; raises `RateLimitedError` beyond them."""
        if not any(self._subjects(caller)):
            return events
        return self._watch(events, request=request, caller=caller)

    async def _watch(self, events: Events, *, request: ChatRequest, caller: Caller) -> Events:
        prompt = estimate_tokens(request.messages)
        async with aclosing(events):
            reservation = await self._reserve(request, caller=caller, prompt=prompt)
            yield Admitted(reservation.allowance)
            reservation.refuse_excess()
            spent = _Spent(prompt)
            try:
                async for event in events:
                    spent.note(event)
                    yield event
            finally:
                self._settle(reservation, tokens=spent.tokens)

    async def _reserve(self, request: ChatRequest, *, caller: Caller, prompt: int) -> Reservation:
        answer = (request.sampling.max_tokens or ANSWER_TOKENS) * (request.sampling.n or 1)
        demands = tuple(self._demands(caller, tokens=prompt + answer))
        if any(demand.cost > demand.limit for demand in demands):
            raise TokensOverLimitError
        streams = caller.limits.concurrent_streams
        lease = None
        if streams is not None and request.stream:
            lease = Lease(name=f"key:{caller.key_id}:streams", limit=streams, id=self._make_id())
        return Reservation(demands, lease, await self._windows.take(demands, lease=lease))

    def _settle(self, reservation: Reservation, *, tokens: int) -> None:
        for demand in reservation.demands:
            if demand.name.endswith(TOKENS):
                self._windows.settle(demand, taking=reservation.taking, cost=tokens)
        if reservation.lease is not None:
            self._windows.release(reservation.lease, taking=reservation.taking)

    def _demands(self, caller: Caller, *, tokens: int | None) -> Iterator[Demand]:
        for name, limits in self._subjects(caller):
            if limits.requests_per_minute is not None:
                yield Demand(name=f"{name}:{REQUESTS}", limit=limits.requests_per_minute, cost=1)
            if limits.tokens_per_minute is not None and tokens is not None:
                yield Demand(name=f"{name}:{TOKENS}", limit=limits.tokens_per_minute, cost=tokens)

    def _subjects(self, caller: Caller) -> Iterator[tuple[str, Limits]]:
        if caller.limits != NO_LIMITS:
            yield f"key:{caller.key_id}", caller.limits
        if caller.user is not None and self._user_limits != NO_LIMITS:
            named = hmac.digest(self._secret, f"{caller.tenant}\0{caller.user}".encode(), hashlib.sha256)
            yield f"user:{named.hex()[:32]}", self._user_limits


@dataclass(slots=True)
class _Spent:
    """What an answer has cost so far: what its end says, or an estimate of what was written when it was cut."""

    prompt: int
    _begun: bool = False
    _written: int = 0
    _settled: int | None = None

    @property
    def tokens(self) -> int:
        if self._settled is not None:
            return self._settled
        return self.prompt + self._written if self._begun else 0

    def note(self, event: Event | Progress) -> None:
        match event:
            case Started():
                self._begun = event.route.cache != "hit"
            case Delta() if self._begun:
                self._written += estimate_text_tokens(event.content)
            case Finished():
                self._settled = 0 if event.cached else event.usage.total_tokens
