"""Admission: what each key and each user may use, reserved before a request is answered and settled after it."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Iterator
from contextlib import aclosing
from dataclasses import dataclass

from app.errors import RateLimitedError, TokensOverLimitError, TooManyStreamsError
from app.models import Admitted, Allowance, Caller, Charge, ChatRequest, Limits, Prompt, Remainder
from app.protocols import Demand, Lease, Taking, WindowStore
from app.services.calls import Book
from app.services.prompting import count_prompt_tokens
from app.services.recorder import Watched
from app.utils.tokens import Family
from app.utils.tracing import step

# What an answer is taken to cost when nobody says how long it may be.
ANSWER_TOKENS = 256
# A place that is taken is free again when some stream ends; nobody knows when that is.
SECONDS_FOR_A_PLACE = 1.0
NO_LIMITS = Limits()
REQUESTS, TOKENS = "requests", "tokens"


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
            demand, level = max(zip(self.demands, self.taking.levels, strict=True), key=lambda pair: pair[1].wait)
            subject, _, quantity = demand.name.partition(":")
            raise RateLimitedError(limit=f"{subject}_{quantity.rpartition(':')[2]}", retry_after=level.wait)
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

    `secret` keys the digests that stand for users' names and addresses in a shared store; `is_shared` says that the
    windows are in one.
    """

    def __init__(
        self,
        *,
        windows: WindowStore,
        user_limits: Limits,
        secret: bytes,
        make_id: Callable[[], str],
        is_shared: bool = False,
    ) -> None:
        self.is_shared = is_shared
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

    async def count_address(self, address: str, *, per_minute: int) -> Reservation:
        """Count a request of an address, whoever asks."""
        named = self._digest(address)
        demand = Demand(group=named, name=f"address:{named}:{REQUESTS}", limit=per_minute, cost=1)
        return Reservation((demand,), None, await self._windows.take((demand,)))

    def watch(
        self, make_events: Callable[[Book], Watched], *, request: ChatRequest, caller: Caller, book: Book
    ) -> Watched:
        """The events of the request's answer under the caller's limits; raises `RateLimitedError` beyond them.

        What the events book is what they cost, whether the answer was complete or not.
        """
        if not any(self._subjects(caller)):
            return make_events(book)
        return self._watch(make_events, request=request, caller=caller, book=book)

    async def _watch(
        self, make_events: Callable[[Book], Watched], *, request: ChatRequest, caller: Caller, book: Book
    ) -> Watched:
        charges: list[Charge] = []

        def note(charge: Charge) -> None:
            charges.append(charge)
            book(charge)

        async with aclosing(make_events(note)) as batches:
            with step("admission"):
                reservation = await self._reserve(request, caller=caller)
            yield (Admitted(reservation.allowance),)
            reservation.refuse_excess()
            try:
                async for events in batches:
                    yield events
            finally:
                # Closed first: what a cut call took is booked then.
                await batches.aclose()
                self._settle(reservation, tokens=sum(charge.usage.total_tokens for charge in charges))

    async def _reserve(self, request: ChatRequest, *, caller: Caller) -> Reservation:
        sent = Prompt(messages=request.messages, tooling=request.tooling)
        prompt = count_prompt_tokens(sent)[Family.CL100K]
        answer = (request.sampling.max_tokens or ANSWER_TOKENS) * (request.sampling.n or 1)
        demands = tuple(self._demands(caller, tokens=prompt + answer))
        if any(demand.cost > demand.limit for demand in demands):
            raise TokensOverLimitError
        streams = caller.limits.concurrent_streams
        lease = None
        if streams is not None and request.stream:
            name = f"key:{caller.key_id}:streams"
            lease = Lease(group=self._digest(caller.tenant), name=name, limit=streams, id=self._make_id())
        return Reservation(demands, lease, await self._windows.take(demands, lease=lease))

    def _settle(self, reservation: Reservation, *, tokens: int) -> None:
        for demand in reservation.demands:
            if demand.name.endswith(TOKENS):
                self._windows.settle(demand, taking=reservation.taking, cost=tokens)
        if reservation.lease is not None:
            self._windows.release(reservation.lease, taking=reservation.taking)

    def _demands(self, caller: Caller, *, tokens: int | None) -> Iterator[Demand]:
        group = self._digest(caller.tenant)
        for name, limits in self._subjects(caller):
            if limits.requests_per_minute is not None:
                yield Demand(group=group, name=f"{name}:{REQUESTS}", limit=limits.requests_per_minute, cost=1)
            if limits.tokens_per_minute is not None and tokens is not None:
                yield Demand(group=group, name=f"{name}:{TOKENS}", limit=limits.tokens_per_minute, cost=tokens)

    def _subjects(self, caller: Caller) -> Iterator[tuple[str, Limits]]:
        if caller.limits != NO_LIMITS:
            yield f"key:{caller.key_id}", caller.limits
        if caller.user is not None and self._user_limits != NO_LIMITS:
            named = self._digest(f"{caller.tenant}\0{caller.user}")
            yield f"user:{named}", self._user_limits

    def _digest(self, name: str) -> str:
        return hmac.digest(self._secret, name.encode(), hashlib.sha256).hex()[:32]
